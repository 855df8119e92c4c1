"""What turns images into feature vectors, for a Fréchet or kernel distance to compare. Each extractor names the metric that it makes."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from typing import final

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


class Extractor(ABC):
    """Pixels to features.

    dims: d. label, kernel_label: the names of the Fréchet and of the kernel distance in these features. identity: all that decides the
    features, for headers and cache keys; two sets of features are comparable when their identities are equal. any_size: takes images of
    any height and width. costly: making the features takes longer than reading them from a disk. device: where they are made.
    """

    name: str
    label: str
    kernel_label: str
    dims: int
    identity: dict[str, str | int]
    any_size: bool
    costly: bool
    device: torch.device = torch.device("cpu")

    @abstractmethod
    def __call__(self, pixels: Pixels) -> Tensor:
        """(B, C, H, W) uint8 → (B, d) float32 on the CPU. Row i depends on image i alone, to the last bit on a CPU.

        Raises UsageError on pixels that are not uint8 or of the wrong shape, DivergedError when a feature is not finite.
        """


def _identity(extractor: Extractor, *, profile: str, layer: str, weights_sha256: str, precision: str) -> dict[str, str | int]:
    names = {"extractor": extractor.name, "profile": profile, "layer": layer, "dims": extractor.dims}
    return names | {"weights_sha256": weights_sha256, "precision": precision}


def _require_pixels(pixels: Pixels, channels: tuple[int, ...]) -> None:
    if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1] not in channels or not len(pixels):
        allowed = " or ".join(str(c) for c in channels)
        raise UsageError(f"features: uint8 images (B, {allowed}, H, W) are needed, not {pixels.dtype} of shape {tuple(pixels.shape)}")


def _require_shape(pixels: Pixels, image_shape: tuple[int, int, int]) -> None:
    shape = tuple(pixels.shape[1:])
    if shape != image_shape:
        raise UsageError(f"features: images of shape {shape} where {image_shape} are needed; resize one of the two sets")


def _finite(features: Tensor, network: str) -> Tensor:
    if not features.isfinite().all():
        raise DivergedError(f"features: {network} gave values that are not finite; its weights are damaged")
    return features


@final
class PixelExtractor(Extractor):
    """The pixels themselves, in [0, 1], flattened; images of more than 3072 numbers are first averaged over areas down to a side of ≤ 32.

    Needs no weights. Its distance is the FD-pixel: comparable between models on the same data, never with an FID.
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

    network: (batch, C, H, W) uint8 pixels on `device` → (batch, d) or (batch, d, 1, 1) float; it takes pixels to the range it wants.
    image_shape: of the images it takes; None where it takes any size in three channels, to which gray images are replicated.
    dims: the d that it gives. layer, weights_sha256: for the identity, whose profile is the extractor's name.

    The network always sees `batch` images, the last of them repeated where there are fewer: kernels choose their order of sums by the
    shape, so that a row would otherwise differ in its last bits with the batch that it came in.
    """

    costly = True

    def __init__(
        self, network: Callable[[Pixels], Tensor], *, name: str, label: str, kernel_label: str, dims: int, layer: str, weights_sha256: str,
        image_shape: tuple[int, int, int] | None = None, device: torch.device | str = "cpu", batch: int = 8,
    ) -> None:  # fmt: skip
        self.name, self.label, self.kernel_label, self.dims = name, label, kernel_label, dims
        self.any_size = image_shape is None
        self._network, self._image_shape = network, image_shape and tuple(image_shape)
        self.device, self._batch = torch.device(device), batch
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
                f"features: the network of {self.label} gave {tuple(features.shape)} for {self._batch} images {tuple(pixels.shape[1:])}, "
                f"not ({self._batch}, {self.dims}); use images of the size that it was made for"
            )
        return features[:n].flatten(1).float().cpu()


def resize_tf1(images: Images, size: int) -> Images:
    """Bilinear as TensorFlow 1 does it: (B, C, H, W) → (B, C, size, size). Pixel i samples at i · in/out, without the half-pixel offset."""

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
"""How images in 0 … 255 are brought to 299 × 299 and about [−1, 1].

pytorch-fid: half-pixel bilinear. tf: TTUR (the FID's authors), torch-fidelity and the tables of most papers. torchmetrics: from 1.8 on.
"""

# The stages up to pool3, in order, under the names of the published state dict.
_STAGES = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2",
    "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c",
)  # fmt: skip

# Where the FID's network differs from torchvision's: pooling without the padding's zeros, and a max-pool in Mixed_7c.
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
    """pytorch-fid's InceptionV3 up to the last convolutions, (B, 3, 299, 299) → (B, 2048, 8, 8), in eval mode, with the given weights.

    pytorch-fid's own constructor downloads its weights; this one takes them. Raises FileError when they don't fit the network.
    """
    with torch.device("meta"):  # no initial values, as all are replaced
        whole = pytorch_fid._inception_v3(num_classes=1008, aux_logits=False, weights=None)
        trunk = nn.Sequential(OrderedDict((name, _FID_BLOCKS[name]() if name in _FID_BLOCKS else getattr(whole, name)) for name in _STAGES))
    weights = {name: tensor.detach().clone() for name, tensor in state_dict.items() if not name.startswith("fc.")}
    try:
        trunk.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise FileError(f"weights: these are not of pytorch-fid's InceptionV3 ({str(error).splitlines()[-1].strip()[:200]})") from error
    return trunk.eval().requires_grad_(False)


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Put every batch norm of `network` (in eval mode) into the convolution before it, in place: w ← w γ/√(σ²+ε), b ← β − μ γ/√(σ²+ε)."""
    for module in network.modules():
        if isinstance(getattr(module, "conv", None), nn.Conv2d) and isinstance(getattr(module, "bn", None), nn.BatchNorm2d):
            module.conv, module.bn = fuse_conv_bn_eval(module.conv, module.bn), nn.Identity()
    return network


def _remarks(weights_sha256: str, precision: str) -> str:
    """What keeps a distance from being the published one, in brackets; '' where nothing does."""
    other = "" if weights_sha256.startswith(SHA256_PREFIX) else "other weights"
    remarks = ", ".join(filter(None, (other, "" if precision == "fp32" else precision)))
    return f" ({remarks})" if remarks else ""


@final
class InceptionExtractor(Extractor):
    """pool3 of the Inception network that the FID is defined with (Heusel et al. 2017), as pytorch-fid ported it.

    Gray images are replicated to RGB. The network runs channels_last with folded batch norm and in batches of 8 on a CPU, whatever batch is
    given: about twice as fast as pytorch-fid, with the same features to rounding. bf16 is faster again where the hardware has it, and
    several times slower on a CPU without (AVX512_BF16 or AMX); its values differ, so the label says it, as it does of other weights than
    the published ones: an FID is the distance in the features of those alone.

    Raises UsageError on an unknown profile or precision, FileError when the weights do not fit.
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
        self._batch = 8 if self.device.type == "cpu" else 64  # larger ones leave the CPU's cache and are slower
        trunk = fold_batch_norm(inception_trunk(state_dict).float())
        self._trunk = trunk.to(self.device, self._dtype, memory_format=torch.channels_last)
        self.label, self.kernel_label = (f"{name}{_remarks(weights_sha256, precision)}" for name in ("FID", "KID"))
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
        return maps.float().mean((2, 3)).cpu()  # pooled in float32: a bf16 mean of 64 numbers would lose what the maps have
