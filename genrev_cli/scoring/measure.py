"""fid's measurement: images, or what a checkpoint generates, against a reference."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrev_cli.errors import UsageError
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.pictures import json_digest, write_json
from genrev_cli.files.targets import check_target
from genrev_cli.methods.likelihood import require_density
from genrev_cli.progress import Progress
from genrev_cli.result import Result
from genrev_cli.scoring.images import require_one_size
from genrev_cli.scoring.metrics import COMPARISONS, OF_MODELS, require_known_metrics
from genrev_cli.scoring.pair import open_pair
from genrev_cli.scoring.references import open_reference
from genrev_cli.settings.fid import FidOptions
from genrev_cli.store.checkpoints import require_shape
from genrev_cli.store.samplers import open_model
from genrev_cli.training.devices import resolve_device


@dataclass(frozen=True)
class Measured:
    """numbers: metric and value, further metrics, then what was measured. inputs, config: for a header."""

    numbers: dict[str, Any]
    inputs: dict[str, Any]
    config: dict[str, Any]


def measure(samples: Path | None, options: FidOptions, progress: Progress) -> Measured:
    """Compare images, or what a checkpoint generates, with a reference. Writes nothing but caches and what the options name.

    With Inception features the Fréchet distance is an FID; in others it has a name of its own and is comparable with its kind only.
    Raises UsageError for options that contradict each other, FileError for unusable files, DivergedError where a number is not finite,
    UnavailableError without Inception's weights.
    """
    require_known_metrics(options.metrics)
    _require_one_source(samples, options)
    device = resolve_device(options.device)
    model = open_model(options.ckpt, device, options.sampler) if options.ckpt else None
    if "bpd" in options.of_models:
        require_density(model.autoencoder, model.own_prior)  # first: all else takes its time
    reference = open_reference(options.ref, options.split, needs_images=options.needs_images, progress=progress)
    if options.of_models:
        require_one_size(reference.images)
        require_shape(reference.images, model.header, model.path)
    inputs = {"ckpt": model.header.as_input(model.path)} if model and (samples or not options.compares) else {}
    config: dict[str, Any] = {"metrics": list(options.metrics)}
    if reference.protocol:
        config["protocol"] = {"name": reference.protocol.name, **reference.protocol.facts()}
    split = {"split": reference.split} if reference.split else {}
    found, about = {}, {}
    if options.compares:
        pair, records, effect = open_pair(samples, options, model, reference, device, progress)
        for metric in options.comparisons:
            numbers, conditions = COMPARISONS[metric](pair, options.seed, progress)
            found[metric], about = numbers, about | conditions
        inputs |= records
        config["identity"] = pair.identity
        about = {"n": pair.samples.n, "n_reference": pair.reference.n, **about, **split, **_features(pair.identity), **effect}
    if samples is None and options.compares:
        about |= {"seed": options.seed, "temperature": options.temperature, "sampler": model.drawn_from}
    for metric in options.of_models:
        found[metric] = OF_MODELS[metric](model, reference.images, device, options.seed, progress)
        inputs.setdefault("ref", reference.images.record())
        about = about or {"n": reference.images.n, **split}
    (main, value), *others = [item for metric in options.metrics for item in found[metric].items()]
    return Measured({"metric": main, "value": value, **dict(others), **about}, inputs, {"metric": main, **config})


def _require_one_source(samples: Path | None, options: FidOptions) -> None:
    """Raises UsageError unless there is one set of samples: given or, by --ckpt, to be made; with recon a checkpoint may come beside."""
    if samples is None and options.ckpt is None:
        raise UsageError("fid: nothing to score; give samples, or a checkpoint with --ckpt")
    if samples and options.ckpt and not options.of_models:
        raise UsageError(f"{samples} and --ckpt {options.ckpt}: both are samples to score; give one of them, or add recon to --metrics")
    if samples and options.sampler:
        raise UsageError(f"{options.sampler.path}: nothing is drawn where samples are given; leave one of them out")
    if samples and not options.compares:
        raise UsageError(f"{samples}: --metrics {','.join(options.metrics)} looks at no samples; leave them out, or add fid")
    if options.save_stats:
        check_target(options.save_stats, "statistics", (".npz",), score_inputs(samples, options), "--save-stats")


def _features(identity: dict[str, Any]) -> dict[str, Any]:
    """How a result tells the features; 'precision' is the name of a metric."""
    kept = {name: identity[name] for name in ("extractor", "profile", "layer", "weights_sha256")}
    return {**kept, "feature_precision": identity["precision"]}


def write_score(out: Path, measured: Measured, options: FidOptions, start: float) -> Result:
    """Write a measurement as a JSON file that says exactly what was measured. start: when it began, by `time.perf_counter`."""
    made_by = provenance(seconds=time.perf_counter() - start, seed=options.seed, device=str(resolve_device(options.device)))
    header = Header("score", measured.config, json_digest(measured.numbers), 0, measured.inputs, made_by)
    write_json(out, measured.numbers, header)
    return Result(out, measured.numbers)


def score_inputs(samples: Path | None, options: FidOptions) -> list[Path]:
    """Return the files that a measurement reads, which its result must not replace."""
    return [path for path in (samples, options.ckpt, options.sampler and options.sampler.path, Path(options.ref)) if path]
