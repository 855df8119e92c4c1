"""KMNIST (Clanuwat et al. 2018): 28×28 pictures of ten cursive Hiragana characters in MNIST's format."""

from genrev_cli.data.config import Entry
from genrev_cli.data.published_idx import open_published
from genrev_cli.data.source import ArraySource
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

PAGE = "http://codh.rois.ac.jp/kmnist"
MD5 = {  # from torchvision.datasets.KMNIST
    "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
    "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
    "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
    "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
}
CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def open_kmnist(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the images, see `open_published`."""
    return open_published(config, progress, MD5, PAGE, classes=CLASSES)


SOURCE = Entry("kmnist", open_kmnist, ("path", "size", "download", "subset"))
