"""card: a checkpoint → a model card in Markdown with pictures, for a repository of models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from genrev_cli.errors import FileError, GenrevError, UsageError
from genrev_cli.files import pretrained
from genrev_cli.files.atomic import write_text
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.header import Header, require_kind
from genrev_cli.files.images import SPLITS, ImageSet
from genrev_cli.files.pictures import read_json, read_score
from genrev_cli.files.strip import stripped
from genrev_cli.files.targets import require_writable
from genrev_cli.progress import SILENT, Progress
from genrev_cli.report.card import Shown, card, is_own
from genrev_cli.report.chain import Record
from genrev_cli.report.material import Material, Score
from genrev_cli.report.words import source
from genrev_cli.result import Result
from genrev_cli.runs.records import parameters_of
from genrev_cli.settings.pages import CardSettings
from genrev_cli.settings.sampling import Draw
from genrev_cli.store.drawing import Drawing, decode_samples
from genrev_cli.store.showing import Figure, Look, drawn_at_random, restored

SAMPLES, SAMPLE_COLUMNS = 32, 8
TEXT, SAMPLES_FILE, RESTORED_FILE = "README.md", "samples.png", "reconstructions.png"


def model_card(ckpt: Path, out: Path, settings: CardSettings, *, progress: Progress = SILENT) -> Result:
    """Write README.md, samples.png and, where the images are there, reconstructions.png into the folder `out`; other files in it stay.

    Nothing that is written has a path of this machine.
    Raises FileError for unusable files, for a score of another checkpoint, and for a card of another checkpoint or one that was edited.
    """
    ckpt = pretrained.found(ckpt)
    header = require_kind(read_checkpoint_header(ckpt), "checkpoint", ckpt, "genrev pretrain-recon")
    _require_own(out, header.sha256, force=settings.force)
    scores = _scores(ckpt, header.sha256, settings.scores)
    given = {score.record.header.sha256 for score in scores}
    scores = [*(score for score in _kept(header) if score.record.header.sha256 not in given), *scores]
    samples, figure = _samples(ckpt, out, settings)
    shown = _restored(ckpt, out, settings, progress)
    model = Record(Path(ckpt.name), stripped(header))
    if figure.model.sampler:
        path, fitted = figure.model.sampler
        model = replace(model, sampler=Record(Path(path.name), stripped(fitted)))
    material = Material([model], scores=scores, parameters={model.key: parameters_of(Record(ckpt, header))})
    write_text(out / TEXT, card(material, model, samples, shown, title=settings.title))
    made = [SAMPLES_FILE, *([RESTORED_FILE] if shown else []), TEXT]
    return Result(out, {"files": made, "scores": len(scores), "sampler": figure.model.drawn_from})


def _require_own(out: Path, sha256: str, *, force: bool) -> None:
    """Raise for a target that is no folder, and for a text in it that this command did not write for this checkpoint."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file, but a folder is needed")
    require_writable(out / TEXT, "choose another --out")
    text = out / TEXT
    if text.exists() and not force and not is_own(text.read_text(encoding="utf-8", errors="replace"), sha256):
        raise FileError(f"{text}: is not a card of this checkpoint, or was edited; choose another --out, or pass --force to replace it")


def _kept(header: Header) -> list[Score]:
    """Return the scores that `info --strip --score` has put into the header of a checkpoint."""
    return [Score(Record(Path("score.json"), Header(**kept["header"])), kept["result"]) for kept in header.config.get("scores", [])]


def _scores(ckpt: Path, sha256: str, given: tuple[Path, ...]) -> list[Score]:
    """Read the given scores, and those of this checkpoint in its folder. Raises FileError for a given score of another checkpoint."""
    found = {}
    for path in given:
        score = Score(*_read(path))
        if not score.is_of(sha256):
            raise FileError(f"{path}: is not a score of {ckpt}; leave it out, or make one with 'genrev fid --ckpt {ckpt}'")
        found[path.resolve()] = score
    for path in sorted(ckpt.resolve().parent.glob("*.json")):
        if path not in found and _is_score(path):
            score = Score(*_read(path))
            if score.is_of(sha256):
                found[path] = score
    return list(found.values())


def _read(path: Path) -> tuple[Record, dict]:
    header, result = read_score(path)
    return Record(Path(path.name), stripped(header)), result


def _is_score(path: Path) -> bool:
    """Return True for a score; files of other programs may lie in the folder too."""
    try:
        return read_json(path)[0].kind == "score"
    except FileError:
        return False


def _figure(ckpt: Path, target: Path, shows: str, settings: CardSettings) -> Figure:
    look = Look(scale=settings.scale, force=settings.force, publish=True)
    return Figure(
        ckpt=ckpt, out=target, shows=shows, device=settings.device, look=look, data=settings.data, sampler=settings.sampler
    )  # fmt: skip


@torch.no_grad()
def _samples(ckpt: Path, out: Path, settings: CardSettings) -> tuple[Shown, Figure]:
    """Draw and write the picture of samples."""
    figure = _figure(ckpt, out / SAMPLES_FILE, "samples", settings)
    model = figure.model
    pixels = decode_samples(model, Drawing(model.prior, Draw(settings.seed), figure.place), range(SAMPLES))
    config = {"shows": "samples", "n": SAMPLES, "seed": settings.seed, "temperature": 1.0, "sampler": model.drawn_from}
    figure.write(pixels, SAMPLE_COLUMNS, rows=(), heads=(), config=config, numbers={}, seed=settings.seed)
    caption = f"The first {SAMPLES} samples, not selected. Codes are drawn from the {source(model.drawn_from)}, seed {settings.seed}."
    return Shown(SAMPLES_FILE, f"{SAMPLES} generated images", caption), figure


def _restored(ckpt: Path, out: Path, settings: CardSettings, progress: Progress) -> Shown | None:
    """Write the picture of reconstructions; without --data, None and a note if the images of the training are not there."""
    figure = _figure(ckpt, out / RESTORED_FILE, "reconstructions", replace(settings, sampler=None))
    try:
        images = figure.images()
    except GenrevError as error:
        if settings.data is not None:
            raise
        progress.note(f"no reconstructions on the card: {error}")
        return None
    split = _split(images)
    chosen = drawn_at_random(len(images.rows(split)), settings.columns, settings.seed)
    pixels = figure.read(images, images.rows(split)[chosen])
    prior = figure.model.own_prior
    figure.write(
        torch.cat([pixels, *restored(figure.model, pixels)]), len(pixels),
        rows=("original", f"restricted\n{prior.dim} of {prior.latent_dim}", "full"), heads=list(map(str, chosen)), corner=f"{split} image",
        config={"shows": "reconstructions: original, restricted latent, full latent"}, numbers={"split": split}, seed=settings.seed,
    )  # fmt: skip
    caption = f"Rows: {split} images; decoded from the {prior.dim} active of {prior.latent_dim} latent dimensions; decoded from all."
    return Shown(RESTORED_FILE, "originals and reconstructions", caption)


def _split(images: ImageSet) -> str:
    """Return the split of the reconstructions: test, else val, else train."""
    return next(name for name in reversed(SPLITS) if np.any(images.split == SPLITS.index(name)))
