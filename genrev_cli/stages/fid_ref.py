"""fid-ref: prepared images → the statistics of a reference, once for all models that are measured to it."""

from pathlib import Path

import torch

from genrev_cli.errors import FileError
from genrev_cli.metrics.features import Extractor
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.stages.extractors import open_extractor
from genrev_cli.stages.features import features_of
from genrev_cli.stages.image_inputs import ImageInput
from genrev_cli.stages.references import Protocol, find_protocol, protocol_images
from genrev_cli.stages.statistics_input import StatisticsFile, open_statistics, write_features_statistics
from genrev_cli.stages.targets import check_target
from genrev_cli.training.devices import resolve_device
from genrev_cli.training.distributed import any_rank, rank


def fid_ref(
    name: str,
    *,
    data: Path | None = None,
    split: str = "",
    features: FeatureOptions = FeatureOptions(),  # noqa: B008 (frozen)
    out: Path | None = None,
    device: str = "auto",
    cache: bool = True,
    progress: Progress = SILENT,
) -> Result:
    """Write mean and covariance of a reference's features where `genrev fid --ref NAME` finds them, or to `out`.

    data: prepared images, which must be what the name means. split: replaces the protocol's.
    Raises UsageError for an unknown name, FileError for images that are missing or prepared otherwise.
    """
    place = resolve_device(device)
    protocol = find_protocol(name, split)
    progress.note(str(protocol))
    images = protocol_images(protocol, data or protocol.data, progress)
    extractor = open_extractor(features, images.image_shape, place)
    target = out or protocol.statistics_file(extractor.identity)
    build_reference(protocol, images, extractor, target, device=place, cache=cache, progress=progress)
    return Result(target, {"reference": protocol.name, "metric": extractor.label, **protocol.facts(), **extractor.identity})


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
