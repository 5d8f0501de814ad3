"""Damaged pictures of every format, for a while: each must give a picture or a `PictureError`, soon, in bounded memory.

    python -m scripts.fuzz_pictures --seconds 20
    python -m scripts.fuzz_pictures --seconds 600 --seed 7 --only TIFF

The seeds are made by code (`scripts.picture_kinds`). They are changed in bits, bytes, fields, cuts and splices, and
decoded in a child process that has little address space. Looked for are: a fall of the process, an exception that is
no `PictureError`, over 5 s of processor time, output on stderr, and more memory than the header promised.
A finding is written to a file, and its name is printed. Exit code 1 means that there were findings.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

from scripts.picture_kinds import KINDS, made

_SPACE = 3 << 30  # bytes of address space for a child, whose libraries have half of it
_SPARE = 48 << 20  # bytes: what the interpreter and its libraries take by themselves while they go on
_SECONDS = 5.0  # of processor time
_AT_ONCE = 200  # pictures a child decodes before the next one begins
_FIELDS = (0, 1, 2, 7, 8, 15, 16, 127, 128, 255, 256, 32767, 65535, 65536, 1 << 24, (1 << 31) - 1, (1 << 32) - 1)


def mutated(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Damage a file, more often near its beginning, where the header is."""
    spoilt = bytearray(data)
    reach = len(data) if chance.random() < 0.5 else min(len(data), 600)
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


def cases(seed: int, only: str) -> Iterator[tuple[str, bytes]]:
    """Kinds of pictures and damaged files, without an end; the same ones for the same seed."""
    chance = random.Random(seed)
    seeds = {kind: made(kind, 96, 64) for kind in KINDS if only in kind}
    names = list(seeds)
    while True:
        kind, other = chance.choice(names), chance.choice(names)
        data = seeds[kind]
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            data = mutated(data, seeds[other], chance) or b"\0"
        yield kind, data


def _resident(field: str) -> int:
    """Bytes of memory of this process: VmRSS, or VmHWM, the most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def child(seed: int, only: str, first: int, count: int) -> None:
    """Decode some of the cases. A line is printed before each one, and one for each finding."""
    from birdlite.errors import PictureError
    from birdlite.images import picture
    from birdlite.settings import Resize

    ways: tuple[Resize, ...] = ("crop", "squash", "exact")
    for kind in KINDS:  # imports, so that they do not count
        if only in kind:
            picture.decode(made(kind, 96, 64), resize="exact")
    resource.setrlimit(resource.RLIMIT_AS, (_SPACE, _SPACE))
    for number, (_, data) in enumerate(cases(seed, only)):
        if number < first:
            continue
        if number >= first + count:
            return
        print(number, flush=True)
        limit = int(time.process_time() + 4 * _SECONDS)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))  # then the process is killed
        Path("/proc/self/clear_refs").write_text("5")
        before, start, promised, what = _resident("VmRSS"), time.process_time(), 0, ""
        try:
            plan = picture.plan(data, resize=ways[number % 3], max_pixels=30_000_000)
            promised = plan.memory
            plan.decode()
        except PictureError as error:
            what = "" if str(error).isprintable() else f"a message of several lines: {error!r}"
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            what = f"{type(error).__name__}: {error}"
        took, seconds = _resident("VmHWM") - before, time.process_time() - start
        if took > promised + _SPARE:
            what = what or f"{took >> 20} MB, and {promised >> 20} MB were promised"
        if seconds > _SECONDS:
            what = what or f"{seconds:.1f} s"
        if what:
            print(json.dumps({"number": number, "what": what}), flush=True)


def run_child(seed: int, only: str, first: int) -> tuple[int, dict[int, str]]:
    """Let a child decode some cases. Returns how many it did, and what was found, by number."""
    command = [sys.executable, "-m", "scripts.fuzz_pictures", "--seed", str(seed), "--only", only]
    command += ["--child", str(first), str(_AT_ONCE)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[int, str] = {}
    last = first - 1
    for line in run.stdout.splitlines():
        if line.startswith("{"):
            finding = json.loads(line)
            found[finding["number"]] = finding["what"]
        else:
            last = int(line)
    if run.returncode:
        found[last] = f"the process ended with {run.returncode}: {run.stderr.strip()[-300:]}"
    elif run.stderr:
        found[last] = f"output on stderr: {run.stderr.strip()[-300:]}"
    return last - first + 1, found


def main() -> int:
    """Try until the time is over. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to try")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31), help="of the damage")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--child", nargs=2, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.seed, arguments.only, *arguments.child)
        return 0
    print(f"seed {arguments.seed}", flush=True)
    end, done, findings = time.monotonic() + arguments.seconds, 0, 0
    while time.monotonic() < end:
        count, found = run_child(arguments.seed, arguments.only, done)
        for number, what in found.items():
            kind, data = next(case for n, case in enumerate(cases(arguments.seed, arguments.only)) if n == number)
            path = Path(mkdtemp(prefix="birdlite-fuzz-")) / f"{arguments.seed}-{number}"
            path.write_bytes(data)
            print(f"{kind}: {what}: {path}", flush=True)
        findings += len(found)
        done += max(count, 1)
    print(f"{done} damaged pictures, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
