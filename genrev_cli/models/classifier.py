"""A small convolutional classifier. Its last hidden layer gives features for images like those it was trained on."""

from dataclasses import dataclass
from typing import Any, final

from torch import Tensor, nn
from torch.nn.functional import relu

from genrev_cli.errors import SettingError
from genrev_cli.shapes import Images

LEAST_SIDE = 4


@dataclass(frozen=True)
class ClassifierConfig:
    """width: channels of the first convolution. They double at every halving of the image, up to 4·width. dims: number of features."""

    image_shape: tuple[int, int, int]
    classes: int
    width: int = 32
    dims: int = 128


@final
class Classifier(nn.Module):
    """3×3 convolutions that halve the image until its shorter side is at most 4, then a hidden layer of `dims` units and the logits.

    There is no batch norm, so the features of an image do not depend on other images.
    Raises SettingError for sizes below 1 or fewer than 2 classes.
    """

    def __init__(self, image_shape: tuple[int, int, int], classes: int, width: int = 32, dims: int = 128) -> None:
        super().__init__()
        for key, value, least in (("width", width, 1), ("dims", dims, 1), ("classes", classes, 2), ("image_shape", min(image_shape), 1)):
            if value < least:
                raise SettingError(key, value, f"must be at least {least}")
        self.classes, self.dims = classes, dims
        self.config: dict[str, Any] = {"image_shape": list(image_shape), "classes": classes, "width": width, "dims": dims}
        channels, height, side_width = image_shape
        self.image_shape = (channels, height, side_width)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        out = width
        while min(height, side_width) > LEAST_SIDE:
            wider = min(2 * out, 4 * width)
            layers += [nn.Conv2d(out, wider, 3, stride=2, padding=1), nn.ReLU()]
            out, height, side_width = wider, -(-height // 2), -(-side_width // 2)
        self.trunk = nn.Sequential(*layers, nn.Flatten())
        self.hidden = nn.Linear(out * height * side_width, dims)
        self.head = nn.Linear(dims, classes)

    def features(self, x: Images) -> Tensor:
        """(B, C, H, W) in [0, 1] → (B, dims), ≥ 0."""
        return relu(self.hidden(self.trunk(2 * x - 1)))

    def forward(self, x: Images) -> Tensor:
        """(B, C, H, W) in [0, 1] → (B, classes) logits."""
        return self.head(self.features(x))
