"""Fashion-MNIST (Xiao, Rasul & Vollgraf 2017): 28×28 pictures of clothes in MNIST's format."""

from genrev_cli.data.config import Entry
from genrev_cli.data.published_idx import open_published
from genrev_cli.data.source import ArraySource
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

PAGE = "https://github.com/zalandoresearch/fashion-mnist"
MD5 = {  # from torchvision.datasets.FashionMNIST
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def open_fashion_mnist(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the images, see `open_published`."""
    return open_published(config, progress, MD5, PAGE, classes=CLASSES)


SOURCE = Entry("fashion-mnist", open_fashion_mnist, ("path", "size", "download", "subset"))
