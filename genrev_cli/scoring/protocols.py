"""Statistics of named references: computed once, then read from a file that must match the reference."""

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
    """Compute the statistics of a protocol's images and write them.

    Raises FileError if `out` exists and is something else.
    """
    check_target(out, "statistics", (".npz",), [images.path])
    features = features_of(images, extractor, progress, "reference", cache=cache)
    config = {"reference": protocol.name, "protocol": protocol.facts()}
    write_features_statistics(out, features, extractor, {"images": images.record()}, config=config, device=str(device))


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
    """Read the statistics of a named reference. If the file is missing and `build` is true, compute it from the images first.

    Raises FileError if there is neither, or the file has other features, another protocol or other images than `images`.
    """
    path = protocol.statistics_file(extractor.identity)
    again = f"'genrev fid-ref {protocol.name}{'' if protocol.own_split else f' --split {protocol.split}'}' with the same options makes it"
    if any_rank(rank() == 0 and not path.exists()):  # only rank 0 looks: on a network file system others may see the file late
        if images is None:
            raise FileError(f"--ref {protocol.name}: neither {path} nor {protocol.data} exists; {protocol.cure}")
        if not build:
            raise FileError(f"--ref {protocol.name}: {path} does not exist; {again}, or leave out --no-build-ref")
        progress.note(f"--ref {protocol.name}: its statistics are saved to {path}")
        build_reference(protocol, images, extractor, path, device=device, cache=cache, progress=progress)
    found = open_statistics(path)
    if found.header is None or found.header.config.get("protocol") != protocol.facts():
        raise FileError(f"{path}: was not made from the images of '{protocol.name}'; {again} again")
    found.require(extractor.identity, extractor.label, progress.note)
    if images and images.header and found.header.inputs["images"]["sha256"] != images.header.sha256:
        raise FileError(f"{path}: out of date: {images.path} has changed since it was made; {again} again")
    return found
