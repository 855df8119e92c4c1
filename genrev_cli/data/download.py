"""Download the published data sets with torchvision's download functions, which know the addresses and check the md5s.

Only the files that the sources read are downloaded, and nothing is unpacked. torchvision's data set classes would extract the
archives and unpickle CIFAR.
"""

import contextlib
import http.client
import sys
from pathlib import Path

from genrev_cli.data import celeba_lists, cifar10, mnist
from genrev_cli.errors import UnavailableError
from genrev_cli.progress import Progress

_PAGES = {"mnist": mnist.PAGE, "cifar10": cifar10.PAGE, "celeba": celeba_lists.PAGE}


def download(source: str, root: Path, progress: Progress) -> None:
    """Download the raw files of 'mnist', 'cifar10' or 'celeba' into the folder `root`; existing intact files are kept.

    Raises UnavailableError if the network, or the package that CelebA's host needs, is missing.
    """
    progress.note(f"{source}: downloading missing files to {root}")
    fetch = {"mnist": _mnist, "cifar10": _cifar10, "celeba": _celeba}[source]
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            fetch(root)
    except (OSError, RuntimeError, http.client.HTTPException) as error:  # URLError is an OSError; a wrong md5 is a RuntimeError
        cure = f"get its files from {_PAGES[source]} by hand, put them there, and run this again without --download"
        raise UnavailableError(f"{source}: could not be downloaded to {root} ({error}); {cure}") from error


def _mnist(root: Path) -> None:
    from torchvision.datasets import MNIST
    from torchvision.datasets.utils import download_url

    for name, md5 in MNIST.resources:
        for mirror in MNIST.mirrors:
            try:
                download_url(mirror + name, root, name, md5)
                break
            except OSError:
                if mirror == MNIST.mirrors[-1]:
                    raise


def _cifar10(root: Path) -> None:
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import download_url

    download_url(CIFAR10.url, root, CIFAR10.filename, CIFAR10.tgz_md5)


def _celeba(root: Path) -> None:
    from torchvision.datasets import CelebA
    from torchvision.datasets.utils import download_file_from_google_drive

    wanted = ("img_align_celeba.zip", celeba_lists.PARTITION, celeba_lists.ATTRIBUTES)
    for file_id, md5, name in CelebA.file_list:
        if name in wanted:
            download_file_from_google_drive(file_id, root, name, md5)
