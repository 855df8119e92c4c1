"""Write what a search found: the best recipe and the page."""

import math
import time

from genrev_cli.files.atomic import write_text
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.lock import locked
from genrev_cli.files.page import file_digest, write_page
from genrev_cli.report.search_page import render_search
from genrev_cli.report.searched import COMPLETE, PRUNED, Searched
from genrev_cli.search.asked import Asked
from genrev_cli.search.outcome import outcome, pages_of, records
from genrev_cli.search.study import Study
from genrev_cli.settings.search import BEST


class Writer:
    """Writes the best recipe and the page of a search. start: of the command, on the clock of `time.perf_counter`."""

    SHARE = 0.05  # of the time; with thousands of trials a page takes seconds

    def __init__(self, asked: Asked, study: Study, start: float) -> None:
        self.asked, self.study, self.start = asked, study, start
        self.last, self.took = -math.inf, 0.0

    def due(self) -> bool:
        """Return True if so much time has passed since the last page that another one costs little."""
        return time.perf_counter() - self.last > self.took / self.SHARE

    def outcome(self) -> Searched:
        """Return what the trials found so far."""
        return outcome(self.study, self.asked.plan, self.asked.metric, self.asked.conditions)

    def write(self) -> Searched:
        """Write both; one process at a time, so that the last one to write has seen all trials."""
        asked, began = self.asked, time.perf_counter()
        best, page = pages_of(asked.out)
        with locked(asked.out / "page.lock", asked.out, wait=True):
            found = self.outcome()
            given = records(self.study, asked.plan, found)
            inputs = {record.header.kind.replace("checkpoint", "ckpt"): record.header.as_input(record.path) for record in given}
            if found.toml:
                write_text(best, found.toml)
                inputs["best"] = Header("recipe", {}, file_digest(best)).as_input(best)
            config = {"title": "", "recipe_tables": {asked.plan.commands[0]: {}}}
            made_by = provenance(seconds=time.perf_counter() - self.start, seed=asked.settings.seed)
            if asked.settings.keep == BEST:
                self._drop_weights(found)
            write_page(page, render_search(found, given), Header("report", config, "", 0, inputs=inputs, made_by=made_by))
        self.last = time.perf_counter()
        self.took = self.last - began
        return found

    def _drop_weights(self, found: Searched) -> None:
        """Remove checkpoints and states of the trials that have ended and are not the best."""
        for trial in found.trials:
            if trial is not found.best and trial.state in (COMPLETE, PRUNED):
                folder = self.study.trial_folder(trial.number)
                for path in (*folder.glob("*.safetensors"), *folder.glob("*.run/state.safetensors")):
                    path.unlink(missing_ok=True)
