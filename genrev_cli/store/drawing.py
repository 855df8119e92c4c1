"""Draw codes and images. Sample i depends only on the settings of the draw and on i."""

from collections.abc import Sequence
from typing import final

import torch

from genrev_cli.errors import DivergedError
from genrev_cli.latents import Distribution, Prior
from genrev_cli.models import Autoencoder
from genrev_cli.settings.sampling import Draw
from genrev_cli.shapes import Codes, Images, Latents, Pixels, to_pixels
from genrev_cli.store.around import Around
from genrev_cli.store.checkpoints import Checkpoint

AHEAD, AHEAD_VALUES = 2048, 1 << 22
"""Largest number of codes, and of their values, that are drawn at once when the next ones are known."""


@final
class Drawing:
    """Draws samples of a prior by their numbers; the prior must not change meanwhile. Codes are the same on every machine.

    blocks: the ranges of numbers that will be asked for, in order, if they are known; their codes are drawn ahead.
    around: draw near an image; None draws from the prior.
    Raises UsageError for a class that the prior does not have.
    """

    def __init__(
        self, prior: Distribution, draw: Draw, device: torch.device, blocks: Sequence[range] = (), *, around: Around | None = None
    ) -> None:
        self.prior, self.draw, self.device, self.around = prior, draw, device, around
        self._source = prior.for_numbers()
        self._given = {label: self._source.given(label) for label in dict.fromkeys(draw.labels)}
        self._blocks, self._places = blocks, {block: place for place, block in enumerate(blocks)}
        self._ahead: dict[range, Codes] = {}

    def codes(self, numbers: Sequence[int]) -> Codes:
        """Return the codes of samples `numbers`, (n, d) on the device."""
        if not isinstance(numbers, range) or numbers not in self._places:
            return self._drawn(numbers)
        if numbers not in self._ahead:
            many = min(AHEAD, AHEAD_VALUES // self.prior.dim) // max(1, len(numbers))
            blocks = self._blocks[self._places[numbers] :][: max(1, many)]
            codes = self._drawn([number for block in blocks for number in block])
            self._ahead = dict(zip(blocks, codes.split([len(block) for block in blocks]), strict=True))
        return self._ahead[numbers]

    def latents(self, numbers: Sequence[int]) -> Latents:
        """Return the latents of samples `numbers`, (n, D) on the device."""
        assert isinstance(self.prior, Prior), "only a prior defines where codes lie in the latent"
        codes = self.codes(numbers)
        return self.around.latents(self.prior, codes, self._means(numbers)) if self.around else self.prior.embed(codes)

    def _means(self, numbers: Sequence[int]) -> Codes:
        """Return the mean of what each sample is drawn from, (n, d), or (1, d) where it is the same for all."""
        labels = self.draw.labels
        sources = [self._given[labels[number % len(labels)]] for number in numbers] if labels else [self._source]
        return torch.stack([source.moments()[0] for source in sources]).to(self.device)

    def _drawn(self, numbers: Sequence[int]) -> Codes:
        seed, temperature, labels = self.draw.seed, self.draw.temperature, self.draw.labels
        if not labels:
            return self._source.sample_numbered(seed, numbers, temperature).to(self.device)
        classes = torch.tensor([labels[number % len(labels)] for number in numbers])
        codes = torch.empty(len(numbers), self.prior.dim, device=self.device)
        for label, source in self._given.items():
            members = (classes == label).nonzero().squeeze(1)
            if len(members):
                drawn = source.sample_numbered(seed, [numbers[i] for i in members.tolist()], temperature)
                codes[members.to(self.device)] = drawn.to(self.device)
        return codes


def draw_images(autoencoder: Autoencoder, drawing: Drawing, numbers: Sequence[int]) -> Images:
    """Return samples `numbers` of a prior, (n, C, H, W), as the decoder returns them."""
    return autoencoder.decode(drawing.latents(numbers))


def draw_pixels(autoencoder: Autoencoder, drawing: Drawing, numbers: Sequence[int]) -> Pixels:
    """Return samples `numbers` as pixels, (n, C, H, W) uint8.

    Raises DivergedError when one is not finite; as pixels it would be a black image.
    """
    return finite_pixels(draw_images(autoencoder, drawing, numbers), numbers)


def finite_pixels(images: Images, numbers: Sequence[int]) -> Pixels:
    """Return decoded images as pixels, both (n, C, H, W). numbers: by which a message names them.

    Raises DivergedError when one is not finite; as pixels it would be a black image.
    """
    finite = images.isfinite().flatten(1).all(1)
    if not finite.all():
        number = numbers[int((~finite).nonzero()[0])]
        raise DivergedError(f"sample {number} is decoded to values that are not finite; the model has diverged")
    return to_pixels(images)


def decode_samples(model: Checkpoint, drawing: Drawing, numbers: range) -> torch.Tensor:
    """Return samples `numbers` of a checkpoint as pixels, (n, C, H, W) uint8 on the device.

    Raises DivergedError, which names the checkpoint, when an image is not finite.
    """
    try:
        return draw_pixels(model.autoencoder, drawing, numbers)
    except DivergedError as error:
        raise DivergedError(f"{model.path}: {error}") from error
