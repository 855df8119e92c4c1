"""The top of the page: title, key numbers, and facts about data and model."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from genrev_cli.report import words
from genrev_cli.report.chain import Record, checkpoint_of, lineage
from genrev_cli.report.material import Material

KEY_NUMBERS = ("l1_restricted", "roundtrip_mean", "roundtrip_max", "relative_swd")


@dataclass(frozen=True)
class Card:
    """A key number. note: the samples or images on which it was measured."""

    title: str
    value: str
    about: str
    note: str


def headline(material: Material) -> str:
    """Return the default title: model on data."""
    model = material.main.header.config.get("model", {}).get("name") if material.main else None
    source = material.data.header.config.get("source", {}).get("name") if material.data else None
    return " on ".join(filter(None, (model, source))) or "Report"


def cards(material: Material) -> list[Card]:
    """Return the scores of the main checkpoint, then its key numbers, from a whole split or else from the end of training."""
    found = [_score_card(score.result) for score in material.scores if material.is_main(score.checkpoint) and "value" in score.result]
    measured: dict[str, Card] = {}
    for numbers, note in _measurements(material):
        for name in KEY_NUMBERS:
            if name in numbers:
                measured.setdefault(name, Card(words.title(name), words.number(float(numbers[name])), words.about(name), note))
    return found + [measured[name] for name in KEY_NUMBERS if name in measured]


def _score_card(result: dict[str, Any]) -> Card:
    label, split = result.get("metric", "score"), result.get("split", "")
    compared = "n_reference" in result  # else it is a score of real images, such as a reconstruction error or a likelihood
    of = f" of the {source}" if (source := words.SOURCES.get(result.get("sampler", ""))) else ""
    note = (f"{result['n']:,} samples{of}" if compared else f"{result['n']:,} {split} images") if result.get("n") else ""
    if result.get("n_reference"):
        note += f" against {words.number(result['n_reference'])} {split} images"
    floor = result.get("bias_floor") if label.startswith(("FID", "FD")) else None
    about = words.about(label) if floor is None else f"real images would score about {words.number(floor)} at these numbers"
    return Card(words.metric(label), words.number(float(result["value"]), 4), about, note.replace("  ", " "))


def _measurements(material: Material) -> Iterator[tuple[dict[str, Any], str]]:
    for picture in material.pictures:
        numbers = picture.record.header.config.get("numbers", {})
        if material.is_main(checkpoint_of(picture.record)) and "images" in numbers:
            yield numbers, f"all {numbers['images']:,} {numbers.get('split', '')} images".replace("  ", " ")
    looks = [line for line in material.logs.get(material.main.key, []) if line.get("kind") == "monitor"] if material.main else []
    if looks:
        yield looks[-1], f"held-out images, step {looks[-1]['step']:,}"


def data_facts(data: Record) -> list[tuple[str, str]]:
    """Return facts about the data set, as (name, value)."""
    config = data.header.config
    counts = [f"{count:,} {split}" for split, count in config.get("counts", {}).items() if count]
    facts = {
        "Source": config.get("source", {}).get("name"),
        "Images": ", ".join(counts),
        "Size": words.image_size(config["image_shape"]) if "image_shape" in config else None,
        "Classes": str(len(config["classes"])) if config.get("classes") else None,
        "Preparation": config.get("transform"),
        "Split": config.get("split_rule"),
        "Left out": f"{len(config['damaged']):,} damaged" if config.get("damaged") else None,
        "File": _file(data),
    }
    return [(name, value) for name, value in facts.items() if value]


def model_facts(material: Material, checkpoint: Record) -> list[tuple[str, str]]:
    """Return facts about the model, as (name, value)."""
    model, prior = checkpoint.header.config.get("model", {}), checkpoint.header.config.get("prior", {})
    count = material.parameters.get(checkpoint.key)
    facts = {
        "Network": model.get("name"),
        "Parameters": f"{count:,}" if count else None,
        "Latent dimensions": _latent_dim(prior["latent_dim"], model.get("image_shape", [])) if "latent_dim" in prior else None,
        "Active dimensions": words.shown(prior["dim"]) if "dim" in prior else None,
        "Prior": prior.get("name"),
        "Trained": ", then ".join(_training(stage) for stage in lineage(checkpoint)),
        "File": _file(checkpoint),
    }
    return [(name, value) for name, value in facts.items() if value]


def _latent_dim(latent_dim: int, image_shape: list[int]) -> str:
    values = prod(image_shape)
    return words.shown(latent_dim) + (f" (images of {values:,} values, padded)" if image_shape and latent_dim > values else "")


def _training(checkpoint: Record) -> str:
    stage, seconds = checkpoint.header.config.get("stage", "training"), checkpoint.header.made_by.get("seconds")
    return f"{stage}: {checkpoint.header.step:,} steps" + (f" in {words.duration(seconds)}" if seconds else "")


def _file(record: Record) -> str:
    return f"{record.path.name} (sha256 {record.header.sha256[:12]})"
