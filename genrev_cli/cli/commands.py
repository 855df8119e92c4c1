"""Every command, imported for its registration."""

from genrev_cli.cli import app, encode, fid, figures, info, prepare_data, pretrain_recon, sample, train_adversarial

ORDER = (
    "prepare-data",
    "pretrain-recon",
    "train-adversarial",
    "encode",
    "sample",
    "reconstruct",
    "interpolate",
    "traverse",
    "fid",
    "report",
    "info",
)
"""Their names in the order of the pipeline, which is that of the help."""

app.registered_commands.sort(key=lambda command: ORDER.index(command.name or command.callback.__name__))

__all__ = ["ORDER", "encode", "fid", "figures", "info", "prepare_data", "pretrain_recon", "sample", "train_adversarial"]
