"""compare: checkpoints of one data set → a page with a table, pictures from the same seeds, and all curves.

It is made for comparisons like Schirrmeister et al. 2018, Table 1 and Figure 10.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import pretrained
from genrev_cli.files.atomic import write_text
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.header import Header, provenance, require_kind
from genrev_cli.files.images import SPLITS, ImageSet
from genrev_cli.files.page import file_digest, read_report_header, text_digest, write_page
from genrev_cli.files.pictures import grid
from genrev_cli.files.targets import check_target, require_remake, require_writable
from genrev_cli.progress import SILENT, Progress, Task
from genrev_cli.report.chain import Record
from genrev_cli.report.comparison import Comparison, Member, Row, as_json, members_json
from genrev_cli.report.comparison_page import render_comparison
from genrev_cli.report.exports import as_csv, as_latex
from genrev_cli.report.rivals import Group, Rival, grouped
from genrev_cli.result import Result
from genrev_cli.runs.records import log_of, parameters_of
from genrev_cli.scoring.measure import Measured, measure
from genrev_cli.scoring.probes import open_probes, probed
from genrev_cli.settings.compare import CompareOptions
from genrev_cli.settings.fid import FidOptions
from genrev_cli.settings.sampling import Draw, SamplerFile
from genrev_cli.store.checkpoints import data_of
from genrev_cli.store.drawing import Drawing, decode_samples
from genrev_cli.store.samplers import KIND, open_model
from genrev_cli.store.showing import drawn_at_random, restored
from genrev_cli.training.devices import resolve_device

SAMPLES, SAMPLE_COLUMNS = 36, 6
RECONSTRUCTIONS = 12
_TABLE_NOTE = "_std: over the k seeds of a row, with k − 1; training_seconds: of all stages; images_per_second: of the last"


def compare(models: Sequence[str], out: Path, options: CompareOptions, *, progress: Progress = SILENT) -> Result:
    """Measure checkpoints under the same conditions and write one self-contained HTML page.

    models: paths, each with LABEL= before it or not, and with + and the file of a sampler behind it or not; those without a label that
    differ in nothing but their seeds become one row, with their spread. The tables are in the result, in the page's header, and as CSV
    and LaTeX beside the page.
    Raises UsageError for fewer than two models or unusable options, FileError for files that are unusable or do not belong together, and
    what `measure` raises.
    """
    start, rivals = time.perf_counter(), [_rival(model) for model in models]
    files = [file.path for rival in rivals for file in (rival.record, rival.record.sampler) if file]
    check_target(out, "report", (".html",), [*files, *options.probes])
    _require_comparable(rivals)
    groups, first = grouped(rivals), rivals[0].record
    probes = open_probes(options.probes)
    used = [file for rival in rivals for file in (rival.record, rival.record.sampler) if file] + [*probes]
    inputs = {str(file.path): file.header.as_input(file.path) for file in used}
    require_remake(out, inputs, force=options.force)
    exports = {suffix: out.with_suffix(suffix) for suffix in (".csv", ".tex")}
    _require_own_exports(out, exports.values(), force=options.force)
    images = data_of(first.header, options.data, first.path)
    measures = {rival.record.key: probed(rival.record.header, rival.record.path, probes) for rival in rivals}
    comparison = _compared(groups, images, measures, options, progress=progress)
    conditions = comparison.shared | {"seed": options.seed}
    tables = [{"title": comparison.metrics[0], "rows": as_json(comparison), "notes": [_TABLE_NOTE]}]
    found = {"tables": tables, "conditions": conditions, "checkpoints": members_json(comparison)}
    texts = {exports[".csv"]: as_csv(comparison), exports[".tex"]: as_latex(comparison)}
    made_by = provenance(seconds=time.perf_counter() - start, seed=options.seed, device=str(resolve_device(options.device)))
    config = {"title": options.title, **found, "exports": {path.name: _known(path, text) for path, text in texts.items()}}
    html = render_comparison(comparison, options.title, [path.name for path in texts])
    write_page(out, html, Header("report", config, "", 0, inputs=inputs, made_by=made_by))
    for path, text in texts.items():
        write_text(path, text)
    return Result(out, found | {"exports": [str(path) for path in texts]})


def _require_own_exports(out: Path, exports: Iterable[Path], *, force: bool) -> None:
    """Raise FileError for a table beside the page that the page at `out` did not write, or that was edited, unless `force`."""
    own = read_report_header(out).config.get("exports", {}) if out.exists() else {}
    for path in exports:
        require_writable(path, "choose another --out")
        if path.exists() and not force and not (path.is_file() and file_digest(path) in own.get(path.name, [])):
            raise FileError(f"{path}: exists and is not the table of {out}, or was edited; choose another --out, or pass --force")


def _known(path: Path, text: str) -> list[str]:
    """Return the digests of a table and of the one that it replaces; a run that is killed between page and table leaves the latter."""
    return list(dict.fromkeys([text_digest(text), *([file_digest(path)] if path.exists() else [])]))


def _rival(model: str) -> Rival:
    """Read [LABEL=]CKPT[+SAMPLER]; a path may have = and + itself."""
    label, equals, name = model.partition("=")
    if Path(model).exists() or not equals:
        label, name = "", model
    elif not label.strip() or not name:
        raise UsageError(f"{model}: a label and a path are needed, as in LABEL=PATH")
    name, plus, other = (name, "", "") if Path(name).exists() else name.partition("+")
    path, sampler = pretrained.found(Path(name)), None
    header = require_kind(read_checkpoint_header(path), "checkpoint", path, "genrev pretrain-recon")
    if plus:
        drawn_from = pretrained.found(Path(other), pretrained.OT)
        sampler = Record(drawn_from, require_kind(read_checkpoint_header(drawn_from), KIND, drawn_from, "genrev fit-ot"))
    return Rival(label.strip(), Record(path, header, sampler))


def _sampler_file(record: Record) -> SamplerFile | None:
    return SamplerFile(record.sampler.path) if record.sampler else None


def _require_comparable(rivals: Sequence[Rival]) -> None:
    """Raise UsageError for fewer than two different models, FileError for other images or other data than those of the first."""
    if len(rivals) < 2:
        raise UsageError("compare: one model cannot be compared; give two checkpoints or more")
    first = rivals[0].record
    seen: dict[tuple[str, Any], str] = {}
    for model in (rival.record for rival in rivals):
        sampler = model.sampler and (model.sampler.header.sha256, json.dumps(model.sampler.header.config["sampler"], sort_keys=True))
        shown = f"{model.path}+{model.sampler.path}" if model.sampler else str(model.path)
        key = model.header.sha256, sampler
        if key in seen:
            raise UsageError(f"{shown}: is the same model as {seen[key]}; give it once")
        seen[key] = shown
        for name, wanted, found in zip(("makes images", "was trained on"), _trained_on(first), _trained_on(model), strict=True):
            if wanted and found and wanted[0] != found[0]:
                raise FileError(f"{model.path}: {name} {found[1]}, {first.path} {wanted[1]}; only models of one data set can be compared")


def _trained_on(model: Record) -> tuple[tuple[Any, str], tuple[Any, str] | None]:
    """Return the shape of a model's images, and the digest of its training data where it is known, each with its name for messages."""
    shape, data = model.header.config["model"]["image_shape"], model.inputs.get("data")
    named = (data.header.sha256, f"{data.path} (content {data.header.sha256[:12]})") if data else None
    return (shape, "×".join(map(str, shape))), named


def _compared(
    groups: Sequence[Group], images: ImageSet, probes: dict[Any, dict[str, float]], options: CompareOptions, *, progress: Progress
) -> Comparison:
    """Measure and draw every group. probes: numbers of each checkpoint that were measured before."""
    device = resolve_device(options.device)
    rows: list[Row] = []
    measured: list[Measured] = []
    pixels, split = _shown_images(images, options)
    told: set[str] = set()
    for group in groups:
        members = []
        for record in group.records:
            measured.append(_measured(record, images, options, _Named(progress, _name(record, group), told)))
            members.append(Member(record, measured[-1].numbers | probes[record.key], log_of(record), parameters_of(record)))
        samples, partly, full = _pictures(group.records[0], pixels, options.seed, device)
        rows.append(Row(group, members, samples, partly, full=full))
    reference = Path(measured[0].inputs["ref"]["path"]).name
    return Comparison(rows, reference, options.seed, grid(pixels, RECONSTRUCTIONS), split=split)


def _name(record: Record, group: Group) -> str:
    return group.label if len(group.records) == 1 else f"{group.label} ({record.path.name})"


def _measured(record: Record, images: ImageSet, options: CompareOptions, progress: Progress) -> Measured:
    choices = FidOptions(
        ref=options.ref or str(images.path), split=options.split, n=options.n, metrics=options.metrics, seed=options.seed,
        features=options.features, ckpt=record.path, sampler=_sampler_file(record), device=options.device,
    )  # fmt: skip
    return measure(None, choices, progress)


def _shown_images(images: ImageSet, options: CompareOptions) -> tuple[np.ndarray, str]:
    """Return RECONSTRUCTIONS images of the split in the options, else of test, val or train, and the name of the split."""
    present = [name for name in ("test", "val", "train") if (images.split == SPLITS.index(name)).any()]
    split = options.split if options.split in (*present, "all") else present[0]
    return images.read(images.rows(split)[drawn_at_random(len(images.rows(split)), RECONSTRUCTIONS, options.seed)]), split


@torch.no_grad()
def _pictures(record: Record, pixels: np.ndarray, seed: int, device: torch.device) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a grid of the first samples, and rows of reconstructions from the restricted and the full latent; all (C, H, W) uint8."""
    model = open_model(record.path, device, _sampler_file(record))
    samples = decode_samples(model, Drawing(model.prior, Draw(seed), device), range(SAMPLES))
    partly, fully = (grid(found.cpu().numpy(), RECONSTRUCTIONS) for found in restored(model, torch.from_numpy(pixels).to(device)))
    return grid(samples.cpu().numpy(), SAMPLE_COLUMNS), partly, fully


class _Named(Progress):
    """A progress that names the model on every bar, and prints a note only once for all models."""

    def __init__(self, listener: Progress, name: str, told: set[str]) -> None:
        self.listener, self.name, self.told = listener, name, told

    @contextmanager
    def task(self, title: str, total: int, unit: str = "images", done: int = 0) -> Iterator[Task]:
        """Show a bar with the model's name."""
        with self.listener.task(f"{self.name}: {title}", total, unit, done) as bar:
            yield bar

    def note(self, message: str) -> None:
        """Print a note unless it was printed before."""
        if message not in self.told:
            self.told.add(message)
            self.listener.note(message)
