"""Write small sets of images in every format that `fid` reads, and collect its notes."""

import zipfile

import numpy as np

from genrev_cli.files import hdf5
from genrev_cli.files.header import Header
from genrev_cli.files.pictures import to_pil
from genrev_cli.progress import Progress
from genrev_cli.scoring.measure import measure
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.settings.fid import FidOptions

PIXEL = FeatureOptions("pixel")
SHAPE = (3, 8, 8)
DIMS = 192


class Notes(Progress):
    """Keep all notes."""

    def __init__(self):
        self.said = []

    def note(self, message):
        self.said.append(message)

    def __contains__(self, words):
        return any(words in message for message in self.said)


def pngs(folder, images, suffix=".png"):
    folder.mkdir()
    for i, pixels in enumerate(images):
        to_pil(pixels).save(folder / f"{i}{suffix}")
    return folder


def zipped(path, images):
    folder = pngs(path.with_suffix(".files"), images)
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"deep/er/{file.name}")
    return path


def h5(path, images):
    with hdf5.writing(path, Header("samples", {"n": len(images)}, "")) as writer:
        writer.create("images", images.shape, "uint8")
        writer.write("images", 0, images)
    return path


def npz(path, images, **names):
    np.savez(path, **(names or {"images": images}))
    return path


def npy(path, images):
    np.save(path, images)
    return path


def numbers(samples, ref, progress=None, **options):
    return measure(samples, FidOptions(str(ref), features=PIXEL, **options), progress or Progress()).numbers
