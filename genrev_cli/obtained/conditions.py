"""Say where the rows were run, on which images, and with which commands, from the headers of what they made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrev_cli.files.header import Header
from genrev_cli.obtained.readings import Row
from genrev_cli.report import words

_VERSIONS = ("python", "torch", "genrev-cli")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much every row is trained. minutes: CPU minutes, 0 for the recipe's own steps. size: of the networks, '' for the recipe's own."""

    minutes: float
    size: str = ""

    @property
    def variables(self) -> str:
        """Return the scale as variables of make."""
        return f"MINUTES={self.minutes:g}" + (f" SIZE={self.size}" if self.size else "")


def machine(rows: Sequence[Row]) -> Iterator[str]:
    """Yield machine, versions, dates, images and conditions of the scores; nothing if no row has run."""
    headers = [header for row in rows for run in row.complete for header in run.checkpoints]
    if not headers:
        return
    paces = [pace for row in rows for pace in row.paces]
    cpus = sorted({f"{pace.cpu}, {pace.cores} cores, threads per process: {pace.threads or 'default'}" for pace in paces})
    dates = sorted(str(header.made_by.get("utc", ""))[:10] for header in headers)
    period = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    versions = sorted({_versions(header) for header in headers})
    commits = sorted({str(header.made_by.get("git") or "unknown") for header in headers})
    devices = sorted({str(header.made_by.get("device", "")) for header in headers})
    machines = sorted({str(header.made_by.get("machine", "")) for header in headers})
    software = f"{'; '.join(versions)}; commit {', '.join(commits)}"
    yield f"Made on: {'; '.join([*cpus, *machines])}; device {', '.join(devices)}; {software}; {period} (UTC)."
    yield from (f"{line}." for line in (_images(headers), _conditions(rows)) if line)
    if any(row.complete and not row.paces for row in rows):
        yield "¹ minutes of the clock, because these rows were not timed before."


def _versions(header: Header) -> str:
    found = header.made_by.get("versions", {})
    return ", ".join(f"{name} {found[name]}" for name in _VERSIONS if name in found)


def _images(headers: Sequence[Header]) -> str:
    """Return the numbers of training and test images, of the checkpoint's data."""
    counts = {_data(header).get("config", {}).get("counts", {}).get("train"): _data(header) for header in headers if _data(header)}
    found = [data["config"]["counts"] for train, data in counts.items() if train]
    return "; ".join(f"Images: {one['train']:,} for training, {one['test']:,} for testing" for one in found)


def _data(header: Header) -> dict[str, Any]:
    """Return the record of the images that a checkpoint was trained on, {} if its header does not name them."""
    return header.inputs.get("data", {})


def _conditions(rows: Sequence[Row]) -> str:
    """Return the conditions of the distances: number of samples and of reference images, and the bias floor of each kind of features."""
    found = dict[str, str]()
    for score in (score for row in rows for run in row.complete for score in run.scores.values()):
        result = score.result
        if "n_reference" in result:
            floor = f", bias floor {words.number(result['bias_floor'], 2)}" if "bias_floor" in result else ""
            found[result["metric"]] = f"{result['metric']} of {result['n']:,} samples and {result['n_reference']:,} images{floor}"
    return "; ".join(found[metric] for metric in sorted(found))


def ran(rows: Sequence[Row], runs: Path, *, seeds: Sequence[str], scale: Scale, data: str) -> Iterator[str]:
    """Yield the commands of the first complete run of each row, as their headers have them.

    Paths in the folder `runs` begin in it, those of images with data/.
    """
    whole = f'make obtained {scale.variables} SOURCES={data} SEEDS="{" ".join(seeds)}"'
    yield from ["### Commands", "", f"All of them: `{whole}`. Each row's first seed:", ""]
    headers = [header for row in rows if row.complete for header in row.complete[0].checkpoints]
    if headers:
        yield from ["```sh", *(_command(header, runs) for header in headers), "```", ""]


def _command(header: Header, runs: Path) -> str:
    command, images = str(header.made_by.get("command", "")), _data(header).get("path", "")
    shown = command.replace(images, f"data/{Path(images).name}") if images else command
    return shown.replace(f"{runs}/", "")
