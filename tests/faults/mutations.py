"""Ways to damage a file: functions from bytes and a generator to other bytes."""

import random
import struct

FOREIGN = [
    b"\x89PNG\r\n\x1a\n",
    b"\x89HDF\r\n\x1a\n\x00",
    b"PK\x03\x04",
    b"PK\x05\x06" + bytes(18),
    b"\x1f\x8b\x08\x00",
    b"\x80\x04.",
    b"{}",
    b"[",
    b"\x93NUMPY\x01\x00",
    b"GIF89a",
    b"\xff\xd8\xff\xe0",
    b"RIFF\0\0\0\0WEBP",
    b"II*\0",
    b"ustar",
    b"\xff" * 64,
    bytes(512),
]
NUMBERS = [0, 1, 127, 255, 256, 65535, 1 << 16, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]


def cut(data: bytes, rng: random.Random) -> bytes:
    """Cut the file at a random position."""
    return data[: rng.randrange(len(data))]


def flip_bit(data: bytes, rng: random.Random) -> bytes:
    """Flip one bit."""
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    """Flip up to 32 bits."""
    for _ in range(rng.randrange(2, 32)):
        data = flip_bit(data, rng)
    return data


def overwrite(data: bytes, rng: random.Random) -> bytes:
    """Replace a run of bytes by zeros, ones or noise, like a bad sector."""
    size = min(rng.choice([1, 4, 16, 512]), len(data))
    at = rng.randrange(len(data) - size + 1)
    return data[:at] + rng.choice([bytes(size), b"\xff" * size, rng.randbytes(size)]) + data[at + size :]


def number(data: bytes, rng: random.Random) -> bytes:
    """Write an extreme number where a size may be stored."""
    form = rng.choice(["<B", "<H", ">H", "<I", ">I", "<Q", ">Q"])
    size = struct.calcsize(form)
    at = rng.randrange(max(1, min(len(data), rng.choice([64, 512, 1 << 20])) - size))
    return data[:at] + struct.pack(form, rng.choice(NUMBERS) % (1 << 8 * size)) + data[at + size :]


def digits(data: bytes, rng: random.Random) -> bytes:
    """Replace a digit in a text by a huge or negative number, or by no number."""
    places = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
    if not places:
        return flip_bit(data, rng)
    at = rng.choice(places)
    return data[:at] + rng.choice([b"99999999999", b"-1", b"NaN", b"1e400", b"null", b"[]", b'"x"', b""]) + data[at + 1 :]


def move(data: bytes, rng: random.Random) -> bytes:
    """Remove, repeat or move a part."""
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    b = min(b, a + rng.choice([1, 8, 64, 4096]))
    at = rng.randrange(len(data) + 1)
    return rng.choice([data[:a] + data[b:], data[:b] + data[a:], data[:at] + data[a:b] + data[at:]])


def foreign(data: bytes, rng: random.Random) -> bytes:
    """Replace the file by the beginning of another kind of file, or put that before it."""
    start = rng.choice(FOREIGN)
    return start + rng.choice([b"", data, data[len(start) :], rng.randbytes(64)])


MUTATIONS = (cut, flip_bit, flip_bits, overwrite, number, digits, move, foreign)
