"""End the process without unloading torch."""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with this exit code, after its threads and all that is registered with `atexit`, as Python does.

    Python would then free every object and unload torch. That takes 0.4 s of CPU time, and nothing needs it: the system frees the memory.
    Without torch, in an interactive session, and under a debugger or profiler, the process ends as usual.
    """
    if "torch" not in sys.modules or sys.flags.interactive or sys.gettrace() or sys.getprofile():
        sys.exit(code)
    import ctypes  # imported here, because only torch needs it too

    with suppress(KeyboardInterrupt):
        threading._shutdown()  # type: ignore[attr-defined]  # both are what Python itself calls first
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):  # it is closed, or its reader has gone
            stream.flush()
    with suppress(OSError, TypeError):  # Windows has no such name for the program itself
        ctypes.CDLL(None).fflush(None)  # what libraries in C have printed
    os._exit(code)
