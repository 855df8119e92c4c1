"""Make pictures of a model: the images that they show, and the file with its labels and header."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genrev_cli.data.photos import find_photos, has_many
from genrev_cli.errors import UsageError
from genrev_cli.files.films import require_writer, write_film
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.images import ImageSet
from genrev_cli.files.pictures import pixels_digest, write_picture
from genrev_cli.files.samples import writing_samples
from genrev_cli.files.sheets import sheet
from genrev_cli.files.strip import stripped
from genrev_cli.files.targets import check_target, require_remake
from genrev_cli.progress import Progress
from genrev_cli.result import Result
from genrev_cli.seeds import derive
from genrev_cli.settings.common import Taking
from genrev_cli.settings.figures import FILMS, ReconstructSettings
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.shapes import Pixels, to_float, to_pixels
from genrev_cli.store.checkpoints import Checkpoint, data_of
from genrev_cli.store.given import Given, given_images, require_pictures
from genrev_cli.store.preparation import fitting_of, note_fitting
from genrev_cli.store.samplers import open_model
from genrev_cli.training.devices import resolve_device


def drawn_at_random(n: int, count: int, seed: int) -> np.ndarray:
    """Return `count` of the numbers 0 … n − 1, or all if there are fewer, drawn by `seed`, in order."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(derive(seed, "reconstruct")))
    return np.sort(order[:count].numpy())


@torch.no_grad()
def restored(model: Checkpoint, pixels: Pixels) -> list[Pixels]:
    """Return images (n, C, H, W) uint8 decoded from the restricted and from the full latent; both (n, C, H, W) uint8."""
    z = model.autoencoder.encode(to_float(pixels))
    return [to_pixels(model.autoencoder.decode(latents)) for latents in (model.own_prior.restrict(z), z)]


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a picture is drawn and what it may replace.

    scale: 0 is at least 64 pixels per tile. names: of rows and columns. publish: its header has no path of this machine.
    """

    scale: int = 0
    names: bool = True
    force: bool = False
    publish: bool = False


@dataclass(kw_only=True)
class Figure:
    """A picture or a film that is being made: the model, its data and the clock. shows: the first word of what it shows.

    Raises FileError for unusable files, and for a picture at `out` that was made from others, unless `look.force`; UnavailableError for a
    film without the package that writes it.
    """

    ckpt: Path
    out: Path
    shows: str
    device: str
    look: Look
    data: Path | None = None
    sampler: SamplerFile | None = None
    precision: str = "fp32"
    film: bool = False

    def __post_init__(self) -> None:
        require_writer(self.out)
        check_target(
            self.out, self.kind, ("", *FILMS) if self.film else (".png",), [self.ckpt, *([self.sampler.path] if self.sampler else [])]
        )
        self.start, self.place = time.perf_counter(), resolve_device(self.device, self.precision)
        self.model: Checkpoint = open_model(self.ckpt, self.place, self.sampler)
        self.inputs = self.model.inputs
        require_remake(self.out, self.inputs, ("ckpt", "sampler"), shows=self.shows, force=self.look.force)

    @property
    def kind(self) -> str:
        """The kind of the file: 'picture', 'film', or 'samples', which are the frames in a folder."""
        return ("film" if self.out.suffix else "samples") if self.film else "picture"

    @property
    def seconds(self) -> float:
        """The time since the beginning."""
        return time.perf_counter() - self.start

    def images(self) -> ImageSet:
        """Open the image set and record it as an input of the picture."""
        images = data_of(self.model.header, self.data, self.ckpt)
        self.inputs["data"] = images.header.as_input(images.path)
        require_remake(self.out, self.inputs, ("data",), force=self.look.force)
        return images

    def given(self, settings: ReconstructSettings, pictures: Sequence[Path], progress: Progress) -> Given:
        """Return pictures, or the images of a split if there are none, and record them as an input of the picture."""
        given = given_images(self.model, settings, data=self.data, pictures=pictures, progress=progress)
        self.inputs[given.role] = given.record()
        require_remake(self.out, self.inputs, ("data", "pictures"), force=self.look.force)
        return given

    def named(self, names: Sequence[str], split: str, taking: Taking, *, progress: Progress) -> list[Pixels]:
        """Read images (C, H, W) uint8, each the row number within the split or a picture file. Only row numbers open the data.

        Raises UsageError for an unknown row, and for --as-is or --invert without a file; FileError for an unusable file.
        """
        paths = [Path(name) for name in names if not name.isdigit()]
        require_pictures(taking, bool(paths))
        files, images = iter(self._files(paths, taking, progress)), self.images() if len(paths) < len(names) else None
        return [self._row(images, split, int(name)) if images and name.isdigit() else next(files) for name in names]

    def _files(self, paths: Sequence[Path], taking: Taking, progress: Progress) -> list[Pixels]:
        """Read picture files, and record them as an input of the picture."""
        if not paths:
            return []
        if folder := next(filter(has_many, paths), None):
            raise UsageError(f"{folder}: is a folder or an archive, but a single picture is needed here")
        photos, fitting = find_photos(paths), fitting_of(self.model, progress, taking)
        note_fitting(self.model, photos, fitting, progress)
        self.inputs["pictures"] = photos.record(fitting)
        return list(torch.from_numpy(photos.read(fitting)).to(self.place))

    def _row(self, images: ImageSet, split: str, number: int) -> Pixels:
        rows = images.rows(split)
        if number >= len(rows):
            raise UsageError(f"{images.path}: has no image {number} in split '{split}' (0 to {len(rows) - 1})")
        return self.read(images, rows[[number]])[0]

    def read(self, images: ImageSet, rows: Sequence[int] | np.ndarray) -> Pixels:
        """Return images (n, C, H, W) uint8 on the device."""
        return torch.from_numpy(images.read(rows)).to(self.place)

    def write(
        self,
        tiles: Pixels,
        columns: int,
        *,
        rows: Sequence[str],
        heads: Sequence[str],
        corner: str = "",
        config: dict[str, Any],
        numbers: dict[str, Any],
        seed: int | None = None,
    ) -> Result:
        """Lay the tiles out in rows of `columns` and write the picture with its header. rows, heads, corner: names, see `sheet`."""
        named = self.look.names
        rows, heads = (rows, heads) if named else ((), ())
        picture, layout = sheet(tiles.cpu().numpy(), columns, scale=self.look.scale, rows=rows, heads=heads, corner=corner)
        made_by = provenance(seconds=self.seconds, seed=seed, device=str(self.place))
        config = {**config, "numbers": numbers, "layout": layout}
        header = Header("picture", config, pixels_digest(picture), self.model.header.step, inputs=self.inputs, made_by=made_by)
        write_picture(self.out, picture, stripped(header) if self.look.publish else header)
        return Result(self.out, numbers)

    def write_film(self, frames: np.ndarray, fps: int, *, config: dict[str, Any], numbers: dict[str, Any]) -> Result:
        """Write frames (T, C, H, W) uint8 as a film, without paths of this machine in its header, or as pictures of a folder."""
        numbers = {**numbers, "frames": len(frames), "film_seconds": round(len(frames) / fps, 2)}
        config = {**config, "n": len(frames), "image_shape": list(frames.shape[1:]), "fps": fps, "numbers": numbers}
        made_by = provenance(seconds=self.seconds, device=str(self.place))
        header = Header(self.kind, config, "", step=self.model.header.step, inputs=self.inputs, made_by=made_by)
        if self.kind == "film":
            write_film(self.out, frames, fps, stripped(header))
        else:
            with writing_samples(self.out, frames.shape, replace(header, config={**config, "sampler": "film"})) as writer:
                writer.add(frames)
        return Result(self.out, numbers)
