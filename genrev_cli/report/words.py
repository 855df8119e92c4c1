"""Text for numbers, durations and the names of quantities."""

import math
import re
from typing import Any

QUANTITIES: dict[str, tuple[str, str]] = {
    "l1_restricted": ("L1, restricted latent", "mean |x − x̂|, pixels in [0, 1]; x̂ is decoded from the active dimensions only, and clipped"),
    "roundtrip_mean": ("Round trip, mean", "mean |x − decode(encode(x))|; only rounding errors if the inverse is exact"),
    "roundtrip_max": ("Round trip, largest", "the worst pixel: max |x − decode(encode(x))|"),
    "max_abs_z": ("Largest |z|", "largest absolute latent value of all images"),
    "relative_swd": ("Relative SWD", "sliced Wasserstein distance of codes to prior, divided by that of two sets of prior samples"),
    "accuracy": ("Accuracy", "share of images that the classifier assigns to their class"),
    "cross_entropy": ("Cross-entropy", "of the classifier, in nats"),
    "bits_per_dim": ("Bits per dimension", "−log₂ of the likelihood of 8-bit images, per pixel and channel; uniform noise has 8"),
    "L": ("L, total", "the loss that is minimised: the sum of the others with their weights"),
    "L_x": ("L_x, images", "loss of the reconstruction from the restricted latent"),
    "L_z": ("L_z, latents", "squared difference of latents and restricted latents"),
    "L_y": ("L_y, size of codes", "mean y² of the codes, or their Σ |y| with code_norm l1"),
    "L_mmd": ("L_mmd, codes", "MMD² between codes and prior"),
    "L_ml": ("L_ml, likelihood", "its gradient is that of the negative log-likelihood, per value; its own value is no likelihood"),
    "agreement": ("Agreement", "mean of vᵀ f′ g′ v / d for random v: 1 where the decoder inverts the encoder in all directions"),
    "L_decoder": ("L_decoder, kernels", "sum of the decoder's squared kernels"),
    "L_gradient": ("L_gradient, decoder", "squared derivatives of the decoder with respect to codes, per value of an image"),
    "L_match": ("L_match, codes", "distance between codes and prior that replaces the adversary"),
    "L_kl": ("L_kl, codes", "KL divergence of the codes' distribution from the prior, per dimension"),
    "L_nll": ("L_nll, encoder", "½·mean z²: negative log-likelihood of codes under the prior, per dimension, up to a constant"),
    "L_prior": ("L_prior, prior codes", "squared error of prior codes that are decoded and encoded again"),
    "L_codes": ("L_codes, image codes", "squared error of images' codes that are decoded and encoded again"),
    "L_noise": ("L_noise, decoder", "squared error of noisy codes that are decoded and encoded again, relative to the spread of codes"),
    "L_volume": ("L_volume, decoder", "log of the volume change of decoding and encoding a code, per dimension; 0 keeps volumes"),
    "L_ot": ("L_ot, transport", "mean cost of the optimal transport from codes to prior samples, class by class"),
    "L_flow": ("L_flow, velocity", "squared error of a flow's velocity, per dimension; with optimal pairs it is smaller"),
    "L_perturb": ("L_perturb, images", "error of images that are decoded from slightly moved codes"),
    "L_D": (
        "L_D, adversary",
        "loss of the network that tells prior samples from codes (2 if it cannot, in train-adversarial), or images from samples",
    ),
    "L_E": ("L_E, encoder", "loss of the encoder against the adversary"),
    "L_f": ("L_f, encoder", "loss of the encoder against the discriminator of codes"),
    "L_G": ("L_G, generator", "loss of the generator against the discriminator of images"),
    "L_content": ("L_content, images", "squared difference of images and images decoded from their codes"),
    "L_feature": ("L_feature, codes", "squared difference of codes and codes of the images decoded from them"),
    "D_prior": ("D on the prior", "mean score of the adversary for prior samples"),
    "D_codes": ("D on codes", "mean score of the adversary for codes of images"),
    "D_real": ("D on images", "mean score of the discriminator for real images"),
    "D_fake": ("D on samples", "mean score of the discriminator for generated images"),
    "dims_per_class": ("Dimensions per class", "mean number of latent dimensions that a class uses"),
    "dims_used": ("Dimensions in use", "latent dimensions that at least one class uses"),
    "dims_shared": ("Shared dimensions", "latent dimensions that two or more classes use"),
    "roundtrip_backward": ("Round trip, backward", "largest error of inputs that the backward pass recomputed"),
    "largest_stream": ("Largest stream", "largest absolute number inside the network; --exact-bits needs it below its range"),
    "grad_norm": ("Gradient norm", "of the autoencoder or generator, before clipping"),
    "grad_norm_g": ("Gradient norm of g", "of the decoder, before clipping"),
    "grad_norm_D": ("Gradient norm of D", "of the adversary or discriminator, before clipping"),
    "images_per_second": ("Images per second", "speed of training"),
}
"""Name in logs and headers → (title, explanation). Other names are shown as they are."""

METRICS: dict[str, tuple[str, str]] = {
    "FID": ("lower", "Fréchet distance of samples to real images in Inception's features"),
    "FD": ("lower", "Fréchet distance of samples to real images in features other than Inception's: not an FID"),
    "KID": ("lower", "kernel distance (MMD²) of samples to real images in Inception's features"),
    "KD": ("lower", "kernel distance (MMD²) of samples to real images in features other than Inception's: not a KID"),
    "MIND": ("lower", "3 d × mean sliced W₂² of samples and real images in Inception's d features"),
    "MD": ("lower", "3 d × mean sliced W₂² of samples and real images in d features other than Inception's: not a MIND"),
    "AuthPct": (
        "higher",
        "percentage of samples that are not near copies of training images; held-out images show what is usual",
    ),
    "CMMD": ("lower", "1000 × MMD² of samples and real images in CLIP's embeddings, with a Gaussian kernel"),
    "IS": ("higher", "exp of the mutual information of samples and Inception's classes; it does not look at the reference"),
    "CS": ("higher", "as the Inception score, with the classes of another classifier: not an IS"),
    "precision": ("higher", "share of samples inside the k-nearest-neighbour ball of a real image"),
    "recall": ("higher", "share of real images inside the k-nearest-neighbour ball of a sample"),
    "density": ("higher", "mean number of real images' k-nearest-neighbour balls that contain a sample, divided by k"),
    "coverage": ("higher", "share of real images with a sample inside their k-nearest-neighbour ball"),
    "L1": ("lower", "mean |x − x̂| of reconstructions from the restricted latent, pixels in [0, 1]"),
    "PSNR": ("higher", "of the same reconstructions, in dB"),
    "SSIM": ("higher", "structural similarity of the same reconstructions, at most 1"),
    "accuracy": ("higher", ""),
    "linear": ("higher", "accuracy of logistic regression on codes, learnt from this number of labels"),
    "neighbours": ("higher", "accuracy of k nearest neighbours on codes, learnt from this number of labels"),
    "bits_per_dim": ("lower", ""),
    "roundtrip_mean": ("lower", ""),
    "roundtrip_max": ("lower", ""),
}
"""First word of a metric's label → (which values are better, explanation)."""

_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def title(name: str) -> str:
    """Return the title of a quantity."""
    return QUANTITIES[name][0] if name in QUANTITIES else name.replace("_", " ")


def about(name: str) -> str:
    """Return the explanation of a quantity or metric, or ''."""
    return QUANTITIES[name][1] if name in QUANTITIES else METRICS.get(_family(name), ("", ""))[1]


def rank(name: str) -> int:
    """Return the position of a quantity on the page; unknown quantities come last."""
    return list(QUANTITIES).index(name) if name in QUANTITIES else len(QUANTITIES)


def better(label: str) -> str:
    """Return 'lower' or 'higher', the better values of a metric, or '' if unknown."""
    return METRICS.get(_family(label), ("", ""))[0]


def _family(label: str) -> str:
    """Return the first word of a label: FD for FD-pixel, FID for FID (bf16)."""
    return re.split(r"[- ]", label, maxsplit=1)[0]


def metric(label: str) -> str:
    """Return the label of a metric; a Fréchet distance in other features is marked as not an FID."""
    short = title(label) if label in QUANTITIES else label[:1].upper() + label[1:]
    return f"{short} (not an FID)" if label.startswith("FD") else short


def number(value: float, digits: int = 3) -> str:
    """Return a number as text with `digits` significant digits: 0.0706, 1,442, 4.61·10⁻⁸."""
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}".replace("-", "−")
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        power = f"10{str(int(exponent)).translate(_RAISED)}"
        return (f"{mantissa}·{power}" if mantissa.lstrip("-") != "1" else mantissa[:-1] + power).replace("-", "−")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}".replace("-", "−")


def fact(value: Any) -> str:
    """Return a value as text for a caption: measured numbers are rounded, chosen ones (at most 2 digits) are not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return shown(value)
    chosen = isinstance(value, float) and 1e-3 <= abs(value) < 1e3 and float(f"{value:.2g}") == value
    return shown(value) if chosen else number(value)


def shown(value: Any) -> str:
    """Return any JSON value as one line of text."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:g}"  # in the form in which users type settings
    if isinstance(value, list):
        listed = ", ".join(shown(item) for item in value[:12])
        return f"{listed} … ({len(value)} in all)" if len(value) > 12 else listed or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown(item)}" for name, item in value.items()) or "none"
    return str(value)


def duration(seconds: float) -> str:
    """Return a duration as text: 0.36 s, 4 min 28 s, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def source(name: str) -> str:
    """Return what a reader calls the distribution from which codes are drawn: the prior, or a sampler."""
    return SOURCES.get(name, name)


def image_size(shape: list[int]) -> str:
    """Return [C, H, W] as text: 64×64, 3 channels."""
    channels, height, width = shape
    return f"{width}×{height}, {channels} channel{'s' * (channels > 1)}"


SOURCES = {
    "ot": "transport map",
    "gmm": "mixture of Gaussians",
    "flow": "flow",
    "codes": "codes of images",
    "edits": "edited photos",
    "film": "film",
}
"""Name of a sampler, as headers and results have it → what a reader calls it."""

RESULTS: dict[str, str] = {
    "authpct_held_out": "AuthPct of held-out images",
    "best_step": "Best step",
    "bf16_effect": "Effect of bf16",
    "bias_floor": "Bias floor",
    "chi2": "χ² of the cells' masses",
    "class_score_splits": "Parts for the score of classes",
    "class_score_std": "Standard deviation over the parts",
    "codes": "Codes",
    "damaged": "Damaged images",
    "dim": "Dimensions",
    "disk_bytes": "Disk space, bytes",
    "empty": "Cells without samples",
    "epsilon": "Bound on distances of joined codes",
    "extractor": "Features",
    "feature_precision": "Precision of features",
    "held_out_split": "Split of held-out images",
    "image_shape": "Image shape (C×H×W)",
    "log_likelihood": "Log-likelihood per code",
    "maps": "Maps",
    "mind_projections": "Directions for MIND",
    "n": "Images",
    "n_held_out": "Held-out images",
    "n_train": "Training images",
    "n_reference": "Reference images",
    "n_test": "Images to measure on",
    "pixel_swd": "SWD of pixels",
    "rel": "Error of the cells' masses",
    "rel_std": "Uncertainty of this error",
    "pairs": "Pairs",
    "sampler": "Drawn from",
    "seconds": "Duration",
    "swd_codes": "SWD of drawn codes to codes",
    "test": "Test images",
    "theta": "Largest angle of joined cells",
    "train": "Training images",
    "val": "Validation images",
    "weights_sha256": "Weights (sha256)",
}
"""Name in a result → what the terminal says, where it differs from the name."""


def result_title(name: str) -> str:
    """Return what the terminal says for a name in a result, with a capital letter."""
    if name.startswith("best_") and name not in RESULTS:
        return f"Best {result_title(name.removeprefix('best_'))}"
    if name.endswith("_standard_error"):
        return f"{result_title(name.removesuffix('_standard_error'))}, standard error"
    if name in RESULTS or name in QUANTITIES:
        return RESULTS.get(name) or title(name)
    return metric(title(name))
