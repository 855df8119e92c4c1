"""Measure images, or the samples of a checkpoint, against a reference, as fid does."""

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
    """The result of a measurement. numbers: metric and value, further metrics, then the conditions. inputs, config: for the header."""

    numbers: dict[str, Any]
    inputs: dict[str, Any]
    config: dict[str, Any]


def measure(samples: Path | None, options: FidOptions, progress: Progress) -> Measured:
    """Compare images, or samples of a checkpoint, with a reference. Write only caches and the files that the options name.

    With Inception features the Fréchet distance is the FID. With other features it has another name and compares only with its own kind.
    Raises UsageError for contradictory options, FileError for unusable files, DivergedError if a number is not finite,
    UnavailableError without Inception's weights.
    """
    require_known_metrics(options.metrics)
    _require_one_source(samples, options)
    device = resolve_device(options.device)
    model = open_model(options.ckpt, device, options.sampler) if options.ckpt else None
    if model and "bpd" in options.of_models:
        require_density(model.autoencoder, model.own_prior)  # before anything slow
    reference = open_reference(options.ref, options.split, needs_images=options.needs_images, progress=progress)
    if options.of_models:
        assert model
        assert reference.images
        require_one_size(reference.images)
        require_shape(reference.images, model.header, model.path)  # type: ignore[arg-type]  # it reads only path and image_shape
    inputs = {"ckpt": model.header.as_input(model.path)} if model and (samples or not options.compares) else {}
    config: dict[str, Any] = {"metrics": list(options.metrics)}
    if reference.protocol:
        config["protocol"] = {"name": reference.protocol.name, **reference.protocol.facts()}
    split = {"split": reference.split} if reference.split else {}
    found: dict[str, dict[str, float]] = {}
    about: dict[str, Any] = {}
    if options.compares:
        pair, records, effect = open_pair(samples, options, model, reference, device=device, progress=progress)
        for metric in options.comparisons:
            numbers, conditions = COMPARISONS[metric](pair, options.seed, progress)
            found[metric], about = numbers, about | conditions
        inputs |= records
        config["identity"] = pair.identity
        about = {"n": pair.samples.n, "n_reference": pair.reference.n, **about, **split, **_features(pair.identity), **effect}
    if samples is None and options.compares and model:
        about |= {"seed": options.seed, "temperature": options.temperature, "sampler": model.drawn_from}
    for metric in options.of_models:
        assert model
        assert reference.images
        found[metric] = OF_MODELS[metric](model, reference.images, device, options.seed, progress)
        inputs.setdefault("ref", reference.images.record())
        about = about or {"n": reference.images.n, **split}
    (main, value), *others = [item for metric in options.metrics for item in found[metric].items()]
    return Measured({"metric": main, "value": value, **dict(others), **about}, inputs, {"metric": main, **config})


def _require_one_source(samples: Path | None, options: FidOptions) -> None:
    """Raise UsageError unless there is a reference, and the samples are given or drawn from --ckpt. Metrics of a model allow both."""
    if samples is None and options.ckpt is None:
        raise UsageError("fid: nothing to score; give samples, or pass a checkpoint with --ckpt")
    if not options.ref:
        raise UsageError("fid: there is no reference; give it as the second argument or with --ref: prepared images, a folder, or a name")
    if samples and options.ckpt and not options.of_models:
        raise UsageError(f"{samples} and --ckpt {options.ckpt}: both name samples to score; give only one, or add recon to --metrics")
    if samples and options.sampler:
        raise UsageError(f"{options.sampler.path}: a sampler draws samples, but samples are given; leave one of the two out")
    if samples and not options.compares:
        raise UsageError(f"{samples}: --metrics {','.join(options.metrics)} does not use samples; leave them out, or add fid")
    if options.prepare and samples is None:
        raise UsageError("--prepare: is for picture files, and none are given; leave it out")
    if options.save_stats:
        check_target(options.save_stats, "statistics", (".npz",), score_inputs(samples, options), option="--save-stats")


def _features(identity: dict[str, Any]) -> dict[str, Any]:
    """Return the features' identity as the result shows it; 'precision' already names a metric."""
    kept = {name: identity[name] for name in ("extractor", "profile", "layer", "weights_sha256")}
    return {**kept, "feature_precision": identity["precision"]}


def write_score(out: Path, measured: Measured, options: FidOptions, start: float) -> Result:
    """Write a measurement as JSON, with a header that says exactly what was measured. start: `time.perf_counter()` at its start."""
    made_by = provenance(seconds=time.perf_counter() - start, seed=options.seed, device=str(resolve_device(options.device)))
    header = Header("score", measured.config, json_digest(measured.numbers), 0, inputs=measured.inputs, made_by=made_by)
    write_json(out, measured.numbers, header)
    return Result(out, measured.numbers)


def score_inputs(samples: Path | None, options: FidOptions) -> list[Path]:
    """Return the files that a measurement reads, which its result must not replace."""
    return [path for path in (samples, options.ckpt, options.sampler and options.sampler.path, Path(options.ref)) if path]
