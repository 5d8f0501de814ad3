"""Progressive JPEGs from their first scans only: what it saves, and what it does to the answers. It did not pay.

    scripts/bench scans [--model MODEL] [--megapixels M] [--scans 2,3,5] PICTURE...

A progressive JPEG holds a coarse picture first and refines it, scan by scan; a model looks at little more than the
coarse one. So each PICTURE (or, without any, each of the demo's photographs) is brought to M megapixels, saved as a
progressive JPEG, and cut off after so many scans. Printed are the ms to decode, whole and cut off, as birdlite does it,
in turn; the largest difference that it makes to a score; and how often the best name stays. Without --model the demo's
own model runs. BIRDLITE_MIRROR and BIRDLITE_CACHE_DIR count as they do for the command.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from PIL import Image

from birdlite import Classifier, FetchSettings, Settings
from birdlite.demo import PICTURES_FOLDER, DemoServer
from birdlite.engines.contract import Engine
from birdlite.images import picture
from birdlite.models.catalog import DEMO_MODEL
from birdlite.timing import clock

QUALITY = 90
ROUNDS = 5
START_OF_SCAN, END = 0xDA, b"\xff\xd9"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--scans", default="2,3,5")
    parser.add_argument("pictures", nargs="*", type=Path)
    values = parser.parse_args()
    paths = values.pictures or sorted(Path(PICTURES_FOLDER).glob("*.jpg"))
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        mirror = os.environ.get("BIRDLITE_MIRROR")
        if values.model is None:
            mirror = stack.enter_context(DemoServer()).mirror
        settings = Settings(
            model=values.model or DEMO_MODEL,
            cache_dir=os.environ.get("BIRDLITE_CACHE_DIR") or scratch,
            fetch=FetchSettings(mirror=mirror),
        )
        classifier = stack.enter_context(Classifier(settings))
        engine, side = classifier.new_engine(), classifier.model.card.side
        stack.callback(engine.close)
        wholes = [_progressive(path, values.megapixels) for path in paths]
        print("| scans | decode ms | of the whole | largest difference of a score | same best name |")
        print("|---|---|---|---|---|")
        for scans in map(int, values.scans.split(",")):
            print(f"| {scans} | {_row([(whole, cut(whole, scans)) for whole in wholes], engine, side)} |", flush=True)
        print(f"\n{len(paths)} pictures of {values.megapixels:g} Mpx, {_scans(wholes[0])} scans each.")


def _progressive(path: Path, megapixels: float) -> bytes:
    with Image.open(path) as image:
        scale = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
        size = round(image.width * scale), round(image.height * scale)
        large = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    large.save(file, "JPEG", quality=QUALITY, progressive=True)
    return file.getvalue()


def cut(jpeg: bytes, scans: int) -> bytes:
    """The file up to the end of so many scans."""
    starts = _starts(jpeg)
    return jpeg if scans >= len(starts) else jpeg[: _tables_before(jpeg, starts[scans - 1], starts[scans])] + END


def _scans(jpeg: bytes) -> int:
    return len(_starts(jpeg))


def _starts(jpeg: bytes) -> list[int]:
    """Where each scan's marker is. In a scan's data every 0xFF is followed by 0 or a restart marker."""
    found, at = [], 2
    while jpeg[at : at + 2] != END:
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] == START_OF_SCAN:
            found.append(at)
        at = _next_marker(jpeg, at + 2 + length) if jpeg[at + 1] == START_OF_SCAN else at + 2 + length
    return found


def _next_marker(jpeg: bytes, at: int) -> int:
    while True:
        at = jpeg.index(b"\xff", at)
        if jpeg[at + 1] != 0 and not 0xD0 <= jpeg[at + 1] <= 0xD7:
            return at
        at += 2


def _tables_before(jpeg: bytes, scan: int, following: int) -> int:
    """Where the data of a scan ends: tables for the following one may stand between."""
    length = int.from_bytes(jpeg[scan + 2 : scan + 4], "big")
    return min(_next_marker(jpeg, scan + 2 + length), following)


def _row(pairs: list[tuple[bytes, bytes]], engine: Engine, side: int) -> str:
    times: list[float] = []
    ratios: list[float] = []
    differences: list[float] = []
    same = 0
    for whole, part in pairs:
        for _ in range(ROUNDS):
            (whole_ms, full), (part_ms, coarse) = _decoded(whole, side), _decoded(part, side)
            times.append(part_ms)
            ratios.append(part_ms / whole_ms)
        (one,), (other,) = engine.run(full), engine.run(coarse)
        differences.append(max(abs(a - b) for a, b in zip(one, other, strict=True)))
        same += one.index(max(one)) == other.index(max(other))
    return f"{median(times):.0f} | {median(ratios):.2f}x | {max(differences):.3f} | {same} of {len(pairs)}"


def _decoded(jpeg: bytes, side: int) -> tuple[float, bytes]:
    began = clock()
    pixels = picture.decode(jpeg, side=side).pixels
    return (clock() - began) * 1e3, pixels


if __name__ == "__main__":
    main()
