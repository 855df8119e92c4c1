"""Parts that several networks share: normalised layers, residual blocks, initialisations and checks.

Normalisations: "batch" (Ioffe & Szegedy 2015); "layer" over channels and pixels of one image, with a scale and a shift per channel
(Ba et al. 2016, in the form of Gulrajani et al. 2017); "spectral" of the weights (Miyato et al. 2018); "none".
Only "batch" makes the output for one image depend on the others. A gradient penalty per image does not allow that.
"""

from typing import TypeAlias, TypeVar, final

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genrev_cli.errors import SettingError, UsageError

NORMS = ("batch", "layer", "spectral", "none")
_WITH_SHIFT = ("batch", "layer")  # these add a shift of their own, so the layer before needs no bias
_MAPS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)

Map: TypeAlias = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
Layer = TypeVar("Layer", bound=Map)
Shape = tuple[int, int, int]


def require_norm(norm: str) -> None:
    """Raise UsageError for an unknown normalisation."""
    if norm not in NORMS:
        raise SettingError("norm", repr(norm), f"choose {', '.join(NORMS)}")


def require_sizes(name: str, image_shape: Shape, halvings: int, sizes: dict[str, int]) -> None:
    """Raise UsageError for a size below 1, and for more halvings than images of this size have. name: of the network."""
    channels, height, width = image_shape
    for key, size in ({"channels of an image": channels, "height of an image": height, "width of an image": width} | sizes).items():
        if size < 1:
            raise UsageError(f"{name}: {key} = {size} must be positive")
    if halvings > most_halvings(image_shape):
        raise UsageError(f"{name}: images of {height}×{width} pixels cannot be halved {halvings} times; use fewer halvings")


def most_halvings(image_shape: Shape) -> int:
    """Return how often images may be halved: after one more halving, features would see only the margin around the image."""
    return (2 * max(image_shape[1:])).bit_length() - 1


def halved(padded_shape: Shape, halvings: int, channels: int) -> Shape:
    """Return the (channels, H, W) of the features after `halvings` layers of stride 2, of images with their margin."""
    return channels, padded_shape[1] >> halvings, padded_shape[2] >> halvings


def gaussian(layer: Layer) -> Layer:
    """Initialise in place: weights ~ N(0, 0.02²), biases 0 (Radford et al. 2016, section 4)."""
    nn.init.normal_(layer.weight, std=0.02)
    return _with_zero_bias(layer)


def glorot(layer: Layer, gain: float = 1.0) -> Layer:
    """Initialise in place: weights uniform in ± gain·√(6 / (fan in + fan out)), biases 0 (Glorot & Bengio 2010, eq. 16)."""
    nn.init.xavier_uniform_(layer.weight, gain)
    return _with_zero_bias(layer)


def _with_zero_bias(layer: Layer) -> Layer:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def maps(network: nn.Module) -> list[Map]:
    """Return the convolutions and linear layers of a network."""
    return [module for module in network.modules() if isinstance(module, _MAPS)]


def bound_spectrally(network: nn.Module) -> None:
    """Divide every weight, reshaped to a matrix (outputs, rest), by its largest singular value (Miyato et al. 2018, eq. 8).

    Each forward pass in training mode makes one power iteration. Initialise the weights before.
    """
    for layer in maps(network):
        spectral_norm(layer)


def normalisation(norm: str, channels: int, *, flat: bool = False) -> nn.Module:
    """Return the layer for (B, channels, H, W), or for (B, channels) if flat. "spectral" acts on weights, so it adds no layer."""
    if norm == "batch":
        return nn.BatchNorm1d(channels) if flat else nn.BatchNorm2d(channels)
    return nn.GroupNorm(1, channels) if norm == "layer" else nn.Identity()


def set_norm_eps(network: nn.Module, eps: float) -> None:
    """Set the number that every batch norm of a network adds to the variance; torch's is 1e-5."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.eps = eps


def rectifier(slope: float) -> nn.Module:
    """max(x, slope·x)."""
    return nn.LeakyReLU(slope) if slope else nn.ReLU()


def convolution(inputs: int, outputs: int, kernel: int, stride: int, *, norm: str, slope: float) -> nn.Sequential:
    """Convolution · norm · rectifier. Stride 1 with an odd kernel keeps the size; stride 2 halves an even size."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=norm not in _WITH_SHIFT)
    return nn.Sequential(layer, normalisation(norm, outputs), rectifier(slope))


def linear(inputs: int, outputs: int, norm: str, slope: float) -> nn.Sequential:
    """Linear · norm · rectifier."""
    layer = nn.Linear(inputs, outputs, bias=norm not in _WITH_SHIFT)
    return nn.Sequential(layer, normalisation(norm, outputs, flat=True), rectifier(slope))


def doubling(inputs: int, outputs: int, kernel: int, *, bias: bool) -> nn.ConvTranspose2d:
    """Transposed convolution of stride 2: (B, inputs, H, W) → (B, outputs, 2H, 2W)."""
    return nn.ConvTranspose2d(inputs, outputs, kernel, 2, (kernel - 1) // 2, output_padding=kernel % 2, bias=bias)


def transposed(inputs: int, outputs: int, kernel: int, norm: str = "batch") -> nn.Sequential:
    """Transposed convolution of stride 2 · norm · ReLU."""
    return nn.Sequential(doubling(inputs, outputs, kernel, bias=norm not in _WITH_SHIFT), normalisation(norm, outputs), nn.ReLU())


def projected(latent_dim: int, shape: Shape) -> nn.Sequential:
    """Linear · reshape: (B, d) → (B, *shape)."""
    channels, height, width = shape
    return nn.Sequential(nn.Linear(latent_dim, channels * height * width), nn.Unflatten(1, shape))


@final
class Residual(nn.Module):
    """x ↦ F(x) + S(x)."""

    def __init__(self, residual: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual, self.shortcut = residual, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x) + self.shortcut(x)


def _conv3(inputs: int, outputs: int, bias: bool) -> nn.Conv2d:
    return glorot(nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), 2**0.5)


def _conv1(inputs: int, outputs: int, bias: bool) -> nn.Conv2d:
    return glorot(nn.Conv2d(inputs, outputs, 1, bias=bias))


def activated(channels: int, norm: str) -> list[nn.Module]:
    """Norm · ReLU, the first layers of a residual block."""
    return [normalisation(norm, channels), nn.ReLU()]


def up_block(inputs: int, outputs: int) -> Residual:
    """F: BN · ReLU · double · 3×3 · BN · ReLU · 3×3,   S: 1×1 · double;   (B, inputs, H, W) → (B, outputs, 2H, 2W)

    There are no biases, because batch norm follows the last block too. The 1×1 convolution comes before the doubling, which gives the
    same result and is cheaper.
    """
    double = nn.Upsample(scale_factor=2)
    first = [*activated(inputs, "batch"), double, _conv3(inputs, outputs, False)]
    second = [*activated(outputs, "batch"), _conv3(outputs, outputs, False)]
    return Residual(nn.Sequential(*first, *second), nn.Sequential(_conv1(inputs, outputs, False), double))


@final
class Spread(nn.Module):
    """Put every pixel at the upper left of a 2×2 patch of zeros: (B, C, H, W) → (B, C, 2H, 2W)."""

    def forward(self, x: Tensor) -> Tensor:
        spread = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
        spread[:, :, ::2, ::2] = x
        return spread


def spread_block(inputs: int, outputs: int, norm: str) -> Residual:
    """An up block that fills in zeros between the pixels instead of repeating them. Layers that no norm follows have biases."""
    spread = Spread()
    first = [*activated(inputs, norm), spread, _conv3(inputs, outputs, norm not in _WITH_SHIFT)]
    second = [*activated(outputs, norm), _conv3(outputs, outputs, True)]
    return Residual(nn.Sequential(*first, *second), nn.Sequential(spread, _conv1(inputs, outputs, True)))


def down_block(inputs: int, outputs: int, norm: str, *, bias: bool = True) -> Residual:
    """F: norm · ReLU · 3×3 · norm · ReLU · 3×3 · halve,   S: halve · 1×1;   (B, inputs, H, W) → (B, outputs, H/2, W/2)

    bias: whether the convolutions that no norm follows within the block have biases.
    """
    halve = nn.AvgPool2d(2)
    return Residual(
        nn.Sequential(*activated(inputs, norm), *_two_convolutions(inputs, inputs, outputs, norm, bias=bias), halve),
        nn.Sequential(halve, _conv1(inputs, outputs, bias)),
    )


def first_block(inputs: int, outputs: int, norm: str) -> Residual:
    """A down block for images: no ReLU before the first convolution, and `outputs` channels after it."""
    halve = nn.AvgPool2d(2)
    return Residual(
        nn.Sequential(*_two_convolutions(inputs, outputs, outputs, norm, bias=True), halve),
        nn.Sequential(halve, _conv1(inputs, outputs, True)),
    )


def flat_block(channels: int, norm: str) -> Residual:
    """F: norm · ReLU · 3×3 · norm · ReLU · 3×3,   S: identity."""
    return Residual(
        nn.Sequential(*activated(channels, norm), *_two_convolutions(channels, channels, channels, norm, bias=True)), nn.Identity()
    )


def _two_convolutions(inputs: int, hidden: int, outputs: int, norm: str, *, bias: bool) -> list[nn.Module]:
    return [_conv3(inputs, hidden, norm not in _WITH_SHIFT), *activated(hidden, norm), _conv3(hidden, outputs, bias)]
