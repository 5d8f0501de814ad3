"""One process of the service, beside the command and the library. The tables of PERF.md, "The service, one process".

    scripts/bench service [--birds FOLDER] [--only start|latency|throughput|interpreter]

- start: from the start of `birdlite serve` until /readyz answers 200, beside a whole `birdlite classify` of one
  picture, both with a warm cache. In turn.
- latency: one picture at a time, sent to the service, given to `Classifier.classify`, and sent to a process that only
  reads it. In turn, with pauses. The client is a bare socket, whose own time is next to nothing.
- throughput: pictures of 1 Mpx that four clients send without a pause, beside `birdlite classify` on files. Either has
  one thread and one core; the clients have another core.
- interpreter: what a request costs in the event loop's thread, which holds Python's lock, and in the others, most of
  which is decoding and inference, which do not. And what a second thread adds on a second core.

Ratios are taken round by round; printed are medians. Without real birds (`--birds FOLDER`, which holds mirror/) it is
the demo's model. The pictures are those of scripts/subjects.py.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from birdlite import Classifier, Settings
from birdlite.bench import this_environment
from birdlite.settings import DEFAULT_MODEL
from scripts.cold.slow_server import running
from scripts.cores import bound_to
from scripts.service.clients import PATIENCE_S, exchange, rate
from scripts.service.process import COMMAND, Process
from scripts.service.reader import reading
from scripts.subjects import links, model_variables, photographs

CLIENTS = 4
PAUSE_S = 0.02  # between two pictures: low load
FEW, MORE = 60, 360  # pictures of two runs; the difference is without their start
ALLOWED = 1.3, 0.15  # ready within so many times a cold `classify`, and so many s


class Bench(NamedTuple):
    """What all parts use."""

    environment: dict[str, str]  # of the commands: a model in a warm cache
    settings: Settings  # the same for the library
    folder: Path  # for files
    rounds: int
    cores: list[int]

    def pictures(self, megapixels: float) -> list[Path]:
        """A few photographs of that size."""
        return photographs(self.folder, megapixels)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--birds", metavar="FOLDER", help="real birds: a folder that holds mirror/")
    parser.add_argument("--rounds", metavar="N", type=int, default=11)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be repeated; default: all")
    values = parser.parse_args(argv)
    machine = this_environment()
    print(f"{machine.processor}, {machine.processors} processors, Python {machine.python}; {values.rounds} rounds.")
    with ExitStack() as stack:
        bench = _prepared(values.birds, values.rounds, stack)
        for name, part in PARTS.items():
            if not values.only or name in values.only:
                print(f"\n### {name}\n", flush=True)
                part(bench)


def _prepared(birds: str | None, rounds: int, stack: ExitStack) -> Bench:
    """Everything, with the model in a cache and birdlite compiled."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    environment = model_variables(None if birds is None else DEFAULT_MODEL, folder, stack)
    if birds is not None:
        environment["BIRDLITE_MIRROR"] = stack.enter_context(running(os.path.join(birds, "mirror"), 0, 0))
    picture = str(photographs(folder, 1)[0])
    subprocess.run([COMMAND, "classify", picture, "-q"], env=environment, check=True, stdout=subprocess.DEVNULL)
    del environment["BIRDLITE_MIRROR"]
    settings = Settings(model=environment["BIRDLITE_MODEL"], cache_dir=environment["BIRDLITE_CACHE_DIR"])
    return Bench(environment, settings, folder, rounds, sorted(os.sched_getaffinity(0)))


def start(bench: Bench) -> None:
    """Ready, beside a cold `classify`."""
    picture = str(bench.pictures(1)[0])
    colds, readies = [], []
    for round_ in range(bench.rounds + 1):
        began = time.perf_counter()
        subprocess.run([COMMAND, "classify", picture], env=bench.environment, check=True, capture_output=True)
        cold = time.perf_counter() - began
        with Process(bench.environment) as service:
            ready = service.ready_s
        if round_:  # the first one compiles, and warms the disk cache
            colds.append(cold)
            readies.append(ready)
    times, more = ALLOWED
    over = [ready - times * cold for cold, ready in zip(colds, readies, strict=True)]
    print("| | ms | lowest |\n|---|---|---|")
    print(f"| `birdlite classify` of one picture, whole process | {_ms(median(colds))} | {_ms(min(colds))} |")
    print(f"| `birdlite serve` until /readyz answers 200 | {_ms(median(readies))} | {_ms(min(readies))} |")
    print(f"\nReady takes {times:g} times a cold `classify`, and {median(over):+.3f} s. (At most {more:+g} s.)")


def latency(bench: Bench) -> None:
    """One picture at a time."""
    print("| picture | library, ms | service, ms | it adds, ms | nine in ten at most | to send it, ms | the rest |")
    print("|---|---|---|---|---|---|---|")
    with Process(bench.environment) as service, Classifier(bench.settings) as birds, reading() as port:
        connections = [socket.create_connection(("127.0.0.1", one), PATIENCE_S) for one in (service.port, port)]
        ways: list[Callable[[bytes], object]] = [birds.classify, *(partial(exchange, one) for one in connections)]
        for megapixels in (0.1, 1, 12):
            pictures = [path.read_bytes() for path in bench.pictures(megapixels)]
            library, served, sent = _in_turn(ways, pictures, 20 * bench.rounds)
            added = [theirs - ours for ours, theirs in zip(library, served, strict=True)]
            rest = [more - way for more, way in zip(added, sent, strict=True)]
            size = f"{megapixels:g} Mpx, {len(pictures[0]) / 1e3:,.0f} KB"
            adds = f"{_tenths(median(added))} | {_tenths(quantiles(added, n=10)[-1])}"
            more = f"{_tenths(median(sent))} | {_tenths(median(rest))}"
            print(f"| {size} | {_tenths(median(library))} | {_tenths(median(served))} | {adds} | {more} |", flush=True)
        for connection in connections:
            connection.close()


def _in_turn(ways: Sequence[Callable[[bytes], object]], pictures: Sequence[bytes], rounds: int) -> list[list[float]]:
    """The times of each way, in s, after two rounds that are not counted."""
    times: list[list[float]] = [[] for _ in ways]
    for round_ in range(rounds + 2):
        for turn in range(len(ways)):
            way = (round_ + turn) % len(ways)
            time.sleep(PAUSE_S)
            began = time.perf_counter()
            ways[way](pictures[round_ % len(pictures)])
            times[way].append(time.perf_counter() - began)
    return [found[2:] for found in times]


def throughput(bench: Bench) -> None:
    """Pictures a second on one core."""
    _need_two(bench)
    core, other = bench.cores[:2]
    files = bench.pictures(1)
    pictures = [path.read_bytes() for path in files]
    commands, services = [], []
    with Process(bench.environment, "--threads", "1", cores={core}) as service, bound_to({other}):
        rate(service.port, pictures, FEW, CLIENTS)
        for _ in range(bench.rounds):
            commands.append(_of_command(bench, files, core))
            services.append(rate(service.port, pictures, MORE, CLIENTS))
    ratio = median(ours / theirs for ours, theirs in zip(services, commands, strict=True))
    print("| uploads of 1 Mpx, one core | pictures a second |\n|---|---|")
    print(f"| `birdlite classify --threads 1` | {median(commands):.1f} |")
    print(f"| `birdlite serve --threads 1` | {median(services):.1f} |")
    print(f"\nThe service does {ratio:.2f} of the command's pictures. (At least 0.85.)")


def _of_command(bench: Bench, files: Sequence[Path], core: int) -> float:
    """Pictures a second of `birdlite classify`, without its start."""
    seconds = []
    for count in (FEW, MORE):
        folder = links(bench.folder / str(count), files, count)
        command = [COMMAND, "classify", str(folder), "--threads", "1", "-q"]
        began = time.perf_counter()
        with bound_to({core}):
            child = subprocess.Popen(command, env=bench.environment, stdout=subprocess.DEVNULL)
        if child.wait():
            raise SystemExit("birdlite classify failed")
        seconds.append(time.perf_counter() - began)
    return (MORE - FEW) / (seconds[1] - seconds[0])


def interpreter(bench: Bench) -> None:
    """What holds the lock, and what does not."""
    _need_two(bench)
    print("| picture | threads | pictures a second | CPU ms a picture: event loop | other threads | clients |")
    print("|---|---|---|---|---|---|")
    for megapixels in (0.01, 0.1, 1, 12):
        pictures = [path.read_bytes() for path in bench.pictures(megapixels)]
        for threads in (1, 2):
            with Process(bench.environment, "--threads", str(threads)) as service:
                rate(service.port, pictures, FEW, CLIENTS)
                before, own = service.spent(), time.process_time()
                found = rate(service.port, pictures, MORE, CLIENTS)
                spent, clients = service.spent().since(before), time.process_time() - own
            per = [second / MORE * 1e3 for second in (*spent, clients)]
            size = f"{megapixels:g} Mpx, {len(pictures[0]) / 1e3:,.0f} KB"
            print(f"| {size} | {threads} | {found:.0f} | {per[0]:.2f} | {per[1]:.2f} | {per[2]:.2f} |", flush=True)


def _need_two(bench: Bench) -> None:
    if len(bench.cores) < 2:
        raise SystemExit("this needs two cores: one for the clients")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f}"


def _tenths(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"


PARTS: dict[str, Callable[[Bench], None]] = {
    "start": start,
    "latency": latency,
    "throughput": throughput,
    "interpreter": interpreter,
}

if __name__ == "__main__":
    main()
