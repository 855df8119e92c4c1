"""Build the emulated CUDA runtime of tests/cuda/emulator with gcc.

python tests/cuda/build.py           builds it, if it is older than its sources, and prints the folder
python tests/cuda/build.py --check   builds nothing: says on one line why it cannot be built here, and exits with 1 then
"""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SOURCES = Path(__file__).parent / "emulator"
BUILD = Path(__file__).parents[2] / "build" / "emulator"
RUNTIME = BUILD / "libruntime.so"
DRIVER = BUILD / "driver" / "libcuda.so.1"


class CannotBuildError(Exception):
    """Says what is missing, in one sentence."""


def _folders_with(header: str) -> list[Path]:
    """Return the include folders of installed packages that have a header, those of CUDA's own packages first."""
    packages = Path(sysconfig.get_paths()["purelib"])
    found = [path for pattern in ("nvidia/*/include", "triton/backends/nvidia/include") for path in sorted(packages.glob(pattern))]
    return [folder for folder in found if (folder / header).exists()]


def includes() -> list[Path]:
    """Return the include folders that the build needs. Raises CannotBuildError where something is missing."""
    import torch

    if sys.platform != "linux":
        raise CannotBuildError(f"a library can be preloaded on Linux only, and this is {sys.platform}")
    if shutil.which("gcc") is None:
        raise CannotBuildError("gcc is not installed")
    if torch.version.cuda is None:
        raise CannotBuildError(f"torch {torch.__version__} is a build without CUDA")
    needed = {
        "cuda_runtime_api.h": "the headers of torch's CUDA packages are not installed",
        "crt/host_defines.h": "nvidia-cuda-crt is not installed; install the extra 'cuda-tests'",
    }
    folders = {header: _folders_with(header) for header in needed}
    for header, reason in needed.items():
        if not folders[header]:
            raise CannotBuildError(f"{reason} ({header} was not found)")
    major = torch.version.cuda.partition(".")[0]
    own = [folder for folder in folders["cuda_runtime_api.h"] if folder.parent.name in (f"cu{major}", "cuda_runtime")]
    if not own:
        raise CannotBuildError(f"there are no headers of CUDA {major}, which torch {torch.__version__} was built with")
    return [own[0], folders["crt/host_defines.h"][0]]


def build() -> Path:
    """Build what is older than its sources and return the folder. Raises CannotBuildError."""
    folders = includes()
    for target, source in ((RUNTIME, SOURCES / "runtime.c"), (DRIVER, SOURCES / "driver.c")):
        if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        options = ["-shared", "-fPIC", "-O1", *(f"-I{folder}" for folder in folders)]
        done = subprocess.run(["gcc", *options, "-o", target, source], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotBuildError(f"gcc cannot build {source.name}: {done.stderr.strip().splitlines()[0]}")
    return BUILD


def main(words: list[str]) -> int:
    """Return the exit code."""
    try:
        if words == ["--check"]:
            includes()
        else:
            print(build())
    except CannotBuildError as error:
        print(f"no emulated CUDA device: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
