"""Extractors turn images into feature vectors, which a Fréchet or kernel distance compares. Each extractor names these two metrics."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
import torch.nn.functional as F
from pytorch_fid import inception as pytorch_fid
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from genrev_cli.errors import DivergedError, FileError, UsageError
from genrev_cli.metrics.weights import SHA256_PREFIX
from genrev_cli.precision import ieee_float32
from genrev_cli.shapes import Images, Pixels

MAX_PIXEL_DIMS = 3072  # 3·32·32: a covariance of 75 MB
MAX_PIXEL_SIDE = 32


Identity: TypeAlias = dict[str, str | int]


@dataclass(frozen=True, eq=False)
class ClassLayer:
    """Logits of classes, weight·f + bias, from features f. label: the name of the score that they give. weight: (classes, d)."""

    label: str
    weight: Tensor
    bias: Tensor | None = None


class Extractor(ABC):
    """A map from pixels to features.

    dims: d. label, kernel_label: names of the Fréchet and the kernel distance between these features. identity: everything that the
    features depend on, for headers and cache keys; two sets of features are comparable if their identities are equal. any_size: accepts
    images of any height and width. costly: computing the features takes longer than reading them from a disk. device: computes them.
    classes: of features that a linear layer classifies; None for others.
    """

    name: str
    label: str
    kernel_label: str
    dims: int
    identity: Identity
    any_size: bool
    costly: bool
    device: torch.device = torch.device("cpu")
    classes: ClassLayer | None = None

    @abstractmethod
    def __call__(self, pixels: Pixels) -> Tensor:
        """(B, C, H, W) uint8 → (B, d) float32 on the CPU. Row i depends only on image i; on a CPU this holds to the last bit.

        Raises UsageError for pixels that are not uint8 or have the wrong shape, DivergedError if a feature is not finite.
        """


def _identity(extractor: Extractor, *, profile: str, layer: str, weights_sha256: str, precision: str) -> Identity:
    names: Identity = {"extractor": extractor.name, "profile": profile, "layer": layer, "dims": extractor.dims}
    return names | {"weights_sha256": weights_sha256, "precision": precision}


def _require_pixels(pixels: Pixels, channels: tuple[int, ...]) -> None:
    if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1] not in channels or not len(pixels):
        allowed = " or ".join(str(c) for c in channels)
        raise UsageError(f"features: uint8 images (B, {allowed}, H, W) are needed, not {pixels.dtype} of shape {tuple(pixels.shape)}")


def _require_shape(pixels: Pixels, image_shape: tuple[int, ...]) -> None:
    shape = tuple(pixels.shape[1:])
    if shape != image_shape:
        raise UsageError(f"features: images have the shape {shape}, but {image_shape} is needed; resize one of the two sets")


def _finite(features: Tensor, network: str) -> Tensor:
    if not features.isfinite().all():
        raise DivergedError(f"features: {network} returned NaN or infinite values; its weights are damaged")
    return features


@final
class PixelExtractor(Extractor):
    """The pixels in [0, 1], flattened. Images of more than 3072 numbers are first reduced to sides of at most 32 by averaging areas.

    It needs no weights. Its distance, FD-pixel, is comparable between models on the same data, but never with an FID.
    """

    name = "pixel"
    label = "FD-pixel"
    kernel_label = "KD-pixel"
    any_size = False
    costly = False

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        channels, height, width = self._image_shape = tuple(image_shape)
        shrink = min(1.0, MAX_PIXEL_SIDE / max(height, width)) if channels * height * width > MAX_PIXEL_DIMS else 1.0
        self._size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
        self.dims = channels * self._size[0] * self._size[1]
        layer = f"{channels}x{self._size[0]}x{self._size[1]}" + ("" if shrink == 1.0 else " area-averaged")
        self.identity = _identity(self, profile="pixel", layer=layer, weights_sha256="", precision="fp32")

    def __call__(self, pixels: Pixels) -> Tensor:
        _require_pixels(pixels, (self._image_shape[0],))
        _require_shape(pixels, self._image_shape)
        images = pixels.cpu().float() / 255
        if tuple(images.shape[2:]) != self._size:
            images = F.interpolate(images, self._size, mode="area")
        return images.flatten(1)


@final
class NetworkExtractor(Extractor):
    """The output of any network.

    network: (batch, C, H, W) uint8 pixels on `device` → (batch, d) or (batch, d, 1, 1) float. It scales pixels itself.
    image_shape: of its input; None if it accepts any size with three channels (gray images are then repeated three times).
    dims: d. layer, weights_sha256: for the identity, whose profile is the extractor's name.

    The network always gets `batch` images; a smaller batch is filled up with its last image. Kernels choose the order of their sums by
    the shape, so without this a row would differ in its last bits between batches of different sizes.
    """

    costly = True

    def __init__(
        self, network: Callable[[Pixels], Tensor], *, name: str, label: str, kernel_label: str, dims: int, layer: str, weights_sha256: str,
        image_shape: tuple[int, int, int] | None = None, device: torch.device | str = "cpu", batch: int = 8,
        classes: ClassLayer | None = None,
    ) -> None:  # fmt: skip
        self.name, self.label, self.kernel_label, self.dims = name, label, kernel_label, dims
        self.any_size = image_shape is None
        self._network, self._image_shape = network, image_shape and tuple(image_shape)
        self.device, self._batch, self.classes = torch.device(device), batch, classes
        self.identity = _identity(self, profile=name, layer=layer, weights_sha256=weights_sha256, precision="fp32")

    @torch.inference_mode()
    def __call__(self, pixels: Pixels) -> Tensor:
        if self._image_shape is None:
            _require_pixels(pixels, (1, 3))
            pixels = pixels.expand(-1, 3, -1, -1)
        else:
            _require_pixels(pixels, (self._image_shape[0],))
            _require_shape(pixels, self._image_shape)
        with ieee_float32():
            features = [self._rows(part) for part in pixels.split(self._batch)]
        return _finite(torch.cat(features), f"the network of {self.label}")

    def _rows(self, pixels: Pixels) -> Tensor:
        n = len(pixels)
        filled = torch.cat([pixels, pixels[-1:].expand(self._batch - n, -1, -1, -1)]).contiguous()
        features = self._network(filled.to(self.device))
        if tuple(features.shape) not in ((self._batch, self.dims), (self._batch, self.dims, 1, 1)):
            raise UsageError(
                f"features: the network of {self.label} returned {tuple(features.shape)} for {self._batch} images "
                f"{tuple(pixels.shape[1:])}, not ({self._batch}, {self.dims}); use images of the size that it was made for"
            )
        return features[:n].flatten(1).float().cpu()


def resize_tf1(images: Images, size: int) -> Images:
    """Resize bilinearly like TensorFlow 1: (B, C, H, W) → (B, C, size, size). Pixel i samples at i · in/out, with no half-pixel offset."""

    def along(x: Tensor, axis: int) -> Tensor:
        length = x.shape[axis]
        at = torch.arange(size, device=x.device, dtype=x.dtype) * (length / size)
        low = at.long().clamp_max(length - 1)
        shape = [-1 if i == axis else 1 for i in range(4)]
        a, b = x.index_select(axis, low), x.index_select(axis, (low + 1).clamp_max(length - 1))
        return a + (b - a) * (at - low).view(shape)

    return along(along(images, 3), 2)


def _bilinear(images: Images, antialias: bool) -> Images:
    return F.interpolate(images, (299, 299), mode="bilinear", align_corners=False, antialias=antialias)


PROFILES: dict[str, Callable[[Images], Images]] = {
    "pytorch-fid": lambda x: 2 * _bilinear(x / 255, antialias=False) - 1,
    "tf": lambda x: (resize_tf1(x, 299) - 128) / 128,
    "torchmetrics": lambda x: (_bilinear(x, antialias=True) - 128) / 128,
}
"""Name → function that maps images in 0 … 255 to 299 × 299 pixels in about [−1, 1].

pytorch-fid: bilinear with half-pixel centres. tf: as in TTUR (the FID authors' code), torch-fidelity and most papers. torchmetrics: 1.8 on.
"""

# The stages up to pool3, in order, under the names of the published state dict.
_STAGES = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2",
    "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c",
)  # fmt: skip

# Blocks of the FID's network that differ from torchvision's: pooling ignores the padding, and Mixed_7c has a max-pool.
_FID_BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "Mixed_5b": lambda: pytorch_fid.FIDInceptionA(192, 32),
    "Mixed_5c": lambda: pytorch_fid.FIDInceptionA(256, 64),
    "Mixed_5d": lambda: pytorch_fid.FIDInceptionA(288, 64),
    "Mixed_6b": lambda: pytorch_fid.FIDInceptionC(768, 128),
    "Mixed_6c": lambda: pytorch_fid.FIDInceptionC(768, 160),
    "Mixed_6d": lambda: pytorch_fid.FIDInceptionC(768, 160),
    "Mixed_6e": lambda: pytorch_fid.FIDInceptionC(768, 192),
    "Mixed_7b": lambda: pytorch_fid.FIDInceptionE_1(1280),
    "Mixed_7c": lambda: pytorch_fid.FIDInceptionE_2(2048),
}


def inception_trunk(state_dict: dict[str, Tensor]) -> nn.Sequential:
    """Build pytorch-fid's InceptionV3 up to the last convolutions, (B, 3, 299, 299) → (B, 2048, 8, 8), in eval mode with these weights.

    pytorch-fid's own constructor downloads its weights. Raises FileError if the weights do not fit the network.
    """
    with torch.device("meta"):  # without initial values, because all are replaced
        whole = pytorch_fid._inception_v3(num_classes=1008, aux_logits=False, weights=None)
        trunk = nn.Sequential(OrderedDict((name, _FID_BLOCKS[name]() if name in _FID_BLOCKS else getattr(whole, name)) for name in _STAGES))
    weights = {name: tensor.detach().clone() for name, tensor in state_dict.items() if not name.startswith("fc.")}
    try:
        trunk.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise FileError(f"weights: these do not fit pytorch-fid's InceptionV3 ({str(error).splitlines()[-1].strip()[:200]})") from error
    return trunk.eval().requires_grad_(False)


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Fold every batch norm of `network` (in eval mode) into the convolution before it, in place: w ← w γ/√(σ²+ε), b ← β − μ γ/√(σ²+ε)."""
    for module in network.modules():
        conv, norm = getattr(module, "conv", None), getattr(module, "bn", None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module.conv, module.bn = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return network


def _remarks(weights_sha256: str, precision: str) -> str:
    """Return, in brackets, how a distance differs from the published one; '' if it does not."""
    other = "" if weights_sha256.startswith(SHA256_PREFIX) else "other weights"
    remarks = ", ".join(filter(None, (other, "" if precision == "fp32" else precision)))
    return f" ({remarks})" if remarks else ""


@final
class InceptionExtractor(Extractor):
    """pool3 of the Inception network that defines the FID (Heusel et al. 2017), as ported by pytorch-fid.

    Gray images become RGB. On a CPU the network runs in channels_last order, with folded batch norm and in batches of 8: about twice as
    fast as pytorch-fid, with the same features up to rounding. bf16 is faster still if the hardware has it, and several times slower on a
    CPU without AVX512_BF16 or AMX. An FID is defined with the published weights in fp32 only, so the label names other weights and bf16.

    Raises UsageError for an unknown profile or precision, FileError if the weights do not fit.
    """

    name = "inception"
    dims = 2048
    any_size = True
    costly = True

    def __init__(
        self, state_dict: dict[str, Tensor], *, weights_sha256: str,
        profile: str = "pytorch-fid", precision: str = "fp32", device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        if profile not in PROFILES:
            raise UsageError(f"--profile {profile}: choose one of {', '.join(PROFILES)}")
        if precision not in ("fp32", "bf16"):
            raise UsageError(f"--precision {precision}: choose fp32 or bf16")
        self._prepare = PROFILES[profile]
        self._dtype = torch.float32 if precision == "fp32" else torch.bfloat16
        self.device = torch.device(device)
        self._batch = 8 if self.device.type == "cpu" else 64  # larger batches do not fit the CPU's cache and are slower
        trunk = fold_batch_norm(inception_trunk(state_dict).float())
        self._trunk = trunk.to(self.device, self._dtype).to(memory_format=torch.channels_last)
        remarks = _remarks(weights_sha256, precision)
        self.label, self.kernel_label = f"FID{remarks}", f"KID{remarks}"
        if "fc.weight" in state_dict:  # without its bias, as in torch-fidelity's logits_unbiased
            self.classes = ClassLayer(f"IS{remarks}", state_dict["fc.weight"].detach().cpu().double())
        self.identity = _identity(self, profile=profile, layer="pool3", weights_sha256=weights_sha256, precision=precision)

    @torch.inference_mode()
    def __call__(self, pixels: Pixels) -> Tensor:
        _require_pixels(pixels, (1, 3))
        with ieee_float32():
            features = [self._pool3(batch.to(self.device)) for batch in pixels.split(self._batch)]
        return _finite(torch.cat(features), "the Inception network")

    def _pool3(self, pixels: Pixels) -> Tensor:
        images = self._prepare(pixels.expand(-1, 3, -1, -1).float())
        maps = self._trunk(images.to(self._dtype, memory_format=torch.channels_last))
        return maps.float().mean((2, 3)).cpu()  # mean in float32: a bf16 mean of 64 numbers would lose digits
