import threading

import pytest

from genrev_cli.ot.source import Ranks


@pytest.fixture
def together():
    """(size, work) → [work(ranks) of every rank], in as many threads as ranks, which wait for each other at every sum."""

    def run(size, work):
        barrier, parts, results = threading.Barrier(size, timeout=30), [None] * size, [None] * size

        def rank(r):
            def total(tensor):
                parts[r] = tensor
                barrier.wait()
                summed = sum(parts[1:], parts[0])
                barrier.wait()  # nobody may put the next before all have read
                return summed

            results[r] = work(Ranks(r, size, total))

        threads = [threading.Thread(target=rank, args=(r,)) for r in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return run
