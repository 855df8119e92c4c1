"""Edits of photos: what words of edits mean for a checkpoint, with its classes and directions."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.files.directions import DirectionSet
from genrev_cli.latents import edits as mathematics
from genrev_cli.latents.edits import Change
from genrev_cli.models import Bijection
from genrev_cli.settings.edits import Edits
from genrev_cli.shapes import Codes, Images, Latents
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.class_names import class_names


def latents_of(model: Checkpoint, x: Images, *, full: bool, rest: float = 1.0) -> Latents:
    """Return where edits of images start, (B, C, H, W) → (B, D): `with_rest` of z = E(x), or its projection on the support of the prior."""
    z = model.autoencoder.encode(x)
    return with_rest(model, z, rest) if full else model.own_prior.restrict(z)


def with_rest(model: Checkpoint, z: Latents, rest: float) -> Latents:
    """Return r + rest · (z − r), (B, D), r being the projection of z: a share of what lies outside of the prior's support stays."""
    return z if rest == 1 else torch.lerp(model.own_prior.restrict(z), z, rest)


def comes_back(model: Checkpoint) -> str:
    """Return what an edit of strength 0 gives of a photo if it is not the photo itself; '' for a bijection, which gives the photo back."""
    if isinstance(model.autoencoder, Bijection):
        return ""
    name = model.autoencoder.config["name"]
    return f"{model.path}: '{name}' has no exact inverse, so edits start from its reconstruction of a photo, not from the photo itself"


@final
@dataclass(frozen=True)
class Editor:
    """Turns edits into changes of latents.

    directions: None without a file of them; they belong to the checkpoint. full: edits start from z = E(x), else from its projection.
    code_of: returns the latent of a picture file, (1, D), as `latents_of` does.
    """

    model: Checkpoint
    directions: DirectionSet | None
    full: bool
    code_of: Callable[[str], Latents]

    def change(self, edits: Edits) -> Change:
        """Return the change that edits make. Raises UsageError for a direction, a dimension or a target that there is not."""
        own = self._blank()
        changes = [self._moved(name, strength) for name, strength in edits.move]
        changes += [self._dimension(number, strength) for number, strength in edits.dims]
        changes += [self._toward(target, share) for target, share in edits.toward]
        if edits.like:
            like, unlike = (torch.cat([self.code_of(path) for path in paths]) for paths in (edits.like, edits.unlike))
            changes.append(mathematics.arithmetic(like, unlike))
        change = mathematics.total(changes, own)
        return change + self._fading(edits.fade, change) if edits.fade else change

    def class_of(self, word: str) -> tuple[int | None, str] | None:
        """Return number and name of the class that a word means, None if it means none. The number is None where only directions know it.

        A whole number is a class's number; names are those in the checkpoint's header, in any case.
        """
        names, prior = class_names(self.model.header), self.model.own_prior
        if word.isascii() and word.isdecimal() and int(word) < max(len(names), prior.classes):
            number = int(word)
            return number, names[number] if number < len(names) else word
        folded = [name.casefold() for name in names]
        if folded.count(word.casefold()) == 1:
            number = folded.index(word.casefold())
            return number, names[number]
        return (None, word) if word in self._class_directions() else None

    def in_latent(self, code: Tensor) -> Tensor:
        """Return a code, (d,), or a full latent, (D,), as a latent (D,)."""
        prior = self.model.own_prior
        placed = code.to(self._blank())
        return placed if len(code) == prior.latent_dim else prior.embed(placed[None])[0]

    def _blank(self) -> Tensor:
        return torch.zeros(self.model.own_prior.latent_dim, device=next(self.model.autoencoder.parameters()).device)

    def _active(self) -> Tensor:
        """Return 1 on active dimensions and 0 on all others, (D,)."""
        return self.in_latent(torch.ones(self.model.own_prior.dim))

    def _known(self, flag: str) -> DirectionSet:
        """Return the directions. Raises UsageError without any, and for directions of the full latent while the rest is cut off."""
        if self.directions is None:
            raise UsageError(f"{flag}: needs directions of 'genrev fit-directions'; pass --directions FILE")
        if self.directions.full and not self.full:
            cure = "leave --latent restricted out, or encode without --full and fit them again"
            raise UsageError(f"{flag}: {self.directions.path} has directions of the full latent; {cure}")
        return self.directions

    def _moved(self, name: str, strength: float) -> Change:
        directions = self._known(f"--move {name}={strength:+g}")
        number = directions.number(name)
        return mathematics.move(self.in_latent(directions.vectors[number]), directions.scale[number].item(), strength)

    def _dimension(self, number: int, strength: float) -> Change:
        prior = self.model.own_prior
        if not 0 <= number < prior.dim:
            raise UsageError(f"--dim {number}: {self.model.path} has active dimensions 0 to {prior.dim - 1}")
        place = self.in_latent(torch.eye(prior.dim)[number]).argmax().item()
        return mathematics.dimension(int(place), prior.moments()[1][number].item(), strength, self._blank())

    def _fading(self, fade: float, change: Change) -> Change:
        """Return the change of inactive dimensions toward 0, where no other edit goes toward something."""
        if not self.full:
            raise UsageError(f"--fade {fade:g}: --latent restricted has dropped the other dimensions already; leave one of the two out")
        where = (1 - self._active()) * (change.pull == 0)
        if not where.any():
            raise UsageError(f"--fade {fade:g}: no dimension is left that could fade; leave it out")
        return mathematics.toward(self._blank(), fade, where)

    def _toward(self, word: str, share: float) -> Change:
        found, is_file = self.class_of(word), Path(word).exists()
        if found and is_file:
            raise UsageError(f"--toward {word}: is a class, and there is a file of that name; write ./{word} for the file")
        if found:
            target, where = self._class_mean(word, *found)
            return mathematics.toward(target, share, where)
        if not is_file:
            raise UsageError(f"--toward {word}: is neither a class nor an existing picture file{self._classes(word)}")
        return mathematics.toward(self.code_of(word)[0], share)

    def _class_mean(self, word: str, number: int | None, name: str) -> tuple[Tensor, Tensor]:
        """Return the mean of a class, (D,), and 1 on the dimensions where it is known, (D,): from the directions, else from the prior."""
        prior = self.model.own_prior
        if name in self._class_directions():
            directions = self._known(f"--toward {word}")
            where = torch.ones_like(self._blank()) if directions.full else self._active()
            return self.in_latent(class_mean(directions, name)), where
        if number is not None and number < prior.classes:
            return self.in_latent(prior.given(number).moments()[0]), self._active()
        raise UsageError(
            f"--toward {word}: the mean of this class is not known; run 'genrev fit-directions' on codes with classes, "
            "and pass the file with --directions"
        )

    def _class_directions(self) -> dict[str, int]:
        """Return name → number of each direction between the mean of a class and that of all others."""
        about = self.directions.about if self.directions else ()
        found = {str(one["name"]): i for i, one in enumerate(about) if (one["method"], one["source"]) == ("means", "class")}
        return {name: i for name, i in found.items() if not about[i].get("without")}

    def _classes(self, word: str) -> str:
        names = list(dict.fromkeys([*class_names(self.model.header), *self._class_directions()]))
        if not names:
            return ""
        close = difflib.get_close_matches(word, names, 1)
        few = ", ".join(names[:20]) + (f", … ({len(names)} in all)" if len(names) > 20 else "")
        return f"; {f'did you mean {close[0]}? ' if close else ''}the classes are {few}"


def class_mean(directions: DirectionSet, name: str) -> Codes:
    """Return the mean code of a class from its direction v between means, (d,).

    With the mean m of all codes, the shares of those inside and outside of the class, and μ₁ − μ₀ = gap · scale · v, it is
    m + share outside · gap · scale · v.
    """
    number = directions.number(name)
    about = directions.about[number]
    outside = about["lacks"] / (about["lacks"] + about["has"])
    return directions.mean + outside * about["gap"] * directions.scale[number] * directions.vectors[number]
