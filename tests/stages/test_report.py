"""The report, on a made-up family of files: what it says, in which order, and that nothing in it can reach out or break out."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import assert_legible, in_a_browser, look, shown
from PIL import Image

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint import tensors_digest, write_checkpoint
from genrev_cli.files.header import Header
from genrev_cli.files.page import page_digest, read_page, read_report_header
from genrev_cli.files.pictures import json_digest, pixels_digest, read_json, write_json, write_picture
from genrev_cli.files.samples import writing_samples
from genrev_cli.report import curves
from genrev_cli.report.chain import Record, data_name
from genrev_cli.settings.codes import EncodeSettings
from genrev_cli.settings.figures import ReconstructSettings
from genrev_cli.settings.pages import ReportSettings
from genrev_cli.stages.encode import encode
from genrev_cli.stages.figures import reconstruct
from genrev_cli.stages.report import report

SHAPE = (1, 8, 8)
EVIL = "</script><script>alert('x')</script> & <b>"


def made_by(minute: int, command: str, **more) -> dict:
    return {
        "command": command,
        "versions": {"torch": "2.x"},
        "machine": "test",
        "utc": f"2026-01-01T00:{minute:02}:00+00:00",
        "seconds": 61.5,
        **more,
    }


def write_data(path: Path) -> Header:
    config = {"source": {"name": "digits"}, "image_shape": list(SHAPE), "counts": {"train": 1234, "val": 0, "test": 55}, "transform": EVIL}
    with hdf5.writing(path, Header("data", config, "", made_by=made_by(1, "genrev prepare-data digits"))) as writer:
        split = np.array([0, 0, 0, 2], np.uint8)
        for name, array in {"images": np.zeros((4, *SHAPE), np.uint8), "labels": np.full(4, -1), "split": split}.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)
    return hdf5.read_header(path)


def write_model(path: Path, stage: str, minute: int, step: int, inputs: dict, value: float) -> Header:
    tensors = {"autoencoder.a": torch.full((30, 41), value), "autoencoder.b": torch.zeros(4), "prior.active": torch.arange(3)}
    config = {
        "stage": stage, "model": {"name": "revnet", "image_shape": list(SHAPE), "scales": [{"blocks": 2}]},
        "prior": {"name": "active-gaussian", "dim": 3, "latent_dim": 64}, "method": {"lr": 0.001}, "identity": {"secret": "left out"},
    }  # fmt: skip
    header = Header(
        "checkpoint", config, tensors_digest(tensors), step, inputs=inputs, made_by=made_by(minute, f"genrev {stage}", seed=7, device="cpu")
    )
    write_checkpoint(path, tensors, header)
    folder = path.with_name(path.name + ".run")
    folder.mkdir()
    looks = [{"step": s, "kind": "monitor", "seconds": s, "relative_swd": 9.0 - s / step, "l1_restricted": 0.5} for s in (0, step)]
    losses = [{"step": s, "kind": "loss", "L_x": 1 / (s + 1), "L_D": float("nan")} for s in range(1, step)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in looks + losses))
    return header


def write_grid(path: Path, minute: int, config: dict, inputs: dict) -> None:
    pixels = np.full((1, 40, 60), minute, np.uint8)
    write_picture(
        path,
        pixels,
        Header("picture", config, pixels_digest(pixels), 20, inputs=inputs, made_by=made_by(minute, f"genrev draw {path.name}", seed=0)),
    )


def write_samples(path: Path, inputs: dict) -> Header:
    header = Header("samples", {"n": 4, "seed": 5, "temperature": 1.0}, "", 20, inputs=inputs, made_by=made_by(30, "genrev sample"))
    with writing_samples(path, (4, *SHAPE), header) as writer:
        writer.add(np.arange(4 * 64, dtype=np.uint8).reshape(4, *SHAPE))
    return hdf5.read_header(path)


@pytest.fixture
def family(tmp_path: Path) -> dict[str, Path]:
    """data → recon → adversarial → reconstruction, traversal, samples → score."""
    names = ("data.h5", "recon.safetensors", "adversarial.safetensors", "recon.png", "traverse.png", "samples.h5", "fid.json")
    files = {name.split(".")[0] if name != "recon.png" else "rows": tmp_path / name for name in names}
    data = write_data(files["data"]).as_input(files["data"])
    recon = write_model(files["recon"], "pretrain-recon", 10, 30, {"data": data}, 1.0).as_input(files["recon"])
    adversarial = write_model(files["adversarial"], "train-adversarial", 20, 20, {"ckpt": recon, "data": data}, 2.0)
    inputs = {"ckpt": adversarial.as_input(files["adversarial"]), "data": data}
    numbers = {"images": 55, "split": "test", "l1_restricted": 0.0706, "roundtrip_mean": 4.6e-8, "roundtrip_max": 3.6e-7}
    write_grid(files["rows"], 25, {"shows": "reconstructions: original, restricted latent, full latent", "numbers": numbers}, inputs)
    write_grid(files["traverse"], 24, {"shows": "traversals from −3 to +3", "dims": [1, 2], "around": EVIL}, inputs)
    samples = write_samples(files["samples"], inputs)
    result = {
        "metric": "FD-pixel",
        "value": 0.64241,
        "n": 1000,
        "n_reference": 55,
        "bias_floor": 0.1186,
        "split": "test",
        "extractor": "pixel",
    }
    scored = {"samples": samples.as_input(files["samples"]), "ref": data}
    write_json(
        files["fid"], result, Header("score", {}, json_digest(result), 0, inputs=scored, made_by=made_by(40, "genrev fid samples.h5"))
    )
    return files


@pytest.fixture
def page(family: dict[str, Path], tmp_path: Path) -> str:
    report(list(family.values()), tmp_path / "report.html", ReportSettings())
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_summary_describes_the_model_and_its_scores(page: str):
    text = shown(page)
    for fact in (
        "revnet on digits", "1,234 train, 55 test", "8×8, 1 channel", "Parameters 1,234", "Latent dimensions 64", "Active dimensions 3",
        "FD-pixel (not an FID) 0.6424 1,000 samples against 55 test images", "0.0706 all 55 test images", "4.6·10⁻⁸", "3.6·10⁻⁷",
        "Relative SWD 8.00 held-out images, step 20", "pretrain-recon: 30 steps in 1 min 2 s, then train-adversarial: 20 steps",
    ):  # fmt: skip
        assert fact in text, fact
    assert "secret" not in text


@pytest.mark.parametrize(("source", "name"), [("folder", "my-photos"), ("array", "my-photos"), ("mnist", "mnist"), (None, "")])
def test_own_images_have_the_name_of_their_file_in_titles(source: str | None, name: str):
    """'revnet on folder' says nothing."""
    config = {"source": {"name": source}} if source else {}
    assert data_name(Record(Path("data/my-photos.h5"), Header("data", config, ""))) == name


def test_commands_stand_in_the_order_in_which_they_ran_each_once(page: str):
    found = re.findall(r"<code>(genrev (?!info).*?)</code>", page)
    assert found == [
        "genrev prepare-data digits", "genrev pretrain-recon", "genrev train-adversarial",
        "genrev draw traverse.png", "genrev draw recon.png", "genrev sample", "genrev fid samples.h5",
    ]  # fmt: skip


def test_the_last_file_alone_tells_the_whole_chain(family: dict[str, Path], tmp_path: Path):
    score = family.pop("fid")
    for file in family.values():
        file.unlink()
    result = report([score], tmp_path / "report.html", ReportSettings())
    assert {name: result.numbers[name] for name in ("pictures", "scores", "stages", "commands")} == {
        "pictures": 0, "scores": 1, "stages": 2, "commands": 5,
    }  # fmt: skip


def test_pictures_come_in_the_readers_order_with_rows_and_numbers(page: str):
    captions = [shown(caption) for caption in re.findall(r"<figcaption>\s*<p>.*?</figcaption>", page, re.DOTALL)]
    assert [caption.split(".")[0].split()[0] for caption in captions] == ["Samples", "Samples", "Reconstructions", "Traversals"]
    assert captions[1].startswith("Samples beside training images. Rows from top to bottom: samples, their nearest training images")
    assert "Rows from top to bottom: original, restricted latent, full latent." in captions[2]
    assert "adversarial.safetensors after train-adversarial, step 20" in captions[2]
    assert len(re.findall(r'<img [^>]*alt="[^"]+"', page)) == 4


def test_samples_are_not_drawn_again_where_their_grid_is_given(family: dict[str, Path], tmp_path: Path):
    inputs = hdf5.read_header(family["samples"]).inputs
    write_grid(tmp_path / "grid.png", 30, {"shows": "samples", "n": 4, "seed": 5, "temperature": 1.0}, inputs)
    assert report([family["samples"], tmp_path / "grid.png"], tmp_path / "a.html", ReportSettings()).numbers["pictures"] == 1
    assert report([family["samples"]], tmp_path / "b.html", ReportSettings()).numbers["pictures"] == 1


def test_text_of_files_cannot_become_markup(family: dict[str, Path], tmp_path: Path):
    out = tmp_path / "report.html"
    report(list(family.values()), out, ReportSettings(title=EVIL))
    page = out.read_text(encoding="utf-8")
    assert page.count("<script") == 1
    assert "alert('x')</script>" not in page
    assert shown(page).count(EVIL) >= 3  # title, transform, around
    assert read_report_header(out).config["title"] == EVIL


def test_the_page_loads_nothing_from_elsewhere(page: str):
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r'id="genrev">.*?</script>', "", page, flags=re.DOTALL))
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)"', page))
    assert "default-src 'none'" in page


def test_the_page_carries_its_own_header(family: dict[str, Path], tmp_path: Path):
    out = tmp_path / "report.html"
    result = report([family["fid"], family["data"], family["data"]], out, ReportSettings())
    header, text = read_page(out)
    assert header.kind == "report"
    assert set(header.inputs) == {str(family["fid"]), str(family["data"])}
    assert header.sha256 == page_digest(text) != page_digest(text.replace("digits", "other"))
    assert result.numbers["kilobytes"] == round(len(text.encode()) / 1000, 1)


def test_a_single_file_makes_a_page_without_empty_sections(family: dict[str, Path], tmp_path: Path):
    report([family["data"]], tmp_path / "report.html", ReportSettings())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'<section id="(\w+)"', page) == ["settings", "commands", "machine"]


def test_files_that_are_not_ours_are_refused(family: dict[str, Path], tmp_path: Path):
    Image.new("L", (4, 4)).save(tmp_path / "foreign.png")
    (tmp_path / "note.txt").write_text("x")
    report([family["data"]], tmp_path / "report.html", ReportSettings())
    for name in ("foreign.png", "note.txt", "missing.png", "report.html"):
        with pytest.raises(FileError, match=name):
            report([family["data"], tmp_path / name], tmp_path / "out.html", ReportSettings())
    assert not (tmp_path / "out.html").exists()


@pytest.mark.parametrize(("count", "name"), [(0, "report.html"), (1, "report.pdf")])
def test_wrong_use_is_refused(family: dict[str, Path], tmp_path: Path, count: int, name: str):
    with pytest.raises(UsageError):
        report([family["data"]][:count], tmp_path / name, ReportSettings())


def test_a_damaged_log_is_named(family: dict[str, Path], tmp_path: Path):
    log = family["recon"].with_name("recon.safetensors.run") / "log.jsonl"
    log.write_text('{"loss": 1}\n')
    with pytest.raises(FileError, match=r"log\.jsonl"):
        report([family["recon"]], tmp_path / "report.html", ReportSettings())


def test_a_later_stage_is_drawn_after_the_stage_before_it(page: str):
    swd = page[page.index('aria-label="Relative SWD') :]
    first, second = re.findall(r'<path d="M([\d.]+) [\d.]+ L([\d.]+) ', swd)[:2]
    assert first[0] == f"{curves.LEFT}"
    assert first[1] == second[0]
    assert float(second[1]) == curves.WIDTH - curves.RIGHT
    assert 'aria-label="L_D' not in page  # NaN throughout


def scored(path: Path, family: dict[str, Path], **result) -> Path:
    """A score beside the family's own, of the same samples."""
    found = {"metric": "FID", "value": 40.5, "n": 1000, "n_reference": 55, "split": "test", "extractor": "inception", **result}
    samples, data = hdf5.read_header(family["samples"]), hdf5.read_header(family["data"])
    inputs = {"samples": samples.as_input(family["samples"]), "ref": data.as_input(family["data"])}
    write_json(path, found, Header("score", {}, json_digest(found), 0, inputs=inputs, made_by=made_by(50, "genrev fid")))
    return path


def test_scores_share_a_table_whose_conditions_stand_once_where_they_are_equal(family: dict[str, Path], tmp_path: Path):
    """A column for each metric, with what its standard error is; n and features are columns where they differ, a list where not."""
    more = {"KID": 0.0125, "KID_standard_error": 0.0004, "precision": 0.75, "feature_precision": "fp32", "kid_subset_size": 50}
    report([family["fid"], scored(tmp_path / "more.json", family, n=500, **more)], tmp_path / "report.html", ReportSettings())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    section = page[page.index('<section id="scores">') : page.index('<section id="settings">')]
    columns = [shown(cell) for cell in re.findall(r"<th scope=\"col\".*?</th>", section)]
    assert columns[:5] == ["Samples of", "FD-pixel ↓ (not an FID)", "FID ↓", "KID ↓", "Precision ↑"]
    assert {"Samples", "Features", "Bias floor"} <= set(columns[5:])
    rows = [
        [shown(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>.*?</tr>", section, re.DOTALL)
    ]
    assert rows[1][:5] == ["adversarial.safetensors", "0.6424", "–", "–", "–"]
    assert rows[2][:5] == ["adversarial.safetensors", "–", "40.50", "0.01250 ± 4·10⁻⁴", "0.7500"]
    assert "Against 55 test images of data.h5" in shown(section)
    assert "Against" not in columns


def test_scores_in_training_are_a_group_of_curves_with_the_best_marked(family: dict[str, Path], tmp_path: Path):
    log = family["adversarial"].with_name("adversarial.safetensors.run") / "log.jsonl"
    lines = [{"step": step, "kind": "eval", "n": 500, "FID": value} for step, value in ((5, 9.0), (10, 4.0), (20, 6.0))]
    log.write_text(log.read_text() + "".join(json.dumps(line) + "\n" for line in lines))
    report([family["recon"], family["adversarial"]], tmp_path / "report.html", ReportSettings())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert [shown(heading) for heading in re.findall(r"<h3>.*?</h3>", page)][:3] == [
        "Generated samples",
        "Held-out images",
        "Training",
    ]
    panel = page[page.index('aria-label="FID') :].split("</figure>")[0]
    assert "best 4.00 at step 40 (ringed)" in panel  # 30 steps of the earlier stage before it
    dots, ring = (
        re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="2.4"', panel),
        re.findall(r'class="best" cx="([\d.]+)" cy="([\d.]+)"', panel),
    )
    assert ring == [dots[1]]
    assert 'aria-label="n:' not in page


@in_a_browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1200, "light")])
def test_a_browser_shows_the_whole_page_legibly(adversarial, tmp_path: Path, width: int, scheme: str):
    """A real family, codes among it."""
    model = adversarial(tmp_path / "adversarial.safetensors", steps=3).out
    files = [tmp_path / "start.safetensors", model, tmp_path / "codes.h5", tmp_path / "rows.png"]
    encode(model, files[2], EncodeSettings())
    reconstruct(model, files[3], ReconstructSettings())
    report(files, tmp_path / "report.html", ReportSettings())
    text = [("body", "color"), (".about", "color"), ("nav a", "color"), (".tick", "fill"), (".class", "fill")]
    lines = [(".line.c0 path", "stroke"), (".line.c1 path", "stroke"), (".cloud.c0", "stroke"), (".cloud.c1", "stroke")]
    seen = look(tmp_path / "report.html", tmp_path, width, scheme, text=text, lines=lines)
    assert_legible(seen, scheme, pictures=1)


@pytest.mark.parametrize(
    ("result", "says", "silent"),
    [
        ({"metric": "FD-pixel", "bias_floor": 0.5}, "real images would score about 0.5", "nothing"),
        ({"metric": "FD-pixel", "bias_floor": None}, "1,000 samples against 55 test images", "would score"),
        ({"sampler": "ot"}, "1,000 samples of the transport map against 55 test images", "no such word"),
        ({"metric": "KD-pixel", "FD-pixel": 40.5, "bias_floor": 0.5}, "1,000 samples", "would score"),
        ({"metric": "L1", "n_reference": None}, "1,000 test images", "1,000 samples"),
    ],
    ids=["floor", "no floor", "a transport map", "another metric", "reconstructions"],
)
def test_a_card_names_its_number(family: dict[str, Path], tmp_path: Path, result: dict, says: str, silent: str):
    path = scored(tmp_path / "one.json", family, **result)
    header, found = read_json(path)
    if found["n_reference"] is None:  # reconstructions are of real images
        del found["n_reference"]
        write_json(path, found, replace(header, sha256=json_digest(found)))
    report([path, family["adversarial"]], tmp_path / "report.html", ReportSettings())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    card = shown(page[page.index('class="cards"') : page.index('class="two"')])
    assert says in card
    assert silent not in card
