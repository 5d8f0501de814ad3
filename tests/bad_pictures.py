"""Bad pictures of every kind that the picture tests know, by a name, with the kind of failure that each must be.

The tests of pictures say which message each has; the tests of the service send all of them, and serve them at URLs.
"""

from __future__ import annotations

import random
import struct
import zlib
from typing import get_args

from PIL import Image

from birdlite.results import FailureKind
from tests.images.test_bounds import tiled
from tests.images.test_damaged_pictures import BROKEN_JPEGS, BROKEN_PNGS, FILES, entropy, mutated
from tests.images.test_formats import ABSURD_TAGS, BOMBS, EMPTY_PARTS, NO_PICTURES, ROWS, UNSUPPORTED
from tests.images.test_whole_jpegs import repeated
from tests.pictures import chunk, png, saved, tiff

LARGEST = 1 << 20
"""Bytes of the largest of them, at most."""


def _without_middle(jpeg: bytes) -> bytes:
    """A JPEG that lacks bytes in the middle, as a file on a damaged card."""
    middle = entropy(jpeg) + 2000
    return jpeg[:middle] + jpeg[middle + 500 :]


def _large(file_format: str) -> bytes:
    """A file that really has more pixels than are allowed, of one colour, in few bytes."""
    return saved(Image.new("1" if file_format == "PNG" else "L", (12_000, 11_000)), file_format)


def _unpacks_to_more() -> bytes:
    """A small PNG whose data unpack to 64 MB of rows that it does not have; a filter that is none ends it."""
    packer = zlib.compressobj(9)
    packed = packer.compress(b"\7") + b"".join(packer.compress(bytes(1 << 24)) for _ in range(4)) + packer.flush()
    return png(9, 9, 8, 0, b"")[:33] + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _made() -> dict[str, tuple[bytes, FailureKind]]:
    found: dict[str, tuple[bytes, FailureKind]] = {}
    for name, data in FILES.items():
        found[f"half a {name}"] = data[: len(data) // 2], "decode"
    for number, (data, _) in enumerate(NO_PICTURES):
        found[f"no picture {number}"] = data, "not_an_image"
    for number, (data, _) in enumerate(UNSUPPORTED):
        found[f"unsupported {number}"] = data, "unsupported"
    for number, (data, _) in enumerate(BOMBS):
        found[f"bomb {number}"] = data, "too_large"
    for number, data in enumerate([data for data, _ in BROKEN_JPEGS] + BROKEN_PNGS):
        found[f"broken {number}"] = data, "decode"
    for number, data in enumerate(EMPTY_PARTS):
        if len(data) <= LARGEST:
            found[f"empty parts {number}"] = data, "decode"
    for number, (tag, type_, count, value, _) in enumerate(ABSURD_TAGS):
        others = [entry for entry in (*ROWS, (529, 1, 100, 0)) if entry[0] != tag]
        found[f"absurd tag {number}"] = tiff(*sorted((*others, (tag, type_, count, value))), pixels=bytes(8)), "decode"
    return found | {
        "a head alone": (FILES["JPEG"][:30], "decode"),
        "a JPEG that ends in zeros": (FILES["JPEG"][:4000] + bytes(len(FILES["JPEG"]) - 4000), "decode"),
        "a JPEG without its middle": (_without_middle(FILES["JPEG"]), "decode"),
        "restarts without their middle": (_without_middle(FILES["JPEG with restarts"]), "decode"),
        "a JPEG of very many scans": (repeated(FILES["JPEG progressive"], 1, 100), "too_large"),
        "a PNG that unpacks to more": (_unpacks_to_more(), "decode"),
        "a PNG of many pixels": (_large("PNG"), "too_large"),
        "a GIF of many pixels": (_large("GIF"), "too_large"),
        "a huge tile": (tiled(26_700), "too_large"),
        "a tile of nothing": (tiled(0), "decode"),
        "a huge side": (png(1, 10**6, 8, 0, bytes(2 * 10**6)), "too_large"),
        "a long BMP": (b"BM" + bytes(12) + struct.pack("<IIIHHI", 40, 9, 9, 1, 24, 0) + bytes(20), "decode"),
        "noise behind a JPEG's magic": (b"\xff\xd8\xff" + random.Random(1).randbytes(5000), "decode"),
        "a JPEG with noise in it": (mutated(FILES["JPEG"], random.Random(2)), "decode"),
    }


BAD_PICTURES = _made()

assert all(len(data) <= LARGEST for data, _ in BAD_PICTURES.values())
assert {kind for _, kind in BAD_PICTURES.values()} <= set(get_args(FailureKind))
