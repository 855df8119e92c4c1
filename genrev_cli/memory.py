"""Find out whether a limit of the address space (ulimit -v) leaves enough, where a library would not say that it does not."""

import mmap

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]  # a module that does not exist

_MEGABYTE = 1 << 20
_BUFFER = 33 * _MEGABYTE  # what a thread of OpenBLAS works in, in the wheels of NumPy and SciPy: 32 MiB and a page
_STACK = 8 * _MEGABYTE  # of a new thread


def has_room(size: int) -> bool:
    """Return False if the limit of the address space leaves less than `size` bytes; True if there is no such limit."""
    if not _limited():
        return True
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()  # nothing is written, so it takes no memory
    except OSError:
        return False
    return True


def require_room_for_algebra() -> None:
    """Raise MemoryError if OpenBLAS may not get its buffers: it would ask for them for ever.

    Call it after the import of the libraries that compute, and directly before they do: each has an OpenBLAS of its own.
    """
    if not _limited() or (has_room(_BUFFER) and has_room(_needed())):
        return
    raise MemoryError("there is not enough memory for linear algebra: raise ulimit -v, or set OMP_NUM_THREADS=1")


def _limited() -> bool:
    return resource is not None and resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _needed() -> int:
    """Return the bytes of all buffers of OpenBLAS, and of the stacks of the threads that use them."""
    from threadpoolctl import threadpool_info  # imported here, because most commands do not need it

    pools = threadpool_info()
    buffers = sum(_BUFFER * pool["num_threads"] for pool in pools if pool["internal_api"] == "openblas")
    stacks = _STACK * max((pool["num_threads"] - 1 for pool in pools if pool["user_api"] == "openmp"), default=0)
    return max(buffers + stacks, _BUFFER)
