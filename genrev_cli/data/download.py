"""Download the published data sets with torchvision's download functions, which know the addresses and check the md5s.

Only the files that the sources read are downloaded, and nothing is unpacked. torchvision's data set classes would extract the
archives and unpickle CIFAR.
"""

import contextlib
import http.client
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from genrev_cli.data import celeba_lists, cifar10, emnist, fashion_mnist, kmnist, mnist, stl10, svhn
from genrev_cli.errors import UnavailableError
from genrev_cli.progress import Progress


def download(source: str, root: Path, progress: Progress) -> None:
    """Download the raw files of a published set into the folder `root`; existing intact files are kept.

    Raises UnavailableError if the network, or the package that CelebA's host needs, is missing.
    """
    progress.note(f"{source}: downloading missing files to {root}")
    page, fetch = _SETS[source]
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            fetch(root)
    except (OSError, RuntimeError, http.client.HTTPException) as error:  # URLError is an OSError; a wrong md5 is a RuntimeError
        cure = f"get its files from {page} by hand, put them there, and run this again without --download"
        raise UnavailableError(f"{source}: could not be downloaded to {root} ({error}); {cure}") from error


def _idx(name: str, root: Path) -> None:
    """Download the four IDX files of one of torchvision's sets, from its first mirror that has them."""
    from torchvision import datasets
    from torchvision.datasets.utils import download_url

    published = getattr(datasets, name)
    for file, md5 in published.resources:
        for mirror in published.mirrors:
            try:
                download_url(mirror + file, root, file, md5)
                break
            except OSError:
                if mirror == published.mirrors[-1]:
                    raise


def _archive(name: str, root: Path) -> None:
    """Download the only archive of one of torchvision's sets."""
    from torchvision import datasets
    from torchvision.datasets.utils import download_url

    published = getattr(datasets, name)
    download_url(published.url, root, published.filename, published.tgz_md5)


def _emnist(root: Path) -> None:
    from torchvision.datasets import EMNIST
    from torchvision.datasets.utils import download_url

    download_url(EMNIST.url, root, emnist.ZIP, EMNIST.md5)


def _svhn(root: Path) -> None:
    from torchvision.datasets import SVHN
    from torchvision.datasets.utils import download_url

    for part in ("train", "test"):
        url, file, md5 = SVHN.split_list[part]
        download_url(url, root, file, md5)


def _celeba(root: Path) -> None:
    from torchvision.datasets import CelebA
    from torchvision.datasets.utils import download_file_from_google_drive

    wanted = ("img_align_celeba.zip", celeba_lists.PARTITION, celeba_lists.ATTRIBUTES)
    for file_id, md5, name in CelebA.file_list:
        if name in wanted:
            download_file_from_google_drive(file_id, root, name, md5)


_SETS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "mnist": (mnist.PAGE, partial(_idx, "MNIST")),
    "fashion-mnist": (fashion_mnist.PAGE, partial(_idx, "FashionMNIST")),
    "kmnist": (kmnist.PAGE, partial(_idx, "KMNIST")),
    "emnist": (emnist.PAGE, _emnist),
    "cifar10": (cifar10.PAGE, partial(_archive, "CIFAR10")),
    "cifar100": (cifar10.PAGE, partial(_archive, "CIFAR100")),
    "svhn": (svhn.PAGE, _svhn),
    "stl10": (stl10.PAGE, partial(_archive, "STL10")),
    "celeba": (celeba_lists.PAGE, _celeba),
}
"""Source → its page, and what downloads its files."""
