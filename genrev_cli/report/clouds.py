"""Scatter plots of real and generated codes: one short SVG path for many points, in the colours of the page's theme."""

from dataclasses import KW_ONLY, dataclass

import numpy as np

from genrev_cli.report.chain import checkpoint_of
from genrev_cli.report.material import Cloud, CodeClouds

SIDE, PAD = 1000, 30
"""Side and margin of the square drawing, in units of the SVG's view box."""
LAYERS = 5
NAMED_CLASSES = 20
READING = "If both colours cover the same regions, the codes of images follow the distribution from which samples are drawn."
NAMED = " In the t-SNE plot, the name of a class is in the middle of its real images."
REAL, GENERATED = 0, 1
"""Colour numbers in the style sheet."""


@dataclass(frozen=True)
class Plot:
    """One scatter plot. layers: (colour, SVG path of points) in drawing order. names: (x, y, class), the labels of classes."""

    title: str
    about: str
    summary: str
    layers: list[tuple[int, str]]
    _: KW_ONLY
    names: list[tuple[int, int, str]]


@dataclass(frozen=True)
class CloudFigure:
    """The plots of one code file."""

    plots: list[Plot]
    reading: str
    legend: list[tuple[int, str]]
    facts: list[str]
    _: KW_ONLY
    origin: str


def figure(codes: CodeClouds) -> CloudFigure:
    """Draw the plots of a code file."""
    clouds, path, config = codes.clouds, codes.record.path, codes.record.header.config
    n, m = len(clouds[0].real), len(clouds[0].generated)
    latent = "latent codes, all dimensions" if config.get("latent") == "full" else "latent codes, active dimensions"
    facts = [f"{latent}: {codes.dim:,}", f"split {config['split']}" if "split" in config else "", f"seed {codes.seed}"]
    model = checkpoint_of(codes.record)
    return CloudFigure(
        [_plot(cloud, codes) for cloud in clouds], READING + (NAMED if _named(codes.classes) else ""),
        [(REAL, f"{n:,} codes of real images"), (GENERATED, f"{m:,} codes drawn from {codes.source}")],
        [fact for fact in facts if fact], origin=" · ".join(([model.path.name] if model else []) + [path.name]),
    )  # fmt: skip


def _plot(cloud: Cloud, codes: CodeClouds) -> Plot:
    both = np.concatenate([cloud.real, cloud.generated])
    low, high = both.min(axis=0), both.max(axis=0)
    scale = (SIDE - 2 * PAD) / (float((high - low).max()) or 1.0)  # the same for both axes, so that distances are right

    def placed(points: np.ndarray) -> np.ndarray:
        return np.rint(SIDE / 2 + (points - (low + high) / 2) * scale * [1, -1]).astype(int)

    real, generated = placed(cloud.real), placed(cloud.generated)
    sets = ((REAL, real), (GENERATED, generated))
    # alternate, so that neither colour hides the other
    layers = [(colour, _path(points[i::LAYERS])) for i in range(LAYERS) for colour, points in sets if len(points[i::LAYERS])]
    summary = f"{cloud.title} of {len(real):,} codes of real images and {len(generated):,} codes drawn from {codes.source}"
    return Plot(cloud.title, cloud.about, summary, layers, names=_names(real, codes.classes) if cloud.named else [])


def _path(points: np.ndarray) -> str:
    """Return an SVG path of dots: lines of length 0 with round ends."""
    return "".join(f"M{x} {y}h0" for x, y in points)


def _named(classes: list[str]) -> list[str]:
    """Return the classes to name, or none if there are so many that their names would hide the points."""
    known = sorted(set(classes) - {""})
    return known if len(known) <= NAMED_CLASSES else []


def _names(points: np.ndarray, classes: list[str]) -> list[tuple[int, int, str]]:
    """Place the name of each class at its medoid, the point nearest to all others in sum; a mean could lie outside of the class."""
    labels, found = np.asarray(classes), []
    for name in _named(classes):
        own = points[labels == name].astype(float)
        x, y = own[np.linalg.norm(own[:, None] - own, axis=2).sum(axis=1).argmin()]
        found.append((int(x), int(y), name))
    return found
