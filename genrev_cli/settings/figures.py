"""Settings of reconstruct, interpolate and traverse."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, FILES, METHOD, Settings, flag_of, setting, spec_of
from genrev_cli.settings.common import (
    as_is_setting,
    batch_setting,
    device_setting,
    force_setting,
    invert_setting,
    names_setting,
    scale_setting,
    seed_setting,
    split_setting,
)
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.settings.schedule import PRECISIONS

LATENTS = ("restricted", "full")
PATHS = ("linear", "spherical")


@dataclass(frozen=True, kw_only=True)
class ReconstructSettings(Settings):
    """columns: how many images, drawn at random by `seed`. exact_bits: 0 is the network's own."""

    split: str = split_setting("test")
    as_is: bool = as_is_setting()
    invert: bool = invert_setting()
    columns: int = setting(16, "Images in the picture.", panel=METHOD, at_least=1)
    exact_bits: int = setting(0, "Run additive couplings on a grid of 2^-K; 0: as they were trained.", panel=ADVANCED)
    scale: int = scale_setting()
    names: bool = names_setting()
    force: bool = force_setting()
    verify_exact: bool = setting(False, "Fail unless every image comes back to the bit.", panel=METHOD)
    precision: str = setting(
        "fp32",
        "fp32; bf16: networks in bfloat16, streams in float32; tf32 (CUDA): faster, less exact float32.",
        panel=ADVANCED,
        choices=PRECISIONS,
    )
    seed: int = seed_setting()
    batch: int = batch_setting(256)
    device: str = device_setting()


FILM, FILMS = "Film", (".gif", ".webp", ".mp4")
"""Panel of films, and suffixes of their files."""


@dataclass(frozen=True, kw_only=True)
class FilmSettings(Settings):
    """Settings of a command that makes rows of pictures, or a film of them. rows_only: those that films do not have."""

    seconds: float = setting(2.0, "Of a film: seconds from one end to the next.", panel=FILM, above=0, at_most=600)
    fps: int = setting(25, "Of a film: frames per second.", panel=FILM, at_least=1, at_most=100)
    ease: bool = setting(True, "Of a film: start and arrive slowly.", flag="--ease/--no-ease", panel=FILM)
    rows_only: ClassVar[tuple[str, ...]] = ("steps",)

    def is_film(self, out: Path) -> bool:
        """Return True if a target is a film or a folder of frames. Raises UsageError for a setting that has no meaning then, or else."""
        film = out.suffix.lower() in ("", *FILMS)
        wrong, what = (self.rows_only, "a .png picture") if film else (None, f"a film ({', '.join(FILMS)}, or a folder of frames)")
        for one in fields(self):
            spec = spec_of(one)
            misused = one.name in wrong if wrong else spec.panel == FILM
            if misused and getattr(self, one.name) != one.default:
                flag = spec.flag.split("/")[-1] or flag_of(one.name, spec)
                raise UsageError(f"{flag}: is for {what}, and --out {out} is none; leave it out, or choose another --out")
        return film


@dataclass(frozen=True, kw_only=True)
class InterpolateSettings(FilmSettings):
    """latent: 'restricted' goes between clip(E(a)) and clip(E(b)), 'full' between E(a) and E(b).

    ot: a transport map of fit-ot; the path is straight in the map's cube. flow: a flow of fit-flow; the path is an arc between Gaussian
    codes. Raises UsageError for both, and for one of them with another latent or path.
    """

    split: str = split_setting("test")
    as_is: bool = as_is_setting()
    invert: bool = invert_setting()
    latent: str = setting("restricted", "restricted: what the active dimensions hold; full: all dimensions.", panel=METHOD, choices=LATENTS)
    path: str = setting("linear", "Shape of the path between two codes.", panel=METHOD, choices=PATHS)
    ot: Path | None = setting(None, "Follow this transport map of fit-ot, through codes that it can make.", panel=METHOD)
    flow: Path | None = setting(None, "Follow this flow of fit-flow, along the arc between the Gaussian codes of both ends.", panel=METHOD)
    steps: int = setting(9, "Decoded points per pair, both ends included.", panel=METHOD, at_least=2)
    loop: bool = setting(True, "Of a film: return from the last picture to the first.", flag="--loop/--no-loop", panel=FILM)
    random_pairs: int = setting(6, "Number of pairs to draw if none is given.", panel=METHOD, at_least=1)
    scale: int = scale_setting()
    names: bool = names_setting()
    force: bool = force_setting()
    seed: int = seed_setting()
    device: str = device_setting()
    rows_only = ("steps", "random_pairs", "names", "seed")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ot and self.flow:
            raise UsageError(f"--ot {self.ot} and --flow {self.flow}: both say which path to take; leave one of them out")
        if (self.ot or self.flow) and (self.latent, self.path) != ("restricted", "linear"):
            given, what = (f"--ot {self.ot}", "map") if self.ot else (f"--flow {self.flow}", "flow")
            raise UsageError(f"{given}: the path is that of the {what}; leave --latent and --path out")

    @property
    def sampler(self) -> SamplerFile | None:
        """The file whose path is followed."""
        name, path = ("ot", self.ot) if self.ot else ("flow", self.flow)
        return SamplerFile(path, name) if path else None


@dataclass(frozen=True, kw_only=True)
class TraverseSettings(FilmSettings):
    """dims: () takes the `count` widest of the prior. around: a row number within the split or a file, '' for the prior's mean.

    A film goes from one end to the other and back, all rows at once.
    latent: of the image of `around`: 'full' keeps its inactive dimensions, and with them its details; 'restricted' sets them to 0.
    directions: a file of fit-directions, whose `chosen` directions are followed instead of dimensions; () takes all. flow: of directions of
    Gaussian codes; None is the one that they name.
    Raises UsageError for 'full' without an image, for dimensions or a class together with directions, and for a flow without them.
    """

    directions: Path | None = setting(None, "Follow directions (.safetensors) of fit-directions instead of dimensions.", panel=FILES)
    chosen: tuple[str, ...] = setting(
        (), "Only this one of --directions; repeat it for several.", flag="--direction", panel=METHOD, repeated=True, shown="all"
    )
    flow: Path | None = setting(None, "Flow of Gaussian codes, if its file has moved.", panel=FILES, shown="that of encode --flow")
    dims: tuple[int, ...] = setting(
        (), "An active dimension; repeat it for several.", flag="--dim", panel=METHOD, repeated=True, shown="the widest, else at random"
    )
    count: int = setting(5, "Number of dimensions to show if none is given.", panel=METHOD, at_least=1)
    steps: int = setting(9, "Images per dimension.", panel=METHOD, at_least=2)
    extent: float = setting(3.0, "How far to go, in standard deviations of the prior, or of the codes along a direction.", panel=METHOD)
    around: str = setting(
        "", "Start from this image: a row number within the split, or a picture file.", panel=METHOD, shown="the mean of the prior"
    )
    latent: str = setting("restricted", "full: keep the details of the image of --around.", panel=METHOD, choices=LATENTS)
    label: str = setting("", "Use the prior of this class only: its name or number.", flag="--class", panel=METHOD, shown="all classes")
    split: str = split_setting("test")
    as_is: bool = as_is_setting()
    invert: bool = invert_setting()
    scale: int = scale_setting()
    names: bool = names_setting()
    force: bool = force_setting()
    seed: int = seed_setting()
    device: str = device_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.latent == "full" and not self.around:
            raise UsageError("--latent full: keeps the details of an image; give one with --around")
        if self.directions and (self.dims or self.label):
            given = f"--dim {self.dims[0]}" if self.dims else f"--class {self.label}"
            raise UsageError(f"{given} and --directions {self.directions}: both say what to vary; leave one of them out")
        if self.flow and not self.directions:
            raise UsageError(f"--flow {self.flow}: is for directions of Gaussian codes; name them with --directions")
        if self.chosen and not self.directions:
            raise UsageError(f"--direction {self.chosen[0]}: name a file of directions with --directions")
