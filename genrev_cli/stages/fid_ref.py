"""fid-ref: prepared images → the statistics of a reference, once for all models that are measured to it."""

from pathlib import Path

from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.scoring.extractors import open_extractor
from genrev_cli.scoring.protocols import build_reference
from genrev_cli.scoring.references import find_protocol, protocol_images
from genrev_cli.settings.fid import FidRefSettings
from genrev_cli.training.devices import resolve_device


def fid_ref(
    name: str, settings: FidRefSettings, *, data: Path | None = None, out: Path | None = None, progress: Progress = SILENT
) -> Result:
    """Write mean and covariance of a reference's features where `genrev fid --ref NAME` finds them, or to `out`.

    data: prepared images, which must be what the name means; None for those where the protocol expects them.
    Raises UsageError for an unknown name, FileError for images that are missing or prepared otherwise.
    """
    place = resolve_device(settings.device)
    protocol = find_protocol(name, settings.split)
    progress.note(str(protocol))
    images = protocol_images(protocol, data or protocol.data, progress)
    extractor = open_extractor(settings.features, images.image_shape, place)
    target = out or protocol.statistics_file(extractor.identity)
    build_reference(protocol, images, extractor, target, device=place, cache=settings.cache, progress=progress)
    return Result(target, {"reference": protocol.name, "metric": extractor.label, **protocol.facts(), **extractor.identity})
