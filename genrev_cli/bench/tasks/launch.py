"""Run a command and write what it cost: python -I -S launch.py REPORT COMMAND…

It imports little, because the peak memory of a child counts what its parent had when it started the child.
"""

import json
import resource
import subprocess
import sys
import time


def main(report: str, *command: str) -> int:
    """Write {seconds, cpu_seconds, peak_kb} of the command and its own children to `report`; return the command's exit code."""
    start = time.perf_counter()
    code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak_kb = used.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    with open(report, "w", encoding="utf-8") as file:
        json.dump({"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_kb": peak_kb}, file)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
