"""A checkpoint as Python users have it: `genrev_cli.load` returns a `Model`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.files.header import Header
from genrev_cli.latents import Prior
from genrev_cli.latents.flow import Flow
from genrev_cli.models import Autoencoder
from genrev_cli.plugins import load_asked
from genrev_cli.seeds import derive
from genrev_cli.settings.edits import edits_of, require_fading
from genrev_cli.settings.sample import SPREAD
from genrev_cli.settings.sampling import Draw, SamplerFile
from genrev_cli.shapes import Images, Latents
from genrev_cli.store.around import Around
from genrev_cli.store.arrays import Given, Warnings, codes_given, images_given
from genrev_cli.store.belonging import directions_of
from genrev_cli.store.class_names import class_names, class_numbers
from genrev_cli.store.coding import between, decoded, encoded, flow_of, log_prob, log_prob_on_manifold, reconstructed, same_dims
from genrev_cli.store.drawing import Drawing, decode_samples
from genrev_cli.store.editing import Editor, latents_of
from genrev_cli.store.samplers import open_model
from genrev_cli.training.devices import resolve_device

BATCH = 64
"""Images at a time; `genrev sample` has the same default, and samples equal to the bit need the same batch."""

FLOW_BATCH = 1024
"""Codes at a time for a flow, whose results do not depend on it."""

Label = int | str


@final
class Model:
    """A trained autoencoder with its prior, for images as NumPy arrays, pictures, paths or tensors.

    Images are what `store/arrays.py` takes: arrays and tensors (N, C, H, W) uint8 from 0 to 255 or float from 0 to 1; pictures and paths of
    any size. Codes are (N, d), the active dimensions, or (N, D), the full latent.
    Results are tensors where tensors were given (float, not rounded, on the same device, with gradients); otherwise NumPy arrays, images as
    uint8 (N, C, H, W). `batch`: images that are on the device at a time.
    """

    def __init__(self, path: str | Path, *, device: str = "auto", sampler: str | Path | None = None) -> None:
        """Open a checkpoint, or a model that comes with genrev by its name.

        sampler: a file of fit-ot, fit-gmm or fit-flow to draw codes from instead of the prior.
        Raises FileError for unusable files or ones that do not belong together, UnavailableError for a device that is not there.
        """
        load_asked([])
        self.device = resolve_device(device)
        self._checkpoint = open_model(Path(path), self.device, SamplerFile(Path(sampler)) if sampler else None)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.image_shape))
        name = self.network.config["name"]
        return f"Model({str(self.path)!r}: {name}, images {shape}, {self.prior.dim} of {self.prior.latent_dim} dimensions active)"

    @property
    def path(self) -> Path:
        """The file of the checkpoint."""
        return self._checkpoint.path

    @property
    def sampler(self) -> SamplerFile | None:
        """The file that codes are drawn from, None for the prior."""
        return SamplerFile(self._checkpoint.sampler[0]) if self._checkpoint.sampler else None

    @property
    def header(self) -> Header:
        """The header of the checkpoint: how it was made, from what."""
        return self._checkpoint.header

    @property
    def network(self) -> Autoencoder:
        """The network: a torch module with encode (B, C, H, W) → (B, D) and decode back, pixels in [0, 1]. Its weights need no gradient."""
        return self._checkpoint.autoencoder

    @property
    def prior(self) -> Prior:
        """The prior of the training: restrict, select and embed go between all and the active dimensions."""
        return self._checkpoint.own_prior

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        return self.network.image_shape

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the training data, () if it has none."""
        return tuple(class_names(self.header))

    def encode(self, x: Given, *, full: bool = False, batch: int = BATCH) -> Any:
        """Return the codes of images, (N, d): y, the active dimensions of clip(E(x)); with `full` z = E(x), (N, D).

        Raises UsageError for images of another shape or scale, FileError for an unusable picture.
        """
        given = images_given(self._checkpoint, x, self.device)
        return given.numbers(given.map(lambda block: encoded(self._checkpoint, block, full=full), batch))

    def decode(self, z: np.ndarray | Tensor, *, batch: int = BATCH) -> Any:
        """Return the images, (N, C, H, W), of codes (N, d), whose other dimensions are 0, or of full latents (N, D).

        Raises UsageError for codes of another dimension.
        """
        given = codes_given(z, self.device)
        return given.images(given.map(lambda block: decoded(self._checkpoint, block), batch))

    def reconstruct(self, x: Given, *, full: bool = False, batch: int = BATCH) -> Any:
        """Return the images, (N, C, H, W), decoded from the active dimensions of images' codes.

        full: from all dimensions, from which a reversible network returns the images themselves, up to rounding. Raises like `encode`.
        """
        given = images_given(self._checkpoint, x, self.device)
        return given.images(given.map(lambda block: reconstructed(self._checkpoint, block, full=full), batch))

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        label: Label | Sequence[Label] | None = None,
        temperature: float = 1.0,
        like: Given | None = None,
        spread: float = SPREAD,
        batch: int = BATCH,
    ) -> np.ndarray:
        """Draw n images, (n, C, H, W) uint8, equal to those of `genrev sample` with the same settings on the same kind of device.

        Image i depends only on the settings and on i. label: a class by its number or name; several take turns. temperature: below 1 more
        typical, less diverse. like: an image to draw around, as far from it as `spread`, 0 to 1 (see `Around`).
        Raises UsageError for an unknown class, DivergedError when an image is not finite.
        """
        blocks = [range(first, first + batch) for first in range(0, n, batch)]
        drawing = self._drawing(seed, label, temperature, blocks, around=self._around(like, spread))
        pixels = [decode_samples(self._checkpoint, drawing, numbers).detach().cpu() for numbers in blocks]
        return torch.cat(pixels)[:n].numpy() if pixels else np.empty((0, *self.image_shape), np.uint8)

    def sample_codes(self, n: int, *, seed: int = 0, label: Label | Sequence[Label] | None = None, temperature: float = 1.0) -> np.ndarray:
        """Return the codes of the images that `sample` draws, (n, d) float32; `decode` turns them into images."""
        return self._drawing(seed, label, temperature, []).codes(range(n)).cpu().numpy()

    def interpolate(self, a: Given, b: Given, steps: int = 9, *, path: str = "linear", full: bool = False, batch: int = BATCH) -> Any:
        """Return `steps` images from each image of a to that of b, both ends included: (N, steps, C, H, W).

        path: 'linear', 'spherical', or 'map' and 'flow' along the sampler that the model was loaded with.
        full: go between the full latents, so that the ends are the images themselves; otherwise on the support of the prior.
        Raises UsageError for an unknown path, or different numbers of images.
        """
        first, last = (images_given(self._checkpoint, x, self.device) for x in (a, b))
        if first.n != last.n:
            raise UsageError(f"{first.n} images cannot be paired with {last.n}; give as many of both")
        t = torch.linspace(0, 1, steps, device=self.device)
        z, z_end = (given.map(self.network.encode, batch).to(self.device) for given in (first, last))
        ends = torch.stack([z, z_end], dim=1)
        lines = torch.cat([between(self._checkpoint, pair, t, path=path, full=full) for pair in ends])
        images = torch.cat([first.kept(self.network.decode(part)) for part in lines.split(batch)])
        return first.images(images.unflatten(0, (first.n, steps)))

    def edit(
        self,
        x: Given,
        *,
        move: Mapping[str, float] | None = None,
        dim: Mapping[int, float] | None = None,
        toward: Mapping[Any, float] | str | int | Path | None = None,
        like: Any = (),
        unlike: Any = (),
        directions: str | Path | None = None,
        full: bool = True,
        rest: float = 1.0,
        fade: float = 0.0,
        strength: float = 1.0,
        batch: int = BATCH,
    ) -> Any:
        """Return edited images, (N, C, H, W), as `genrev edit` makes them. Strength 0 gives what `reconstruct` with the same `full` gives.

        move: {name of a direction: strength}, with `directions`, a file of fit-directions. dim: {active dimension: strength}. Strengths
        are in standard deviations. toward: {class or picture file: share of the way}, or one of them, all the way. like, unlike: picture
        files whose difference of codes is added. full: keep the photo's inactive dimensions, and so its details, or the share `rest`. fade:
        the share of them that goes in proportion to the strength.
        Raises UsageError for a direction, dimension or target that there is not, FileError for unusable files.
        """
        edits = edits_of(move=move, dim=dim, toward=toward, like=like, unlike=unlike, fade=fade)
        require_fading(fade, strength)
        given = images_given(self._checkpoint, x, self.device)
        found = directions_of(self._checkpoint, Path(directions) if directions else None, Warnings())

        def latents(image: Images, rest: float = 1.0) -> Latents:
            return latents_of(self._checkpoint, image, full=full, rest=rest)

        def code_of(path: str) -> Latents:
            return images_given(self._checkpoint, path, self.device).map(latents, batch).to(self.device)

        change = Editor(self._checkpoint, found, full, code_of).change(edits)
        return given.images(given.map(lambda block: self.network.decode(change(latents(block, rest), strength)), batch))

    def log_prob(self, x: Given, *, seed: int = 0, batch: int = BATCH) -> Any:
        """Return a lower bound of log P(x) of each image in nats, (N,), with one draw of the noise that makes 8-bit pixels continuous.

        −log_prob / (C·H·W·ln 2) are the bits per dimension of `genrev fid --metrics bpd`.
        Raises UsageError for a model without a likelihood; `genrev train-flow` makes ones that have it.
        """
        given, generator = (
            images_given(self._checkpoint, x, self.device),
            torch.Generator(self.device).manual_seed(derive(seed, "log_prob")),
        )
        return given.numbers(given.map(lambda block: log_prob(self._checkpoint, block, generator), batch))

    def log_prob_on_manifold(self, x: Given, *, batch: int = BATCH) -> Any:
        """Return log p of the reconstruction of each image in nats, (N,): a density per d-dimensional volume of the decoded images.

        It is exact, takes d backward passes, and cannot be compared with bits per dimension, nor between models.
        Raises UsageError for a model whose prior is not N(0, I).
        """
        given = images_given(self._checkpoint, x, self.device)
        return given.numbers(given.map(lambda block: log_prob_on_manifold(self._checkpoint, block), batch))

    def gaussian_codes(self, z: np.ndarray | Tensor, *, label: Label | None = None, batch: int = FLOW_BATCH) -> Any:
        """Return the Gaussian codes of codes by the flow that the model was loaded with: (N, d) → (N, d), without gradients.

        label: the class, for a flow of classes.
        Raises UsageError without a flow, for another dimension, and for a missing or unknown class.
        """
        given, flow = codes_given(z, self.device), self._flow(label)
        return given.numbers(given.map(lambda block: flow.gaussian(same_dims(flow, block)), batch))

    def codes_of_gaussian(self, x: np.ndarray | Tensor, *, label: Label | None = None, batch: int = FLOW_BATCH) -> Any:
        """Return the codes of Gaussian codes, the inverse of `gaussian_codes`: (N, d) → (N, d). Raises like it."""
        given, flow = codes_given(x, self.device), self._flow(label)
        return given.numbers(given.map(lambda block: flow.codes(same_dims(flow, block)), batch))

    def log_prob_of_codes(self, z: np.ndarray | Tensor, *, label: Label | None = None, seed: int = 0, batch: int = FLOW_BATCH) -> Any:
        """Return log p(y) of codes in nats by the flow that the model was loaded with: (N, d) → (N,). Raises like `gaussian_codes`.

        seed: of the random directions that estimate it beyond 64 dimensions.
        """
        given, flow = codes_given(z, self.device), self._flow(label)
        return given.numbers(given.map(lambda block: flow.log_prob(same_dims(flow, block), seed=seed), batch))

    def _flow(self, label: Label | None) -> Flow:
        flow = flow_of(self._checkpoint)
        return flow if label is None else flow.given(*class_numbers([str(label)], self.header))

    def _around(self, like: Given | None, spread: float) -> Around | None:
        if like is None:
            return None
        if self.sampler or not 0 <= spread <= 1:
            wrong = "the model was loaded with a sampler" if self.sampler else f"spread is {spread:g}, and must be from 0 to 1"
            raise UsageError(f"images like another are drawn around its code in the prior, but {wrong}")
        given = images_given(self._checkpoint, like, self.device)
        if given.n != 1:
            raise UsageError(f"like: needs one image, and {given.n} are given")
        return Around(given.map(self.network.encode, 1).to(self.device), spread)

    def _drawing(
        self, seed: int, label: Label | Sequence[Label] | None, temperature: float, blocks: list[range], *, around: Around | None = None
    ) -> Drawing:
        asked = [] if label is None else [label] if isinstance(label, int | str) else list(label)
        labels = class_numbers([str(one) for one in asked], self.header)
        return Drawing(self._checkpoint.prior, Draw(seed, temperature, labels), self.device, blocks, around=around)
