"""Every method, network and sampler has its papers in one table, and docs/papers.md names them."""

from pathlib import Path

import pytest

from genrev_cli.files.header import Header
from genrev_cli.latents import SAMPLERS
from genrev_cli.models import MODELS
from genrev_cli.report.chain import Record
from genrev_cli.report.papers import INJECTIVE, INVERTIBLE, PAPERS, REGULARIZED, REVERSIBLE, TRANSPORT, papers_of
from genrev_cli.settings.trainers import TRAINERS

DOC = (Path(__file__).parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
NO_AUTOENCODER = ("fit-features",)
STAGES = ["train-adversarial", "train-gan", *(name for name in TRAINERS if name not in NO_AUTOENCODER)]


@pytest.mark.parametrize("stage", STAGES)
def test_every_method_has_a_row(stage):
    variants = [name for name in (TRAINERS[stage].variants if stage in TRAINERS else {}) if name]
    assert stage in PAPERS or (all(f"{stage} {variant}" in PAPERS for variant in variants) and variants), f"add '{stage}' to PAPERS"


@pytest.mark.parametrize("name", [*MODELS, *SAMPLERS])
def test_every_network_and_sampler_has_a_row(name):
    assert name in PAPERS, f"add '{name}' to PAPERS, with () if it is of no paper"


@pytest.mark.parametrize("paper", {paper.key: paper for papers in PAPERS.values() for paper in papers}.values(), ids=lambda p: p.key)
def test_every_paper_is_in_the_documentation(paper):
    surname = paper.authors[0].split(",")[0]
    assert any(surname in line and str(paper.year) in line for line in DOC.splitlines()), f"docs/papers.md does not name {paper.short}"
    assert paper.bibtex.count("{") == paper.bibtex.count("}")
    assert paper.bibtex.startswith(("@article{", "@inproceedings{"))


def test_a_checkpoint_cites_its_sampler_its_stages_and_its_network_each_once():
    start = Header("checkpoint", {"stage": "train-adversarial", "model": {"name": "revnet"}}, "a").as_input(Path("a"))
    config = {"stage": "train-gan", "model": {"name": "revnet"}}
    model = Record(Path("b"), Header("checkpoint", config, "b", inputs={"ckpt": start}))
    assert papers_of(model) == [TRANSPORT, REVERSIBLE]
    assert papers_of(Record(Path("c"), Header("checkpoint", {"stage": "train-swae", "model": {"name": "own"}}, "c"))) == []


@pytest.mark.parametrize(
    ("weights", "papers"),
    [
        ({"weight_nll": 0.0, "weight_x": 1.0}, [INVERTIBLE]),
        ({"weight_nll": 1.0}, [INJECTIVE, INVERTIBLE]),
        ({"weight_decoder": 1e-7, "weight_gradient": 1e-3}, [REGULARIZED, INVERTIBLE]),
    ],
)
def test_a_loss_with_a_paper_of_its_own_is_cited(weights, papers):
    config = {"stage": "pretrain-recon", "model": {"name": "dense"}, "method": weights}
    assert papers_of(Record(Path("a"), Header("checkpoint", config, "a"))) == papers
