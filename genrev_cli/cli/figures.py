"""genrev reconstruct, interpolate, traverse"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.console import listener, report
from genrev_cli.cli.generate import registered

Columns = Annotated[int, typer.Option("--columns", min=1, help="Images in the picture.", rich_help_panel=options.METHOD)]


@registered("reconstruct", "genrev reconstruct --ckpt adversarial.safetensors --out reconstructions.png")
def reconstruct(
    ckpt: options.Ckpt,
    data: options.CkptData = None,
    out: options.Picture = Path("reconstructions.png"),
    split: options.Split = "test",
    columns: Columns = 16,
    exact_bits: Annotated[
        int,
        typer.Option(
            "--exact-bits", help="Run additive couplings on a grid of 2^-K; 0: as they were trained.", rich_help_panel=options.METHOD
        ),
    ] = 0,
    verify_exact: Annotated[
        bool, typer.Option("--verify-exact", help="Fail unless every image comes back to the bit.", rich_help_panel=options.METHOD)
    ] = False,
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            help="fp32; bf16: networks in bfloat16, streams in float32; tf32 (CUDA): faster, less exact float32.",
            rich_help_panel=options.RUN,
        ),
    ] = "fp32",
    seed: options.Seed = 0,
    batch: options.BatchSize = 256,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Show originals, reconstructions from the restricted and from the full latent; measure both over the whole split."""
    from genrev_cli.stages.figures import reconstruct

    result = reconstruct(
        ckpt, out, data=data, split=split, columns=columns, exact_bits=exact_bits, verify_exact=verify_exact, precision=precision,
        seed=seed, batch=batch, device=device, progress=listener(),
    )  # fmt: skip
    report(result, as_json=json)


@registered("interpolate", "genrev interpolate --ckpt adversarial.safetensors 3 17 me.png you.png --latent full")
def interpolate(
    ckpt: options.Ckpt,
    ends: Annotated[
        list[str] | None, typer.Argument(help="Pairs of ends: row numbers within the split, or image files; none draws some.")
    ] = None,
    data: options.CkptData = None,
    out: options.Picture = Path("interpolations.png"),
    split: options.Split = "test",
    latent: Annotated[
        str, typer.Option("--latent", help="restricted: on the support of the prior; full: all dimensions.", rich_help_panel=options.METHOD)
    ] = "restricted",
    path: Annotated[str, typer.Option("--path", help="linear or spherical.", rich_help_panel=options.METHOD)] = "linear",
    ot: Annotated[
        Path | None,
        typer.Option("--ot", help="Go along this map of fit-ot, by codes that it can make.", rich_help_panel=options.METHOD),
    ] = None,
    steps: Annotated[
        int, typer.Option("--steps", help="Decoded points per pair, both ends among them.", rich_help_panel=options.METHOD)
    ] = 9,
    random_pairs: Annotated[
        int, typer.Option("--random-pairs", min=1, help="How many pairs are drawn where none is given.", rich_help_panel=options.METHOD)
    ] = 6,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Go from image to image through the latent space, the originals at both ends."""
    from genrev_cli.errors import UsageError
    from genrev_cli.stages.figures import interpolate

    ends = ends or []
    if len(ends) % 2:
        raise UsageError(f"{len(ends)} ends were given ({', '.join(ends)}); they go in pairs")
    result = interpolate(
        ckpt, out, pairs=list(zip(ends[::2], ends[1::2], strict=True)), data=data, split=split, latent=latent, path=path, ot=ot,
        steps=steps, random_pairs=random_pairs, seed=seed, device=device,
    )  # fmt: skip
    report(result, as_json=json)


@registered("traverse", "genrev traverse --ckpt adversarial.safetensors --dim 3 --dim 7 --around 12")
def traverse(
    ckpt: options.Ckpt,
    data: options.CkptData = None,
    out: options.Picture = Path("traversals.png"),
    dim: Annotated[
        list[int] | None,
        typer.Option(
            "--dim",
            help="An active dimension; may be given several times; none takes the widest, at random where all are as wide.",
            rich_help_panel=options.METHOD,
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, help="How many are taken where none is given.", rich_help_panel=options.METHOD)
    ] = 5,
    steps: Annotated[int, typer.Option("--steps", help="Images per dimension.", rich_help_panel=options.METHOD)] = 9,
    extent: Annotated[
        float, typer.Option("--extent", help="How far to go, in standard deviations of the prior.", rich_help_panel=options.METHOD)
    ] = 3.0,
    around: Annotated[
        str,
        typer.Option(
            "--around",
            help="Start from an image: a row number within the split, or a file; default: the mean of the prior.",
            rich_help_panel=options.METHOD,
        ),
    ] = "",
    label: options.Class = None,
    split: options.Split = "test",
    seed: options.Seed = 0,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Vary one active dimension at a time."""
    from genrev_cli.stages.figures import traverse

    result = traverse(
        ckpt, out, dims=dim or [], count=count, steps=steps, extent=extent, around=around, label=label, data=data, split=split, seed=seed,
        device=device,
    )  # fmt: skip  # fmt: skip
    report(result, as_json=json)
