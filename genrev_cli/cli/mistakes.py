"""Say which option was probably meant by one that does not exist, and what one that is missing is for."""

import difflib
from typing import Any

KNOWN_AS: dict[str, tuple[str, ...]] = {
    "-n": ("--n", "--num", "--num-samples", "--n-samples", "--samples", "--count", "--num-images", "--number"),
    "--batch": ("--batch-size", "--bs"),
    "--steps": ("--iterations", "--iters", "--num-steps", "--max-steps"),
    "--epochs": ("--num-epochs", "--max-epochs"),
    "--lr": ("--learning-rate",),
    "--out": ("--output", "--outdir", "--out-dir", "--output-dir", "-o"),
    "--ckpt": ("--checkpoint", "--model", "--network", "--weights-file", "--resume"),
    "--data": ("--dataset", "--data-dir", "--data-path", "--images"),
    "--ref": ("--reference", "--real", "--stats"),
    "--device": ("--gpu", "--gpus", "--cuda"),
    "--class": ("--classes", "--label", "--labels", "--class-name"),
    "--size": ("--image-size", "--resolution", "--img-size"),
    "--workers": ("--num-workers",),
    "--seed": ("--random-seed", "--manual-seed"),
    "--dims": ("--latent-dim", "--z-dim", "--nz", "--latent-dims"),
    "--precision": ("--dtype", "--amp", "--fp16", "--bf16"),
    "--temperature": ("--truncation", "--trunc", "--psi"),
    "--split": ("--subset",),
    "--tracker": ("--logger", "--report-to", "--wandb", "--tensorboard"),
    "--restart": ("--overwrite", "--force"),
    "--path": ("--root", "--source", "--input", "--input-dir"),
}
"""Option → what other tools call it."""


def unknown_option(error: Any) -> str:
    """Return the sentence for an option that does not exist, with the one that was probably meant; '' for any other error of Typer's."""
    if type(error).__name__ != "NoSuchOption":
        return ""
    unknown, context = error.option_name, error.ctx
    command = context.command if context else None
    there = [flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)] if command else []
    flags = [flag for flag in there if flag.startswith("-")]
    meant = next((flag for flag, others in KNOWN_AS.items() if flag in flags and unknown in others), "")
    close = [meant] if meant else difflib.get_close_matches(unknown, flags, 2, cutoff=0.7)
    name = context.command_path.partition(" ")[2] if context else ""
    cure = f"did you mean {' or '.join(close)}?" if close else f"'genrev {name + ' ' if name else ''}--help' lists the options"
    return f"{unknown}: no such option of {name or 'genrev'}; {cure}"


def missing_option(error: Any) -> str:
    """Return the sentence for an option or argument that a command needs, with its help; '' for any other error of Typer's."""
    param = getattr(error, "param", None)
    if type(error).__name__ != "MissingParameter" or param is None:
        return ""
    name = next((flag for flag in param.opts if flag.startswith("--")), param.metavar or str(param.name).upper())
    return f"{name} is missing: {param.help}" if getattr(param, "help", "") else ""
