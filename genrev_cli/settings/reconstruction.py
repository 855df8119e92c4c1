"""Settings of pretrain-recon."""

from dataclasses import KW_ONLY, dataclass

from genrev_cli.settings.base import Settings, setting
from genrev_cli.settings.optimizer import adam_betas, adam_eps, learning_rate, max_norm, one_sided, weight, weight_decay
from genrev_cli.settings.trainer import BOUND, DIMS, EXACT_BITS, Trainer, Variant


@dataclass(frozen=True)
class ReconstructionConfig(Settings):
    """Autoencoding through a restricted latent (Schirrmeister et al. 2018, section 3.1; Nguyen, Ardizzone & Köthe 2019, eq. 5 and 6).

    Defaults are those of Schirrmeister et al.; values that the paper lacks are from notebooks/celeba/Only_Clamp.ipynb
    (robintibor/generative-reversible). The MMD is from Nguyen et al., the squared image loss from An et al. 2020, section 3.1. The weight
    of mean y² is ours; demo2.py of An et al. (k2cu8/pyOMT) adds 1e-5·‖y‖₁, which is code_norm l1. The likelihood is from Sorrenson et al.
    2024 (injective flows), the last two weights from Ghosh et al. 2020 (regularized autoencoders).
    """

    weight_x: float = weight(10.0, "Weight of the image loss.")
    weight_z: float = weight(10.0, "Weight of the latent loss.")  # section 2.2; the authors' notebook has 0 in this phase
    image_norm: str = setting("l1", "Image loss: mean absolute (l1) or mean squared (l2) error.", choices=("l1", "l2"))
    weight_code: float = weight(0.0, "Weight of the codes' norm.")
    _: KW_ONLY
    one_sided: bool = one_sided()
    code_norm: str = setting(
        "l2", "Norm of the codes: their mean square (l2), or the sum of magnitudes over the mini-batch (l1).", choices=("l1", "l2")
    )
    weight_mmd: float = weight(0.0, "Weight of the MMD between codes and prior; 1 makes an INN-AE an INN-VAE (Nguyen et al. 2019).")
    mmd_widths: tuple[float, ...] = setting((0.2, 0.5, 0.9, 1.3), above=0)
    weight_nll: float = weight(
        0.0, "Weight of the negative log-likelihood, per value of an image; 1 makes an autoencoder an injective flow (FIF)."
    )
    weight_decoder: float = weight(0.0, "Weight of the sum of the decoder's squared kernels (RAE-L2).")
    weight_gradient: float = weight(0.0, "Weight of the decoder's squared derivatives, per value of an image (RAE-GP).")
    lr: float = learning_rate(1e-4)
    betas: tuple[float, float] = adam_betas((0.0, 0.9))
    max_grad_norm: float = max_norm(5.0)
    weight_decay: float = weight_decay()
    eps: float = adam_eps()


PRETRAIN_RECON = Trainer(
    "pretrain-recon",
    "Train an autoencoder to reconstruct images from a few of its latent dimensions (the restricted latent).",
    "genrev pretrain-recon --data data/mnist.h5 --out recon.safetensors",
    "recon.safetensors",
    variants={"": Variant("grn", ReconstructionConfig, "genrev_cli.methods.reconstruction:Reconstruction")},
    tables=(DIMS, BOUND, EXACT_BITS),
    place=10,
    next=("sample --ckpt {likely} --grid samples.png", "train-adversarial --ckpt {out}", "encode --ckpt {out}"),
)
