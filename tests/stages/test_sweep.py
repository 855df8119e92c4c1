"""sweep-bottleneck: every point is a run of its own, done once, and the table holds what `fid --metrics recon` measures."""

from dataclasses import replace

import pytest

from genrev_cli.cli import main
from genrev_cli.errors import InterruptedRun, UsageError
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.pictures import read_json, read_picture
from genrev_cli.progress import SILENT
from genrev_cli.settings.figures import ReconstructSettings
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.sweep import SweepSettings
from genrev_cli.stages.figures import reconstruct
from genrev_cli.stages.sweep import sweep_bottleneck

RUN = RunOptions(device="cpu", log_every=1)

TINY = """
[model]
{model}
[prior]
name = "active-gaussian"
dim = 3
bound = 0.0
choose = "first"
[pretrain-recon]
lr = 1e-2
batch = 8
steps = 4
"""
MODELS = {
    "flat": 'name = "dense"\nhidden = [8]',
    "invertible": 'name = "inn"\nlevels = [{ couplings = 1, hidden = 4 }]\nhidden_dense = 4',
}


@pytest.fixture
def sweep(tmp_path, data):
    """**changes → one sweep of two models with two sizes each."""
    recipes = []
    for name, model in MODELS.items():
        recipes.append(tmp_path / f"{name}.toml")
        recipes[-1].write_text(TINY.format(model=model))

    def run(*, run=RUN, dims=(2, 5), recipes=[str(path) for path in recipes], schedule={}, progress=SILENT):  # noqa: B006
        settings = SweepSettings((str(data),), tuple(recipes), dims)
        return sweep_bottleneck(tmp_path / "sweep", settings, schedule=schedule, run=run, progress=progress)

    return run


def rows(result):
    return result.numbers["tables"][0]["rows"]


def test_the_table_has_a_row_for_each_point(tmp_path, data, sweep):
    result = sweep()
    table = rows(result)
    assert [(row["model"], row["d"]) for row in table] == [("flat", 2), ("flat", 5), ("invertible", 2), ("invertible", 5)]
    for row in table:
        ckpt = tmp_path / "sweep" / f"{row['model']}-d{row['d']}.safetensors"
        config = read_checkpoint_header(ckpt).config
        assert config["prior"]["dim"] == row["d"]
        again = reconstruct(ckpt, ckpt.with_suffix(".png"), ReconstructSettings(device="cpu"), data=data)
        assert row["L1"] == pytest.approx(again.numbers["l1_restricted"], rel=1e-6)
    flat, wider, *invertible = (row["parameters"] for row in table)
    assert wider - flat == 3 * 8 + 3 + 3 * 8  # three more units behind the hidden layer and before its mirror image
    assert invertible[0] == invertible[1]  # its latent is as large as the image, whatever of it is kept
    assert read_json(result.out)[1] == result.numbers
    shows = read_picture(tmp_path / "sweep" / "reconstructions.png")[0].config["shows"]
    assert shows.startswith("reconstructions: original; flat with d = 5, its difference from the original; invertible")
    assert read_picture(tmp_path / "sweep" / "sweep.png")[1].std() > 0


def test_finished_points_are_kept(tmp_path, sweep):
    sweep(dims=(2,))
    before = {path: path.read_bytes() for path in (tmp_path / "sweep").rglob("*-d2*") if path.is_file()}
    assert before
    assert len(rows(sweep())) == 4
    assert {path: path.read_bytes() for path in before} == before


def test_more_steps_are_measured_anew(sweep):
    short = rows(sweep(dims=(2,)))
    longer = rows(sweep(dims=(2,), schedule={"steps": 8}))
    assert [row["steps"] for row in longer] == [8, 8]
    assert all(a["L1"] != b["L1"] for a, b in zip(short, longer, strict=True))


def test_an_interrupted_sweep_goes_on(tmp_path, sweep, monkeypatch):
    whole = rows(sweep())
    for path in sorted((tmp_path / "sweep").glob("*"), reverse=True):
        if path.is_file():
            path.unlink()
        else:
            for inner in sorted(path.rglob("*"), reverse=True):
                inner.rmdir() if inner.is_dir() else inner.unlink()
            path.rmdir()
    from genrev_cli.stages import sweep as module

    train, calls = module.train, []

    def stopping(*words, **settings):
        calls.append(words)
        if len(calls) == 3:
            raise InterruptedRun("stopped")
        return train(*words, **settings)

    monkeypatch.setattr(module, "train", stopping)
    with pytest.raises(InterruptedRun):
        sweep()
    again = rows(sweep())
    assert [{**row, "seconds": 0} for row in again] == [{**row, "seconds": 0} for row in whole]


def test_dry_run_writes_nothing(tmp_path, sweep):
    table = rows(sweep(run=replace(RUN, dry_run=True)))
    assert not (tmp_path / "sweep").exists()
    assert [row["steps"] for row in table] == [4] * 4
    assert all(row["parameters"] > 0 for row in table)


@pytest.mark.parametrize("wrong", [{"dims": ()}, {"dims": (2, 2)}, {"dims": (0,)}, {"recipes": []}, {"recipes": ["a", "a"]}])
def test_unusable_choices_are_refused(sweep, wrong):
    with pytest.raises(UsageError, match="give at least one, and each once|must be at least 1|must have at least one"):
        sweep(**wrong)


def test_recipes_may_have_images_of_their_own(tmp_path, data, sweep):
    """As in Figure 5e, f of Nguyen et al. 2019, where the networks see CelebA in two sizes. Each is measured on its own images."""
    flat, invertible = (str(tmp_path / f"{name}.toml") for name in MODELS)
    alone = rows(sweep(dims=(2,), recipes=[flat]))
    larger = tmp_path / "larger.h5"
    assert main(["prepare-data", "digits", "--size", "12", "--limit", "40", "--out", str(larger)]) == 0
    settings = SweepSettings((str(data), f"{invertible}={larger}"), (flat, invertible), (2,))
    result = sweep_bottleneck(tmp_path / "two", settings, schedule={}, run=RUN)
    mine, other = rows(result)
    assert mine["L1"] == alone[0]["L1"]
    ckpt = tmp_path / "two" / "invertible-d2.safetensors"
    assert read_checkpoint_header(ckpt).config["model"]["image_shape"] == [1, 12, 12]
    again = reconstruct(ckpt, tmp_path / "r.png", ReconstructSettings(device="cpu"), data=larger)
    assert other["L1"] == pytest.approx(again.numbers["l1_restricted"], rel=1e-6)
    assert [note.split(": ")[0] for note in result.numbers["tables"][0]["notes"]] == ["flat", "invertible"]
    shown = [read_picture(tmp_path / "two" / f"reconstructions-{name}.png")[0].config["shows"] for name in MODELS]
    assert ["flat" in one for one in shown] == [True, False]
    assert not (tmp_path / "two" / "reconstructions.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a=1.h5",), "--data: has none for the recipe b; give one, as --data b=FILE"),
        (("1.h5", "2.h5"), r"--data: has 2 files \(1.h5, 2.h5\) for the recipe a"),
        (("1.h5", "a=2.h5", "a=3.h5"), "--data: has 2 files"),
        (("1.h5", "a=2.h5", "b=3.h5"), "--data 1.h5: no recipe of --recipes a,b is trained on it"),
        (("a=1.h5", "b=2.h5", "c=3.h5"), "--data c=3.h5: no recipe of --recipes a,b is trained on it; write RECIPE=FILE"),
    ],
)
def test_data_that_do_not_fit_the_recipes(words, said):
    with pytest.raises(UsageError, match=said):
        SweepSettings(words, ("a", "b"))


def test_a_path_may_have_an_equals_sign():
    settings = SweepSettings(("x=y/1.h5", "b=x=2.h5"), ("a", "b"))
    assert [str(settings.images_of(recipe)) for recipe in "ab"] == ["x=y/1.h5", "x=2.h5"]
