"""Every command, imported for its registration, in the order of the pipeline."""

from genrev_cli.cli import prepare_data, pretrain_recon, train_adversarial, encode, sample, figures, fid, info  # noqa: I001

__all__ = ["encode", "fid", "figures", "info", "prepare_data", "pretrain_recon", "sample", "train_adversarial"]
