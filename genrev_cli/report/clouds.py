"""Real and generated codes as scatter plots: one short SVG path for many points, its colours from the page's theme."""

from dataclasses import dataclass

import numpy as np

from genrev_cli.report.chain import checkpoint_of
from genrev_cli.report.material import Cloud, CodeClouds

SIDE, PAD = 1000, 30
"""The square drawing and the margin within it, in units of the SVG's view box."""
LAYERS = 5
NAMED_CLASSES = 20
READING = "Where the two colours lie alike, the codes of images follow what samples are drawn from."
NAMED = " Under t-SNE a name stands in the midst of its class of real images."
REAL, GENERATED = 0, 1
"""Their line colours in the style sheet."""


@dataclass(frozen=True)
class Plot:
    """layers: (colour, SVG path of points), to be drawn in this order. names: (x, y, class) where the class is."""

    title: str
    about: str
    summary: str
    layers: list[tuple[int, str]]
    names: list[tuple[int, int, str]]


@dataclass(frozen=True)
class CloudFigure:
    """The planes of one code file."""

    plots: list[Plot]
    reading: str
    legend: list[tuple[int, str]]
    facts: list[str]
    origin: str


def figure(codes: CodeClouds) -> CloudFigure:
    """Draw the planes of a code file."""
    clouds, path, config = codes.clouds, codes.record.path, codes.record.header.config
    n, m = len(clouds[0].real), len(clouds[0].generated)
    latent = "latent codes, all dimensions" if config.get("latent") == "full" else "latent codes, active dimensions"
    facts = [f"{latent}: {codes.dim:,}", f"split {config['split']}" if "split" in config else "", f"seed {codes.seed}"]
    model = checkpoint_of(codes.record)
    return CloudFigure(
        [_plot(cloud, codes) for cloud in clouds], READING + (NAMED if _named(codes.classes) else ""),
        [(REAL, f"{n:,} codes of real images"), (GENERATED, f"{m:,} codes drawn from {codes.source}")],
        [fact for fact in facts if fact], " · ".join(([model.path.name] if model else []) + [path.name]),
    )  # fmt: skip


def _plot(cloud: Cloud, codes: CodeClouds) -> Plot:
    both = np.concatenate([cloud.real, cloud.generated])
    low, high = both.min(axis=0), both.max(axis=0)
    scale = (SIDE - 2 * PAD) / (float((high - low).max()) or 1.0)  # one for both axes, so that distances are true

    def placed(points: np.ndarray) -> np.ndarray:
        return np.rint(SIDE / 2 + (points - (low + high) / 2) * scale * [1, -1]).astype(int)

    real, generated = placed(cloud.real), placed(cloud.generated)
    sets = ((REAL, real), (GENERATED, generated))
    # in turns, so that neither lies on top of the other
    layers = [(colour, _path(points[i::LAYERS])) for i in range(LAYERS) for colour, points in sets if len(points[i::LAYERS])]
    summary = f"{cloud.title} of {len(real):,} codes of real images and {len(generated):,} codes drawn from {codes.source}"
    return Plot(cloud.title, cloud.about, summary, layers, _names(real, codes.classes) if cloud.named else [])


def _path(points: np.ndarray) -> str:
    """Dots: lines of no length with round ends."""
    return "".join(f"M{x} {y}h0" for x, y in points)


def _named(classes: list[str]) -> list[str]:
    """The classes to name; none where they would cover the points."""
    known = sorted(set(classes) - {""})
    return known if len(known) <= NAMED_CLASSES else []


def _names(points: np.ndarray, classes: list[str]) -> list[tuple[int, int, str]]:
    """Each class at its medoid, the point with the least distance to all others of it: a mean could lie where none of them is."""
    of, found = np.asarray(classes), []
    for name in _named(classes):
        own = points[of == name].astype(float)
        x, y = own[np.linalg.norm(own[:, None] - own, axis=2).sum(axis=1).argmin()]
        found.append((int(x), int(y), name))
    return found
