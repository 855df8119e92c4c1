"""edit: photos → edited photos, through codes that keep everything that no edit asked to change (Kingma & Dhariwal 2018, Figure 6)."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from genrev_cli.data.photos import Fitting, find_photos, has_many
from genrev_cli.errors import DivergedError, FileError, UsageError
from genrev_cli.files.any import read_any_header
from genrev_cli.files.directions import DirectionSet
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.pictures import pixels_digest, write_picture
from genrev_cli.files.samples import samples_bytes, writing_samples
from genrev_cli.files.sheets import sheet
from genrev_cli.files.space import announce
from genrev_cli.files.targets import check_target, require_remake
from genrev_cli.latents.edits import Change
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.scoring.effects import Effects
from genrev_cli.scoring.exactness import exact, filled, require_in_range
from genrev_cli.settings.edits import FULL, Edits, EditSettings, words_of
from genrev_cli.shapes import Latents, Pixels, to_float, to_pixels
from genrev_cli.store.belonging import directions_of
from genrev_cli.store.checkpoints import Checkpoint, load_checkpoint
from genrev_cli.store.editing import Editor, comes_back, latents_of
from genrev_cli.store.given import Given, given_photos
from genrev_cli.store.preparation import fitting_of
from genrev_cli.training.devices import resolve_device

FOLDER, ROWS = Path("edited"), Path("edits.png")
"""Targets where the user names none: of edited photos, and of rows."""


@dataclass(kw_only=True)
class _Job:
    """Photos of one command, and what to make of them. inputs: records for the header. known: the codes of pictures that edits name."""

    settings: EditSettings
    model: Checkpoint
    directions: DirectionSet | None
    photos: Given
    fitting: Fitting
    place: torch.device
    inputs: dict[str, Any]
    known: dict[str, Latents]
    out: Path

    @property
    def full(self) -> bool:
        return self.settings.latent == FULL

    def editor(self) -> Editor:
        return Editor(self.model, self.directions, self.full, self.code_of)

    def code_of(self, path: str) -> Latents:
        """Return the latent of a picture that an edit names, (1, D). Raises UsageError for a folder, FileError for an unusable file."""
        if path not in self.known:
            if has_many(Path(path)):
                raise UsageError(f"{path}: is a folder or an archive, but an edit needs a single picture; repeat the option for several")
            x = to_float(torch.from_numpy(find_photos([Path(path)]).read(self.fitting)).to(self.place))
            self.known[path] = latents_of(self.model, x, full=self.full)
        return self.known[path]

    def blocks(self, change: Change, strengths: Sequence[float]) -> Iterator[tuple[range, Pixels, list[Pixels]]]:
        """Yield (numbers, photos, edited photos for each strength), all (k, C, H, W) uint8. All blocks have one size: exact bits need it.

        Raises DivergedError for an edit that gives values which are not finite, UsageError for a stream that leaves the range of a grid.
        """
        n, batch = len(self.photos), min(self.settings.batch, len(self.photos))
        for first in range(0, n, batch):
            numbers = range(first, min(first + batch, n))
            pixels = torch.from_numpy(self.photos.read(numbers.start, numbers.stop)).to(self.place)
            z = latents_of(self.model, to_float(filled(pixels, batch)), full=self.full, rest=self.settings.rest)
            edited = [self._decoded(change(z, strength), numbers) for strength in strengths]
            if self.settings.exact_bits:
                require_in_range(self.model.autoencoder)
            yield numbers, pixels, edited

    def _decoded(self, z: Latents, numbers: range) -> Pixels:
        images = self.model.autoencoder.decode(z)[: len(numbers)]
        finite = images.isfinite().flatten(1).all(1)
        if not finite.all():
            name = self.photos.names[numbers[int((~finite).nonzero()[0])]]
            raise DivergedError(f"{name}: the edit gives values that are not finite; choose a smaller strength")
        return to_pixels(images)


@torch.no_grad()
def edit(
    photos: Sequence[str],
    ckpt: Path,
    out: Path | None,
    settings: EditSettings,
    *,
    data: Path | None = None,
    progress: Progress = SILENT,
) -> Result:
    """Edit photos through their codes and write them under their names, or rows from none to all of the edits.

    photos: files, or folders or zips of them; or row numbers within the split of `data`, None being the data of the training.
    out: a folder, or a .h5 or .npz file; a .png file for one photo, and for rows.
    Raises FileError for unusable files, UsageError for directions, dimensions or targets that there are not, DivergedError for an edit
    that gives values which are not finite.
    """
    start = time.perf_counter()
    job = _job(photos, ckpt, out or (ROWS if settings.steps else FOLDER), settings, data=data, progress=progress)
    edits, editor = settings.edits(), job.editor()
    change = editor.change(edits)
    _record_known(job)
    if settings.steps:
        strengths = torch.linspace(0, settings.strength, settings.steps, dtype=torch.float64).tolist()
    else:
        strengths = [settings.strength]
    effects = _effects(job, edits, editor)
    _require_same(job)
    words = words_of(edits)
    config = {
        "shows": "edits", "edits": words, "strength": settings.strength, "latent": settings.latent, "rest": settings.rest,
        "steps": settings.steps, "exact_bits": settings.exact_bits, "rows": _rows_of(job),
    }  # fmt: skip
    header = Header(
        "picture", config, "", step=job.model.header.step, inputs=job.inputs, made_by=provenance(seconds=0, device=str(job.place))
    )
    with progress.task("edit", len(job.photos)) as bar:
        made = _followed(job.blocks(change, strengths), effects, bar)
        if job.out.suffix == ".png":
            tiles = [torch.cat([photos[None], torch.stack(edited)]) for photos, edited in made]  # (1 + steps, k, C, H, W) each
            numbers = _numbers(job, effects)
            _write_png(job, torch.cat(tiles, 1), strengths, edits, header=_finished(header, numbers, start))
        else:
            numbers = _write_all(job, made, effects, header, start=start)
    tables = {"tables": effects.tables()} if effects else {}
    return Result(job.out, {**numbers, **tables})


def _job(names: Sequence[str], ckpt: Path, out: Path, settings: EditSettings, *, data: Path | None, progress: Progress) -> _Job:
    """Open everything that an edit needs. Raises like `edit`."""
    place = resolve_device(settings.device)
    given = [Path(name) for name in names if not name.isdigit()]
    files = [ckpt, *given, *filter(None, (data, settings.directions, settings.classifier)), *settings.like, *settings.unlike]
    folder = out.suffix.lower() not in (".png",)
    check_target(out, "samples" if folder else "picture", (".png",) if settings.steps else ("", ".png", ".h5", ".npz"), files)
    model = load_checkpoint(ckpt, place)
    if settings.exact_bits:
        model = replace(model, autoencoder=exact(model.autoencoder, settings.exact_bits))
    if note := comes_back(model):
        progress.note(note)
    directions = directions_of(model, settings.directions, progress)
    photos = given_photos(model, names, data=data, split=settings.split, taking=settings, progress=progress)
    if len(photos) > 1 and not folder and not settings.steps:
        raise UsageError(f"--out {out}: is one picture, but {len(photos)} photos are given; give a folder, or --steps for a row of each")
    inputs = {**model.inputs, photos.role: photos.record()}
    if directions:
        inputs["directions"] = directions.header.as_input(directions.path)
    return _Job(
        settings=settings, model=model, directions=directions, photos=photos, fitting=fitting_of(model, SILENT, settings),
        place=place, inputs=inputs, known={}, out=out,
    )  # fmt: skip


def _require_same(job: _Job) -> None:
    """Raise FileError if the target has something else than edits of the same photos, unless it may be replaced."""
    force = job.settings.force
    require_remake(job.out, job.inputs, ("ckpt",), shows="edits" if job.out.suffix == ".png" else "", force=force)
    if not force and job.out.exists():
        before, role = read_any_header(job.out), job.photos.role
        same = before.inputs.get(role, {}).get("sha256") == job.inputs[role]["sha256"]
        if not same or before.config.get("rows", []) != _rows_of(job):
            raise FileError(f"{job.out}: was not made from the same photos; choose another --out, or pass --force to replace it")


def _rows_of(job: _Job) -> list[str]:
    """Return split and number of the images that were chosen from data; [] for picture files."""
    return [name.removesuffix(".png") for name in job.photos.names] if job.photos.split else []


def _record_known(job: _Job) -> None:
    """Record the pictures that edits name among the inputs."""
    if job.known:
        job.inputs["others"] = find_photos([Path(path) for path in job.known]).record(job.fitting)


def _effects(job: _Job, edits: Edits, editor: Editor) -> Effects | None:
    """Return what measures an edit; None if nothing is to be measured."""
    settings = job.settings
    if not settings.measure and not settings.classifier:
        return None
    targets = [found[1] for found in (editor.class_of(word) for word, _ in edits.toward) if found]
    effects = Effects(job.model, edits, directions=job.directions, classifier=settings.classifier, levels=settings.changed, targets=targets)
    if settings.classifier:
        job.inputs["classifier"] = effects.classifier_input
    return effects


def _followed(
    blocks: Iterator[tuple[range, Pixels, list[Pixels]]], effects: Effects | None, bar: Any
) -> Iterator[tuple[Pixels, list[Pixels]]]:
    """Pass blocks on; measure the last step of each, and move the bar."""
    for numbers, photos, edited in blocks:
        if effects:
            effects.add(photos, edited[-1])
        yield photos, edited
        bar.advance(len(numbers))


def _numbers(job: _Job, effects: Effects | None) -> dict[str, Any]:
    settings = job.settings
    about = {"photos": len(job.photos), "edits": " ".join(words_of(settings.edits())), "latent": settings.latent}
    more = {"strength": settings.strength} if settings.strength != 1 else {}
    return {**about, **more, **(effects.numbers() if effects else {})}


def _finished(header: Header, numbers: dict[str, Any], start: float) -> Header:
    """Return a header with the numbers and the time that the edit took."""
    plain = {name: value for name, value in numbers.items() if not isinstance(value, dict)}
    made_by = provenance(seconds=time.perf_counter() - start, device=header.made_by["device"])
    return replace(header, config={**header.config, "numbers": plain}, made_by=made_by)


def _write_all(
    job: _Job, made: Iterator[tuple[Pixels, list[Pixels]]], effects: Effects | None, header: Header, *, start: float
) -> dict[str, Any]:
    """Write the edited photos under their names, and return the numbers."""
    shape = (len(job.photos), *job.model.autoencoder.image_shape)
    needed, say = samples_bytes(job.out, shape)
    announce(job.out, needed, lambda message: None, say=say)
    config = {"n": shape[0], "image_shape": list(shape[1:]), "sampler": "edits", **header.config}
    with writing_samples(job.out, shape, replace(header, kind="samples", config=config), names=job.photos.names) as writer:
        for _, edited in made:
            writer.add(edited[-1].cpu().numpy())
        numbers = _numbers(job, effects)
        writer.header = _finished(writer.header, numbers, start)
    return numbers


def _write_png(job: _Job, tiles: Pixels, strengths: Sequence[float], edits: Edits, *, header: Header) -> None:
    """Write the edited photo alone, or a row per photo: the original, and the edits step by step. tiles: (1 + steps, N, C, H, W) uint8."""
    settings = job.settings
    if not settings.steps:
        picture = tiles[-1, 0].cpu().numpy()
    else:
        rows = [Path(name).name for name in job.photos.names] if settings.names else []
        corner, heads = _heads(edits, strengths)
        shown = tiles.transpose(0, 1).flatten(0, 1).cpu().numpy()
        picture, layout = sheet(
            shown, 1 + len(strengths), scale=settings.scale, rows=rows, heads=["original", *heads] if settings.names else (), corner=corner
        )
        header = replace(header, config={**header.config, "layout": layout})
    write_picture(job.out, picture, replace(header, sha256=pixels_digest(picture)))


def _heads(edits: Edits, strengths: Sequence[float]) -> tuple[str, list[str]]:
    """Return what the names of columns are, and these: standard deviations of a single move, else how much of all edits."""
    single = [(f"along {name}", strength) for name, strength in edits.move]
    single += [(f"dim {number}", strength) for number, strength in edits.dims]
    if len(single) == 1 and not edits.toward and not edits.like:
        name, strength = single[0]
        return name, [f"{share * strength:+.3g} sd" if share * strength else "0 sd" for share in strengths]
    return "strength", [f"{share:.3g}" for share in strengths]
