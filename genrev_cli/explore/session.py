"""The state behind the page, without HTTP: a model, its open photos, and edits of their codes that become pictures."""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from genrev_cli.data.pixels import DamagedImage
from genrev_cli.errors import UsageError
from genrev_cli.explore.asked import Asked, Changes
from genrev_cli.explore.commands import command_of
from genrev_cli.explore.maps import Maps
from genrev_cli.explore.photos import Photo, Photos, code_photo, decoded_pixels, photo_of
from genrev_cli.files.directions import DirectionSet
from genrev_cli.files.images import SPLITS, ImageSet
from genrev_cli.files.writers import write_codes
from genrev_cli.latents import Prior
from genrev_cli.latents.paths import PATHS
from genrev_cli.progress import Progress
from genrev_cli.settings.sampling import Draw
from genrev_cli.shapes import Codes, Latents, Pixels, to_float
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.class_names import class_names
from genrev_cli.store.coding import ALONG, between, encoded
from genrev_cli.store.drawing import Drawing
from genrev_cli.store.editing import Editor, comes_back, with_rest
from genrev_cli.store.preparation import fitting_of, negative


def _no_file(path: str) -> Latents:
    """Refuse edits that name picture files: the page never opens a path."""
    raise UsageError(f"{path}: the page opens no files by their paths; drop the picture on it")


WIDTH_IMAGES = 64
"""Images whose codes say which active dimensions are the widest."""
MOST_FRAMES = 120


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Files and settings of a session.

    data, directions: None without any. split: of the data, for the map and as the page's first choice.
    invert: turn black and white of opened files around.
    """

    model: Checkpoint
    device: torch.device
    data: ImageSet | None = None
    directions: DirectionSet | None = None
    split: str = "test"
    points: int = 2000
    dims: int = 8
    seed: int = 0
    invert: bool = False


@final
class Session:
    """One model with its photos. Methods may be called from several threads; the network runs for one of them at a time."""

    def __init__(self, opened: Opened, progress: Progress) -> None:
        self.opened, self.model, self.directions = opened, opened.model, opened.directions
        self.fitting = replace(fitting_of(opened.model, progress), invert=opened.invert)
        self.photos, self._busy = Photos(), threading.RLock()
        self.maps = Maps(self._map_codes, opened.seed)

    @property
    def prior(self) -> Prior:
        """The prior of the training."""
        return self.model.own_prior

    @cached_property
    def dims(self) -> list[int]:
        """The active dimensions that have a slider: those whose codes have the largest standard deviation, the widest first."""
        std = self._some_codes(WIDTH_IMAGES).std(0, unbiased=False) if self.opened.data else self.prior.moments()[1]
        return std.argsort(descending=True, stable=True)[: self.opened.dims].tolist()

    @cached_property
    def targets(self) -> list[str]:
        """The classes toward which a photo can go: those whose mean the directions or the prior know, by the words of `genrev edit`."""
        tables = self.directions.about if self.directions else ()
        known = [str(one["name"]) for one in tables if (one["method"], one["source"]) == ("means", "class") and not one.get("without")]
        return known or [str(label) for label in range(self.prior.classes)]

    def about(self) -> dict[str, Any]:
        """Return what the page has to know of the model, its directions and its data, as JSON."""
        model, prior, data = self.model, self.prior, self.opened.data
        shown = ("name", "method", "source", "accuracy", "scale")
        tables = self.directions.about if self.directions else ()
        return {
            "checkpoint": model.path.name,
            "network": model.autoencoder.config["name"],
            "shape": list(model.autoencoder.image_shape),
            "exact": not comes_back(model),
            "active": prior.dim,
            "latent": prior.latent_dim,
            "dims": self.dims,
            "directions": [{key: table.get(key) for key in shown} for table in tables],
            "targets": self.targets,
            "classes": list(class_names(model.header)),
            "prior_classes": prior.classes,
            "splits": {name: int((data.split == i).sum()) for i, name in enumerate(SPLITS) if (data.split == i).any()} if data else {},
            "split": self.opened.split,
            "paths": [*PATHS, *self._own_paths()],
        }

    def _own_paths(self) -> list[str]:
        """Return the path along the map or flow that samples are drawn from. A flow of classes has none: both ends need one class."""
        if self.model.drawn_from == "flow" and self.model.prior.classes:
            return []
        return [ALONG[self.model.drawn_from]] if self.model.drawn_from in ALONG else []

    @torch.no_grad()
    def upload(self, data: bytes, name: str) -> int:
        """Open the bytes of a picture file, prepared as the images of the training were. Raises UsageError for unusable bytes."""
        try:
            image = self.fitting(data).copy()  # a picture's own array cannot be written
        except DamagedImage as error:
            raise UsageError(f"{name}: not a usable picture ({error})") from error
        invert = self.opened.invert
        about = [name, str(self.fitting.general), *(["inverted"] if invert else [])]
        with self._busy:
            if found := negative(self.model, image):
                about.append(f"{found} (start explore {'without' if invert else 'with'} --invert)")
            photo = photo_of(self.model, torch.from_numpy(image), name=name, about=", ".join(about))
            return self.photos.add(replace(photo, inverted=invert))

    @torch.no_grad()
    def draw(self, asked: Asked) -> int:
        """Open an image of the data, a sample of the prior, or a point of the map. Raises UsageError for one that does not exist."""
        with self._busy:
            return self.photos.add(self._drawn(asked))

    def _drawn(self, asked: Asked) -> Photo:
        if asked.kind == "data":
            return self._from_data(asked.split, asked.number)
        if asked.kind == "prior":
            return self._from_prior(asked)
        if asked.kind == "map":
            return self._from_row(asked.number)
        y = self.maps.on_plane(asked.x, asked.y)
        where = f"{asked.x:+.2f}, {asked.y:+.2f}"
        return self._code(self.prior.embed(y.to(self.opened.device)), f"map {where}.png", f"point {where} of the plane of the map")

    def _from_data(self, split: str, number: int) -> Photo:
        data = self._data()
        rows = data.rows(split)
        if number >= len(rows):
            raise UsageError(f"image {number} does not exist; split '{split}' has images 0 to {len(rows) - 1}")
        row = rows[number]
        label = int(data.labels[row])
        named = f", class {data.classes[label]}" if 0 <= label < len(data.classes) else ""
        pixels = torch.from_numpy(data.read([row])[0])
        return photo_of(self.model, pixels, name=f"{split}-{number}.png", about=f"image {number} of split '{split}'{named}")

    def _from_prior(self, asked: Asked) -> Photo:
        label = () if asked.label < 0 else (asked.label,)
        if label and asked.label >= self.prior.classes:
            raise UsageError(f"class {asked.label} does not exist in the prior, which has {self.prior.classes or 'no'} classes")
        drawing = Drawing(self.model.prior, Draw(asked.seed, asked.temperature, label), self.opened.device)
        of = f", class {asked.label}" if label else ""
        about = f"sample {asked.number} of the {self._drawn_from()} with seed {asked.seed}, temperature {asked.temperature:g}{of}"
        return self._code(drawing.latents([asked.number]), f"sample-{asked.seed}-{asked.number}.png", about)

    def _drawn_from(self) -> str:
        return {"ot": "transport map"}.get(self.model.drawn_from, self.model.drawn_from)

    def _from_row(self, place: int) -> Photo:
        if not 0 <= place < self.points:
            raise UsageError(f"point {place} does not exist; the map has points 0 to {self.points - 1}")
        if self.opened.data:
            return self._from_data(self.opened.split, int(self._places[place]))
        return self._from_prior(Asked(kind="prior", seed=self.opened.seed, number=place))

    def _code(self, z: Latents, name: str, about: str) -> Photo:
        return code_photo(self.model, z, name=name, about=about)

    @torch.no_grad()
    def edited(self, number: int, changes: Changes) -> Pixels:
        """Return the edited photo, (C, H, W) uint8."""
        return self.variants(number, [changes])[0]

    @torch.no_grad()
    def variants(self, number: int, several: Sequence[Changes]) -> Pixels:
        """Return the photo with each of several changes, decoded together: (n, C, H, W) uint8."""
        with self._busy:
            photo = self.photos.get(number)
            return decoded_pixels(self.model.autoencoder, torch.cat([self._latent(photo, changes) for changes in several]))

    @torch.no_grad()
    def latent(self, number: int, changes: Changes) -> Latents:
        """Return the full latent (1, D) of the edited photo."""
        with self._busy:
            return self._latent(self.photos.get(number), changes)

    def _latent(self, photo: Photo, changes: Changes) -> Latents:
        """Return z' = r + rest·(z − r) + Δ, where r is the restricted latent: the rest of the latent is kept (1) or shrunk (to 0)."""
        if unknown := [name for name, _ in changes.edits.toward if name not in self.targets]:
            raise UsageError(f"the mean of a class '{unknown[0]}' is not known")  # Editor would look for a file of that name
        z = with_rest(self.model, photo.z, changes.rest)
        return Editor(self.model, self.directions, changes.rest > 0, _no_file).change(changes.edits)(z)

    @torch.no_grad()
    def path(self, first: Asked, last: Asked, *, path: str, rest: float, frames: int) -> Pixels:
        """Return the pictures between two points, both ends included: (frames, C, H, W) uint8."""
        with self._busy:
            ends = torch.cat([with_rest(self.model, self._drawn(asked).z, rest) for asked in (first, last)])
            t = torch.linspace(0, 1, frames, device=ends.device)
            return decoded_pixels(self.model.autoencoder, between(self.model, ends, t, path=path, full=True))

    def command(self, number: int, changes: Changes) -> str:
        """Return the command that makes the same picture from the original, or a sentence where there is none."""
        photo = self.photos.get(number)
        return command_of(photo.name, changes, ckpt=self.model.path, directions=self.directions, invert=photo.inverted)

    def code_file(self, number: int, changes: Changes) -> bytes:
        """Return a file of codes, as `genrev encode --full` writes them, with the full latent of the edited photo."""
        z = self.latent(number, changes).cpu().numpy()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "code.h5"
            write_codes(path, z, names=[self.photos.get(number).name], ckpt=self.model.path)
            return path.read_bytes()

    def summary(self, number: int) -> dict[str, Any]:
        """Return what the page shows beside a photo's pictures, as JSON. y: its active dimensions that have sliders."""
        photo = self.photos.get(number)
        y = self.prior.select(photo.z)[0]
        trip = asdict(photo.trip) if photo.trip else None
        return {
            "photo": number,
            "name": photo.name,
            "about": photo.about,
            "trip": trip,
            "y": [round(y[dim].item(), 3) for dim in self.dims],
        }

    def _data(self) -> ImageSet:
        if self.opened.data is None:
            raise UsageError("no data is open; start genrev explore with --data")
        return self.opened.data

    @property
    def points(self) -> int:
        """The number of points on the map."""
        return len(self._places) if self.opened.data else self.opened.points

    @cached_property
    def _places(self) -> np.ndarray:
        """The images on the map, as numbers within the split: spread evenly over it, in order."""
        n = len(self._data().rows(self.opened.split))
        return np.unique(np.linspace(0, n - 1, min(n, self.opened.points)).round().astype(np.int64))

    @cached_property
    def labels(self) -> list[int]:
        """The class of each point of the map, −1 where it is not known."""
        data = self.opened.data
        return data.labels[data.rows(self.opened.split)[self._places]].tolist() if data else [-1] * self.points

    def _some_codes(self, count: int) -> Codes:
        return self._codes_at(np.linspace(0, self.points - 1, min(count, self.points)).round().astype(np.int64))

    @torch.no_grad()
    def _codes_at(self, places: np.ndarray) -> Codes:
        """Return the codes of some points of the map, (k, d) on the CPU."""
        with self._busy:
            if self.opened.data is None:
                draw = Draw(self.opened.seed)
                return self.prior.select(Drawing(self.model.prior, draw, self.opened.device).latents(places.tolist())).cpu()
            data = self.opened.data
            pixels = data.read(data.rows(self.opened.split)[self._places[places]])
            return encoded(self.model, to_float(torch.from_numpy(pixels).to(self.opened.device)), full=False).cpu()

    def _map_codes(self) -> Iterator[Codes]:
        """Yield the codes of the map in blocks, so that edits come in between."""
        for block in np.array_split(np.arange(self.points), max(1, self.points // 32)):
            yield self._codes_at(block)
