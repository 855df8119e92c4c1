"""Films: frames as an animated GIF or WebP, or as an MP4 by the package imageio-ffmpeg. Their headers have no path of this machine."""

import io
import json
import struct
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genrev_cli.errors import FileError, UnavailableError
from genrev_cli.files.atomic import atomic_path
from genrev_cli.files.header import Header, array_digest, content_digest, parse_header
from genrev_cli.files.pictures import to_pil

_MARK = "genrev-header:"
"""Prefix of the header in an MP4, whose comments have no names."""


def require_writer(path: Path) -> None:
    """Raise UnavailableError if a film of this suffix cannot be written here."""
    if path.suffix.lower() == ".mp4":
        _ffmpeg()


def write_film(path: Path, frames: np.ndarray, fps: int, header: Header) -> None:
    """Write frames (T, C, H, W) uint8, atomically; GIF and WebP repeat for ever. header: without paths; its digest is set here.

    GIF keeps gray frames exactly, and 256 colours of each colour frame; WebP is lossless; MP4 is H.264 in high quality.
    Raises UnavailableError for an MP4 without imageio-ffmpeg.
    """
    with atomic_path(path) as part:
        if path.suffix.lower() == ".mp4":
            _write_mp4(part, frames, fps, header)
            # the digest covers the frames, not the header; H.264 gives the same frames again
            _write_mp4(part, frames, fps, replace(header, sha256=_mp4_digest(part.read_bytes(), path)))
            return
        first = _animation(path, frames, fps, "")
        part.write_bytes(_animation(path, frames, fps, replace(header, sha256=_frames_digest(first, path)).to_json()))


def read_film_header(path: Path) -> Header:
    """Return the header of a film. Raises FileError if it is missing, damaged, or not written by genrev."""
    data = _bytes(path)
    if path.suffix.lower() == ".mp4":
        return parse_header(_mp4_text(data), path)
    with _opened(data, path) as image:
        text = image.info.get("comment", image.info.get("xmp"))
    return parse_header(text.decode(errors="replace") if isinstance(text, bytes) else text, path)


def film_digest(path: Path) -> str:
    """Return the content digest of the frames of a film. Raises FileError if it is missing or damaged."""
    data = _bytes(path)
    return _mp4_digest(data, path) if path.suffix.lower() == ".mp4" else _frames_digest(data, path)


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    return path.read_bytes()


def _animation(path: Path, frames: np.ndarray, fps: int, text: str) -> bytes:
    """Return a GIF or WebP with a header."""
    pictures = [to_pil(frame) for frame in frames]
    gif = path.suffix.lower() == ".gif"
    kind: dict[str, Any] = {"comment": text.encode()} if gif else {"xmp": text.encode(), "lossless": True}
    stored = io.BytesIO()
    unit = 10 if gif else 1  # of milliseconds: the ends of frames are rounded, so that the film has its length
    ends = [unit * round(1000 * (i + 1) / fps / unit) for i in range(len(frames))]
    durations = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    pictures[0].save(stored, format="GIF" if gif else "WEBP", save_all=True, append_images=pictures[1:], duration=durations, loop=0, **kind)
    return stored.getvalue()


def _opened(data: bytes, path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data), formats=["GIF" if path.suffix.lower() == ".gif" else "WEBP"])
    except Exception as error:  # a decoder can raise almost any exception for broken bytes
        raise FileError(f"{path}: not a readable film, or truncated ({error})") from error


def _frames_digest(data: bytes, path: Path) -> str:
    """Return the digest of the frames of a GIF or WebP and of their durations."""
    parts = []
    with _opened(data, path) as image:
        try:
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                frame = np.asarray(image.convert("RGB"))
                parts.append(array_digest(f"rgb {image.info.get('duration')}", frame.shape, [np.ascontiguousarray(frame)]))
        except Exception as error:
            raise FileError(f"{path}: not a readable film, or truncated ({error})") from error
    return content_digest({str(number): digest for number, digest in enumerate(parts)})


def _ffmpeg() -> str:
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "an .mp4 needs the package imageio-ffmpeg; install it with: pip install 'genrev-cli[video]', or write a .gif or .webp"
        ) from error
    return str(get_ffmpeg_exe())


def _write_mp4(path: Path, frames: np.ndarray, fps: int, header: Header) -> None:
    """Write an MP4 that every player shows: even sides, 4:2:0. An odd side gets a line of its edge."""
    odd = [(0, 0), (0, 0), (0, frames.shape[2] % 2), (0, frames.shape[3] % 2)]
    rgb = np.pad(frames, odd, mode="edge").repeat(3 // frames.shape[1], axis=1).transpose(0, 2, 3, 1)
    size, text = f"{rgb.shape[2]}x{rgb.shape[1]}", f"comment={_MARK}{header.to_json()}"
    command = [
        _ffmpeg(), "-y", "-loglevel", "error",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(fps), "-i", "-",
        "-an", "-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p", "-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact",
        "-movflags", "+faststart", "-metadata", text, "-f", "mp4", str(path),
    ]  # fmt: skip
    done = subprocess.run(command, input=np.ascontiguousarray(rgb).tobytes(), capture_output=True, check=False)
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").splitlines() or ["no reason given"])[-1]
        raise FileError(f"{path}: ffmpeg could not write the film ({reason})")


def _boxes(data: bytes, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, content) of the outer boxes of an MP4 (ISO 14496-12, section 4.2). Raises FileError for broken ones."""
    place = 0
    while place + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[place : place + 8])
        head = 8
        if size == 1 and place + 16 <= len(data):
            (size,), head = struct.unpack(">Q", data[place + 8 : place + 16]), 16
        if size < head or place + size > len(data):
            raise FileError(f"{path}: not a readable film, or truncated")
        yield kind, data[place + head : place + size]
        place += size


def _mp4_digest(data: bytes, path: Path) -> str:
    media = [content for kind, content in _boxes(data, path) if kind == b"mdat"]
    if not media:
        raise FileError(f"{path}: not a readable film, or truncated")
    return content_digest({"mdat": array_digest("bytes", (), media)})


def _mp4_text(data: bytes) -> str | None:
    """Return the header in an MP4, None without one."""
    place = data.find(_MARK.encode())
    if place < 0:
        return None
    text = data[place + len(_MARK) :].decode(errors="replace")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return text[:end]
