"""search: trials are ordinary runs, the best one can be trained again, and what was done is not done twice."""

import json
import math
from dataclasses import replace

import pytest
from search_cases import SCORED, SPACE

from genrev_cli.cli import main
from genrev_cli.config import read_recipe
from genrev_cli.errors import DivergedError, FileError, InterruptedRun, UnavailableError, UsageError
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.lock import locked
from genrev_cli.files.page import read_page
from genrev_cli.progress import Progress
from genrev_cli.runs.train import train
from genrev_cli.settings.evaluation import EvalOptions
from genrev_cli.settings.reconstruction import PRETRAIN_RECON
from genrev_cli.stages import search as module
from genrev_cli.training.log import read_log

pytest.importorskip("optuna", reason="search needs optuna")

LOSS = replace(SCORED, evaluation=EvalOptions())
CHAIN = SPACE.replace('train = "pretrain-recon"', 'train = ["pretrain-recon", "train-adversarial"]')
STUCK = """
[search]
train = "pretrain-recon"
recipe = "{recipe}"
[pretrain-recon]
lr = { choices = [0.0, 1e-2] }
steps = 40
"""


class Notes(Progress):
    """Keeps what is noted, and the lines of logs."""

    def __init__(self):
        self.said, self.lines = [], []

    def logged(self, step, kind, values):
        self.lines.append((step, kind, dict(values)))

    def note(self, message):
        self.said.append(message)


def rows(result):
    return result.numbers["tables"][0]["rows"]


def values(result):
    return {row["trial"]: row["FD-pixel"] for row in rows(result)}


def log_of(folder, number, command="pretrain-recon"):
    return read_log(folder / "trials" / f"{number:04d}" / f"{command}.safetensors.run" / "log.jsonl")


def test_the_best_of_four_trials_can_be_trained_again(tmp_path, data, searched):
    result, folder = searched(), tmp_path / "search"
    assert sorted(values(result)) == [0, 1, 2, 3]
    for number, value in values(result).items():
        assert log_of(folder, number)[-2]["step"] == 6
        scores = [line for line in log_of(folder, number) if line["kind"] == "eval"]
        assert (scores[-1]["step"], scores[-1]["FD-pixel"]) == (6, value)
    best = result.numbers["best"]
    assert best["value"] == min(values(result).values())
    tables = read_recipe(str(folder / "best.toml"))
    assert tables["prior"]["dim"] == best["settings"]["prior.dim"]
    assert tables["pretrain-recon"]["lr"] == best["settings"]["pretrain-recon.lr"]
    assert tables["pretrain-recon"]["batch"] == best["settings"]["pretrain-recon.batch"]
    again = train(PRETRAIN_RECON, data, tmp_path / "again.safetensors", recipe=str(folder / "best.toml"), overrides={}, run=SCORED)
    trial = folder / "trials" / f"{best['trial']:04d}" / "pretrain-recon.safetensors"
    assert read_checkpoint_header(again.out).sha256 == read_checkpoint_header(trial).sha256


def test_a_progress_receives_every_line_of_the_log(tmp_path, searched):
    notes = Notes()
    searched(trials=1, progress=notes)
    lines = [{name: value for name, value in line.items() if name != "seconds"} for line in log_of(tmp_path / "search", 0)]
    assert lines
    assert [{"step": step, "kind": kind, **values} for step, kind, values in notes.lines] == lines


def test_the_page_shows_the_search(tmp_path, searched):
    result = searched(trials=5)
    header, html = read_page(result.out)
    assert header.kind == "report"
    assert {"data", "ckpt", "best"} == header.inputs.keys()
    for part in ('id="best"', 'id="importance"', 'id="curves"', 'id="settings"', 'id="trials"', 'id="commands"'):
        assert part in html
    assert html.count('class="parallel"') == 1
    assert (tmp_path / "search" / "best.toml").read_text().splitlines()[3] in html
    assert "://" not in html


def test_a_page_with_one_trial(searched):
    html = read_page(searched(trials=1).out)[1]
    assert "Search, 1 trial on digits" in html
    assert 'id="best"' in html
    assert 'id="importance"' not in html
    assert 'id="settings"' not in html


def test_a_complete_search_adds_nothing(tmp_path, searched):
    first = searched()
    before = {path: path.read_bytes() for path in (tmp_path / "search").rglob("*") if path.is_file()}
    notes = Notes()
    again = searched(progress=notes)
    assert again.numbers == first.numbers
    assert {path: path.read_bytes() for path in (tmp_path / "search").rglob("*") if path.is_file()} == before
    assert any("is complete (4 trials); nothing to do" in said for said in notes.said)


def test_more_trials_are_added_to_those_there(searched):
    first = values(searched(trials=3))
    more = values(searched(trials=5))
    assert more.keys() == {0, 1, 2, 3, 4}
    assert {number: more[number] for number in first} == first


def test_proposals_depend_on_the_seed_alone(tmp_path, searched):
    first, again, other = (rows(searched(out=tmp_path / name, seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert [{**row, "seconds": 0} for row in first] == [{**row, "seconds": 0} for row in again]
    assert {row["pretrain-recon.lr"] for row in first}.isdisjoint(row["pretrain-recon.lr"] for row in other)


@pytest.fixture
def imagined(monkeypatch):
    """Put a function in the place of training: (values) → the metric, told after each tenth of 1,000 images."""

    def install(value_of):
        def run_trial(plan, folder, values, *, run, metric, progress, see):
            for part in range(1, 10):
                see(100 * part, value_of(values))
            return value_of(values)

        monkeypatch.setattr(module, "run_trial", run_trial)

    return install


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_proposals_are_in_their_ranges(tmp_path, searched, imagined, sampler):
    imagined(lambda values: abs(math.log10(values["pretrain-recon.lr"]) + 3) + 0.1 * values["prior.dim"])
    searched(sampler=sampler, trials=30)
    tried = [json.loads(line) for line in (tmp_path / "search" / "journal.log").read_text().splitlines() if '"param_name"' in line]
    rates = [line["param_value_internal"] for line in tried if line["param_name"] == "pretrain-recon.lr"]
    assert len(set(rates)) == 30
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    near = sum(abs(math.log10(rate) + 3) < 0.3 for rate in rates)
    assert (near > 10) == (sampler == "tpe"), "of 30 random rates about 9 are near the best one"


def test_higher_is_better_if_asked_for(searched):
    result = searched(metric="l1_restricted", better="higher", run=LOSS)
    found = [row["l1_restricted"] for row in rows(result)]
    assert found == sorted(found, reverse=True)
    assert result.numbers["best"]["value"] == max(found)


def test_a_chain_is_judged_by_its_last_command(tmp_path, searched):
    result = searched(text=CHAIN, trials=2)
    for number, value in values(result).items():
        last = [line for line in log_of(tmp_path / "search", number, "train-adversarial") if line["kind"] == "eval"][-1]
        assert (last["step"], last["FD-pixel"]) == (10, value)
        assert not [line for line in log_of(tmp_path / "search", number) if line["kind"] == "eval"]
    header, html = read_page(result.out)
    assert header.inputs["ckpt"]["config"]["stage"] == "train-adversarial"
    assert "best.toml &amp;&amp; genrev train-adversarial --ckpt recon.safetensors" in html


def test_a_trial_that_does_not_learn_is_pruned(tmp_path, searched):
    result = searched(text=STUCK, trials=10, metric="L_x", run=LOSS, pruner="median", prune_after=2, sampler="random")
    states = {}
    for row in rows(result):
        states.setdefault(row["pretrain-recon.lr"], set()).add(row["state"])
    assert "pruned" in states["0.0"]
    assert "complete" in states["0.01"]
    pruned = next(row["trial"] for row in rows(result) if row["state"] == "pruned")
    assert log_of(tmp_path / "search", pruned)[-1]["step"] < 40
    assert not (tmp_path / "search" / "trials" / f"{pruned:04d}" / "pretrain-recon.safetensors").exists()


@pytest.mark.parametrize("pruner", ["median", "hyperband", "none"])
def test_pruners_end_the_worse_trials(tmp_path, data, searched, imagined, pruner):
    imagined(lambda values: values["pretrain-recon.lr"])
    result = searched(trials=24, pruner=pruner, sampler="random", run=replace(SCORED, evaluation=replace(SCORED.evaluation, every=1)))
    assert bool(result.numbers["trials"].get("pruned")) == (pruner != "none")
    assert result.numbers["best"]["value"] == min(json.loads(line)["values"][0] for line in ended(tmp_path / "search" / "journal.log"))


def ended(journal):
    """The lines of a journal that end a trial with a value."""
    return [line for line in journal.read_text().splitlines() if json.loads(line).get("values")]


def interrupted(searched, **settings):
    """Stop a search in the middle of its first trial."""
    with pytest.raises(InterruptedRun):
        searched(run=replace(SCORED, time_limit=0.001), **settings)


def test_an_interrupted_trial_goes_on(tmp_path, searched):
    whole = rows(searched(out=tmp_path / "whole"))
    interrupted(searched)
    assert "No trial is complete yet" in read_page(tmp_path / "search" / "search.html")[1]
    notes = Notes()
    again = rows(searched(progress=notes))
    assert any(said.startswith("trial 0, which goes on: ") for said in notes.said)
    assert any(said.endswith("pretrain-recon.safetensors at step 1 of 6") for said in notes.said)
    assert [{**row, "seconds": 0} for row in again] == [{**row, "seconds": 0} for row in whole]


def test_a_trial_of_another_process_is_left_alone(tmp_path, searched):
    interrupted(searched)
    folder, notes = tmp_path / "search" / "trials" / "0000", Notes()
    with locked(folder / "lock", folder):
        result = searched(progress=notes, trials=2)
        with pytest.raises(UsageError, match="is writing it"):
            searched(run=replace(SCORED, restart=True))
    assert [(row["trial"], row["state"]) for row in rows(result)] == [(1, "complete"), (0, "running")]
    assert any("1 trials are still running" in said for said in notes.said)


def test_another_search_needs_another_folder(tmp_path, searched):
    searched(trials=1)
    with pytest.raises(UsageError, match=r"prior\.dim\.high: 6 → 5"):
        searched(text=SPACE.replace("high = 6", "high = 5"))
    with pytest.raises(UsageError, match="n: 8 → 9"):
        searched(run=replace(SCORED, evaluation=replace(SCORED.evaluation, n=9)))
    result = searched(text=SPACE.replace("high = 6", "high = 5"), run=replace(SCORED, restart=True), trials=1)
    assert [row["trial"] for row in rows(result)] == [0]


def test_failed_trials_are_counted_and_the_search_goes_on(tmp_path, searched, monkeypatch):
    run_trial = module.run_trial

    def failing(plan, folder, *words, **settings):
        if folder.name == "0001":
            raise DivergedError("L_x is nan at step 3")
        return run_trial(plan, folder, *words, **settings)

    monkeypatch.setattr(module, "run_trial", failing)
    result = searched(trials=3)
    assert result.numbers["trials"] == {"complete": 2, "failed": 1}
    assert "failed: L_x is nan at step 3" in read_page(result.out)[1]


def test_a_search_without_a_complete_trial_is_an_error(searched, monkeypatch):
    def failing(*_, **__):
        raise DivergedError("L_x is nan at step 3")

    monkeypatch.setattr(module, "run_trial", failing)
    with pytest.raises(UsageError, match="none of 2 trials is complete; trial 0: L_x is nan at step 3"):
        searched(trials=2)


def test_settings_that_do_not_go_together_fail(searched):
    """Both choices of each setting can be used, but the MMD of a batch of one cannot."""
    text = CHAIN[: CHAIN.index("[prior]")] + "[pretrain-recon]\nsteps = 1\n[train-adversarial]\nsteps = 2\n"
    text += 'matcher = { choices = ["sliced", "mmd"] }\nbatch = { choices = [4, 1] }\n'
    result = searched(text=text, trials=6, sampler="random", seed=1)
    states = {(row["train-adversarial.matcher"], row["train-adversarial.batch"]): row["state"] for row in rows(result)}
    assert states.pop(("mmd", "1")) == "failed"
    assert set(states.values()) == {"complete"}
    assert "failed: a batch of 1: matcher mmd compares" in read_page(result.out)[1]


def test_a_journal_that_a_crash_cut_short_is_mended(tmp_path, searched):
    first = searched(trials=2)
    with (tmp_path / "search" / "journal.log").open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    assert values(searched(trials=3)).items() > values(first).items()
    (tmp_path / "search" / "journal.log").write_text("no journal\n\n")
    with pytest.raises(FileError, match=r"journal\.log: damaged, or not made by genrev search"):
        searched(trials=3)


def test_a_dry_run_writes_nothing(tmp_path, searched):
    result = searched(run=replace(SCORED, dry_run=True))
    assert not (tmp_path / "search").exists()
    assert [row["setting"] for row in rows(result)] == ["prior.dim", "pretrain-recon.lr", "pretrain-recon.batch"]
    assert result.numbers["conditions"]["Steps of the last command"] == "6"


def test_what_is_compared_must_be_measured(tmp_path, searched):
    with pytest.raises(UsageError, match="--eval-every 0: a search compares scores; pass --eval-every N, or"):
        searched(run=LOSS)
    with pytest.raises(UsageError, match="--metric l1_restriced: .* did you mean 'l1_restricted'"):
        searched(run=LOSS, metric="l1_restriced")
    with pytest.raises(UsageError, match="--metric beauty: the log has no such number; it has .*l1_restricted.*L_x"):
        searched(run=LOSS, metric="beauty")


def test_only_the_best_trial_keeps_its_weights_if_asked_for(tmp_path, searched):
    result = searched(trials=3, keep="best")
    folder = tmp_path / "search" / "trials"
    left = {path.relative_to(folder).parts[0] for path in folder.rglob("*.safetensors") if path.is_file()}
    assert left == {f"{result.numbers['best']['trial']:04d}"}
    assert len(list(folder.rglob("log.jsonl"))) == 3
    assert rows(searched(trials=3, keep="best")) == rows(result)


def test_folders_of_others_are_refused(tmp_path, searched):
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "letter.txt").write_text("Dear")
    with pytest.raises(FileError, match="is a folder with other files, not a search"):
        searched()


def test_the_command_prints_the_page_and_what_comes_next(tmp_path, data, write_space, capsys):
    words = ["search", write_space(), "--data", data, "--out", tmp_path / "search", "--trials", 1, "--device", "cpu"]
    assert main([str(word) for word in (*words, "--metric", "l1_restricted")]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'search' / 'search.html'}\n"
    assert "Trials by l1_restricted" in err
    assert f"next: genrev pretrain-recon --data {data} --recipe {tmp_path / 'search' / 'best.toml'} --out best.safetensors\n" in err


def test_optuna_is_needed(searched, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"search needs optuna; run: pip install 'genrev-cli\[search\]'"):
        searched()
