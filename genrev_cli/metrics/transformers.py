"""Vision transformers whose features scores use: DINOv2 (Oquab et al. 2023) and CLIP's image encoder (Radford et al. 2021).

x ← x + s₁·A(N(x)),  x ← x + s₂·M(N(x))  for each block, with attention A, a hidden layer M, layer norm N, and scales s that CLIP lacks.
The weights are those of the published safetensors files, by their names; sizes follow from their shapes.
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from genrev_cli.errors import FileError
from genrev_cli.shapes import Images, Pixels

HEAD = 64
"""Dimensions of a head of attention, in all published sizes."""


@dataclass(frozen=True)
class Family:
    """The facts that all networks of a family share. names: our name of a tensor or layer → theirs; {} is the number of the block.

    side: of the input; 0 if it follows from the number of positions. crop: take the central square first. epsilon: of layer norm.
    """

    names: Mapping[str, str]
    _: KW_ONLY
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    side: int
    crop: bool
    epsilon: float
    activation: Callable[[Tensor], Tensor]


DINOV2 = Family(
    {
        "class": "embeddings.cls_token", "positions": "embeddings.position_embeddings", "patches": "embeddings.patch_embeddings.projection",
        "norm1": "encoder.layer.{}.norm1", "query": "encoder.layer.{}.attention.attention.query",
        "key": "encoder.layer.{}.attention.attention.key", "value": "encoder.layer.{}.attention.attention.value",
        "out": "encoder.layer.{}.attention.output.dense", "scale1": "encoder.layer.{}.layer_scale1.lambda1",
        "norm2": "encoder.layer.{}.norm2", "up": "encoder.layer.{}.mlp.fc1", "down": "encoder.layer.{}.mlp.fc2",
        "scale2": "encoder.layer.{}.layer_scale2.lambda1", "norm": "layernorm",
    },
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), side=224, crop=False, epsilon=1e-6, activation=F.gelu,
)  # fmt: skip
"""As in dgm-eval: images are resized to 224×224, and the feature is the class token after the last layer norm."""

CLIP = Family(
    {
        "class": "vision_model.embeddings.class_embedding", "positions": "vision_model.embeddings.position_embedding.weight",
        "patches": "vision_model.embeddings.patch_embedding", "before": "vision_model.pre_layrnorm",
        "norm1": "vision_model.encoder.layers.{}.layer_norm1", "query": "vision_model.encoder.layers.{}.self_attn.q_proj",
        "key": "vision_model.encoder.layers.{}.self_attn.k_proj", "value": "vision_model.encoder.layers.{}.self_attn.v_proj",
        "out": "vision_model.encoder.layers.{}.self_attn.out_proj", "norm2": "vision_model.encoder.layers.{}.layer_norm2",
        "up": "vision_model.encoder.layers.{}.mlp.fc1", "down": "vision_model.encoder.layers.{}.mlp.fc2",
        "norm": "vision_model.post_layernorm", "projection": "visual_projection.weight",
    },
    mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711), side=0, crop=True, epsilon=1e-5,
    activation=lambda x: x * torch.sigmoid(1.702 * x),
)  # fmt: skip
"""As in cmmd-pytorch: the central square is resized, and the feature is the image embedding with norm 1."""


@final
class VisionTransformer:
    """Pixels (B, 3, H, W) uint8 → features (B, dims), with the weights of a state dict. Raises FileError if they are of another network."""

    def __init__(self, state: Mapping[str, Tensor], family: Family, device: torch.device | str = "cpu") -> None:
        self._state, self.family = {name: tensor.to(device, torch.float32) for name, tensor in state.items()}, family
        self.width = self._tensor("class").numel()
        self.patch = self._tensor("patches", "weight").shape[-1]
        positions = self._tensor("positions").reshape(-1, self.width)
        self.grid = round((len(positions) - 1) ** 0.5)
        self.side = family.side or self.grid * self.patch
        self.depth = 0
        while family.names["query"].format(self.depth) + ".weight" in state:
            self.depth += 1
        self._require_sizes(len(positions))
        self.dims = self._tensor("projection").shape[0] if "projection" in family.names else self.width
        self._positions = _resized(positions, self.grid, self.side // self.patch)

    def __call__(self, pixels: Pixels) -> Tensor:
        """Return features (B, dims) float32 on the pixels' device."""
        x = prepared(pixels, self.family, self.side)
        x = F.conv2d(x, self._tensor("patches", "weight"), self._state.get(f"{self.family.names['patches']}.bias"), stride=self.patch)
        x = torch.cat([self._tensor("class").expand(len(x), 1, self.width), x.flatten(2).mT], dim=1) + self._positions
        x = self._norm("before", x) if "before" in self.family.names else x
        for block in range(self.depth):
            x = x + self._scaled("scale1", self._attention(self._norm("norm1", x, block), block), block)
            hidden = self.family.activation(self._linear("up", self._norm("norm2", x, block), block))
            x = x + self._scaled("scale2", self._linear("down", hidden, block), block)
        feature = self._norm("norm", x[:, 0])
        return F.normalize(feature @ self._tensor("projection").T) if "projection" in self.family.names else feature

    def _attention(self, x: Tensor, block: int) -> Tensor:
        """softmax(Q Kᵀ/√64) V for each head, then a linear layer: (B, T, width) → (B, T, width)."""
        heads = (self._linear(name, x, block).unflatten(2, (-1, HEAD)).transpose(1, 2) for name in ("query", "key", "value"))
        return self._linear("out", F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2), block)

    def _linear(self, name: str, x: Tensor, block: int) -> Tensor:
        return F.linear(x, self._tensor(name, "weight", block), self._tensor(name, "bias", block))

    def _norm(self, name: str, x: Tensor, block: int = 0) -> Tensor:
        weight, bias = (self._tensor(name, part, block) for part in ("weight", "bias"))
        return F.layer_norm(x, (self.width,), weight, bias, self.family.epsilon)

    def _scaled(self, name: str, x: Tensor, block: int) -> Tensor:
        return x * self._tensor(name, block=block) if name in self.family.names else x

    def _tensor(self, name: str, part: str = "", block: int = 0) -> Tensor:
        full = ".".join(filter(None, (self.family.names[name].format(block), part)))
        if full not in self._state:
            raise FileError(f"weights: have no '{full}', so they are of another network")
        return self._state[full]

    def _require_sizes(self, positions: int) -> None:
        """Raise FileError for tensors that are missing or do not fit each other."""
        width, names = self.width, self.family.names
        sizes = {"norm": (width,), "patches": (width, 3, self.patch, self.patch)}
        per_block: dict[str, tuple[int, ...]] = dict.fromkeys(("query", "key", "value", "out"), (width, width))
        hidden = self._tensor("up", "weight").shape[0]
        wanted: list[tuple[str, str, int, tuple[int, ...]]] = [(name, "weight", 0, shape) for name, shape in sizes.items()]
        wanted += [(name, part, 0, (width,)) for name in ("before",) if name in names for part in ("weight", "bias")]
        wanted += [("projection", "", 0, (len(self._tensor("projection")), width))] if "projection" in names else []
        for block in range(self.depth):
            shapes = per_block | {"up": (hidden, width), "down": (width, hidden), "norm1": (width,), "norm2": (width,)}
            wanted += [(name, "weight", block, shape) for name, shape in shapes.items()]
            wanted += [(name, "bias", block, shape[:1]) for name, shape in shapes.items()]
            wanted += [(name, "", block, (width,)) for name in ("scale1", "scale2") if name in names]
        for name, part, block, shape in wanted:
            if self._tensor(name, part, block).shape != shape:
                found = tuple(self._tensor(name, part, block).shape)
                raise FileError(f"weights: '{names[name].format(block)}' has shape {found}, not {shape}, so they are of another network")
        if width % HEAD or positions != self.grid**2 + 1 or self.side % self.patch:
            raise FileError(f"weights: {positions} positions of {width} numbers for patches of {self.patch} are of another network")


def prepared(pixels: Pixels, family: Family, side: int) -> Images:
    """Crop, resize and normalise pixels (B, 3, H, W) uint8 as the family needs: (B, 3, side, side) float32.

    The resizing is Pillow's bicubic, with 8 bits after each of its two passes, up to one level. The width comes first, as in Pillow up
    to 12; version 13 begins with the height where that is less work, which changes single pixels of sharp images.
    """
    x = pixels.float()
    if family.crop:
        height, width = x.shape[2:]
        least = min(height, width)
        top, left = (height - least) // 2, (width - least) // 2
        x = x[:, :, top : top + least, left : left + least]
    for size in ((x.shape[2], side), (side, side)):
        x = F.interpolate(x, size, mode="bicubic", antialias=True).round().clamp(0, 255)
    mean, std = (torch.tensor(values, device=x.device)[:, None, None] for values in (family.mean, family.std))
    return (x / 255 - mean) / std


def _resized(positions: Tensor, grid: int, wanted: int) -> Tensor:
    """Resize the positions of a grid² of patches to wanted² by bicubic interpolation: (1 + grid², width) → (1 + wanted², width).

    The scale is (wanted + 0.1)/grid as in the published network.
    """
    if grid == wanted:
        return positions
    maps = positions[1:].T.reshape(1, -1, grid, grid)
    resized = F.interpolate(maps, scale_factor=(wanted + 0.1) / grid, mode="bicubic")
    return torch.cat([positions[:1], resized[0].flatten(1).T])
