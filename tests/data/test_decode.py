import os
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import closing

import numpy as np
import pytest

from genrev_cli.data.container import Archive
from genrev_cli.data.decode import run
from genrev_cli.data.transform import Transform
from genrev_cli.errors import UnavailableError

N = 150  # enough for several processes to be used


def die(data):
    os._exit(9)


def wait(data):
    time.sleep(0.2)
    return len(data)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A zip with N tiny PNGs, each filled with its number; number 70 is broken."""
    from io import BytesIO

    from PIL import Image

    path = tmp_path_factory.mktemp("decode") / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(N):
            file = BytesIO()
            Image.new("L", (3, 2), i).save(file, "PNG")
            archive.writestr(f"{i}.png", b"broken" if i == 70 else file.getvalue())
    return Archive(path)


def test_two_processes_give_the_same_as_one_in_the_same_order(images):
    serial, parallel = ([outcome for chunk in run(images, images.names(), Transform(channels=1), n) for outcome in chunk] for n in (1, 2))
    assert len(serial) == N
    for i, (one, two) in enumerate(zip(serial, parallel, strict=True)):
        assert (one.sha256, one.reason) == (two.sha256, two.reason)
        assert bool(one.reason) == (i == 70)
        if i != 70:
            assert np.array_equal(one.value, two.value)
            assert (one.value == i).all()


def test_few_images_start_no_process(images):
    assert all(
        outcome.value == os.getpid() for chunk in run(images, images.names()[:100], lambda data: os.getpid(), 2) for outcome in chunk
    )


def test_a_dead_process_is_an_error(images):
    with pytest.raises(UnavailableError, match="a decoding process died"):
        list(run(images, images.names(), die, 2))


def _stat(pid):
    """Return state and parent of a process; ('Z', 0) if it does not exist."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
    except OSError:
        return "Z", 0
    return state, int(parent)


def _children(pid):
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _stat(name)[1] == pid and _running(name)]


def _running(pid):
    return _stat(pid)[0] != "Z"


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc to list processes")


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_leaves_no_process(images, tmp_path, number):
    """Ctrl-C reaches the whole process group, SIGKILL only the parent."""
    script = tmp_path / "script.py"
    script.write_text(
        "import signal, sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[2])\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore Ctrl-C
        "from test_decode import wait\nfrom genrev_cli.data.container import Archive\nfrom genrev_cli.data.decode import run\n"
        "if __name__ == '__main__':\n    images = Archive(Path(sys.argv[1]))\n"
        "    for chunk in run(images, images.names(), wait, 2, chunk=2):\n        print(len(chunk), flush=True)\n"
    )
    command = [sys.executable, "-W", "ignore", str(script), str(images.path), os.path.dirname(__file__)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        process.stdout.readline()  # now the workers are busy
        children = _children(process.pid)
        assert len(children) >= 2
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.kill()
        process.wait(10)
    until = time.monotonic() + 10
    while (left := [pid for pid in children if _running(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left


@needs_proc
def test_stopping_early_ends_the_processes(images):
    with closing(run(images, images.names(), Transform(channels=1), 2)) as chunks:
        next(chunks)
        pids = _children(os.getpid())
        assert len(pids) >= 2
    left = [pid for pid in pids if _running(pid)]
    assert len(left) <= 1  # multiprocessing's resource tracker lives as long as this process
