"""Every check gives one line, and fails if its promise is broken."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genrev_cli.doctor import all_reduce, inverse, nccl, speed, storage, training
from genrev_cli.doctor.checks import CHECKS
from genrev_cli.doctor.finding import FAIL, INFO, PASS, SKIP
from genrev_cli.doctor.subject import Subject
from genrev_cli.errors import FileError
from genrev_cli.metrics import weights
from genrev_cli.models import Bijection
from genrev_cli.training.optim import Optimizer

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


@pytest.mark.parametrize("check", [check for check in CHECKS if check.name != "NCCL"], ids=lambda check: check.name)
def test_every_check_ends_in_one_line(open_examination, device, check):
    finding = open_examination(device=str(device)).carry_out(check)
    outcome = finding.outcome
    assert outcome.state in {PASS, SKIP, INFO}, outcome.detail
    assert outcome.detail
    assert "\n" not in outcome.detail
    assert outcome.numbers or outcome.state == SKIP
    assert finding.error is None


def test_names_are_short_and_different():
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 26
    assert names[0] == "device words"  # this check reports a device that cannot be used


@pytest.mark.parametrize("name", dict.fromkeys(check.name.partition(",")[0] for check in CHECKS))
def test_docs_explain_every_line(name):
    assert f"`{name}" in PAGE.read_text(encoding="utf-8"), f"docs/doctor.md does not say how to read '{name}'"


def test_a_wrong_round_trip_fails(subject, monkeypatch):
    decode = Bijection.decode
    monkeypatch.setattr(Bijection, "decode", lambda self, z: decode(self, z) + 2e-4)
    outcome = inverse.round_trip(subject, precision="fp32")
    assert outcome.state == FAIL
    assert outcome.numbers["largest"] == pytest.approx(2e-4, rel=0.01)


def test_changed_pixels_fail(subject, monkeypatch):
    decode = Bijection.decode
    monkeypatch.setattr(Bijection, "decode", lambda self, z: decode(self, z) + 2**-16)
    outcome = inverse.exact_bits(subject, precision="fp32")
    assert outcome.state == FAIL
    assert "by up to 1.5e-05" in outcome.detail


def test_changed_codes_fail(subject, monkeypatch):
    encode, calls = Bijection.encode, []
    monkeypatch.setattr(Bijection, "encode", lambda self, x: encode(self, x) + (calls.append(1) or len(calls) % 2 == 0) * 2**-16)
    outcome = inverse.exact_bits(subject, precision="fp32")
    assert outcome.state == FAIL
    assert outcome.numbers["codes_changed"] > 0


@pytest.mark.parametrize(("bits", "state"), [(0, INFO), (16, FAIL)])
def test_streams_beyond_the_range_are_reported(subject, bits, state):
    model, prior = subject.template
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(60)
    outcome = inverse.exact_bits(replace(subject, bits=bits, template=(model, prior)), precision="fp32")
    assert outcome.state == state
    assert "the range of 16 bits is 256" in outcome.detail


def test_wrong_gradients_fail(subject, monkeypatch):
    real, scales = training.gradients, iter((1.0, 1.01))
    monkeypatch.setattr(training, "gradients", lambda *problem: _scaled(real(*problem), next(scales)))
    outcome = training.reversible_gradients(subject)
    assert outcome.state == FAIL
    assert outcome.numbers["gradients"] == pytest.approx(0.01, rel=0.01)


def _scaled(gradients, factor):
    return [factor * gradient for gradient in gradients]


def test_wrongly_recomputed_inputs_fail(subject, monkeypatch):
    monkeypatch.setattr(Bijection, "take_roundtrip", lambda self: torch.tensor(0.02))
    assert training.reversible_gradients(subject).state == FAIL
    monkeypatch.setattr(Bijection, "take_roundtrip", lambda self: None)  # nothing was recomputed at all
    assert training.reversible_gradients(subject).state == FAIL


def test_different_runs_fail(subject, monkeypatch):
    real, noise = training._trained, iter((0.0, 1e-7))
    monkeypatch.setattr(training, "_trained", lambda subject: real(subject) + next(noise))
    outcome = training.determinism(subject)
    assert outcome.state == FAIL
    assert "differ by up to" in outcome.detail


def test_a_state_that_is_not_loaded_fails(subject, monkeypatch):
    monkeypatch.setattr(Optimizer, "load_tensors", lambda self, tensors: None)
    outcome = training.resume(subject)
    assert outcome.state == FAIL
    assert outcome.numbers["relative"] > 0


@pytest.mark.parametrize("said", ["", "called a synchronizing CUDA operation"])
def test_a_wait_is_reported_with_the_message_of_torch(monkeypatch, said):
    modes = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def run():
        if said:
            raise RuntimeError(f"{said}\nand more")

    assert speed._waiting(run) == said
    assert modes == ["error", "default"]  # whatever happens, torch is left as it was


def test_a_batch_that_does_not_fit_is_halved(subject):
    def measure(batch):
        if batch > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return "measured"

    assert speed.fitting(replace(subject, batch=8), measure) == (2, "measured")
    with pytest.raises(ValueError, match="odd"):
        speed.fitting(subject, lambda batch: (_ for _ in ()).throw(ValueError("odd")))


def test_losses_are_not_under_autocast(subject, monkeypatch):
    seen, stepper = [], Subject.stepper
    monkeypatch.setattr(Subject, "stepper", lambda *given: seen.append(torch.is_autocast_enabled("cpu")) or stepper(*given))
    speed.training_step(subject, precision="bf16", memory="plain")
    assert seen == [False]


def test_the_host_is_busy_until_the_call_returns(monkeypatch):
    clock = iter((0.0, 2.0, 5.0))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    assert speed.clocked(lambda: None) == (5.0, 2.0)


def test_no_round_starts_after_the_time_limit(monkeypatch):
    clock = iter((0.0, 4.0, 11.0))
    monkeypatch.setattr(speed.time, "monotonic", lambda: next(clock))
    assert len(speed.rounds(lambda: 1, 10)) == 2


def test_streamed_images_are_counted(subject):
    numbers = storage.streamed(subject).numbers
    assert numbers["images"] == 2 * storage.BATCH
    assert numbers["read_mb_per_second"] == pytest.approx(numbers["images_per_second"] * 64 / 1e6)
    assert not (subject.scratch / "streamed.h5").exists()


def test_processes_sum_together(tmp_path):
    wrong, speeds = nccl.summed("gloo", ["cpu", "cpu"], tmp_path, 60.0)
    assert not wrong
    assert len(speeds) == 2
    assert min(speeds) > 0


@pytest.mark.parametrize(
    ("code", "limit", "said"),
    [
        ("import time; time.sleep(60)", 0.1, "process 0 has not ended within 0.1 s"),
        ("raise ValueError('first\\nlast')", 60.0, "process 0: last"),
        ("raise SystemExit(7)", 60.0, "process 0: exit code 7"),
    ],
)
def test_a_failing_process_is_reported(tmp_path, monkeypatch, code, limit, said):
    pipe = subprocess.PIPE
    started = lambda words: subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True)  # noqa: E731
    monkeypatch.setattr(nccl, "_started", started)
    assert nccl.summed("gloo", ["cpu"], tmp_path, limit) == (said, [])


def test_a_wrong_sum_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(all_reduce, "NUMBERS", 10)
    monkeypatch.setattr(all_reduce.dist, "all_reduce", lambda numbers: numbers[3:].add_(1))
    with pytest.raises(RuntimeError, match=r"the sum is 1\.7 on average, but should be 1"):
        all_reduce.main("gloo", "cpu", "0", "1", str(tmp_path / "meeting"), "10")
    assert not torch.distributed.is_initialized()


def _never(*_):
    raise AssertionError("the doctor fetches nothing")


def test_weights_are_searched_but_not_downloaded(subject, home, monkeypatch):
    monkeypatch.setattr(weights, "_download", _never)
    (check,) = (check for check in CHECKS if check.name == "Inception weights")
    outcome = check.run(subject)
    assert outcome.state == SKIP
    assert weights.NAME in outcome.detail
    broken = home / ".cache" / "genrev" / weights.NAME
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"cut off")
    with pytest.raises(FileError, match="truncated or corrupt"):
        check.run(subject)
    monkeypatch.setattr(weights, "SHA256_PREFIX", weights._sha256(broken)[:8])
    assert check.run(subject).state == PASS


@pytest.mark.parametrize("name", ["gan-digits", "grn-ot-digits", "flow-digits"])
def test_recipes_of_every_family_are_examined(open_examination, name):
    exam = open_examination(recipe=name)
    chosen = [check for check in CHECKS if check.name in ("round trip, fp32", "exact bits, fp32", "reversible gradients", "sample, fp32")]
    found = {check.name: exam.carry_out(check).outcome for check in chosen}
    assert not [outcome.detail for outcome in found.values() if outcome.state == FAIL]
    assert found["round trip, fp32"].state == (PASS if not exam.subject.lacks("inverse") else SKIP)
    assert found["reversible gradients"].state == (PASS if not exam.subject.lacks("inverse") else SKIP)
    assert found["exact bits, fp32"].state == (PASS if not exam.subject.lacks("grid") else SKIP)
    assert found["sample, fp32"].state == INFO


def test_a_generator_without_an_encoder_is_not_trained(open_examination):
    exam = open_examination(recipe="gan-digits")
    for check in CHECKS:
        if check.name in ("same run twice", "train, fp32, plain"):
            assert exam.carry_out(check).outcome.detail == "the network has no encoder"
    assert exam.subject.seconds_per_image == 0


def test_estimates_follow_the_network(open_examination):
    exam = open_examination()
    exam.subject.__dict__["seconds_per_image"] = 10.0
    check = CHECKS[1]
    assert exam._needed(check) == check.seconds + 10.0 * check.few * exam.subject.few
