"""The command lines that `try_signals` interrupts, and what must hold of each afterwards.

A case is run once without a signal, which is its reference. A run with a signal must leave a part of that reference:
whole lines of it, all of it or nothing, or an unfinished part that `--resume` completes to the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import time
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from birdlite import atomic_file
from birdlite.demo import PICTURES_FOLDER
from birdlite.models.catalog import DEMO_MODEL

Kind = Literal["lines", "csv", "whole", "part", "text"]

DELAY_S = 0.02  # of each answer of the server
LEFT = ".partial"

PACKAGE = Path(atomic_file.__file__).parent

PYTHONS_OWN = re.compile(
    rf"{re.escape(str(PACKAGE))}/(?!(cli/)?__init__\.py|__main__\.py)"
    rf'|{re.escape(str(PACKAGE))}/cli/__init__\.py", line \d+, in (main|_guarded|_run|_show_version)\b'
)
"""A frame of birdlite that a Ctrl-C during Python's own start cannot have."""


@dataclass(frozen=True)
class Case:
    """One command line. `output` is a file in the run's folder, or None for standard output."""

    name: str
    arguments: tuple[str, ...]
    kind: Kind
    output: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one run."""

    status: int  # as `Popen.returncode` has it
    out: bytes
    err: str
    folder: Path  # the run's own; its `tmp` is TMPDIR

    def results(self, case: Case) -> bytes | None:
        """What it wrote; None if there is no such file."""
        if case.output is None:
            return self.out
        path = self.folder / case.output
        return path.read_bytes() if path.exists() else None


def cases(cache: Path, album: Path, parts: Path, port: int) -> list[Case]:
    """All of them. `parts` has the parts of a run; the server on `port` answers slowly."""
    model = ("--model", DEMO_MODEL, "--cache-dir", str(cache), "--no-timing", "--threads", "2")
    files = tuple(str(path) for path in sorted(album.iterdir()))
    urls = tuple(f"http://127.0.0.1:{port}/{path.name}?{number}" for number, path in enumerate(album.iterdir()))
    part = ("--resume", "--shard", "0/1", "-o", "part-{shard}.jsonl", "--report", "page.html")
    merged = ("merge", str(parts / "part-0.jsonl"), str(parts / "part-1.jsonl"))
    return [
        Case("files, jsonl on a pipe", ("classify", *model, "--format", "jsonl", *files), "lines"),
        Case("files, csv into a file", ("classify", *model, "-o", "birds.csv", *files), "csv", "birds.csv"),
        Case("URLs, jsonl into a file", ("classify", *model, "-o", "birds.jsonl", *urls), "lines", "birds.jsonl"),
        Case("URLs, text", ("classify", *model, *urls), "text"),
        Case("a part with --resume", ("classify", *model, *part, *files, *urls), "part", "part-0.jsonl"),
        Case("merge into a file", (*merged, "-o", "all.jsonl"), "whole", "all.jsonl"),
        Case("merge on a pipe", merged, "lines"),
        Case("report", ("report", str(parts), "-o", "page.html"), "whole", "page.html"),
        Case("demo", ("demo", "--no-timing", "--format", "jsonl"), "lines"),
    ]


def in_pythons_start(number: int, outcome: Outcome) -> bool:
    """Whether Ctrl-C came before birdlite's first statement, where Python prints a traceback, or drops it."""
    said = re.search(r"Traceback|Exception ignored|Fatal Python error", outcome.err)
    return number == 2 and said is not None and not PYTHONS_OWN.search(outcome.err)


def fault(case: Case, reference: Outcome, number: int, outcome: Outcome) -> str | None:
    """What is wrong after a signal; None if all is well. `completes` checks the other half of a part."""
    own = in_pythons_start(number, outcome)
    if not own and re.search(r"Traceback|Exception ignored|Fatal|fault in birdlite", outcome.err):
        return "a traceback"
    at_once = outcome.status == -number or own
    if outcome.status not in (-number, 128 + number, reference.status) and not own:
        return f"status {outcome.status}"
    whole, found = reference.results(case), outcome.results(case)
    complete = outcome.status == reference.status
    if found is not None and found != whole and (complete or (at_once and found)):
        return "the results are neither empty nor complete"
    wrong = None if found is None else _fault_of_results(case, whole or b"", found, outcome.err)
    return wrong or _leftovers(case, outcome, at_once=at_once)


def _fault_of_results(case: Case, whole: bytes, found: bytes, err: str) -> str | None:
    if case.kind in ("whole", "part"):
        return None if found == whole else "half a file"
    if case.kind == "text":
        return None
    if case.kind == "csv":
        rows = list(csv.reader(io.StringIO(found.decode(), newline="")))
        if not found.endswith(b"\r\n") or any(len(row) != len(rows[0]) for row in rows):
            return "a row is cut"
        return _unlike({tuple(row) for row in csv.reader(io.StringIO(whole.decode()))}, rows, err)
    try:
        records = [json.loads(line) for line in found.decode().splitlines()]
    except ValueError:
        return "a line is cut"
    known = {json.loads(line)["index"]: json.loads(line) for line in whole.decode().splitlines()}
    for record in records:
        if record["status"] == "ok" and record != known[record["index"]]:
            return f"another record of {record['index']}"
    done = [record for record in records if record.get("error", {}).get("kind") != "cancelled"]
    said = re.search(r"interrupted; (\d+) results? (?:was|were) written", err)
    return f"{len(done)} results, but it says {said[1]}" if said and int(said[1]) != len(done) else None


def _unlike(known: set[tuple[str, ...]], rows: list[list[str]], err: str) -> str | None:
    for row in rows:
        if "cancelled" not in row and tuple(row) not in known:
            return f"another row: {row}"
    said = re.search(r"interrupted; (\d+) results? (?:was|were) written", err)
    done = len({row[0] for row in rows[1:] if "cancelled" not in row})
    return f"{done} results, but it says {said[1]}" if said and int(said[1]) != done else None


def _leftovers(case: Case, outcome: Outcome, *, at_once: bool) -> str | None:
    """Files that nothing would find again. One that was told to stop in order leaves only the journal of a part."""
    mine = {"tmp", case.output or "", "page.html"}
    if case.kind == "part":
        mine |= {f"{case.output}{LEFT}", f"{case.output}.suspects"}
    known = set(atomic_file.leftovers(str(outcome.folder / (case.output or "page.html")))) if at_once else set()
    left = [name for name in os.listdir(outcome.folder) if name not in mine and str(outcome.folder / name) not in known]
    left += os.listdir(outcome.folder / "tmp")
    return f"left: {left}" if left else None


def completes(case: Case, reference: Outcome, again: Outcome) -> str | None:
    """What is wrong with a part after `--resume`; None if it has the same bytes as without a signal."""
    if again.status != reference.status:
        return f"--resume ends with {again.status}: {again.err[-300:]}"
    return None if again.results(case) == reference.results(case) else "--resume gives other records"


class SlowServer(ThreadingHTTPServer):
    """The demo's pictures, each after `DELAY_S`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Slow)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that were interrupted."""


class _Slow(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: object, **keywords: object) -> None:
        super().__init__(*arguments, directory=PICTURES_FOLDER, **keywords)  # type: ignore[arg-type]

    def translate_path(self, path: str) -> str:
        time.sleep(DELAY_S)
        name = path.partition("?")[0].lstrip("/")
        return super().translate_path("/" + name.partition("-")[2])  # 07-painted-puddler.jpg

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""
