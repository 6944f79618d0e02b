"""Whole files → damaged ones, as disks, networks, editors and ill will do it; the same for a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

HEADER = 64
EXTREMES = (b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x01", b"\x80\x00")
"""Lengths, counts and sizes that a reader may believe."""
WORDS = (
    b'"', b"'", b",", b"\t", b"\n", b"\r", b"\r\n", b"\x00", b";", b":", b": ", b"- ", b"[", b"]", b"{",
    b"}", b"#", b"&a ", b"*a", b"<<: *a", b"!!int ", b"!!float ", b"!!timestamp ", b"!!binary ", b"? ",
    b"|", b">", b"%", b"@", b"null", b"nan", b"inf", b".inf", b"-.nan", b"1e999", b"-1", b"0", b"9" * 30,
    b"9" * 5000, b"0x", b"0b_", b"1_0", b"2001-99-99", b"12:99:99", b"true", b"yes", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\xc3\x28", "ü\u2028\u202e".encode(), b"\x1b[31m", b"../", b"/etc/passwd",
    b"/dev/zero", b"file://x", b"data:image/png;base64,AAAA", b"[" * 2000, b'{"a":' * 1500, b"a" * 20_000,
)  # fmt: skip
"""What stands in texts by accident, or on purpose."""

Mutation = Callable[[bytearray, np.random.Generator], bytearray]


def _place(data: bytearray, random: np.random.Generator) -> int:
    """Anywhere; often in the header, where a byte says most."""
    end = min(HEADER, len(data)) if random.random() < 0.3 else len(data)
    return int(random.integers(0, max(1, end)))


def _chunk(data: bytearray, random: np.random.Generator) -> slice:
    start = _place(data, random)
    longest = max(1, min(len(data) - start, len(data) // 4))
    return slice(start, start + int(random.integers(1, longest + 1)))


def flip_bits(data: bytearray, random: np.random.Generator) -> bytearray:
    """One to sixteen bits."""
    for _ in range(int(random.integers(1, 17))):
        data[_place(data, random)] ^= 1 << int(random.integers(0, 8))
    return data


def truncate(data: bytearray, random: np.random.Generator) -> bytearray:
    """An end that never came."""
    return data[: int(random.integers(0, len(data)))]


def delete(data: bytearray, random: np.random.Generator) -> bytearray:
    """A piece is lost."""
    del data[_chunk(data, random)]
    return data


def duplicate(data: bytearray, random: np.random.Generator) -> bytearray:
    """A piece stands twice."""
    piece = _chunk(data, random)
    data[piece.stop : piece.stop] = data[piece]
    return data


def swap(data: bytearray, random: np.random.Generator) -> bytearray:
    """Two pieces of equal length change places."""
    length = int(random.integers(1, max(2, len(data) // 8)))
    if 2 * length > len(data):
        return data
    first = int(random.integers(0, len(data) - 2 * length + 1))
    second = int(random.integers(first + length, len(data) - length + 1))
    a, b = slice(first, first + length), slice(second, second + length)
    data[a], data[b] = data[b], data[a]
    return data


def exaggerate(data: bytearray, random: np.random.Generator) -> bytearray:
    """Another length, count or size."""
    word, place = EXTREMES[int(random.integers(0, len(EXTREMES)))], _place(data, random)
    data[place : place + len(word)] = word
    return data


def blank(data: bytearray, random: np.random.Generator) -> bytearray:
    """A sector of zeros."""
    piece = _chunk(data, random)
    data[piece] = bytes(len(data[piece]))
    return data


def scramble(data: bytearray, random: np.random.Generator) -> bytearray:
    """A piece of noise."""
    piece = _chunk(data, random)
    data[piece] = random.bytes(len(data[piece]))
    return data


def append(data: bytearray, random: np.random.Generator) -> bytearray:
    """Noise at the end."""
    return data + random.bytes(int(random.integers(1, 300)))


def write(data: bytearray, random: np.random.Generator) -> bytearray:
    """A word where none was, or in the place of another."""
    word, place = WORDS[int(random.integers(0, len(WORDS)))], int(random.integers(0, len(data) + 1))
    instead = int(random.integers(0, 12)) if random.random() < 0.5 else 0
    data[place : place + instead] = word
    return data


BINARY: tuple[Mutation, ...] = (
    flip_bits, truncate, delete, duplicate, swap, exaggerate, blank, scramble, append,
)  # fmt: skip
TEXT: tuple[Mutation, ...] = (*[write] * 6, truncate, delete, duplicate, swap, flip_bits)


def mutate(data: bytes, random: np.random.Generator, *, text: bool = False) -> bytes:
    """``data`` after one to three mutations."""
    mutations, damaged = TEXT if text else BINARY, bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        if damaged:
            damaged = mutations[int(random.integers(0, len(mutations)))](damaged, random)
    return bytes(damaged)
