"""Every command, imported for its registration."""

from genrev_cli.cli import (
    app,
    bench,
    compare,
    doctor,
    encode,
    fid,
    fid_ref,
    figures,
    fit_gmm,
    fit_ot,
    info,
    prepare_data,
    sample,
    sweep_bottleneck,
    train,
)

ORDER = (
    "prepare-data",
    "pretrain-recon",
    "train-adversarial",
    "train-ot",
    "train-pga",
    "train-vae",
    "train-flow",
    "train-gan",
    "encode",
    "fit-ot",
    "fit-gmm",
    "sample",
    "reconstruct",
    "interpolate",
    "traverse",
    "fit-features",
    "fid-ref",
    "fid",
    "report",
    "compare",
    "sweep-bottleneck",
    "bench",
    "doctor",
    "info",
)
"""Their names in the order of the pipeline, which is that of the help."""

app.registered_commands.sort(key=lambda command: ORDER.index(command.name or command.callback.__name__))

__all__ = [
    "ORDER",
    "bench",
    "compare",
    "doctor",
    "encode",
    "fid",
    "fid_ref",
    "figures",
    "fit_gmm",
    "fit_ot",
    "info",
    "prepare_data",
    "sample",
    "sweep_bottleneck",
    "train",
]
