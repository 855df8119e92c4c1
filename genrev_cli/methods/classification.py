"""Train a classifier by cross-entropy. Its features serve a Fréchet distance for images that do not suit Inception."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import final

import torch
from torch.nn.functional import cross_entropy

from genrev_cli.models.classifier import Classifier
from genrev_cli.settings.classification import ClassificationConfig
from genrev_cli.shapes import Images, Labels, Scalar
from genrev_cli.training.method import Method
from genrev_cli.training.optim import Optimizer, descend


@final
class Classification(Method):
    """Minimise L = −E log softmax(C(x))[label] by Adam."""

    def __init__(self, classifier: Classifier, config: ClassificationConfig, autocast: Callable[[], AbstractContextManager]) -> None:
        self.classifier, self.autocast = classifier, autocast
        self.modules = {"classifier": classifier}
        self.optimizers = {"C": Optimizer([classifier], lr=config.lr, betas=config.betas, max_grad_norm=config.max_grad_norm)}

    @property
    def model(self) -> Classifier:
        """The classifier."""
        return self.classifier

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """Update the classifier once."""
        with self.autocast():
            logits = self.classifier(x)
        L = cross_entropy(logits.float(), labels)
        (norm,) = descend((self.optimizers["C"], L))
        return {"cross_entropy": L.detach(), "accuracy": (logits.argmax(1) == labels).float().mean(), "grad_norm": norm}
