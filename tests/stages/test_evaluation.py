"""--eval-every: a score equals that of the checkpoint of its step, the best checkpoint is kept, and scores do not change the weights."""

from contextlib import suppress
from dataclasses import replace

import pytest
import torch

from genrev_cli.errors import DivergedError, FileError, UsageError
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header
from genrev_cli.files.images import open_images
from genrev_cli.metrics.features import PixelExtractor
from genrev_cli.metrics.frechet import Moments, frechet_distance
from genrev_cli.progress import SILENT
from genrev_cli.runs import evaluation
from genrev_cli.runs.evaluation import Evaluator
from genrev_cli.runs.resume import best_file, run_folder
from genrev_cli.runs.state import RunState
from genrev_cli.settings.evaluation import EvalOptions
from genrev_cli.settings.sampling import Draw
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.shapes import to_pixels
from genrev_cli.store.checkpoints import load_checkpoint
from genrev_cli.store.drawing import Drawing, draw_images
from genrev_cli.training.log import Log, read_log

N = 100  # two blocks of samples, the second not full
SCORED = RunOptions(device="cpu", log_every=1, evaluation=EvalOptions(every=4, n=N, features="pixel"))


def scores(out):
    return [(line["step"], line["FD-pixel"]) for line in read_log(run_folder(out) / "log.jsonl") if line["kind"] == "eval"]


def by_hand(ckpt, data, n=N, split="val"):
    """Compute the score of a checkpoint from its parts."""
    model, images = load_checkpoint(ckpt, torch.device("cpu")), open_images(data)
    extractor = PixelExtractor(images.image_shape)
    fake, real = Moments(extractor.dims), Moments(extractor.dims)
    drawing = Drawing(model.prior, Draw(), torch.device("cpu"))
    with torch.no_grad():
        for number in range(n):
            fake.add(extractor(to_pixels(draw_images(model.autoencoder, drawing, [number]))))
    real.add(extractor(torch.from_numpy(images.read(images.rows(split)))))
    return frechet_distance(fake.statistics(), real.statistics())


def test_a_score_that_fails_leaves_the_network_in_training(data, recon, tmp_path, monkeypatch):
    model = load_checkpoint(recon(tmp_path / "a.safetensors").out, torch.device("cpu"))
    evaluator = Evaluator(SCORED.evaluation, open_images(data), 0, torch.device("cpu"), progress=SILENT)

    def diverged(*_):
        assert not model.autoencoder.training
        raise DivergedError("an image is not finite")

    monkeypatch.setattr(evaluation, "draw_pixels", diverged)
    with pytest.raises(DivergedError):
        evaluator(model.autoencoder.train(), model.prior)
    assert model.autoencoder.training


def test_scores_are_those_of_the_weights_and_change_nothing(tmp_path, data, stage):
    plain, scored = tmp_path / "plain.safetensors", tmp_path / "scored.safetensors"
    stage(plain)
    numbers = stage(scored, run=SCORED).numbers
    (_, a), (_, b) = read_checkpoint(plain), read_checkpoint(scored)
    assert all(torch.equal(a[name], b[name]) for name in a)
    found = scores(scored)
    assert [step for step, _ in found] == [0, 4, 8, 10]
    assert found[-1][1] == pytest.approx(by_hand(scored, data), rel=1e-5)  # decoding one by one rounds differently
    best = min(found, key=lambda score: score[1])
    assert (numbers["best_step"], numbers["best_FD-pixel"]) == best
    header = read_checkpoint_header(best_file(scored))
    kept = header.config["score"]
    assert (header.step, kept["FD-pixel"], kept["n"], kept["split"]) == (*best, N, "val")
    assert by_hand(best_file(scored), data) == pytest.approx(best[1], rel=1e-5)


def test_an_interrupted_run_has_the_same_curve(tmp_path, recon):
    straight, broken = tmp_path / "straight.safetensors", tmp_path / "broken.safetensors"
    recon(straight, run=SCORED)
    recon(broken, steps=4, run=SCORED)
    recon(broken, run=SCORED)
    assert scores(broken) == scores(straight)
    assert read_checkpoint_header(best_file(broken)).sha256 == read_checkpoint_header(best_file(straight)).sha256


def test_the_best_step_survives_an_interruption(tmp_path, recon):
    """With a learning rate of 0, no later score is lower than the first."""
    out = tmp_path / "out.safetensors"
    recon(out, steps=4, lr=0.0, run=SCORED)
    assert recon(out, lr=0.0, run=SCORED).numbers["best_step"] == 0
    assert read_checkpoint_header(best_file(out)).step == 0


def test_only_files_of_genrev_are_replaced(tmp_path, recon):
    out = tmp_path / "out.safetensors"
    best_file(out).write_text("mine")
    with pytest.raises(FileError, match=r"out\.best\.safetensors: exists and is not"):
        recon(out, run=SCORED)
    recon(out)  # without scores it needs no such file
    assert best_file(out).read_text() == "mine"


def test_the_checkpoint_of_another_training_is_kept(tmp_path, recon):
    """Its name is that of the best checkpoint of this run."""
    out = tmp_path / "out.safetensors"
    recon(best_file(out), steps=1, seed=1)
    before = best_file(out).read_bytes()
    recon(out, steps=1)
    with pytest.raises(UsageError, match=r"out\.best\.safetensors: is of another training"):
        recon(out, steps=2, run=SCORED)
    for run in (SCORED, RunOptions(device="cpu", restart=True)):
        with suppress(UsageError):
            recon(out, steps=2, seed=1, run=replace(run, restart=True))
    assert best_file(out).read_bytes() == before


def test_the_best_checkpoint_of_another_run_is_kept(tmp_path, recon):
    """One that was copied here, with its score, belongs to a run of other settings."""
    other, out = tmp_path / "other.safetensors", tmp_path / "out.safetensors"
    recon(other, steps=1, seed=1, run=SCORED)
    before = best_file(other).read_bytes()
    best_file(out).write_bytes(before)
    with pytest.raises(UsageError, match="is of another training"):
        recon(out, steps=1, run=SCORED)
    recon(out, steps=1)
    assert best_file(out).read_bytes() == before


@pytest.mark.parametrize("lost", ["all lines", "the last lines"])
def test_the_best_score_is_that_of_its_file_and_not_of_the_log(tmp_path, recon, lost):
    """A power cut can shorten the log, or someone removes it."""
    out = tmp_path / "out.safetensors"
    recon(out, steps=4, lr=0.0, run=SCORED)
    log = run_folder(out) / "log.jsonl"
    log.unlink() if lost == "all lines" else log.write_text(log.read_text().splitlines(keepends=True)[0])
    numbers = recon(out, lr=0.0, run=replace(SCORED, evaluation=replace(SCORED.evaluation, every=3))).numbers
    assert numbers["best_step"] == read_checkpoint_header(best_file(out)).step == 0


def test_the_log_is_on_the_disk_before_the_state(tmp_path, recon, monkeypatch):
    done = []
    monkeypatch.setattr(Log, "sync", lambda self: done.append("log"))
    monkeypatch.setattr(RunState, "save", lambda self, step: done.append("state"))
    recon(tmp_path / "out.safetensors", steps=1)
    assert done == ["log", "state"]


@pytest.mark.parametrize("name", ["lock", "log.jsonl", "state.safetensors", "previews", "previews/step-0000001-recon.png"])
def test_links_in_the_run_folder_are_not_followed(tmp_path, recon, name):
    out, precious = tmp_path / "out.safetensors", tmp_path / "precious"
    link = run_folder(out) / name
    link.parent.mkdir(parents=True)
    precious.mkdir() if name == "previews" else precious.write_text("precious")
    link.symlink_to(precious)
    with pytest.raises(FileError, match=f"{name}: is a link"):
        recon(out, run=replace(SCORED, restart=True))
    assert list(precious.iterdir()) == [] if name == "previews" else precious.read_text() == "precious"
    assert [path.name for path in run_folder(out).iterdir()] == [name.split("/")[0]]


@pytest.mark.parametrize(("split", "rows"), [("train", 22), ("test", 3), ("all", 30)])
def test_split(data, split, rows):
    evaluator = Evaluator(replace(SCORED.evaluation, split=split), open_images(data), 0, torch.device("cpu"), progress=SILENT)
    assert evaluator.reference.n == rows


@pytest.mark.parametrize("wrong", [{"every": -1}, {"n": 1}])
def test_values_out_of_range(wrong):
    with pytest.raises(UsageError, match="--eval-(every|n) -?1: must be at least"):
        EvalOptions(**wrong)


def test_scores_of_another_kind_are_not_compared(tmp_path, recon, notes):
    """Fewer samples give another bias, so the best score of the resumed run is one of its own."""
    out = tmp_path / "out.safetensors"
    recon(out, steps=4, lr=0.0, run=SCORED)
    other = replace(SCORED, evaluation=replace(SCORED.evaluation, n=60))
    numbers = recon(out, lr=0.0, run=other, progress=notes).numbers
    assert any("measured otherwise" in note for note in notes.said)
    assert numbers["best_step"] == 8
    assert read_checkpoint_header(best_file(out)).config["score"]["n"] == 60


def test_a_new_run_has_no_best_of_an_old_one(tmp_path, recon):
    out = tmp_path / "out.safetensors"
    recon(out, run=SCORED)
    recon(out, seed=1, run=RunOptions(device="cpu", restart=True))
    assert not best_file(out).exists()


def test_samples_that_are_not_finite_are_not_scored(tmp_path, data, recon, monkeypatch, notes):
    model = load_checkpoint(recon(tmp_path / "a.safetensors", steps=1).out, torch.device("cpu"))
    evaluator = Evaluator(SCORED.evaluation, open_images(data), 0, torch.device("cpu"), progress=SILENT)
    with torch.no_grad():
        next(model.autoencoder.parameters()).fill_(torch.nan)
    with pytest.raises(DivergedError, match="sample 0 is decoded to values that are not finite"):
        evaluator(model.autoencoder, model.prior)

    def overflow(*words):
        raise DivergedError("no numbers")

    monkeypatch.setattr(Evaluator, "__call__", overflow)
    out = tmp_path / "b.safetensors"
    recon(out, run=SCORED, progress=notes)
    assert scores(out) == []
    assert not best_file(out).exists()
    assert sum("is not scored" in note for note in notes.said) == 4
