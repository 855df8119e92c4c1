"""The top of the page: title, key numbers, and facts about data and model."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from genrev_cli.report import words
from genrev_cli.report.chain import Record, checkpoint_of, data_name, lineage
from genrev_cli.report.material import Material, Score

KEY_NUMBERS = ("l1_restricted", "roundtrip_mean", "roundtrip_max", "relative_swd")


@dataclass(frozen=True)
class Card:
    """A key number. note: the samples or images on which it was measured."""

    title: str
    value: str
    about: str
    note: str


@dataclass(frozen=True)
class Block:
    """The cards of one model. name: its file, '' if the page has only one model. about: its network and training."""

    name: str
    about: str
    cards: list[Card]


def headline(material: Material) -> str:
    """Return the default title: models on data."""
    names = dict.fromkeys(record.header.config.get("model", {}).get("name", "") for record in material.last)
    return " on ".join(filter(None, (", ".join(filter(None, names)), data_name(material.data)))) or "Report"


def blocks(material: Material) -> list[Block]:
    """Return the cards of each model, see `Material.models`; scores of samples from elsewhere are the last block."""
    models: list[Record | None] = [*material.models, None]
    found = [(model, _cards(material, model)) for model in models]
    shown = [(model, cards) for model, cards in found if cards]
    if len(shown) == 1:
        return [Block("", "", shown[0][1])]
    names = _names([model for model, _ in shown if model])
    return [
        Block(names[model.key], _in_short(model), cards) if model else Block("Other samples", "of no model on this page", cards)
        for model, cards in shown
    ]


def _names(models: list[Record]) -> dict[tuple[str, str, str], str]:
    """Return the file name of each model, with its folder where two have the same name."""
    count = Counter(model.path.name for model in models)
    return {
        model.key: model.path.name if count[model.path.name] == 1 else f"{model.path.parent.name}/{model.path.name}" for model in models
    }


def _in_short(model: Record) -> str:
    config = model.header.config
    facts = [config.get("model", {}).get("name", ""), config.get("stage", ""), f"step {model.header.step:,}"]
    return ", ".join(filter(None, facts))


def _cards(material: Material, model: Record | None) -> list[Card]:
    """Return the scores of a model, then its key numbers, from a whole split or else from the end of training."""
    scores = [score for score in material.scores if _is(score.checkpoint, model) and "value" in score.result]
    scores.sort(key=lambda score: score.record.header.made_by.get("utc", ""))
    measured: dict[str, Card] = {}
    for numbers, note in _measurements(material, model):
        for name in KEY_NUMBERS:
            if name in numbers:
                measured.setdefault(name, Card(words.title(name), words.number(float(numbers[name])), words.about(name), note))
    return _score_cards(scores) + [measured[name] for name in KEY_NUMBERS if name in measured]


def _is(checkpoint: Record | None, model: Record | None) -> bool:
    """Return True if both are the same checkpoint, or neither is one."""
    return (checkpoint and checkpoint.key) == (model and model.key)


def _score_cards(scores: list[Score]) -> list[Card]:
    """Return a card for each score. Titles that are equal get what tells them apart: the distribution of the codes, else the file."""
    titles = [words.metric(score.result.get("metric", "score")) for score in scores]
    for mark in (lambda score: score.drawn_from, lambda score: score.record.path.name):
        count = Counter(titles)
        titles = [
            f"{title}, {mark(score)}" if count[title] > 1 and mark(score) else title for title, score in zip(titles, scores, strict=True)
        ]
    return [_score_card(score, title) for score, title in zip(scores, titles, strict=True)]


def _score_card(score: Score, title: str) -> Card:
    result = score.result
    label, split = result.get("metric", "score"), result.get("split", "")
    compared = "n_reference" in result  # else it is a score of real images, such as a reconstruction error or a likelihood
    of = f" of the {score.drawn_from}" if score.drawn_from else ""
    note = (f"{result['n']:,} samples{of}" if compared else f"{result['n']:,} {split} images") if result.get("n") else ""
    if result.get("n_reference"):
        note += f" against {words.number(result['n_reference'])} {split} images"
    floor = result.get("bias_floor") if label.startswith(("FID", "FD")) else None
    about = words.about(label) if floor is None else f"real images would score about {words.number(floor)} at these numbers"
    return Card(title, words.number(float(result["value"]), 4), about, note.replace("  ", " "))


def _measurements(material: Material, model: Record | None) -> Iterator[tuple[dict[str, Any], str]]:
    for picture in material.pictures:
        numbers = picture.numbers
        if _is(checkpoint_of(picture.record), model) and "images" in numbers:
            yield numbers, f"all {numbers['images']:,} {numbers.get('split', '')} images".replace("  ", " ")
    looks = [line for line in material.logs.get(model.key, []) if line.get("kind") == "monitor"] if model else []
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


def models(material: Material) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (heading, facts) of each model from which no other one on the page was trained."""
    names = _names(material.last)
    return [("Model" if len(names) == 1 else names[model.key], model_facts(material, model)) for model in material.last]


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
