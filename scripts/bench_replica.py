"""What a replica of the service takes of memory: what requests and limits in k8s/serve/base/deployment.yaml rest on.

    scripts/bench replica [--model MODEL] [--rounds N]

Runs `birdlite serve` with the settings of k8s/serve/base/settings.env, one worker and `--memory 1G` (what it takes from
a pod's limits by itself), and uploads photographs, so many at once. Prints the peak of resident memory, from the start
of the process, and how many uploads were refused with 503. The pictures are made photographs (scripts/subjects.py).
Without --model, the demo's own model runs. BIRDLITE_MIRROR and BIRDLITE_CACHE_DIR count as they do for the command.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import httpx

from scripts.subjects import photographs, pod_variables, workplace

HERE = {"BIRDLITE_HOST": "127.0.0.1", "BIRDLITE_DRAIN": "0.1", "BIRDLITE_LOG_FORMAT": "text"}  # not as in a pod
CASES = ((0.3, 1), (1, 16), (12, 1), (12, 16), (12, 64), (24, 16), (48, 1), (48, 16))  # Mpx, at once


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="uploads of each client")
    parser.add_argument("--model")
    values = parser.parse_args()
    with workplace(values.model) as (folder, environment):
        environment |= pod_variables("serve/base") | HERE
        originals = {size: photographs(folder, size) for size in {size for size, _ in CASES}}
        print("| pictures | MB each | at once | answered | refused | peak MiB |\n|---|---|---|---|---|---|")
        for size, clients in CASES:
            bodies = [file.read_bytes() for file in originals[size]]
            statuses, peak = _run(bodies, clients, clients * values.rounds, environment)
            weight = sum(map(len, bodies)) / len(bodies) / 1e6
            answered, refused = statuses.count(200), statuses.count(503)
            assert answered + refused == len(statuses), statuses
            print(f"| {size:g} Mpx | {weight:.1f} | {clients} | {answered} | {refused} | {peak:.0f} |", flush=True)


def _run(bodies: list[bytes], clients: int, count: int, environment: dict[str, str]) -> tuple[list[int], float]:
    """Upload so many pictures to a new service; gives the statuses, and the peak in MiB."""
    with _serving(environment) as (url, process), ThreadPoolExecutor(clients) as pool:
        with httpx.Client(
            base_url=url, timeout=120, trust_env=False, limits=httpx.Limits(max_connections=None)
        ) as client:
            pictures = islice(cycle(bodies), count)
            statuses = list(pool.map(lambda body: client.post("/v1/classify", content=body).status_code, pictures))
        status = Path(f"/proc/{process.pid}/status").read_text()
        (peak,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return statuses, peak / 1024


@contextmanager
def _serving(environment: dict[str, str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A service in a process of its own."""
    command = [sys.executable, "-m", "birdlite", "serve", "--port", "0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        try:
            while not (ready := re.search(r"ready at (http://\S+)", said)):
                line = process.stderr.readline()
                assert line, f"birdlite serve ended: {said}"
                said += line
            yield ready[1], process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


if __name__ == "__main__":
    main()
