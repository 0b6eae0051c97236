"""How a sound file is mutated: its bits, its length, its pieces, and the values in its texts.

What lies in a zip is guarded by checksums, so most damage is noticed there. So the members of an
archive are also damaged one by one, and packed again with checksums that are right.
"""

import io
import random
import re
import warnings
import zipfile
from collections.abc import Callable

_TOKEN = re.compile(rb'"[^"\n]*"|[\w.+-]+')
_HOSTILE = (
    b"", b"-1", b"0", b"1e999", b"-1e-999", b"NaN", b"nan", b"null", b"true", b'""', b"[]", b"{}",
    b"9" * 30, b"9" * 400, b"9" * 5000, b"0x" + b"f" * 5000, b"[" * 3000 + b"]" * 3000,
    b'{"a":' * 3000, b'"' + b"y" * 100_000 + b'"', b"y" * 100_000, b"n" * 300, rb'"a\u0000b"',
    b"\x00", b"\xff\xfe", b"\x1b[2J", b'"../../etc/passwd"', b"[[1], {}]", b"1979-05-27", b"'",
    b"#", b",", b"\n" * 50, b"=", b"2147483647", b"9223372036854775807", b"16777216", b"0.5",
)  # fmt: skip


def damaged(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Damage a file in one to three ways.

    Args:
        content: a sound file.
        other: another sound file, of which pieces may be put in.
        rng: decides what is done.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if content[:4] == b"PK\x03\x04" and rng.random() < 0.7:
            content = _repacked(content, other, rng)
        else:
            content = _change(content)(content, other, rng)
    return content


def _change(content: bytes) -> Callable[[bytes, bytes, random.Random], bytes]:
    """Bytes are damaged anywhere; in a text a value is replaced more often than not."""
    text = content[:4096].isascii() and b"\0" not in content[:4096]

    def change(content: bytes, other: bytes, rng: random.Random) -> bytes:
        if text and rng.random() < 0.7:
            return _hostile(content, rng)
        return rng.choice(_WAYS)(content, other, rng)

    return change


def _repacked(content: bytes, other: bytes, rng: random.Random) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # it was damaged before
        return _flip(content, other, rng)
    name = rng.choice(sorted(members) or ["a"])
    members[name] = _change(members.get(name, b""))(members.get(name, b""), other, rng)
    packed = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(packed, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return packed.getvalue()


def _hostile(content: bytes, rng: random.Random) -> bytes:
    """Replace a word, a number or a quoted text."""
    tokens = list(_TOKEN.finditer(content))
    if not tokens:
        return content + rng.choice(_HOSTILE)
    token = rng.choice(tokens)
    value = rng.choice((*_HOSTILE, rng.choice(tokens)[0]))
    return content[: token.start()] + value + content[token.end() :]


def _flip(content: bytes, other: bytes, rng: random.Random) -> bytes:
    bits = bytearray(content or b"\0")
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        bits[rng.randrange(len(bits))] ^= 1 << rng.randrange(8)
    return bytes(bits)


def _overwrite(content: bytes, other: bytes, rng: random.Random) -> bytes:
    start, stop = _range(content, rng)
    fill = rng.choice((b"\0", b"\0", b"\xff", rng.randbytes(1)))
    return content[:start] + fill * (stop - start) + content[stop:]


def _truncate(content: bytes, other: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _cut_out(content: bytes, other: bytes, rng: random.Random) -> bytes:
    start, stop = _range(content, rng)
    return content[:start] + content[stop:]


def _repeat(content: bytes, other: bytes, rng: random.Random) -> bytes:
    start, stop = _range(content, rng)
    return content[:stop] + content[start:stop] * rng.choice((1, 1, 5)) + content[stop:]


def _splice(content: bytes, other: bytes, rng: random.Random) -> bytes:
    start, stop = _range(content, rng)
    piece = other[slice(*_range(other, rng))]
    return content[:start] + piece + content[rng.choice((start, stop, start + len(piece))) :]


def _number(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Write a large or negative number over a few bytes, as sizes and addresses have."""
    number = rng.choice((2**63 - 1, 2**64 - 1, 2**64 - 16, 2**32 - 1, 2**31, 2**24, 1, 0))
    written = number.to_bytes(8, rng.choice(("little", "big")))[: rng.choice((2, 4, 8))]
    start = rng.randrange(len(content) + 1)
    return content[:start] + written + content[start + len(written) :]


def _range(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + int(2 ** rng.uniform(0, 12)))


_WAYS = (_flip, _flip, _flip, _overwrite, _truncate, _cut_out, _repeat, _splice, _number)
