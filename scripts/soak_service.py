"""A service under many requests of all kinds: every answer is right, all are counted, and the process does not grow.

    python -m scripts.soak_service                      # 100,000 requests
    python -m scripts.soak_service --requests 1000      # some seconds

One `birdlite serve` with the demo's model answers sixteen clients, at a bounded rate: pictures, forms, URLs of a
hostile server, damaged pictures, bad requests, what is no HTTP, probes, and clients that go away. Every answer is
compared with what its request must get. At the end /metrics must have counted the same requests, nothing may wait or
be under way, and the process must not hold 5 MiB more than behind its first tenth (32 MiB if there are fewer than
50,000 requests), nor more descriptors or threads. Then it must end in good order.

The folder gets the samples (soak.json), a drawing of them (soak.svg) and the service's log. Exit code 1 means that
something is not as it must be.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from birdlite.demo import FOLDER
from scripts.service.kinds import NOT_REQUESTS, TURN, Bird, Client
from scripts.service.process import Process
from scripts.soak.hostile import HostileServer, demo_pictures
from scripts.soak.judgement import ended, line_of
from scripts.soak.watch import Sample, look_at

CLIENTS = 16
SAMPLE_S = 0.5  # between two samples
SETTLES = 20  # looks whether what clients left behind is done
WIDTH = 160  # px of pictures that are sent: they are to be many, not large
OPTIONS = ["--allow-private", "--timeout", "5", "--retries", "1", "--max-bytes", "1M", "--downloads", "32"]
OPTIONS += ["--per-host", "32", "--request-timeout", "60", "--drain", "0.1"]
OPTIONS += ["--max-wait", "60"]  # a machine that is busy otherwise refuses none of so few clients


class Soak:
    """The clients, and what they saw."""

    def __init__(self, requests: int, rate: float, process: Process, shown: Sequence[str]) -> None:
        self.counts = Counter[str]()  # requests by kind
        self.answered = Counter[int]()  # answers by status
        self.wrong: list[str] = []
        self.samples: list[Sample] = []
        self._requests = requests
        self._process = process
        self._birds = _small_birds()
        self._shown = shown
        self._turn = itertools.count()  # of requests
        self._numbers = itertools.count()  # of URLs
        self._began = time.monotonic()
        self._pause = 1 / rate
        self._lock = threading.Lock()

    def run(self) -> None:
        """Send all requests, and take samples meanwhile."""
        threads = [threading.Thread(target=self._send) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        told = 0
        while any(thread.is_alive() for thread in threads):
            time.sleep(SAMPLE_S)
            done = self.counts.total()
            sample = look_at(self._process.process.pid, 0, time.monotonic() - self._began, done)
            if sample is not None:
                self.samples.append(sample)
                if done * 10 // self._requests > told:
                    told = done * 10 // self._requests
                    print(line_of(sample, "requests"), flush=True)

    def _send(self) -> None:
        """Be one client."""
        client = Client(self._process.port, self._birds, self._shown, self._numbers)
        try:
            while (number := next(self._turn)) < self._requests:
                time.sleep(max(0.0, self._began + number * self._pause - time.monotonic()))
                name, ask = TURN[number % len(TURN)]
                complaint = ask(client, number // len(TURN))
                with self._lock:
                    self.counts[name] += 1
                    self.wrong += [] if complaint is None else [f"request {number}, {name}: {complaint}"]
        except Exception as error:  # noqa: BLE001 - told, and the soak is not well
            self.wrong.append(f"a client gave up: {type(error).__name__}: {error}")
        finally:
            client.close()
            with self._lock:
                self.answered += client.answered


def _small_birds() -> list[Bird]:
    """The demo's pictures, so small that they take little time."""
    birds = []
    for name, data in demo_pictures():
        with Image.open(io.BytesIO(data)) as opened:
            small = opened.convert("RGB").resize((WIDTH, WIDTH * opened.height // opened.width))
            made = io.BytesIO()
            small.save(made, "JPEG", exif=opened.getexif())
        birds.append(Bird(name, made.getvalue()))
    return birds


def counted(process: Process) -> tuple[Counter[int], Counter[str]]:
    """What /metrics says when nothing is under way any more: answers by status, and what is left all the same."""
    for _ in range(SETTLES):
        answers, left = Counter[int](), Counter[str]()
        for family in text_string_to_metric_families(process.get("/metrics")[1]):
            for sample in family.samples:
                if sample.name == "birdlite_requests_total":
                    answers[int(sample.labels["status"])] += int(sample.value)
                elif sample.name in ("birdlite_queue_length", "birdlite_pictures_under_way") and sample.value:
                    left[sample.name] += int(sample.value)
        if not left:
            break
        time.sleep(SAMPLE_S)
    return answers, left


def unbalanced(soak: Soak, process: Process, requests: int) -> Iterator[str]:
    """What the numbers of the service and of the clients do not agree on."""
    if soak.counts.total() != requests:
        yield f"{soak.counts.total():,} of {requests:,} requests are done"
    answers, left = counted(process)
    loose = sum(soak.counts[name] for name in NOT_REQUESTS)
    own = process.asked - 1  # the last one is not counted before it is answered
    expected = soak.answered + Counter({200: own})
    if not 0 <= answers.total() - expected.total() <= loose:
        yield f"{expected.total():,} answers, {loose:,} requests without; the service counted {answers.total():,}"
    for status, number in expected.items():
        if not 0 <= answers[status] - number <= loose:
            yield f"{number:,} answers have status {status}, and the service counted {answers[status]:,}"
    if faults := answers[500] + answers[503]:
        yield f"{faults} answers 500 and 503"
    yield from (f"{name} is {value} at the end" for name, value in left.items())


def soak(requests: int, rate: float, folder: Path) -> int:
    """Do it all, and print the figures. Returns the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = demo_pictures()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BIRDLITE_"))}
    environment |= {"BIRDLITE_CACHE_DIR": str(folder / "cache"), "BIRDLITE_TRACEBACK": "1"}
    model = ["--model", f"{FOLDER}/model.tflite", "--labels", f"{FOLDER}/labels.csv"]
    with ExitStack() as stack:
        server = stack.enter_context(HostileServer([data for _, data in shown], rate))
        process = stack.enter_context(Process(environment, *model, *OPTIONS, "--mirror", server.mirror))
        made = Soak(requests, rate, process, [name for name, _ in shown])
        made.run()
        seconds = made.samples[-1].seconds
        wrong = [*made.wrong, *unbalanced(made, process, requests)]
        if (code := process.end()) != 0:
            wrong.append(f"the service ended with {code}")
        said = process.said()
    (folder / "log.txt").write_text(said)
    wrong += [f"{word!r} in the log" for word in ("Traceback", "a fault in birdlite") if word in said]
    print(f"{made.counts.total():,} requests in {seconds:.0f} s: {dict(made.counts.most_common())}")
    print(f"answers: {dict(made.answered.most_common())}")
    return ended(folder, f"birdlite serve, {requests:,} requests of all kinds", requests, made.samples, wrong)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, metavar="N")
    parser.add_argument("--rate", type=float, default=250.0, metavar="N", help="requests a second at most")
    parser.add_argument("--folder", type=Path, default=Path("soak-results"), help="for the figures")
    values = parser.parse_args(arguments)
    return soak(values.requests, values.rate, values.folder.absolute())


if __name__ == "__main__":
    sys.exit(main())
