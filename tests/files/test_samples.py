"""Folders of PNG files: written by many threads, and the same as by one."""

import errno
import threading

import numpy as np
import pytest

from genrev_cli.errors import FileError
from genrev_cli.files import samples
from genrev_cli.files.header import Header
from genrev_cli.files.pictures import to_pil
from genrev_cli.files.samples import writing_samples

BLOCKS = np.random.default_rng(0).integers(0, 256, (4, 20, 3, 8, 8), np.uint8)
SHAPE = (80, 3, 8, 8)


def write(out, *blocks):
    with writing_samples(out, SHAPE, Header("samples", {}, "")) as writer:
        for block in blocks:
            writer.add(block)


@pytest.mark.parametrize("threads", [1, 5])
def test_files_are_those_of_one_loop(tmp_path, monkeypatch, threads):
    monkeypatch.setattr(samples, "cores", lambda: threads)
    write(tmp_path / "s", *BLOCKS)
    assert sorted(file.name for file in (tmp_path / "s").iterdir()) == [*(f"{number:06d}.png" for number in range(80)), "genrev.json"]
    for number, image in enumerate(BLOCKS.reshape(SHAPE)):
        to_pil(image).save(tmp_path / "expected.png", compress_level=1)
        assert (tmp_path / "s" / f"{number:06d}.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


def test_files_have_given_names(tmp_path):
    """In the order of the images, whatever block and thread they are in."""
    names = [f"{79 - number} of all.jpg" for number in range(80)]
    with writing_samples(tmp_path / "s", SHAPE, Header("samples", {}, ""), names=names) as writer:
        for block in BLOCKS:
            writer.add(block)
    for number, image in enumerate(BLOCKS.reshape(SHAPE)):
        to_pil(image).save(tmp_path / "expected.png", compress_level=1)
        assert (tmp_path / "s" / f"{79 - number} of all.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


def test_the_next_block_is_made_while_one_is_written(tmp_path, monkeypatch):
    """`add` returns before the files are there, and before it returns again those of the block before are."""
    made, encode, written = threading.Event(), samples._write_pngs, []

    def patient(folder, names, pixels):
        assert made.wait(10), "the caller waits for the files of its own block"
        encode(folder, names, pixels)
        written.extend(int(name.removesuffix(".png")) for name in names)

    monkeypatch.setattr(samples, "_write_pngs", patient)
    with writing_samples(tmp_path / "s", SHAPE, Header("samples", {}, "")) as writer:
        writer.add(BLOCKS[0])
        made.set()
        for block in BLOCKS[1:]:
            writer.add(block)
            assert set(range(writer.count - len(block))) <= set(written)
    assert sorted(written) == list(range(80))


def test_the_error_of_a_thread_ends_the_writing(tmp_path, monkeypatch):
    encode = samples._write_pngs

    def full(folder, names, pixels):
        if names[0] >= "000008.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        encode(folder, names, pixels)

    monkeypatch.setattr(samples, "_write_pngs", full)
    for blocks in (BLOCKS, BLOCKS[:1]):
        with pytest.raises(FileError, match="s: cannot be written: No space left on device"):
            write(tmp_path / "s", *blocks)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_caller_leaves_no_thread(tmp_path):
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), writing_samples(tmp_path / "s", SHAPE, Header("samples", {}, "")) as writer:
        writer.add(BLOCKS[0])
        raise ZeroDivisionError
    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []
