import threading

import pytest

from genrev_cli.ot.source import Ranks


@pytest.fixture
def together():
    """Return a function that runs work(ranks) for every rank in its own thread; threads wait for each other at every sum."""

    def run(size, work):
        barrier, parts, results = threading.Barrier(size, timeout=30), [None] * size, [None] * size

        def rank(r):
            def total(tensor):
                parts[r] = tensor
                barrier.wait()
                summed = sum(parts[1:], parts[0])
                barrier.wait()  # wait until all have read before the next write
                return summed

            results[r] = work(Ranks(r, size, total))

        threads = [threading.Thread(target=rank, args=(r,)) for r in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return run
