"""The process in which damaged inputs are tried. A number is printed before each, and a line of JSON for each find."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from birdlite import errors, log
from birdlite.errors import PictureError
from scripts.fuzz.part import Attempt, Part, case

CPU_S = 5.0  # of processor time for one input
GROWTH = 512 << 20  # bytes that one input may take
MIB = 1 << 20


def resident(field: str) -> int:
    """Bytes of memory of this process: VmRSS, or VmHWM, the most since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def forget_peak() -> int:
    """Let VmHWM begin anew; the memory that this process has now."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def work(part: Part, seeds: Mapping[str, bytes], seed: int, first: int, seconds: float) -> None:
    """Try inputs from number `first` on, for a while."""
    with TemporaryDirectory(prefix="birdlite-fuzz-") as folder:
        os.chdir(folder)  # relative names in inputs find nothing else
        log.to(lambda *_: None)  # what birdlite says is not output on stderr
        attempt = part.prepare(Path(folder))
        for data in seeds.values():  # imports, so that they do not count
            with contextlib.suppress(*part.allowed):
                attempt(data)
        gc.collect()
        if part.space is not None:
            resource.setrlimit(resource.RLIMIT_AS, (part.space, part.space))
        until, number = time.monotonic() + seconds, first
        while time.monotonic() < until:
            print(number, flush=True)
            limit = int(time.process_time() + 4 * CPU_S)  # then the process is killed
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
            what = outcome(part, attempt, case(part, seed, number, seeds)[1])
            if what:
                print(json.dumps({"number": number, "what": what}), flush=True)
            number += 1


def outcome(part: Part, attempt: Attempt, data: bytes) -> str:
    """Try an input; what is wrong with birdlite, or nothing."""
    before, start, what = forget_peak(), time.process_time(), ""
    try:
        attempt(data)
    except part.allowed as error:
        text = str(error)
        printable = text.isprintable() if isinstance(error, PictureError) else "\n" not in text and "\r" not in text
        what = "" if printable else f"the message is not one plain line: {text[:300]!r}"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        what = f"{type(error).__name__}: {str(error)[:300]}, at {_place(error)}"
    took, seconds = resident("VmHWM") - before, time.process_time() - start
    if took > GROWTH:
        what = what or f"{took // MIB} MiB"
    if seconds > CPU_S:
        what = what or f"{seconds:.1f} s of processor time"
    return what


PACKAGE = os.path.dirname(errors.__file__) + os.sep  # a checkout may be called birdlite too


def _place(error: BaseException) -> str:
    """Where an error was raised: the last lines of birdlite on its way."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename.startswith(PACKAGE):
            frames.append(f"{os.path.basename(code.co_filename)}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return " < ".join(frames[:-4:-1]) or "no line of birdlite"
