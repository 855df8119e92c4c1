"""SVHN's cropped digits (Netzer et al. 2011) from its two MATLAB files: 73,257 for training and 26,032 for testing, 3×32×32."""

import numpy as np

from genrev_cli.data.checksum import require_file_md5
from genrev_cli.data.config import Entry
from genrev_cli.data.source import TEST, TRAIN, ArraySource, array_source
from genrev_cli.errors import FileError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

PAGE = "http://ufldl.stanford.edu/housenumbers"
MD5 = {  # from torchvision.datasets.SVHN
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
}
_TEN = 10  # SVHN's label of the digit 0


def open_svhn(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the training and test images. The additional file extra_32x32.mat is not used.

    Raises FileError if a file is missing, damaged, or not the published one.
    """
    from scipy.io import loadmat  # imported here, because it takes time

    parts = []
    for name, md5 in MD5.items():
        path = config.root / name
        if not path.is_file():
            raise FileError(f"{path}: missing; pass --download, or get it from {PAGE}")
        require_file_md5(path, md5)  # first, so that only the published bytes are parsed
        content = loadmat(path, variable_names=["X", "y"])
        parts.append((content["X"].transpose(3, 2, 0, 1), content["y"].ravel().astype(np.int64) % _TEN))
    return array_source(
        name="svhn",
        size=config.dimensions,
        limit=config.limit,
        parts=[pixels for pixels, _ in parts],
        labels=np.concatenate([labels for _, labels in parts]),
        split=np.repeat([TRAIN, TEST], [len(labels) for _, labels in parts]),
        split_rule="as published",
        classes=tuple(map(str, range(_TEN))),
        sums=dict(MD5),
    )


SOURCE = Entry("svhn", open_svhn, ("path", "size", "download"))
