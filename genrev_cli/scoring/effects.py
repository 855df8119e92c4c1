"""Measure what an edit did, from the edited pictures: attributes and dimensions that moved, classes that a classifier sees, pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genrev_cli.errors import FileError
from genrev_cli.files.directions import DirectionSet
from genrev_cli.metrics.change import absolute, positions, share_changed
from genrev_cli.models.classifier import Classifier
from genrev_cli.settings.edits import Edits
from genrev_cli.shapes import Pixels, to_float
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.class_names import class_names
from genrev_cli.store.classifiers import load_classifier

SHOWN = 12
"""Directions, and classes, that were not asked for and are shown; those that changed most."""

_CODES = (
    "Codes of the edited pictures against those of the photos, in standard deviations: mean over the photos. "
    "Directions that overlap move together: fit-directions --condition finds ones that do not."
)
_CLASSES = "Mean probability over the photos, and how many photos the classifier takes as this class."


@final
class Effects:
    """Collects pictures before and after an edit, block by block, and measures what changed.

    asked: name of a direction or class → what was asked for. levels: pixels that differ by more count as changed.
    Raises FileError for a classifier of other images.
    """

    def __init__(
        self,
        model: Checkpoint,
        edits: Edits,
        *,
        directions: DirectionSet | None,
        classifier: Path | None,
        levels: int,
        targets: Sequence[str] = (),
    ) -> None:
        """targets: names of the classes that the edits go toward."""
        self.model, self.edits, self.directions, self.levels = model, edits, directions, levels
        self.place = next(model.autoencoder.parameters()).device
        self.targets = tuple(targets)
        self.classifier: Classifier | None = None
        self.names: list[str] = []
        if classifier:
            self.classifier, header = load_classifier(classifier, self.place)
            self._require_fit(self.classifier, classifier)
            known = class_names(header) or class_names(model.header)
            self.names = [known[k] if k < len(known) else str(k) for k in range(self.classifier.classes)]
            self.classifier_input = header.as_input(classifier)
        self.l1: list[np.ndarray] = []
        self.changed: list[np.ndarray] = []
        self.found: dict[str, list[Tensor]] = {"directions": [], "dims": [], "classes": []}

    def add(self, before: Pixels, after: Pixels) -> None:
        """Measure a block of photos and their edited pictures, both (k, C, H, W) uint8 on the device."""
        pair = before.cpu().numpy(), after.cpu().numpy()
        self.l1.append(absolute(*pair))
        self.changed.append(share_changed(*pair, self.levels))
        both = [to_float(pixels) for pixels in (before, after)]
        latents = [self.model.autoencoder.encode(x) for x in both]
        self.found["dims"].append(torch.stack([self._dims(z) for z in latents]))
        if self.directions:
            self.found["directions"].append(torch.stack([self._along(z, self.directions) for z in latents]))
        if self.classifier:
            self.found["classes"].append(torch.stack([self.classifier(x).softmax(1).double().cpu() for x in both]))

    def numbers(self) -> dict[str, Any]:
        """Return the mean change of the pictures, and of each direction, active dimension and class."""
        l1, changed = np.concatenate(self.l1), np.concatenate(self.changed)
        dims = self._mean("dims")
        numbers: dict[str, Any] = {"l1": float(l1.mean()), "pixels_changed": float(changed.mean())}
        if self.directions:
            numbers["moved"] = dict(zip(self.directions.names, self._mean("directions"), strict=True))
        numbers["moved_dims"] = {str(number): dims[number] for number, _ in self.edits.dims}
        if self.classifier:
            numbers["class_probability"] = dict(zip(self.names, self._mean("classes"), strict=True))
        return numbers

    def tables(self) -> list[dict[str, Any]]:
        """Return what changed as tables: codes, classes and pictures."""
        rows = [*self._direction_rows(), *self._dim_rows()]
        tables = [{"title": "attributes and dimensions", "rows": rows, "notes": [_CODES]}]
        if self.classifier:
            tables.append({"title": "classes", "rows": self._class_rows(), "notes": [_CLASSES]})
        notes = ["Absolute difference of pixels in [0, 1], and the share of pixels that changed."]
        return [*tables, {"title": "pictures", "rows": self._picture_rows(), "notes": notes}]

    def _require_fit(self, classifier: Classifier, path: Path) -> None:
        found, wanted = classifier.image_shape, self.model.autoencoder.image_shape
        if found != wanted:
            shapes = ["×".join(map(str, shape)) for shape in (found, wanted)]
            raise FileError(f"{path}: classifies images of {shapes[0]}, but those of {self.model.path} are {shapes[1]}")

    def _dims(self, z: Tensor) -> Tensor:
        """Return active dimensions in standard deviations of the prior from its mean, (k, D) → (k, d)."""
        prior = self.model.own_prior
        mean, std = (one.double().cpu() for one in prior.moments())
        return positions(prior.select(z).double().cpu(), mean, torch.eye(len(mean), dtype=torch.float64), std)

    def _along(self, z: Tensor, directions: DirectionSet) -> Tensor:
        prior = self.model.own_prior
        codes = z if directions.full else prior.select(prior.restrict(z))
        return positions(codes.double().cpu(), directions.mean.double(), directions.vectors.double(), directions.scale.double())

    def _pair(self, what: str) -> tuple[Tensor, Tensor]:
        """Return all photos' values before and after, (N, K) each."""
        before, after = torch.cat(self.found[what], dim=1)
        return before, after

    def _mean(self, what: str) -> list[float]:
        before, after = self._pair(what)
        return (after - before).mean(0).tolist()

    def _direction_rows(self) -> list[dict[str, Any]]:
        if not self.directions:
            return []
        asked = {name: f"{strength:+g}" for name, strength in self.edits.move} | dict.fromkeys(self.targets, "toward")
        before, after = self._pair("directions")
        return _most_changed(self.directions.names, before.mean(0), after.mean(0), asked)

    def _dim_rows(self) -> list[dict[str, Any]]:
        before, after = self._pair("dims")
        asked = dict(self.edits.dims)
        rows = [
            _row(f"dim {number}", f"{strength:+g}", before[:, number].mean(), after[:, number].mean()) for number, strength in asked.items()
        ]
        others = [number for number in range(before.shape[1]) if number not in asked]
        moved = (after - before)[:, others].abs().mean(0)
        if len(moved):
            largest = int(moved.argmax())
            rows.append({"what": f"all {len(others)} {'other ' if asked else ''}active dims, mean size", "change": float(moved.mean())})
            rows.append({"what": f"dim {others[largest]}, the most of these", "change": float(moved[largest])})
        return rows

    def _class_rows(self) -> list[dict[str, Any]]:
        before, after = self._pair("classes")
        asked = {name: "toward" for name in (*self.targets, *(name for name, _ in self.edits.move)) if name in self.names}
        counts = [values.argmax(1).bincount(minlength=len(self.names)).tolist() for values in (before, after)]
        rows = _most_changed(self.names, before.mean(0), after.mean(0), asked)
        for row in rows:
            number = self.names.index(row["what"])
            row["photos before"], row["photos after"] = counts[0][number], counts[1][number]
        return rows

    def _picture_rows(self) -> list[dict[str, Any]]:
        found = {"mean absolute difference": self.l1, f"share changed by more than {self.levels}/255": self.changed}
        rows = []
        for what, parts in found.items():
            values = np.concatenate(parts)
            rows.append({"what": what, "mean": float(values.mean()), "least": float(values.min()), "most": float(values.max())})
        return rows


def _row(what: str, asked: str | None, before: Tensor, after: Tensor) -> dict[str, Any]:
    return {"what": what, "asked": asked, "before": float(before), "after": float(after), "change": float(after - before)}


def _most_changed(names: Sequence[str], before: Tensor, after: Tensor, asked: dict[str, str]) -> list[dict[str, Any]]:
    """Return a row for each name that was asked for, and for those of the others that changed most."""
    order = sorted(range(len(names)), key=lambda i: -abs(float(after[i] - before[i])))
    chosen = [i for i in order if names[i] in asked] + [i for i in order if names[i] not in asked][:SHOWN]
    return [_row(names[i], asked.get(names[i]), before[i], after[i]) for i in chosen]
