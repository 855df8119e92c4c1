"""genrev fid"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.console import listener, report
from genrev_cli.cli.generate import registered

if TYPE_CHECKING:
    from genrev_cli.store.samplers import SamplerFile

PROTOCOL = "Protocol"

Cache = Annotated[
    bool,
    typer.Option("--cache/--no-cache", help="Keep costly features on the disk, by content.", rich_help_panel=options.RUN),
]
RefSplit = Annotated[
    str,
    typer.Option("--split", help="Of the reference: train, val, test, all; default: its protocol's, else test.", rich_help_panel=PROTOCOL),
]


@registered("fid", "genrev fid samples/ --ref celeba")
@options.expanded
def fid(
    ref: Annotated[
        str,
        typer.Option("--ref", help="A name (see fid-ref), any images, or statistics (.npz).", rich_help_panel=options.FILES),
    ],
    of: options.Features,
    sampling: options.Sampling,
    samples: Annotated[
        Path | None, typer.Argument(help="Images to score: a folder, zip, .h5, .npz or .npy; or statistics (.npz).", show_default=False)
    ] = None,
    ckpt: Annotated[
        Path | None,
        typer.Option("--ckpt", help="Score what this checkpoint generates instead; or its reconstructions.", rich_help_panel=options.FILES),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Result to write (.json); default: SAMPLES.fid.json, or CKPT.fid.json.", rich_help_panel=options.FILES),
    ] = None,
    save_stats: Annotated[
        Path | None,
        typer.Option("--save-stats", help="Also write the samples' statistics (.npz), as pytorch-fid does.", rich_help_panel=options.FILES),
    ] = None,
    build_ref: Annotated[
        bool,
        typer.Option(
            "--build-ref/--no-build-ref",
            help="Make missing statistics of a named reference.",
            rich_help_panel=options.FILES,
        ),
    ] = True,
    metrics: Annotated[
        str,
        typer.Option(
            "--metrics",
            help="fid, kid, prdc, and of --ckpt recon, bpd; with commas between them.",
            rich_help_panel=PROTOCOL,
        ),
    ] = "fid",
    split: RefSplit = "",
    n: Annotated[
        int,
        typer.Option("-n", "--n", min=0, help="The first so many samples; 0 is all, of a checkpoint 10,000.", rich_help_panel=PROTOCOL),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Of a checkpoint's samples and of KID's subsets.", rich_help_panel=PROTOCOL)] = 0,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Scales the codes of a checkpoint's samples.", rich_help_panel=PROTOCOL)
    ] = 1.0,
    cache: Cache = True,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Measure the distance between two sets of images, or between a model's and real ones, and say exactly what was measured."""
    from genrev_cli.scoring.options import FidOptions
    from genrev_cli.stages.fid import fid

    names = tuple(name.strip() for name in metrics.split(","))
    choices = FidOptions(ref, split, n, names, seed, of.options(), ckpt, sampling.file(), temperature, build_ref, save_stats, device, cache)
    report(fid(samples, out or _target(samples, ckpt, choices.sampler), choices, progress=listener()), as_json=json)


def _target(samples: Path | None, ckpt: Path | None, sampler: "SamplerFile | None") -> Path:
    """Beside what is scored; where nothing is, which the stage refuses, any name."""
    if samples:
        beside = samples if samples.name else samples.resolve()  # '.' has no name of its own
        return beside.with_name(f"{beside.name}.fid.json")
    drawn = f".{sampler.name}" if sampler else ""
    return ckpt.with_name(f"{ckpt.stem}{drawn}.fid.json") if ckpt else Path("fid.json")
