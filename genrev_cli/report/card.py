"""A model card in Markdown: what a checkpoint is, how it was made, how good it is and how to use it."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from genrev_cli.report import sections, summary, words
from genrev_cli.report.chain import Record, data_name
from genrev_cli.report.material import Material
from genrev_cli.report.papers import papers_of
from genrev_cli.report.scores import score_table

_SEAL = re.compile(r"\n<!-- genrev card of ([0-9a-f]+), sha256 of the text above: ([0-9a-f]{64}) -->\n\Z")
_EXACT = ("revnet", "inn")


@dataclass(frozen=True)
class Shown:
    """A picture beside the card."""

    file: str
    alt: str
    caption: str


def card(material: Material, model: Record, samples: Shown, restored: Shown | None, *, title: str = "") -> str:
    """Return the text of the card, sealed. material: the model, its data and its scores, with headers that may be published."""
    environment = Environment(
        loader=PackageLoader("genrev_cli.report", "."), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    environment.globals["rows"] = _rows
    steps, machines = sections.chain(material)
    config = model.header.config
    text = environment.get_template("card.md").render(
        title=title or summary.headline(material), tags=_tags(config), about=_about(model, material), samples=samples, restored=restored,
        model=summary.model_facts(material, model), data=summary.data_facts(material.data) if material.data else [],
        steps=steps, machines=machines, scores=score_table(material.scores), file=model.path.name,
        sampler=model.sampler.path.name if model.sampler else "", usage=_usage(model), limits=_limits(model, material),
        shape=config["model"]["image_shape"], dim=config["prior"].get("dim", "d"), papers=papers_of(model),
    )  # fmt: skip
    return sealed(re.sub(r"\n{3,}", "\n\n", text), model.header.sha256)


def sealed(text: str, sha256: str) -> str:
    """Return a text with a last line, which is not shown, from which `is_own` sees that nobody has edited it."""
    text = text.rstrip("\n") + "\n"
    return f"{text}\n<!-- genrev card of {sha256}, sha256 of the text above: {hashlib.sha256(text.encode()).hexdigest()} -->\n"


def is_own(text: str, sha256: str) -> bool:
    """Return True if a text is a card of the checkpoint with this digest, as genrev wrote it."""
    seal = _SEAL.search(text)
    return seal is not None and seal[1] == sha256 and hashlib.sha256(text[: seal.start()].encode()).hexdigest() == seal[2]


def _rows(facts: Sequence[tuple[str, str]]) -> str:
    """Return a Markdown table of facts."""
    lines = [f"| {name} | {value} |" for name, value in ((n, str(v).replace("|", "\\|").replace("\n", " ")) for n, v in facts)]
    return "\n".join(["| | |", "|---|---|", *lines, ""])


def _tags(config: dict[str, Any]) -> list[str]:
    names = ("genrev", "autoencoder", config["model"].get("name", ""), config.get("stage", ""))
    return [re.sub(r"[^\w.-]+", "-", str(name)) for name in dict.fromkeys(names) if name]


def _about(model: Record, material: Material) -> str:
    config, shape = model.header.config, model.header.config["model"]["image_shape"]
    source = data_name(material.data)
    on = f" on {source}" if source else ""
    return (
        f"A generative autoencoder ({config['model'].get('name')}) for images of {words.image_size(shape)}. It was trained{on} by "
        f"`genrev {config.get('stage', '')}` for {model.header.step:,} steps. "
        f"Samples are images decoded from codes of the {words.source(_sampler_name(model))}."
    )


def _sampler_name(model: Record) -> str:
    return str(model.sampler.header.config["sampler"]["name"]) if model.sampler else "prior"


def _usage(model: Record) -> list[str]:
    """Return the commands of a first try."""
    name = model.path.name
    drawn = f" --{_sampler_name(model)} {model.sampler.path.name}" if model.sampler else ""
    plugins = "".join(f"--plugin {file} " for file in model.header.config.get("plugins", {}))
    version = model.header.made_by.get("versions", {}).get("genrev-cli", "")
    return [
        f"# needs genrev {version}".rstrip(),
        f"genrev {plugins}sample --ckpt {name}{drawn} -n 64 --out samples --grid samples.png",
        f"genrev {plugins}reconstruct --ckpt {name} --data DATA.h5",
        f"genrev info {name}  # how it was made",
    ]


def _limits(model: Record, material: Material) -> list[str]:
    """Return what follows from the header: sentences that are true of this model."""
    config, shape = model.header.config, model.header.config["model"]["image_shape"]
    counts = material.data.header.config.get("counts", {}) if material.data else {}
    found = [f"It makes and takes only images of {words.image_size(shape)}."]
    if counts.get("train"):
        found.append(f"It was trained on {counts['train']:,} images. It knows nothing else, and it repeats their biases.")
    if config["model"].get("name") in _EXACT:
        found.append(
            "The full latent returns an image up to rounding. The active dimensions keep only a part of it, and only these are sampled."
        )
    else:
        found.append("Encoder and decoder are separate networks: an image does not come back exactly.")
    labels = [score.result.get("metric", "") for score in material.scores]
    if any(label.startswith(("FD-", "KD-")) for label in labels):
        found.append("FD and KD are distances in other features than Inception's: do not compare them with published FIDs or KIDs.")
    if not labels:
        found.append("Its samples have not been scored.")
    return found
