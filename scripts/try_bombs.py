"""Try to kill birdlite with pictures: no file under 64 MB may take more than 10 s, or more memory than --memory.

    python -m scripts.try_bombs [--memory 1G] [--small] [--largest] [--many] [--only TEXT]

Makes files that are small and unpack to much, or hold much work, of each kind at several sizes. A process of its own
classifies each, with the demo's model, in a cgroup with that limit if this user may make one. Prints for each its size,
the time (of many at once, for each), the peak memory and the record. --small tries each kind at a small size.
--largest tries the largest picture of each kind that one worker decodes with that memory: the table in docs/batches.md.
--many tries only many at once. --only TEXT tries only kinds whose name holds it: all of them take half an hour or more.

Exit codes: 0 all well; 1 one took too long or too much, or killed the process.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from birdlite.cli.values import size
from birdlite.demo import FOLDER
from birdlite.images import picture
from birdlite.run.memory_budget import MemoryBudget
from birdlite.settings import DEFAULT_MAX_PIXELS, Settings
from scripts.picture_kinds import chunk, heic, made, png, rle_bmp, saved, tiff

LONGEST_S = 10.0
LARGEST_FILE = 64 << 20
WORKERS = 4
M = 1 << 20
CODE = """
import json, sys, time
from birdlite.cli import main
began = time.perf_counter()
code = main(sys.argv[1:])
from birdlite.bench import peak_memory_bytes
print(code, time.perf_counter() - began, time.process_time(), peak_memory_bytes(), file=sys.stderr)
"""


class Tried(NamedTuple):
    """What became of one bomb."""

    seconds: float
    cpu_seconds: float
    peak: int  # bytes
    records: str  # kinds, or how the process ended


def sides(megapixels: float) -> tuple[int, int]:
    """Width and height of a picture of so many pixels, 3 to 2."""
    height = max(1, round((megapixels * 1e6 / 1.5) ** 0.5))
    return round(height * 1.5), height


def plain(mode: str, megapixels: float) -> Image.Image:
    """A picture of one colour."""
    return Image.new(mode, sides(megapixels))


def webp(megapixels: float) -> bytes:
    """46 bytes, or a few more: a small picture of one colour whose header is changed. Its pixels take no bits."""
    data = bytearray(saved(Image.new("RGB", (16, 16), (9, 99, 9)), "WEBP", lossless=True))
    width, height = (min(side, 16383) for side in sides(megapixels))
    at = data.index(b"VP8L") + 9
    bits = int.from_bytes(data[at : at + 4], "little")
    data[at : at + 4] = (bits >> 28 << 28 | height - 1 << 14 | width - 1).to_bytes(4, "little")
    return bytes(data)


def jpeg_scans(count: float) -> bytes:
    """A progressive JPEG whose last scan is there many times."""
    data = saved(plain("RGB", 4), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * int(count) + data[-2:]


def jpeg_markers(count: float) -> bytes:
    """A JPEG with very many empty segments."""
    data = saved(plain("RGB", 1), "JPEG")
    return data[:2] + b"\xff\xfe\0\2" * int(count) + data[2:]


def png_surplus(megabytes: float) -> bytes:
    """A small PNG whose pixels are followed by zeros, packed a thousand to one."""
    packer = zlib.compressobj()
    start = packer.compress((b"\0" + bytes(3 * 256)) * 256) + packer.flush(zlib.Z_FULL_FLUSH)
    a_part = packer.compress(bytes(M)) + packer.flush(zlib.Z_FULL_FLUSH)  # which may be repeated
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 256, 256, 8, 2, 0, 0, 0))
    body = start + a_part * int(megabytes) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def png_text(megabytes: float) -> bytes:
    """A small PNG with a text that unpacks to much."""
    text = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(int(megabytes) * M), 9))
    data = saved(plain("RGB", 0.1), "PNG")
    return data[:33] + text + data[33:]


def avif_that_lies(megapixels: float) -> bytes:
    """An AVIF that says that it has 16x16 px."""
    data = saved(plain("RGB", megapixels), "AVIF", speed=10)
    return data.replace(struct.pack(">II", *sides(megapixels)), struct.pack(">II", 16, 16))


def bmp_one_bit(megapixels: float) -> bytes:
    """A BMP of 1 bit a pixel."""
    return saved(plain("1", megapixels), "BMP")


def by_pillow(mode: str, file_format: str, **options: Any) -> Callable[[float], bytes]:
    """A picture of one colour as Pillow writes it."""
    return lambda megapixels: saved(plain(mode, megapixels), file_format, **options)


class Kind(NamedTuple):
    """A kind of bomb."""

    unit: str
    make: Callable[[float], bytes]
    sizes: tuple[float, ...]  # the first one is small


MPX = (2.0, 40.0, 88.0, 119.0)
KINDS: dict[str, Kind] = {
    "TIFF, one huge tile": Kind("px", lambda side: tiff(16, 16, 3, 8, tile=int(side)), (1024, 4096, 10000)),
    "TIFF, one strip": Kind("Mpx", lambda mpx: tiff(*sides(mpx), 3, 8), (2, 40, 119)),
    "TIFF, one strip of 16 bits": Kind("Mpx", lambda mpx: tiff(*sides(mpx), 4, 16), (2, 40, 119)),
    "TIFF, strips of a row": Kind("Mpx", lambda mpx: tiff(*sides(mpx), 3, 8, rows=1), (2, 40, 119)),
    "TIFF, LZW": Kind("Mpx", by_pillow("RGB", "TIFF", compression="tiff_lzw"), MPX),
    "TIFF, CMYK": Kind("Mpx", by_pillow("CMYK", "TIFF", compression="tiff_deflate"), MPX),
    "WebP, 40 bytes": Kind("Mpx", webp, MPX),
    "WebP, lossy with alpha": Kind("Mpx", by_pillow("RGBA", "WEBP", method=0), (2, 40, 100)),
    "GIF": Kind("Mpx", by_pillow("P", "GIF"), MPX),
    "GIF with a clear colour": Kind("Mpx", by_pillow("P", "GIF", transparency=0), MPX),
    "PNG, surplus zeros": Kind("MB", png_surplus, (100, 1000, 30000)),
    "PNG, a large text": Kind("MB", png_text, (10, 1000)),
    "PNG": Kind("Mpx", lambda mpx: png(*sides(mpx), 8, 2), MPX),
    "PNG of 16 bits with alpha": Kind("Mpx", lambda mpx: png(*sides(mpx), 16, 6), MPX),
    "PNG, interlaced": Kind("Mpx", lambda mpx: png(*sides(mpx), 8, 2, interlaced=True), MPX),
    "PNG, 1 bit": Kind("Mpx", lambda mpx: png(*sides(mpx), 1, 0), MPX),
    "JPEG, scans": Kind("scans", jpeg_scans, (50, 500, 20000, 400000)),
    "JPEG, empty segments": Kind("segments", jpeg_markers, (5000, 1000000)),
    "JPEG": Kind("Mpx", by_pillow("RGB", "JPEG"), MPX),
    "JPEG, progressive": Kind("Mpx", by_pillow("RGB", "JPEG", progressive=True), MPX),
    "JPEG, progressive CMYK": Kind("Mpx", by_pillow("CMYK", "JPEG", progressive=True, subsampling=0), MPX),
    "AVIF": Kind("Mpx", by_pillow("RGB", "AVIF", speed=10), (2, 40, 119)),
    "HEIC": Kind("Mpx", lambda mpx: heic(plain("RGB", mpx)), (2, 40, 119)),
    "PNG of 16 bits with a clear colour": Kind("Mpx", lambda mpx: png(*sides(mpx), 16, 2, bytes(6)), (2, 59, 119)),
    "WebP, lossy": Kind("Mpx", lambda mpx: made("WEBP", *sides(mpx)), (2, 40, 119)),
    "TIFF, YCbCr": Kind("Mpx", lambda mpx: made("TIFF YCbCr LZW", *sides(mpx)), (2, 40, 119)),
    "TIFF, tiles of 16 px": Kind("Mpx", lambda mpx: tiff(*sides(mpx), 3, 8, tile=16), (2, 40, 66)),
    "AVIF that says it is smaller": Kind("Mpx", avif_that_lies, (2, 40, 100)),
    "BMP, 1 bit": Kind("Mpx", bmp_one_bit, (2, 119, 500)),
    "BMP, run lengths": Kind("Mpx", lambda mpx: rle_bmp(*sides(mpx)), (2, 60)),
    "BMP": Kind("Mpx", by_pillow("RGB", "BMP"), (2, 20)),
}
MANY = ("WebP, 40 bytes", "PNG", "TIFF, one strip", "GIF", "JPEG, progressive CMYK", "AVIF", "HEIC", "BMP")
"""Kinds that are also tried many at once, from a folder and from a server."""


class Trial:
    """Runs birdlite on files, each time in a new process with limited memory."""

    def __init__(self, memory: int, workers: int) -> None:
        self._memory = memory
        self._workers = workers
        self._cgroup = _cgroup(memory)
        self.limited = "in a cgroup" if self._cgroup else "without a cgroup"

    def run(self, *targets: str) -> Tried:
        """Classify targets."""
        model = ("--model", f"{FOLDER}/model.tflite", "--labels", f"{FOLDER}/labels.csv")
        limit = ("--threads", str(self._workers), "--memory", str(self._memory), "--retries", "0", "--timeout", "300")
        command = [sys.executable, "-c", CODE, "classify", *model, *limit, "--format", "jsonl", "-q", *targets]
        began = time.perf_counter()
        run = subprocess.run(
            command, capture_output=True, text=True, check=False, preexec_fn=self._enter if self._cgroup else None
        )
        if run.returncode:
            return Tried(time.perf_counter() - began, 0.0, self._memory, f"died: {run.returncode} {run.stderr[-300:]}")
        _, seconds, cpu, peak = run.stderr.splitlines()[-1].split()
        records = [json.loads(line) for line in run.stdout.splitlines()]
        kinds = Counter(record["error"]["kind"] if record["status"] == "error" else "ok" for record in records)
        said = records[0]["error"]["message"].partition(": ")[2] if len(records) == 1 and "error" in records[0] else ""
        words = ", ".join(kind if len(records) == 1 else f"{count} {kind}" for kind, count in kinds.most_common())
        return Tried(float(seconds), float(cpu), int(peak), f"{words}: {said}" if said else words)

    def close(self) -> None:
        """Remove the cgroup."""
        if self._cgroup:
            self._cgroup.rmdir()

    def _enter(self) -> None:
        assert self._cgroup is not None
        (self._cgroup / "cgroup.procs").write_text(str(os.getpid()))


def _cgroup(memory: int) -> Path | None:
    """A new cgroup with a limit, of version 2 or 1; None if this user may not make one."""
    for root, name in (
        (Path("/sys/fs/cgroup"), "memory.max"),
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    ):
        folder = root / f"birdlite-bombs-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / name).exists():  # else the memory controller is not here, or this is no cgroup
            (folder / name).write_text(str(memory))
            return folder
        folder.rmdir()
    return None


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A server for the files of a folder."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    make = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), make)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def bombs(only: str, *, small: bool) -> Iterator[tuple[str, bytes]]:
    """All bombs, by name."""
    for name, kind in KINDS.items():
        for number in kind.sizes[:1] if small else kind.sizes:
            if only in name:
                data = kind.make(number)
                if len(data) <= LARGEST_FILE:
                    yield f"{name}, {number:,g} {kind.unit}", data


def largest(only: str, memory: int) -> Iterator[tuple[str, bytes]]:
    """The largest picture of each kind that one worker decodes. The memory for a kind grows with its pixels."""
    most = MemoryBudget(Settings(workers=1, memory=memory)).decoding.limit
    for name, kind in KINDS.items():
        if only in name and kind.unit == "Mpx":
            few, more = (picture.plan(kind.make(megapixels)).memory for megapixels in (12, 36))
            megapixels = min(12 + (most - few) / (more - few) * 24, DEFAULT_MAX_PIXELS / 1e6) * 0.995
            data = kind.make(megapixels)
            if len(data) <= LARGEST_FILE:
                yield f"{name}, {megapixels:.0f} Mpx", data


def many(folder: Path, only: str, count: int, megapixels: float) -> Iterator[tuple[str, list[str], str]]:
    """Many at once: for each kind, and mixed; the name, and the files' names."""
    every: list[str] = []
    for name in MANY:
        if only in name:
            (folder / name).write_bytes(KINDS[name].make(min(megapixels, KINDS[name].sizes[-1])))
            links = [f"{name} {number}" for number in range(count)]
            for link in links:
                (folder / link).symlink_to(name)
            every.append(links[0])
            yield f"{count} at once: {name}, {megapixels:g} Mpx", links, name
    if len(every) > 1:
        yield f"{count} at once: all kinds", every * (count // len(every) + 1), ""


def report(name: str, size: int, tried: Tried, memory: int) -> bool:
    """Print a line; whether all is well."""
    seconds = min(tried.seconds, tried.cpu_seconds)  # other programs may make a picture wait, or several threads work
    well = seconds <= LONGEST_S and tried.peak <= memory and not tried.records.startswith("died")
    print(
        f"| {name} | {size:,} | {tried.seconds:.1f} | {tried.cpu_seconds:.1f} | {tried.peak / M:.0f} "
        f"| {tried.records[:100]}{'' if well else ' **TOO MUCH**'} |",
        flush=True,
    )
    return well


def main() -> int:
    """Try all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", type=size, default=size("1G"))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--largest", action="store_true")
    parser.add_argument("--many", action="store_true")
    parser.add_argument("--only", default="")
    values = parser.parse_args()
    found = largest(values.only, values.memory) if values.largest else bombs(values.only, small=values.small)
    found = iter(()) if values.many else found
    trial = Trial(values.memory, 1 if values.largest else WORKERS)
    print(
        f"{values.memory / M:.0f} MiB, {trial.limited}\n\n| bomb | bytes | s | CPU s | peak MiB | record |", flush=True
    )
    print("|---|---|---|---|---|---|")
    well = True
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bomb"
            for name, data in found:
                path.write_bytes(data)
                well &= report(name, len(data), trial.run(str(path)), values.memory)
            if values.largest:
                return 0 if well else 1
            count, megapixels = (8, 2.0) if values.small else (24, 40.0)
            with served(Path(folder)) as root:
                for name, links, kind in many(Path(folder), values.only, count, megapixels):
                    large = (Path(folder) / (kind or links[0])).stat().st_size
                    files = [str(Path(folder) / link) for link in links]
                    urls = [f"{root}/{link.replace(' ', '%20')}" for link in links]
                    tried = trial.run(*files, *urls)
                    each = 1 / (2 * len(links))
                    tried = tried._replace(seconds=tried.seconds * each, cpu_seconds=tried.cpu_seconds * each)
                    well &= report(name, large, tried, values.memory)
    finally:
        trial.close()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
