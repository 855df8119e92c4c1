"""The statistics of a reference by name: made once, found again, and refused when they are of other images."""

from pathlib import Path

import torch

from genrev_cli.errors import FileError
from genrev_cli.files.targets import check_target
from genrev_cli.metrics.features import Extractor
from genrev_cli.progress import Progress
from genrev_cli.scoring.features import features_of
from genrev_cli.scoring.images import ImageInput
from genrev_cli.scoring.references import Protocol
from genrev_cli.scoring.statistics import StatisticsFile, open_statistics, write_features_statistics
from genrev_cli.training.distributed import any_rank, rank


def build_reference(
    protocol: Protocol, images: ImageInput, extractor: Extractor, out: Path, *, device: torch.device, cache: bool, progress: Progress
) -> None:
    """Measure the images of a protocol and write their statistics.

    Raises FileError when something else stands at `out`.
    """
    check_target(out, "statistics", (".npz",), [images.path])
    features = features_of(images, extractor, progress, "reference", cache=cache)
    config = {"reference": protocol.name, "protocol": protocol.facts()}
    write_features_statistics(out, features, extractor, {"images": images.record()}, config, str(device))


def protocol_statistics(
    protocol: Protocol,
    images: ImageInput | None,
    extractor: Extractor,
    *,
    build: bool,
    device: torch.device,
    cache: bool,
    progress: Progress,
) -> StatisticsFile:
    """The statistics of a reference by name, from its file; where there is none, with `build`, it is made of the images first.

    Raises FileError when there is neither, or the file is of other features, another protocol or other images than are there now.
    """
    path = protocol.statistics_file(extractor.identity)
    again = f"'genrev fid-ref {protocol.name}{'' if protocol.own_split else f' --split {protocol.split}'}' with the same options makes it"
    if any_rank(rank() == 0 and not path.exists()):  # others do not ask: they might be told of it for a while after it was written
        if images is None:
            raise FileError(f"--ref {protocol.name}: there is neither {path} nor {protocol.data}; {protocol.cure}")
        if not build:
            raise FileError(f"--ref {protocol.name}: there is no {path}; {again}, or leave out --no-build-ref")
        progress.note(f"--ref {protocol.name}: its statistics are kept in {path}")
        build_reference(protocol, images, extractor, path, device=device, cache=cache, progress=progress)
    found = open_statistics(path)
    if found.header is None or found.header.config.get("protocol") != protocol.facts():
        raise FileError(f"{path}: is not of the images that '{protocol.name}' means; {again} again")
    found.require(extractor.identity, extractor.label, progress.note)
    if images and found.header.inputs["images"]["sha256"] != images.header.sha256:
        raise FileError(f"{path}: stale: it was made from other images than {images.path} has now; {again} again")
    return found
