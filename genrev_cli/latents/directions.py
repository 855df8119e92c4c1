"""Directions in code space along which one property of images changes, and how well they separate it.

x (n, d) are codes, v (d,) unit vectors. A side is 1 (has the property), 0 (has it not) or −1 (not known).
"""

import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple, final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.memory import require_room_for_algebra

EXACT_DIMS = 1024
"""Up to this number of dimensions principal components come from the whole covariance matrix."""
OVERSAMPLED, PASSES = 10, 6
"""Additional vectors of the subspace iteration, and how often it goes through the codes; both values are ours."""
_VANISHED = 1e-6


def unit(v: Tensor) -> Tensor:
    """v / |v|, (d,) → (d,). Raises UsageError for v = 0."""
    length = v.norm()
    if not length > 0:
        raise UsageError("a direction has length 0: both sides have the same mean")
    return v / length


def without(v: Tensor, others: Tensor) -> Tensor:
    """Remove from v what lies in the span of others: n₁ − (n₁ᵀn₂) n₂ for one, the orthogonal complement for several.

    (d,), (k, d) → (d,), a unit vector (Shen et al. 2020, "Conditional manipulation"). Raises UsageError if nothing is left.
    """
    basis, sizes, _ = torch.linalg.svd(others.T, full_matrices=False)
    basis = basis[:, sizes > 1e-9 * sizes.max()]
    left = v - basis @ (basis.T @ v)
    left = left - basis @ (basis.T @ left)  # again, against rounding
    if not left.norm() > _VANISHED * v.norm():
        raise UsageError("nothing is left of a direction: it is a combination of those that it was conditioned on")
    return unit(left)


@final
class SideMeans:
    """Means of the codes on both sides of many properties, in one pass. sums: (2, K, d) float64, for 0 and 1. counts: (2, K)."""

    def __init__(self, properties: int, dim: int) -> None:
        self.sums = torch.zeros(2, properties, dim, dtype=torch.float64)
        self.counts = torch.zeros(2, properties, dtype=torch.float64)

    def add(self, codes: Tensor, sides: Tensor) -> None:
        """Add codes (B, d) with their sides (B, K)."""
        for side in (0, 1):
            chosen = (sides == side).double()
            self.sums[side] += chosen.T @ codes.double()
            self.counts[side] += chosen.sum(0)

    def means(self, number: int) -> tuple[Tensor, Tensor]:
        """Return the mean of the codes that lack property `number`, and of those that have it: (d,), (d,)."""
        lacks, has = self.sums[:, number] / self.counts[:, number, None]
        return lacks, has


class Plane(NamedTuple):
    """The plane v·x = threshold, v a unit vector (d,): codes beyond it are taken to have a property. converged: False if stopped early."""

    v: Tensor
    threshold: float
    converged: bool = True


def mean_difference(lacks: Tensor, has: Tensor) -> Plane:
    """v ∝ E[x | 1] − E[x | 0]   (Kingma & Dhariwal 2018, "Semantic manipulation"), with the threshold halfway between both means."""
    v = unit(has - lacks)
    return Plane(v, halfway(v, lacks, has))


def halfway(v: Tensor, lacks: Tensor, has: Tensor) -> float:
    """Return the middle of both means along v."""
    return float(v @ (lacks + has)) / 2


def separating_plane(codes: Tensor, sides: Tensor, *, l2: float, most_steps: int = 1000) -> Plane:
    """v ∝ w / s, where w·(x − m)/s + b separates the sides by logistic regression   (Shen et al. 2020 take an SVM)

    codes: (n, d), m and s their mean and standard deviation per dimension. sides: (n,) 0 or 1; both weigh the same in the loss.
    l2: λ in Σ loss + λ/2 |w|². Where both sides are Gaussians with one covariance Σ, and λ → 0, v ∝ Σ⁻¹(μ₁ − μ₀).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    require_room_for_algebra()
    mean, std = codes.mean(0), codes.std(0)
    std = torch.where(std > 0, std, 1)
    model = LogisticRegression(C=1 / l2, class_weight="balanced", max_iter=most_steps)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(((codes - mean) / std).numpy(), sides.numpy())
    w = torch.from_numpy(model.coef_[0]).double() / std.double()
    length = w.norm()
    threshold = float(w @ mean.double() - float(model.intercept_[0])) / float(length)
    return Plane(w / length, threshold, not any(issubclass(one.category, ConvergenceWarning) for one in caught))


def balanced_accuracy(along: Tensor, sides: Tensor, threshold: float) -> float:
    """½ P(v·x > t | 1) + ½ P(v·x ≤ t | 0): chance is ½ however rare a property is. along: v·x, (n,). sides: (n,) of −1, 0, 1."""
    return (float((along[sides == 1] > threshold).double().mean()) + float((along[sides == 0] <= threshold).double().mean())) / 2


def leave_one_out(first: Tensor, second: Tensor) -> float | None:
    """Return the balanced accuracy of mean differences, each code being judged by the means of all others: (n, d), (m, d).

    None for a set of a single code.
    """
    if min(len(first), len(second)) < 2:
        return None
    found = []
    for own, other in ((first, second), (second, first)):
        rest = (own.sum(0) - own) / (len(own) - 1)  # (n, d): the mean without each code
        towards, middle = rest - other.mean(0), (rest + other.mean(0)) / 2
        found.append(float((((own - middle) * towards).sum(1) > 0).double().mean()))
    return sum(found) / 2


def signed(v: Tensor) -> Tensor:
    """Return v or −v, so that the entry of largest magnitude is positive: the sign of a principal component is arbitrary."""
    return v if v[v.abs().argmax()] > 0 else -v


def principal_components(
    blocks: Callable[[], Iterable[Tensor]], mean: Tensor, count: int, *, samples: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the first principal components of codes, (count, d), and the variances along them, (count,), both float64.

    They are the eigenvectors of C = E (x − m)(x − m)ᵀ with the largest eigenvalues (Härkönen et al. 2020, GANSpace); `signed` chooses
    their signs. blocks: starts a pass over all codes, in blocks (B, d). mean: m, (d,). samples: n.
    Up to EXACT_DIMS dimensions C is computed; beyond, its range is found by subspace iteration with blocks (Halko et al. 2011,
    algorithm 4.4), which never holds more than (d, count + OVERSAMPLED) numbers beside a block.
    """
    dim = len(mean)
    if dim <= EXACT_DIMS:
        basis, covariance = torch.eye(dim, dtype=torch.float64), _covariance(blocks, mean, samples)
    else:
        start = torch.randn(dim, min(count + OVERSAMPLED, dim), generator=generator, dtype=torch.float64)
        basis, _ = torch.linalg.qr(start)
        for _ in range(PASSES - 1):
            basis, _ = torch.linalg.qr(_times_covariance(blocks, mean, basis, samples))
        covariance = basis.T @ _times_covariance(blocks, mean, basis, samples)
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    order = values.argsort(descending=True)[:count]
    components = (basis @ vectors[:, order]).T
    return torch.stack([signed(v) for v in components]), values[order].clamp(min=0)


def _covariance(blocks: Callable[[], Iterable[Tensor]], mean: Tensor, samples: int) -> Tensor:
    """C = E (x − m)(x − m)ᵀ, (d, d)."""
    total = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for block in blocks():
        centred = block.double() - mean
        total += centred.T @ centred
    return total / samples


def _times_covariance(blocks: Callable[[], Iterable[Tensor]], mean: Tensor, basis: Tensor, samples: int) -> Tensor:
    """C·Q = E (x − m) (x − m)ᵀ Q, for Q (d, k) → (d, k)."""
    total = torch.zeros_like(basis)
    for block in blocks():
        centred = block.double() - mean
        total += centred.T @ (centred @ basis)
    return total / samples
