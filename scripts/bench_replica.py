"""What a replica of the service takes of memory: what requests and limits in k8s/serve/base/deployment.yaml rest on.

    scripts/bench replica [--model MODEL] [--rounds N]

Runs `birdlite serve` with the settings of k8s/serve/base/settings.env, one worker and `--memory 1G` (what it takes from
a pod's limits by itself), and uploads photographs, so many at once. Prints the peak of resident memory, from the start
of the process, and how many uploads were refused with 503. The pictures are made photographs (scripts/subjects.py).
Without --model, the demo's own model runs. BIRDLITE_MIRROR and BIRDLITE_CACHE_DIR count as they do for the command.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import httpx

from scripts.service.process import Process
from scripts.subjects import photographs, pod_variables, workplace

HERE = {"BIRDLITE_HOST": "127.0.0.1", "BIRDLITE_LOG_FORMAT": "text"}  # not as in a pod
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
    with Process(environment) as service, ThreadPoolExecutor(clients) as pool:
        url, limits = f"http://127.0.0.1:{service.port}", httpx.Limits(max_connections=None)
        with httpx.Client(base_url=url, timeout=120, trust_env=False, limits=limits) as client:
            pictures = islice(cycle(bodies), count)
            statuses = list(pool.map(lambda body: client.post("/v1/classify", content=body).status_code, pictures))
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        (peak,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return statuses, peak / 1024


if __name__ == "__main__":
    main()
