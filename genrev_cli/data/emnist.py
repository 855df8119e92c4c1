"""EMNIST (Cohen, Afshar, Tapson & van Schaik 2017): letters and digits in MNIST's format, stored with rows and columns exchanged."""

from genrev_cli.data.config import Entry
from genrev_cli.data.container import open_container
from genrev_cli.data.idx import choose_set, read_set, set_source
from genrev_cli.data.idx_files import find_idx
from genrev_cli.data.source import ArraySource
from genrev_cli.errors import FileError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

PAGE = "https://www.nist.gov/itl/products-and-services/emnist-dataset"
ZIP, ZIP_MD5 = "gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e"  # from torchvision.datasets.EMNIST


def open_emnist(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return one of EMNIST's six sets, which `config.subset` names: byclass, bymerge, balanced, letters, digits or mnist.

    Raises FileError for missing or damaged files, UsageError if no set is chosen.
    """
    packed = config.root / ZIP
    container = open_container(packed if packed.is_file() else config.root, f"pass --download, or get {ZIP} from {PAGE}")
    named = [one for one in find_idx(container) if "emnist" in one.set.lower()]
    if not named:
        raise FileError(
            f"{config.root}: has no file like emnist-letters-train-images-idx3-ubyte.gz; pass --download, or get {ZIP} from {PAGE}"
        )
    chosen = choose_set(named, config.subset, str(config.root))
    return set_source(read_set(container, [one for one in named if one.set == chosen], chosen), "emnist", config, progress)


SOURCE = Entry("emnist", open_emnist, ("path", "size", "download", "subset"))
