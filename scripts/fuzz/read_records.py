"""The part `records`: outputs, journals, notes and indexes of earlier runs, as every command reads them."""

from __future__ import annotations

import contextlib
import io
import json
import zlib
from array import array
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from birdlite.batch.done_index import Covered, Index, index_path, read_index, write_index
from birdlite.batch.earlier import read_earlier
from birdlite.batch.header import Header, Run, Totals
from birdlite.batch.journal import Journal
from birdlite.batch.suspects import NAME, LocalNotes, Suspects
from birdlite.errors import OutputError, PartsError, UsageError
from birdlite.results import Failure, ImageInfo, Prediction, Result, Times
from birdlite.targets import Target
from birdlite.writers.record import record, to_json
from scripts.fuzz.damage import damaged, json_value, with_words
from scripts.fuzz.part import Attempt, Part

_SHA256 = "a" * 64
_RUN = Run("1.0", "birds", _SHA256, "b" * 64, "crop", 3, "both", 0.0, timing=True, since=False, shard=0, shards=1)
_WORDS = (
    b"\n",
    b"{",
    b"}",
    b"[",
    b"null",
    b'"index": 1',
    b'"status": "ok"',
    b'"target": "a"',
    b"\0",
    b"\xff",
    b"9" * 5000,
)


class Fault(Exception):
    """The command reported a fault in birdlite."""


def _results() -> list[Result]:
    times, image = Times(1.0, 2.0, None, 9.5), ImageInfo(640, 480, "JPEG", 12_345)
    birds = tuple(Prediction(rank, rank * 7, f"Avis {rank}", 0.5 / rank, f"Bird {rank}") for rank in (1, 2, 3))
    gone = Failure("http_status", "b.jpg: 503 Service Unavailable from a.example (4 tries)")
    return [
        Result(0, "https://a.example/a.jpg", birds, image, times),
        Result(1, "b.jpg", gone),
        Result(2, "möwe\n.jpg", birds[:1], image),
        Result(3, "=c.jpg", ()),
    ]


def _seeds() -> dict[str, bytes]:
    results = _results()
    lines = "".join(f"{to_json(record(result, times=True))}\n" for result in results)
    totals = Totals(len(results), len(results), 0, 3, 1, "c" * 64)
    note = {"trial": [[1, "b.jpg"]], "working": [0], "left": [2], "ranges": [[3, 9]], "deaths": [[1, "b.jpg", 1]]}
    with TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        write_index(str(index), _SHA256, Index({"a.jsonl": Covered(99, "1", 3, "d")}, _keys()))
        packed = index.read_bytes()
    return {
        "part": (Header(_RUN, totals).line() + lines).encode(),
        "journal": (Header(_RUN).line() + lines * 2).encode(),
        "records": lines.encode(),
        "note": json.dumps(note).encode(),
        "index": packed,
    }


def _keys() -> array[int]:
    return array("Q", range(1, 1 << 62, 1 << 57))


def _prepare(folder: Path) -> Attempt:
    part, journal = folder / "a.jsonl", folder / "b.jsonl.partial"
    note, index = folder / f"c{NAME}", index_path(str(folder), _SHA256)

    def command(*arguments: str) -> Callable[[], None]:
        def run() -> None:
            from birdlite.cli import main

            main(arguments)

        return run

    def resumed() -> None:
        opened = Journal(str(journal))
        try:
            opened.resume()
            for offset in opened.places:
                json.loads(opened.line_at(offset))
        finally:
            opened.close()

    def noted() -> None:
        suspects = Suspects(LocalNotes(str(folder / "c")), 1)
        for number in range(3):
            target = suspects.admit(Target("b.jpg", "file", "b.jpg", number))
            if isinstance(target, Target):
                with suspects.alone_or_noted(target):
                    suspects.recorded(number)
        suspects.close(in_order=True)

    readers: tuple[tuple[Path | str, Callable[[], object]], ...] = (
        (part, command("merge", str(part), "-o", str(folder / "o.csv"))),
        (part, command("merge", str(part), "--newest", "--keep-header", "-o", str(folder / "o2.jsonl"))),
        (part, command("merge", "--index", str(part))),
        (part, command("report", str(part), "-o", str(folder / "o.html"))),
        (part, lambda: read_earlier([str(part)], _SHA256)),
        (journal, resumed),
        (note, noted),
        (index, lambda: read_index(index, _SHA256)),
    )

    def attempt(data: bytes) -> None:
        path, read = readers[zlib.crc32(data) % len(readers)]
        Path(path).write_bytes(data)
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            read()
        if "a fault in birdlite" in said.getvalue():
            raise Fault(said.getvalue()[:300])

    return attempt


RECORDS = Part(
    "records", _seeds, _prepare, (damaged, *[json_value] * 4, with_words(_WORDS)), (PartsError, OutputError, UsageError)
)
