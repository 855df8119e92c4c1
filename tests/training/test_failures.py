"""Explanations of errors of gloo, NCCL and the rendezvous store. Their texts are from reports of users."""

import pytest
import torch
import torch.distributed as dist

from genrev_cli.errors import LostProcessError, UnavailableError, lacks_memory
from genrev_cli.training import distributed, peers
from genrev_cli.training.failures import first_words, meaning_of

GLOO = "[/__w/pytorch/pytorch/third_party/gloo/gloo/transport/tcp/"
NCCL = "NCCL error in: ../torch/csrc/distributed/c10d/NCCLUtils.cpp:77, "

LOST = {
    RuntimeError(
        f"{GLOO}pair.cc:561] Connection closed by peer [127.0.0.1]:26284. This is typically caused by a remote worker crashing. "
        "Check the logs of the remote worker before reporting an error. GLHF! 🏖️"
    ): "Connection closed by peer [127.0.0.1]:26284",
    RuntimeError(f"{GLOO}unbound_buffer.cc:78] Timed out waiting 4000ms for recv operation to complete"):
        "Timed out waiting 4000ms for recv operation to complete",
    RuntimeError(f"{GLOO}pair.cc:598] Read error [10.0.0.2]:51159: Connection reset by peer"):
        "Read error [10.0.0.2]:51159: Connection reset by peer",
    RuntimeError("Application timeout caused pair closure"): "Application timeout caused pair closure",
    dist.DistNetworkError("Failed to recv, got 0 bytes. Connection was likely closed. Did the remote server shutdown or crash?"):
        "Failed to recv, got 0 bytes",
    dist.DistNetworkError("Broken pipe"): "Broken pipe",
    dist.DistStoreError("wait timeout after 600000ms, keys: /default_pg/0//cuda//0"):
        "wait timeout after 600000ms, keys: /default_pg/0//cuda//0",
    dist.DistBackendError(
        f"{NCCL}remote process exited or there was a network error, NCCL version 2.20.5\n"
        "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.\n"
        "Last error:\nsocketProgress: Connection closed by remote peer node2<42830>"
    ): "remote process exited or there was a network error, NCCL version 2.20.5",
    dist.DistBackendError(
        "[3] is setting up NCCL communicator and retrieving ncclUniqueId from [0] via c10d key-value store by key '0', "
        "but store->get('0') got error: Connection reset by peer\nException raised from recvBytes at ../Utils.hpp:670"
    ): "[3] is setting up NCCL communicator and retrieving ncclUniqueId from [0] via c10d key-value store by key '0', "
       "but store->get('0') got error: Connection reset by peer",
    dist.DistBackendError(
        "[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=13, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, "
        "Timeout(ms)=600000) ran for 600029 milliseconds before timing out."
    ): "[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=13, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, "
       "Timeout(ms)=600000) ran for 600029 milliseconds before timing out",
    dist.DistBackendError("NCCL communicator was aborted on rank 1."): "NCCL communicator was aborted on rank 1",
}  # fmt: skip
"""error → what the sentence keeps of it"""


def test_words_of_a_process_that_was_killed_while_the_others_look_for_it():
    """torch puts its own words before those of gloo."""
    said = "Gloo connectFullMesh failed with [/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:144] no error. Check the logs. GLHF! 🏖️"
    assert first_words(said) == "Gloo connectFullMesh failed with no error"


@pytest.mark.parametrize("error", LOST, ids=lambda error: f"{type(error).__name__}-{str(error)[-40:]}")
def test_a_lost_process(error):
    meaning = meaning_of(error, 1, 8)
    assert isinstance(meaning, LostProcessError)
    assert str(meaning) == (
        f"process 1 of 8 has lost the others: one of them has ended, or cannot be reached ({LOST[error]}); "
        "the same command goes on from the last state that was saved, if it saves any"
    )


@pytest.mark.parametrize(
    "error",
    [
        dist.DistBackendError(
            f"{NCCL}unhandled cuda error (run with NCCL_DEBUG=INFO for details), NCCL version 2.21.5\n"
            "ncclUnhandledCudaError: Call to CUDA function failed.\nLast error:\nCuda failure 2 'out of memory'"
        ),
        dist.DistBackendError(f"{NCCL}unhandled cuda error, NCCL version 2.21.5\nLast error:\nCuda failure 2"),
        dist.DistBackendError(f"{NCCL}unhandled system error\nLast error:\nFailed to CUDA host alloc 6291456 bytes: not enough memory"),
    ],
)
def test_nccl_out_of_memory_stays_out_of_memory(error):
    meaning = meaning_of(error, 3, 8)
    assert lacks_memory(meaning)
    assert str(meaning).startswith("out of memory on process 3 of 8: unhandled ")
    assert "\n" not in str(meaning)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] data. DefaultCPUAllocator: not enough memory: you tried to allocate 99 bytes"),
        RuntimeError("Tensors must be contiguous"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
    ],
)
def test_other_errors_are_unchanged(error):
    assert meaning_of(error, 3, 8) is error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            f"{NCCL}unhandled cuda error (run with NCCL_DEBUG=INFO for details), NCCL version 2.20.5\n"
            "ncclUnhandledCudaError: Call to CUDA function failed.\nLast error:\nCuda failure 1 'invalid argument'",
            "unhandled cuda error (run with NCCL_DEBUG=INFO for details), NCCL version 2.20.5 (Cuda failure 1 'invalid argument')",
        ),
        (
            f"{NCCL}invalid usage, NCCL version 2.27.3\nncclInvalidUsage: This usually reflects invalid usage of NCCL library.\n"
            "Last error:\nDuplicate GPU detected : rank 1 and rank 0 both on CUDA device 1000",
            "invalid usage, NCCL version 2.27.3 (Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1000)",
        ),
        (
            f"{NCCL}internal error - please report this issue to the NCCL developers, NCCL version 2.18.1\n"
            "ncclInternalError: Internal check failed.",
            "internal error - please report this issue to the NCCL developers, NCCL version 2.18.1",
        ),
    ],
)
def test_an_error_of_nccl_is_not_a_lost_process(error, said):
    meaning = meaning_of(dist.DistBackendError(error), 2, 8)
    assert isinstance(meaning, UnavailableError)
    assert str(meaning) == f"NCCL failed on process 2 of 8: {said}; NCCL_DEBUG=WARN says more"


@pytest.mark.parametrize(("size", "kind"), [(1, dist.DistNetworkError), (2, LostProcessError)])
def test_together_marks_a_wait_and_removes_the_mark(monkeypatch, size, kind):
    """A single process raises its errors unchanged."""
    monkeypatch.setattr(distributed, "size", lambda: size)
    with pytest.raises(kind), distributed.together():
        assert len(peers._open) == 1
        raise dist.DistNetworkError("Broken pipe")
    assert not peers._open
