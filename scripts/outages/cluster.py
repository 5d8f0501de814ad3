"""The Job controller and the kubelet of `outages`: an Indexed Job as its manifest says, with processes as pods.

What the controller does of its own: it starts an index that failed again after 10, 20, 40, … s.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from scripts.job_pods import pods_of, settings_of
from scripts.outages.world import World
from tests import manifests

ROOT = Path(__file__).parents[2]
BACKOFF_S = 10.0  # of the Job controller, after the first failure of an index; doubled after each
LONGEST_BACKOFF_S = 360.0
POLL_S = 0.02


class Played(NamedTuple):
    """What became of a Job."""

    complete: bool
    seconds: float
    exit_codes: Counter[int]
    ended: dict[int, float]  # the complete indexes, and after how many seconds each was
    last_words: list[str]  # of pods that did not end with 0


class Job:
    """One Indexed Job."""

    def __init__(self, world: World, folder: Path, name: str, indexes: int | None, scale: float) -> None:
        """Render the manifest. `scale` is for the controller's pauses."""
        documents = manifests.render("cluster")
        (job,) = (document for document in documents if document["kind"] == "Job")
        self.spec = job["spec"]  # may be changed before `play`
        if indexes is not None:
            self.spec["completions"] = indexes
            (container,) = self.spec["template"]["spec"]["containers"]
            for entry in container["env"]:
                if entry["name"] == "BIRDLITE_SHARDS":
                    entry["value"] = str(indexes)
        settings = {key: world.filled_in(value, name) for key, value in settings_of(documents).items()}
        outside = {key: value for key, value in os.environ.items() if not key.startswith(("BIRDLITE_", "AWS_"))}
        self._environment = {**outside, **settings, **world.environment, "PYTHONPATH": str(ROOT)}
        self._pods = list(pods_of(job, settings))
        self._folder = folder / name
        self._scale = scale
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._failures: Counter[int] = Counter()
        self._waiting = dict.fromkeys(range(self.spec["completions"]), 0.0)  # from when each may start
        self._played = Played(False, 0.0, Counter(), {}, [])

    def change(self, variable: str, value: str) -> None:
        """Give all pods another setting."""
        self._environment[variable] = value

    def play(self) -> Played:
        """Run it to its end."""
        began = time.monotonic()
        failed = 0
        try:
            while (self._waiting or self._running) and failed <= self.spec["maxFailedIndexes"]:
                now = time.monotonic() - began
                assert now < self.spec["activeDeadlineSeconds"], "the Job does not end"
                for index in [index for index, when in self._waiting.items() if when <= now]:
                    if len(self._running) < self.spec["parallelism"]:
                        del self._waiting[index]
                        self._running[index] = self._start(index)
                for index in [index for index, pod in self._running.items() if pod.poll() is not None]:
                    failed += self._end(index, now)
                time.sleep(POLL_S)
        finally:
            for pod in self._running.values():
                pod.kill()
                pod.wait()
        return self._played._replace(complete=not failed, seconds=time.monotonic() - began)

    def _start(self, index: int) -> subprocess.Popen[bytes]:
        """Start a pod, with volumes of its own."""
        volume = self._folder / f"{index}-{self._failures[index]}"
        for name in ("tmp", "cache"):
            (volume / name).mkdir(parents=True)
        (container,) = self._pods[index]["spec"]["containers"]
        given = {entry["name"]: entry["value"] for entry in container["env"]}
        volumes = {"TMPDIR": str(volume / "tmp"), "BIRDLITE_CACHE_DIR": str(volume / "cache")}
        command = [sys.executable, "-m", "scripts.outages.pod", *container["args"]]
        with open(self._log(index), "wb") as log:
            environment = {**self._environment, **given, **volumes, "BIRDLITE_THREADS": "1"}
            return subprocess.Popen(command, env=environment, cwd="/", stdout=log, stderr=log)

    def _end(self, index: int, now: float) -> bool:
        """Judge a pod that has ended; whether its index has failed."""
        code = self._running.pop(index).returncode
        self._played.exit_codes[code] += 1
        if code == 0:
            self._played.ended[index] = now
            return False
        self._played.last_words.extend(self._log(index).read_text().splitlines()[-1:])
        self._failures[index] += 1
        if code in self._codes_that_fail() or self._failures[index] > self.spec["backoffLimitPerIndex"]:
            return True
        pause = min(LONGEST_BACKOFF_S, BACKOFF_S * 2.0 ** (self._failures[index] - 1))
        self._waiting[index] = now + pause * self._scale
        return False

    def _codes_that_fail(self) -> list[int]:
        rules: list[dict[str, Any]] = self.spec["podFailurePolicy"]["rules"]
        return [code for rule in rules if rule["action"] == "FailIndex" for code in rule["onExitCodes"]["values"]]

    def _log(self, index: int) -> Path:
        return self._folder / f"{index}-{self._failures[index]}.log"
