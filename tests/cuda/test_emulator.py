"""The emulated device itself: what it refuses, what it calls a wait, and what it rounds."""

import subprocess
import sys

import pytest
import run
import torch
from emulator import RECORD, EmulatedTensor
from emulator.rounding import rounded
from run import environment

CUDA = torch.device("cuda", 0)


@pytest.fixture
def x():
    """Six numbers on the device."""
    return torch.arange(6.0).view(2, 3).to("cuda")


@pytest.fixture
def record():
    """In the place of every test's check for mix-ups: some are made here on purpose."""
    RECORD.clear()
    return RECORD


def test_tensors_say_where_they_are(x):
    assert isinstance(x, EmulatedTensor)
    assert {t.device for t in (x, x + 1, x[0], x.double(), torch.zeros(2, device="cuda"), torch.tensor([1], device="cuda"))} == {CUDA}
    assert x.is_cuda
    assert x.cpu().device.type == "cpu"
    assert torch.equal(x.cpu(), torch.arange(6.0).view(2, 3))


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: x + torch.ones(3),
        lambda x: x @ torch.ones(3, 2),
        lambda x: torch.cat([x, torch.ones(1, 3)]),
        lambda x: x.add_(torch.ones(3)),
        lambda x: torch.ones(2, 3).add_(x),
        lambda x: torch.tensor(1.0).add_(x[0, 0]),
        lambda x: torch.ones(2, 3)[x.long()],
        lambda x: torch.where(x > 1, x, torch.ones(3)),
        lambda x: torch.nn.functional.linear(x, torch.ones(2, 3)),
        lambda x: torch.nn.functional.conv1d(x[None], torch.ones(1, 2, 1)),
    ],
)
def test_a_mix_of_devices_raises(x, record, mix):
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        mix(x)
    (((_, line), count),) = record.mixups.items()
    assert (line.partition(":")[0], count) == ("test_emulator.py", 1)


@pytest.mark.parametrize(
    "allowed",
    [
        lambda x: x + torch.tensor(2.0),
        lambda x: torch.where(x > 1, x, torch.tensor(0.0)),
        lambda x: x.masked_fill(x > 1, 0.0),
        lambda x: x[torch.tensor([1, 0])],
        lambda x: x.clone().copy_(torch.ones(2, 3)),
    ],
)
def test_what_cuda_allows_is_allowed(x, record, allowed):
    assert allowed(x).device == CUDA
    assert not record.mixups


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_generator_of_the_other_device_raises(x, device):
    other = torch.Generator("cuda" if device == "cpu" else "cpu")
    with pytest.raises(RuntimeError, match=f"Expected a '{device}' device type for generator"):
        torch.randn(3, device=device, generator=other)


def test_random_numbers_are_those_of_the_seed():
    """Two generators of one seed are two streams; a stream goes on where it was and begins anew with its seed."""
    one, two = (torch.Generator("cuda").manual_seed(5) for _ in range(2))
    cpu = torch.Generator().manual_seed(5)
    for _ in range(2):
        expected = torch.randn(4, generator=cpu)
        assert torch.equal(torch.randn(4, generator=one, device="cuda").cpu(), expected)
        assert torch.equal(torch.empty(4, device="cuda").normal_(generator=two).cpu(), expected)
    one.manual_seed(5)
    assert torch.equal(torch.randn(4, generator=one, device="cuda").cpu(), torch.randn(4, generator=cpu.manual_seed(5)))


@pytest.mark.parametrize(
    ("wait", "called"),
    [
        (lambda x: x.sum().item(), "item"),
        (lambda x: float(x[0, 0]), "item"),
        (lambda x: bool(x.sum() > 0), "item"),
        (lambda x: x.tolist(), "tolist"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: torch.equal(x, x), "equal"),
        (lambda x: x.unique(), "_unique2"),
        (lambda x: x[x > 1], "index by a mask"),
        (lambda x: x[torch.tensor([1])], "index by numbers of the CPU"),
        (lambda x: x.cpu(), "blocking copy to the host"),
        (lambda x: torch.ones(2, 3).copy_(x), "blocking copy to pageable memory of the host"),
        (lambda x: torch.ones(2, 3).to("cuda"), "blocking copy to the device from pageable memory"),
        (lambda x: torch.ones(2, 3).to("cuda", non_blocking=True), "copy to the device from pageable memory"),
        (lambda x: torch.ones(2, 3).pin_memory().to("cuda"), "blocking copy to the device from pinned memory"),
        (lambda x: torch.tensor([1.0], device="cuda") + 1, "blocking copy to the device from pageable memory"),
        (lambda x: torch.cuda.synchronize(), "cuda.synchronize"),
    ],
)
def test_a_wait_is_recorded_with_its_line(x, record, wait, called):
    record.clear()
    wait(x)
    (((what, line), count),) = record.waits.items()
    assert (what, line.partition(":")[0], count) == (called, "test_emulator.py", 1)


@pytest.mark.parametrize(
    "work",
    [
        lambda x: torch.ones(2, 3).pin_memory().to("cuda", non_blocking=True),
        lambda x: x.clone().copy_(torch.ones(2, 3).pin_memory(), non_blocking=True),
        lambda x: x.to("cpu", non_blocking=True),
        lambda x: x[torch.zeros(2, dtype=torch.long, device="cuda")],
        lambda x: x.clone().index_put_((x > 1,), x.new_zeros(())),
        lambda x: (x @ x.T).softmax(1).sort(),
        lambda x: torch.multinomial(x + 1, 4, replacement=True),
    ],
)
def test_what_does_not_wait_is_not_recorded(x, record, work):
    record.clear()
    work(x)
    assert not record.waits


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_torchs_own_watch_over_waits_works(x):
    try:
        torch.cuda.set_sync_debug_mode("error")
        with pytest.raises(RuntimeError, match="called a synchronizing CUDA operation"):
            x.sum().item()
        torch.cuda.set_sync_debug_mode("warn")
        with pytest.warns(UserWarning, match="called a synchronizing CUDA operation"):
            x.nonzero()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_copies_and_operators_are_counted_and_views_are_not(x, record):
    record.clear()
    torch.ones(3).pin_memory().to("cuda", non_blocking=True)
    x.T[0].add_(1)
    assert {way: count for (way, _), count in record.copies.items()} == {"cpu to cuda": 1}
    assert dict(record.operators) == {"_to_copy": 1, "add_": 1}


def test_work_in_place_and_views_share_memory(x):
    row = x[1]
    assert row.mul_(2) is row
    assert x.cpu().tolist() == [[0, 1, 2], [6, 8, 10]]
    x.view(3, 2)[0, 0] = 9
    assert x.cpu()[0, 0] == 9
    assert x.squeeze_(0).unsqueeze_(0).shape == (1, 2, 3)
    assert x.to("cuda") is x


def test_a_module_that_moves_keeps_its_parameters():
    layer = torch.nn.Linear(2, 2)
    parameters = list(layer.parameters())
    layer.to("cuda")
    assert all(mine is theirs for mine, theirs in zip(parameters, layer.parameters(), strict=True))
    assert parameters[0].device == CUDA
    other = torch.nn.Linear(2, 2, device="meta")
    other.load_state_dict(layer.state_dict(keep_vars=True), assign=True)
    assert other.weight is layer.weight is parameters[0]


def test_what_a_cuda_tensor_cannot_do(x):
    with pytest.raises(TypeError, match=r"can't convert cuda:0 device type tensor to numpy"):
        x.numpy()


def test_tf32_keeps_ten_bits():
    """Ties go away from zero; what is not finite stays."""
    step = 2.0**-10
    numbers = torch.tensor([1 + step, 1 + step / 2, 1 + 0.49 * step, -1 - step / 2, 3e38, float("inf"), float("-inf")])
    expected = [1 + step, 1 + step, 1.0, -1 - step]
    assert rounded(numbers)[:4].tolist() == expected
    assert rounded(numbers)[5:].tolist() == [float("inf"), float("-inf")]
    assert rounded(torch.tensor([float("nan")])).isnan().all()
    drawn = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert (rounded(drawn) / drawn - 1).abs().max() <= step / 2
    assert torch.equal(rounded(drawn).view(torch.int32) & 0x1FFF, torch.zeros(1000, dtype=torch.int32))
    assert rounded(drawn.double()) is not rounded(drawn)
    assert torch.equal(rounded(drawn.view(10, 100).T), rounded(drawn).view(10, 100).T)


def test_a_custom_operator_runs_by_its_cpu_implementation_and_counts_as_one(x, record):
    with torch.library._scoped_library("emulated_test", "FRAGMENT") as library:
        library.define("twice_plus(Tensor x, Tensor y) -> Tensor")
        library.impl("twice_plus", lambda x, y: (x + x) + y, "CPU")
        library.impl("twice_plus", lambda x, y: pytest.fail("a CUDA implementation was called"), "CUDA")
        record.clear()
        found = torch.ops.emulated_test.twice_plus(x, x)
    assert found.device == CUDA
    assert torch.equal(found.cpu(), 3 * torch.arange(6.0).view(2, 3))
    assert dict(record.operators) == {"twice_plus": 1, "_to_copy": 1}


def test_a_kernel_that_went_past_the_emulation_is_named():
    script = "import torch; torch.zeros(3, device='cuda') + 1"  # without emulator.start()
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert "the emulated device runs no kernels, and one was launched" in done.stderr


def test_when_the_emulation_is_what_broke_that_is_said(monkeypatch, capsys):
    plain = {key: value for key, value in environment().items() if key != "LD_PRELOAD"}
    monkeypatch.setattr(run, "environment", lambda: plain)
    assert run.main(["--self-check"]) == run.DOES_NOT_WORK
    said = capsys.readouterr().err
    assert said.startswith(f"the emulated device does not work with torch {torch.__version__}: ")
    assert said.endswith("; this says nothing about genrev\n")


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (lambda patch: patch.setattr(run.build.shutil, "which", lambda name: None), "gcc is not installed"),
        (lambda patch: patch.setattr(torch.version, "cuda", None), "is a build without CUDA"),
        (lambda patch: patch.setattr(torch.version, "cuda", "99.1"), "there are no headers of CUDA 99"),
        (lambda patch: patch.setattr(run.build, "_folders_with", lambda header: []), "packages are not installed"),
    ],
)
def test_why_it_cannot_be_built_is_said_on_one_line(monkeypatch, capsys, missing, said):
    assert run.build.main(["--check"]) == 0
    missing(monkeypatch)
    assert run.build.main(["--check"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("no emulated CUDA device: ")
    assert said in line
