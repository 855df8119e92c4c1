"""Named references: a prepared file must match its name, and statistics must match their images and features."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from fid_files import PIXEL, Notes

from genrev_cli.data.celeba import faces
from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import hdf5
from genrev_cli.files.header import Header
from genrev_cli.files.statistics import read_statistics, write_statistics
from genrev_cli.progress import Progress
from genrev_cli.scoring import references
from genrev_cli.scoring.measure import measure
from genrev_cli.scoring.references import PROTOCOLS, find_protocol, open_reference, protocol_images, tag
from genrev_cli.settings.fid import FidOptions, FidRefSettings
from genrev_cli.settings.prepare import PrepareConfig
from genrev_cli.stages.fid_ref import fid_ref
from genrev_cli.stages.prepare_data import prepare_data


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "digits.h5"
    prepare_data(PrepareConfig("digits"), path)
    return path


@pytest.fixture
def here(tmp_path, monkeypatch, digits):
    """Return the current folder of the test, with data/digits.h5 and samples.npy."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "digits.h5").write_bytes(digits.read_bytes())
    np.save(tmp_path / "samples.npy", np.random.default_rng(0).integers(0, 256, (100, 1, 8, 8), np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def numbers(here, ref="digits", progress=None, **options):
    return measure(here / "samples.npy", FidOptions(ref, features=PIXEL, **options), progress or Progress()).numbers


def prepared(path, protocol, **changes):
    """Write a prepared file with one image per split whose header matches a protocol, except for `changes`."""
    config = {"source": {"name": protocol.source}, "transform": protocol.transform}
    config |= {"image_shape": list(protocol.image_shape), "counts": protocol.counts, **changes}
    arrays = {"images": np.zeros((3, 1, 1, 1), np.uint8), "labels": np.zeros(3, np.int64), "split": np.arange(3, dtype=np.uint8)}
    with hdf5.writing(path, Header("data", config, "")) as writer:
        for name, array in arrays.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)
    return path


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_file_that_matches_the_protocol_is_accepted(tmp_path, name):
    protocol = PROTOCOLS[name]
    assert protocol_images(protocol, prepared(tmp_path / "x.h5", protocol), Progress()).selection["split"] == protocol.split


CHANGES = {
    "source": ({"source": {"name": "folder"}}, "its source is folder, not celeba"),
    "release": ({"source": {"name": "celeba", "release": "png"}}, r"its source is celeba \(png\), not celeba"),
    "crop": ({"transform": str(faces("108", (64, 64)))}, r"its transform is centre crop 108x108.*, not centre crop 140x140"),
    "size": ({"image_shape": [3, 128, 128]}, r"its image shape is \[3, 128, 128\], not \[3, 64, 64\]"),
    "limit": ({"counts": {"train": 162_770, "val": 19_867, "test": 4}}, "its number of 'test' images is 4, not 19962"),
    "nothing known": ({"transform": None}, "its transform is None"),
}


@pytest.mark.parametrize(("changes", "sentence"), CHANGES.values(), ids=CHANGES)
def test_a_file_that_does_not_match_the_protocol_is_refused(tmp_path, changes, sentence):
    path = prepared(tmp_path / "x.h5", PROTOCOLS["celeba"], **changes)
    with pytest.raises(FileError, match=sentence + r".*genrev prepare-data celeba --out data/celeba.h5"):
        protocol_images(PROTOCOLS["celeba"], path, Progress())


def test_prepared_digits_match_their_protocol(digits):
    for split in ("", "test", "all"):
        protocol = find_protocol("digits", split)
        assert protocol_images(protocol, digits, Progress()).n == protocol.n


def test_the_note_describes_the_protocol():
    assert str(PROTOCOLS["celeba"]) == (
        "--ref celeba: celeba, the 19,962 images of split 'test', centre crop 140x140 (left 19, top 39 of 178x218), "
        "resized to 64x64 (Lanczos), 64×64"
    )
    assert "the 10,000 images of split 'test' by --split" in str(find_protocol("cifar10", "test"))
    assert "by --split" not in str(find_protocol("cifar10", "train"))


def test_unknown_names_and_splits():
    with pytest.raises(UsageError, match="did you mean 'celeba'"):
        find_protocol("celebs")
    with pytest.raises(UsageError, match="mnist has no such split; choose train, test or all"):
        find_protocol("mnist", "val")
    with pytest.raises(FileError, match="give a path or a name: celeba, .*did you mean 'cifar10'"):
        open_reference("cifar", "", needs_images=False, progress=Progress())


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        ({"extractor": "pixel", "profile": "pixel", "weights_sha256": "", "precision": "fp32"}, "pixel"),
        ({"extractor": "inception", "profile": "tf", "weights_sha256": "6726825d" + 56 * "0", "precision": "fp32"}, "inception-tf"),
        ({"extractor": "inception", "profile": "tf", "weights_sha256": 64 * "a", "precision": "bf16"}, "inception-tf-aaaaaaaa-bf16"),
        ({"extractor": "classifier", "profile": "classifier", "weights_sha256": 64 * "b", "precision": "fp32"}, "classifier-bbbbbbbb"),
    ],
)
def test_short_names_of_extractors(identity, name):
    assert tag(identity) == name


def test_statistics_are_computed_once_and_then_read(here, monkeypatch):
    notes = Notes()
    first = numbers(here, progress=notes)
    assert notes.said[0].startswith("--ref digits: digits, the 1,442 images of split 'train', as published, 8×8")
    assert "--ref digits: its statistics are saved to data/digits.pixel.npz" in notes.said
    again = Notes()
    assert numbers(here, progress=again) == first
    assert not any("are saved to" in message for message in again.said)
    (here / "data" / "digits.h5").unlink()  # the statistics are enough
    assert numbers(here) == first
    assert (first["n_reference"], first["split"]) == (1442, "train")


def test_a_name_gives_the_same_result_as_its_path(here):
    by_path = numbers(here, "data/digits.h5", split="train")
    assert numbers(here)["value"] == pytest.approx(by_path["value"], rel=1e-12)
    assert {**numbers(here), "value": 0, "bias_floor": 0} == {**by_path, "value": 0, "bias_floor": 0}
    assert numbers(here, metrics=("fid", "kid", "prdc"))["value"] == by_path["value"]  # from the images themselves


def test_fid_reads_the_statistics_that_fid_ref_writes(here):
    result = fid_ref("digits", FidRefSettings(features=PIXEL, device="cpu"))
    assert result.out.as_posix() == "data/digits.pixel.npz"
    assert numbers(here, build_ref=False)["value"] > 0
    assert measure(here / "samples.npy", FidOptions(str(result.out), features=PIXEL), Progress()).numbers["split"] == "train"
    other = fid_ref("digits", FidRefSettings(split="test", features=PIXEL, device="cpu"))
    assert other.out.as_posix() == "data/digits.test.pixel.npz"
    assert numbers(here, build_ref=False, split="test")["n_reference"] == 355


def test_missing_statistics_are_made_unless_build_ref_is_off(here):
    with pytest.raises(FileError, match="data/digits.pixel.npz does not exist; 'genrev fid-ref digits'"):
        numbers(here, build_ref=False)
    (here / "data" / "digits.h5").unlink()
    with pytest.raises(FileError, match="data/digits.h5 does not exist; make it with 'genrev prepare-data digits --out data/digits.h5'"):
        numbers(here)


def test_images_are_needed_for_more_than_fid(here):
    fid_ref("digits", FidRefSettings(features=PIXEL, device="cpu"))
    (here / "data" / "digits.h5").unlink()
    with pytest.raises(FileError, match="data/digits.h5 does not exist"):
        numbers(here, metrics=("fid", "kid"))


def test_statistics_that_are_out_of_date_are_refused(here, monkeypatch):
    out = fid_ref("digits", FidRefSettings(features=PIXEL, device="cpu")).out
    prepare_data(PrepareConfig("digits", limit=200), here / "data" / "digits.h5")
    counts = hdf5.read_header(here / "data" / "digits.h5").config["counts"]
    fewer = replace(PROTOCOLS["digits"], counts={"train": counts["train"], "test": counts["test"]})
    monkeypatch.setitem(references.PROTOCOLS, "digits", fewer)
    with pytest.raises(FileError, match="was not made from the images of 'digits'; 'genrev fid-ref digits'"):
        numbers(here)
    header, n, mu, sigma = read_statistics(out)
    write_statistics(out, mu, sigma, n, header=replace(header, config={**header.config, "protocol": fewer.facts()}))
    with pytest.raises(FileError, match=r"out of date: data/digits\.h5 has changed since it was made; 'genrev fid-ref digits'"):
        numbers(here)


def test_edited_data_are_refused_despite_existing_statistics(here):
    numbers(here)
    with h5py.File(here / "data" / "digits.h5", "r+") as file:
        file["images"][0] = 16 - file["images"][0]
    with pytest.raises(FileError, match="digits.h5: damaged or edited"):
        numbers(here)


def test_statistics_with_the_right_name_and_other_features_are_refused(here):
    out = fid_ref("digits", FidRefSettings(features=PIXEL, device="cpu")).out
    header, n, mu, sigma = read_statistics(out)
    other = {**header.config["identity"], "profile": "tf"}
    write_statistics(out, mu, sigma, n, header=replace(header, config={**header.config, "identity": other}))
    with pytest.raises(FileError, match="profile tf, not pixel"):
        numbers(here)
    np.savez(out, mu=mu, sigma=sigma)
    with pytest.raises(FileError, match="was not made from the images of 'digits'"):
        numbers(here)


def test_other_files_are_not_overwritten(here):
    with pytest.raises(FileError, match="exists and is not a file of kind 'statistics'"):
        np.savez(here / "x.npz", a=np.zeros(2))
        fid_ref("digits", FidRefSettings(features=PIXEL, device="cpu"), out=here / "x.npz")
    with pytest.raises(FileError, match="its number of 'train' images"):
        prepare_data(PrepareConfig("digits", limit=200), here / "few.h5")
        fid_ref("digits", FidRefSettings(features=PIXEL, device="cpu"), data=here / "few.h5")
