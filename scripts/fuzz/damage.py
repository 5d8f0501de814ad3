"""Ways to damage an input: its bytes, the words of a text, the values of JSON."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from scripts.fuzz.part import Change

_FIELDS = (0, 1, 2, 7, 8, 15, 16, 127, 128, 255, 256, 32767, 65535, 65536, 1 << 24, (1 << 31) - 1, (1 << 32) - 1)
_HEAD = 600  # bytes; most formats have their header there
_LONGEST = 1 << 18  # bytes of a text that grows

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, -0.0, 1e308, 1 << 31, 1 << 63, -(1 << 63), 10**30, float("nan"), float("inf")),
    *("", "0", "\0", "\x1b[2J", "\u202e", "\ud800", "a\nb", "../../x", "ok", "error", "é" * 300, "x" * 70_000),
    *([], {}, [[]], [None], [0, 1], {"": None}, {"index": 0}, [[[[[[[[[]]]]]]]]]),
)


def damaged(data: bytes, other: bytes, chance: Random) -> bytes:
    """Damage bytes, more often near their beginning."""
    spoilt = bytearray(data)
    reach = len(data) if chance.random() < 0.5 else min(len(data), _HEAD)
    at, length = chance.randrange(reach), chance.choice((1, 2, 4, 8, 64, chance.randrange(1, 3000)))
    kind = chance.randrange(8)
    if kind == 0:
        for _ in range(chance.randrange(1, 9)):
            spoilt[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    elif kind == 1:
        for _ in range(chance.randrange(1, 5)):
            spoilt[chance.randrange(reach)] = chance.choice((0, 1, 127, 128, 254, 255, chance.randrange(256)))
    elif kind == 2:
        size = chance.choice((2, 4))
        field = (chance.choice(_FIELDS) & (256**size - 1)).to_bytes(size, chance.choice(("little", "big")))
        spoilt[at : at + size] = field
    elif kind == 3:
        del spoilt[at : at + length]
    elif kind == 4:
        spoilt[at:at] = spoilt[at : at + length] * chance.choice((1, 1, 2, 40))
    elif kind == 5:
        spoilt[at : at + length] = bytes(length) if chance.random() < 0.5 else chance.randbytes(length)
    elif kind == 6:
        return data[:at]
    else:
        return data[:at] + other[chance.randrange(len(other)) :]
    return bytes(spoilt)


def with_words(words: Sequence[bytes]) -> Change:
    """Put words that mean something to a format anywhere into a text, or in place of another one, or repeat a line."""

    def change(data: bytes, _other: bytes, chance: Random) -> bytes:
        at = chance.randrange(len(data) + 1)
        word = chance.choice(words) * chance.choice((1, 1, 1, 2, 1000))
        kind = chance.randrange(4)
        if kind == 0:
            return (data[:at] + word + data[at:])[:_LONGEST]
        if kind == 1:
            return (data[:at] + word + data[at + len(word) :])[:_LONGEST]
        if kind == 2:
            return data.replace(chance.choice(words), word, chance.choice((1, 1, 100)))[:_LONGEST]
        lines = data.splitlines(keepends=True)
        which = chance.randrange(len(lines)) if lines else 0
        again = lines[which : which + 1] * chance.choice((0, 2, 3, 1000))
        return b"".join([*lines[:which], *again, *lines[which + 1 :]])[:_LONGEST]

    return change


def json_value(data: bytes, other: bytes, chance: Random) -> bytes:
    """Change a value somewhere in a text of JSON, or in one of its lines."""
    lines = data.split(b"\n")
    which = chance.randrange(len(lines))
    for place, line in ((None, data), (which, lines[which])):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        changed = json.dumps(_changed(value, chance), ensure_ascii=chance.random() < 0.5)
        written = changed.encode("utf-8", "surrogatepass")
        return written if place is None else b"\n".join([*lines[:place], written, *lines[place + 1 :]])
    return damaged(data, other, chance)


def _changed(value: Any, chance: Random) -> Any:
    """The value with one thing in it that is another, gone, or new."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        kind = chance.randrange(10)
        if kind == 0:
            return {name: one for name, one in value.items() if name != key}
        if kind == 1:
            return {**value, chance.choice(("", "index", "target", "status", "x" * 1000)): chance.choice(_VALUES)}
        return {**value, key: _changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        kind = chance.randrange(6)
        if kind == 0:
            return value[:at] + value[at + 1 :]
        if kind == 1:
            return value + value[at : at + 1] * chance.choice((1, 1, 5000))
        return [*value[:at], _changed(value[at], chance), *value[at + 1 :]]
    if isinstance(value, int) and chance.random() < 0.5:
        return value + chance.choice((-1, 1, 2, 1 << 32))
    if isinstance(value, str) and value and chance.random() < 0.5:
        at = chance.randrange(len(value))
        return value[:at] + chance.choice(("", "\0", "\n", "\ud800", "/", "\u202e", value)) + value[at + 1 :]
    return chance.choice(_VALUES)


def inside(unpack: Callable[[bytes], bytes], pack: Callable[[bytes], bytes], change: Change) -> Change:
    """Damage what is packed, and pack it again."""

    def changed(data: bytes, other: bytes, chance: Random) -> bytes:
        try:
            return pack(change(unpack(data), unpack(other), chance))
        except (OSError, EOFError, ValueError, zlib.error):
            return damaged(data, other, chance)

    return changed
