"""Runs parts of the fuzzer in processes of their own, in turn, and keeps what they find."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from scripts.fuzz.part import Part

STARTS_S = 300.0  # until a process tries its first input; other programs may be busy
ROOT = Path(__file__).parents[2]


class Slice(NamedTuple):
    """What a process did."""

    end: int  # number of the input after its last one
    found: dict[int, str]  # what was wrong, by the number of the input


def child_command(only: str, seed: int, first: int, seconds: float) -> list[str]:
    """The command line of a process that tries inputs."""
    command = [sys.executable, "-m", "scripts.fuzz", "--only", only, "--seed", str(seed)]
    return [*command, "--child", str(first), str(seconds)]


def run_slice(part: Part, only: str, seed: int, first: int, seconds: float) -> Slice:
    """Let a process try inputs from number `first` on. A fault may end it before the time is up."""
    command = child_command(only, seed, first, seconds)
    last, found = first - 1, dict[int, str]()
    with TemporaryFile("w+", errors="replace") as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said)
        assert process.stdout is not None
        rest, hangs, worked = b"", False, -1
        while True:
            wall = STARTS_S if last < first else part.wall
            if not select.select([process.stdout], [], [], wall)[0]:
                before, worked = worked, _processor_time(process.pid)
                if worked > before:
                    continue  # it works, or other programs keep it from that; `child` limits its processor time
                hangs = True
                process.kill()
                break
            block = process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
            if not block:
                break
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if line.startswith(b"{"):
                    finding = json.loads(line)
                    found[finding["number"]] = finding["what"]
                else:
                    last = int(line)
        code = process.wait()
        process.stdout.close()
        said.seek(0)
        words = said.read().strip()[-300:]
    if hangs:
        found[last] = f"it waits, and does not end within {wall:g} s"
    elif code:
        found[last] = f"the process ended with {code}: {words}"
    elif words:
        found[last] = f"output on stderr: {words}"
    return Slice(last + 1, found)


def _processor_time(pid: int) -> int:
    """Ticks that a process has worked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class Tally:
    """How far a part is."""

    def __init__(self, part: Part, only: str) -> None:
        """`only` names the part, and perhaps the inputs to begin with."""
        self.part = part
        self.only = only
        self.done = 0
        self.finds = 0

    def go_on(self, seed: int, seconds: float) -> dict[int, str]:
        """Try inputs for a while, in further processes if one dies. Returns what was found."""
        until, found = time.monotonic() + seconds, dict[int, str]()
        while (left := until - time.monotonic()) > 0:
            slice_ = run_slice(self.part, self.only, seed, self.done, left)
            found |= slice_.found
            self.done = max(slice_.end, self.done + 1)
            if not slice_.found:
                break
        self.finds += len(found)
        return found
