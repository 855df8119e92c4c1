"""The papers of the methods and networks, for citations; docs/papers.md maps their equations to the code."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from genrev_cli.report.chain import Record, lineage


@dataclass(frozen=True)
class Paper:
    """A paper. key: of its BibTeX entry. where: a table of its BibTeX fields that say where it appeared."""

    key: str
    authors: tuple[str, ...]
    title: str
    year: int
    _: KW_ONLY
    where: dict[str, str]

    @property
    def short(self) -> str:
        """The citation in one line."""
        number = f", arXiv:{self.where['eprint']}" if "eprint" in self.where else ""
        return f"{self.authors[0].split(',')[0]} et al., *{self.title}* ({self.year}{number})"

    @property
    def bibtex(self) -> str:
        """The entry for a bibliography."""
        kind = "inproceedings" if "booktitle" in self.where else "article"
        place = self.where if kind == "inproceedings" else {"journal": f"arXiv:{self.where['eprint']}", **self.where}
        fields = {"author": " and ".join(self.authors), "title": f"{{{self.title}}}", "year": str(self.year), **place}
        return "\n".join([f"@{kind}{{{self.key},", *(f"  {name} = {{{value}}}," for name, value in fields.items()), "}"])


REVERSIBLE = Paper(
    "schirrmeister2018training",
    ("Schirrmeister, Robin Tibor", "Chrabąszcz, Patryk", "Hutter, Frank", "Ball, Tonio"),
    "Training Generative Reversible Networks", 2018, where={"eprint": "1806.01610", "archiveprefix": "arXiv"},
)  # fmt: skip
INVERTIBLE = Paper(
    "nguyen2019training",
    ("Nguyen, The-Gia Leo", "Ardizzone, Lynton", "Köthe, Ullrich"),
    "Training Invertible Neural Networks as Autoencoders", 2019,
    where={"booktitle": "DAGM German Conference on Pattern Recognition", "eprint": "2303.11239", "archiveprefix": "arXiv"},
)  # fmt: skip
TRANSPORT = Paper(
    "an2020aeotgan",
    ("An, Dongsheng", "Guo, Yang", "Zhang, Min", "Qi, Xin", "Lei, Na", "Yau, Shing-Tung", "Gu, Xianfeng"),
    "AE-OT-GAN: Training GANs from Data Specific Latent Distribution", 2020, where={"eprint": "2001.03698", "archiveprefix": "arXiv"},
)  # fmt: skip
PERCEPTUAL = Paper(
    "zhang2020perceptual",
    ("Zhang, Zijun", "Zhang, Ruixiang", "Li, Zongpeng", "Bengio, Yoshua", "Paull, Liam"),
    "Perceptual Generative Autoencoders", 2020, where={"eprint": "1906.10335", "archiveprefix": "arXiv"},
)  # fmt: skip
WASSERSTEIN = Paper(
    "tolstikhin2018wasserstein",
    ("Tolstikhin, Ilya", "Bousquet, Olivier", "Gelly, Sylvain", "Schölkopf, Bernhard"),
    "Wasserstein Auto-Encoders", 2018,
    where={"booktitle": "International Conference on Learning Representations", "eprint": "1711.01558", "archiveprefix": "arXiv"},
)  # fmt: skip
VARIATIONAL = Paper(
    "kingma2014auto",
    ("Kingma, Diederik P.", "Welling, Max"),
    "Auto-Encoding Variational Bayes", 2014,
    where={"booktitle": "International Conference on Learning Representations", "eprint": "1312.6114", "archiveprefix": "arXiv"},
)  # fmt: skip
FLOWS = Paper(
    "dinh2017density",
    ("Dinh, Laurent", "Sohl-Dickstein, Jascha", "Bengio, Samy"),
    "Density Estimation Using Real NVP", 2017,
    where={"booktitle": "International Conference on Learning Representations", "eprint": "1605.08803", "archiveprefix": "arXiv"},
)  # fmt: skip
MATCHING = Paper(
    "lipman2023flow",
    ("Lipman, Yaron", "Chen, Ricky T. Q.", "Ben-Hamu, Heli", "Nickel, Maximilian", "Le, Matt"),
    "Flow Matching for Generative Modeling", 2023,
    where={"booktitle": "International Conference on Learning Representations", "eprint": "2210.02747", "archiveprefix": "arXiv"},
)  # fmt: skip
INJECTIVE = Paper(
    "sorrenson2024lifting",
    ("Sorrenson, Peter", "Draxler, Felix", "Rousselot, Armand", "Hummerich, Sander", "Zimmermann, Lea", "Köthe, Ullrich"),
    "Lifting Architectural Constraints of Injective Flows", 2024,
    where={"booktitle": "International Conference on Learning Representations", "eprint": "2306.01843", "archiveprefix": "arXiv"},
)  # fmt: skip
REGULARIZED = Paper(
    "ghosh2020variational",
    ("Ghosh, Partha", "Sajjadi, Mehdi S. M.", "Vergari, Antonio", "Black, Michael", "Schölkopf, Bernhard"),
    "From Variational to Deterministic Autoencoders", 2020,
    where={"booktitle": "International Conference on Learning Representations", "eprint": "1903.12436", "archiveprefix": "arXiv"},
)  # fmt: skip

PAPERS: dict[str, tuple[Paper, ...]] = {
    "revnet": (REVERSIBLE,), "inn": (INVERTIBLE,), "dense": (INVERTIBLE,), "convolutional": (INVERTIBLE,),
    "strided": (PERCEPTUAL,), "residual": (PERCEPTUAL,),
    "infogan": (TRANSPORT,), "sngan": (TRANSPORT,), "sngan-resnet": (TRANSPORT,), "dcgan": (TRANSPORT,), "wgan-resnet": (TRANSPORT,),
    "wgan-qc": (TRANSPORT,),
    "train-adversarial": (REVERSIBLE,), "train-ot": (REVERSIBLE,), "train-gan": (TRANSPORT,), "train-flow": (FLOWS,),
    "train-pga": (PERCEPTUAL,), "train-vae vae": (VARIATIONAL,), "train-vae wae-mmd": (WASSERSTEIN,), "train-vae wae-gan": (WASSERSTEIN,),
    "pretrain-recon": (),  # the losses are those of the network's paper, and of those whose weights are not 0
    "pretrain-recon weight_nll": (INJECTIVE,),
    "pretrain-recon weight_decoder": (REGULARIZED,), "pretrain-recon weight_gradient": (REGULARIZED,),
    "ot": (TRANSPORT,), "gmm": (), "flow": (MATCHING,),
}  # fmt: skip
"""Name of a network, of a training command (with a variant or weight that has papers of its own), or of a sampler → its papers."""


def papers_of(model: Record) -> list[Paper]:
    """Return the papers of a checkpoint, each once: of its stages, the last first, then of its network; a plugin's have none."""
    names = [str(model.header.config.get("model", {}).get("name", ""))]
    sampler = model.sampler.header.config.get("sampler", {}).get("name", "") if model.sampler else ""
    names = [sampler, *(stage for record in reversed(lineage(model)) for stage in _stages(record.header.config)), *names]
    return _each_once(paper for name in names for paper in PAPERS.get(name, ()))


def _stages(config: dict[str, Any]) -> list[str]:
    """Return a stage's name, its name with the variant, and with each weight that is not 0."""
    stage, method = str(config.get("stage", "")), config.get("method", {})
    weights = (key for key, value in method.items() if key.startswith("weight_") and value)
    return [stage, f"{stage} {method.get('variant', '')}", *(f"{stage} {weight}" for weight in weights)]


def _each_once(papers: Iterable[Paper]) -> list[Paper]:
    return list({paper.key: paper for paper in papers}.values())
