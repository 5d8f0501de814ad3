"""Machines that serve, behind a balancer, and a load on them: what `bench_serve` measures, and takes apart and mends.

with deployment(world, way, (0.25, 0.25), 10_000) as here:
    report = here.load(plan)
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from scripts.balanced.balancer import Balancer, balancer
from scripts.balanced.load import Plan, Report, report_of
from scripts.scaleout.helper_processes import ROOT, Helper, busy_of, piped
from scripts.scaleout.machines import PORT, Machine, Running, fleet
from scripts.scaleout.world import BIRDLITE, World

URL = "http://127.0.0.1:8080"  # of the balancer, beside which the load runs
SPARE = 30.0  # s that a load may take longer than its patience


class Way(NamedTuple):
    """A way to serve."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]


class Costs(NamedTuple):
    """Processor time that was taken while a load ran, in processors."""

    services: float
    balancer: float
    origin: float
    load: float
    busy: float  # of all real processors, in [0, 1]


class Measured(NamedTuple):
    """A load that was run."""

    report: Report
    costs: Costs
    retried: tuple[int, int]  # by the balancer: at the same service, and at another one


class Service:
    """A machine and what serves on it."""

    def __init__(self, name: str, machine: Machine, way: Way, folder: Path) -> None:
        self.name = name
        self._machine = machine
        self._way = way
        self._messages = folder / f"{name}.log"
        self._running: Running | None = None

    @property
    def address(self) -> str:
        """Where the balancer finds it."""
        return f"{self._machine.address}:{PORT}"

    def start(self) -> None:
        """Start it. The balancer says when it is ready."""
        environment = self._way.environment | {"BIRDLITE_MIRROR": self._machine.server}
        self._running = self._machine.start(self._way.command, environment, self._messages)

    def cpu(self) -> float:
        """Processor time so far of the process that runs now, in s."""
        return Helper(self._running.process.pid).cpu() if self._running else 0.0

    def kill(self) -> None:
        """End it as a crash does."""
        if self._running is not None:
            self._running.kill()
            self._running = None

    def end(self) -> None:
        """Ask it to end, and wait.

        Raises:
            SystemExit: it ended with another exit code than 0.
        """
        assert self._running is not None
        self._running.process.send_signal(signal.SIGTERM)
        self._running.ended()
        self._running = None


class Deployment(NamedTuple):
    """Services, a balancer, and where the load runs."""

    services: list[Service]
    balancer: Balancer
    origin: Helper
    home: str

    def load(self, plan: Plan) -> Measured:
        """Run a load to its end."""
        with self.loading(plan) as under_way:
            return under_way.measured()

    @contextmanager
    def loading(self, plan: Plan) -> Iterator[UnderWay]:
        """Run a load while the body does something else."""
        command = ("ip", "netns", "exec", self.home, sys.executable, "-m", "scripts.balanced.load", URL)
        with piped(command) as process:
            yield UnderWay(self, plan, process)


class UnderWay:
    """A load that runs."""

    def __init__(self, deployment: Deployment, plan: Plan, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        json.dump(plan, process.stdin)
        process.stdin.close()
        process.stdin = None  # `communicate` would flush it
        self._deployment = deployment
        self._process = process
        self._patience = sum(phase.seconds for phase in plan.phases) + plan.patience + SPARE
        self._began = time.monotonic()
        self._first = self._spent()

    @property
    def now(self) -> float:
        """S since the beginning."""
        return time.monotonic() - self._began

    def wait(self, seconds: float) -> None:
        """Wait until so many s after the beginning."""
        time.sleep(max(0.0, seconds - self.now))

    def measured(self) -> Measured:
        """Wait for the end.

        Raises:
            SystemExit: the load failed.
        """
        said, _ = self._process.communicate(timeout=self._patience)
        last = self._spent()
        if self._process.returncode:
            raise SystemExit(f"the load failed: exit {self._process.returncode}")
        report = report_of(json.loads(said))
        took = time.monotonic() - self._began
        services, balancing, origin, worked, had, again, elsewhere = (
            b - a for a, b in zip(self._first, last, strict=True)
        )
        costs = Costs(services / took, balancing / took, origin / took, report.cpu / report.seconds, worked / had)
        return Measured(report, costs, (int(again), int(elsewhere)))

    def _spent(self) -> tuple[float, ...]:
        deployment = self._deployment
        services = sum(service.cpu() for service in deployment.services)
        busy = busy_of(Path("/proc/stat").read_text())
        return (
            services,
            deployment.balancer.process.cpu(),
            deployment.origin.cpu(),
            *busy,
            *deployment.balancer.retries(),
        )


def birdlite(world: World, queue: int | None) -> Way:
    """`birdlite serve`, with its defaults."""
    more = () if queue is None else ("--queue", str(queue))
    # The machines and the pictures' server have addresses that are not public.
    command = (BIRDLITE, "serve", "--host", "0.0.0.0", "--port", str(PORT), "--allow-private", *more)
    return Way("birdlite", command, world.environment | {"BIRDLITE_CACHE_DIR": str(world.cache)})


def plain(world: World) -> Way:
    """scripts/balanced/plain.py, on the same model."""
    asking = (BIRDLITE, "model", "path", world.model)
    environment = world.environment | {"BIRDLITE_CACHE_DIR": str(world.cache)}
    model = Path(subprocess.run(asking, env=environment, check=True, capture_output=True, text=True).stdout.strip())
    command = (sys.executable, "-m", "scripts.balanced.plain", str(model / "model.tflite"), str(model / "labels.csv"))
    return Way("plain", (*command, str(PORT)), world.environment | {"PYTHONPATH": str(ROOT)})


@contextmanager
def deployment(world: World, way: Way, cpus: Sequence[float], period_us: int) -> Iterator[Deployment]:
    """A service on a machine for each share of a processor, all of them ready."""
    with ExitStack() as stack:
        machines = stack.enter_context(fleet(cpus, None, world.served, world.log, period_us=period_us))
        folder = world.folder / "deployment"
        folder.mkdir(exist_ok=True)
        services = [Service(f"m{n}", machine, way, folder) for n, machine in enumerate(machines.machines, 1)]
        inside = ("ip", "netns", "exec", machines.home)
        addresses = {service.name: service.address for service in services}
        balancing = stack.enter_context(balancer(folder, addresses, int(URL.rpartition(":")[2]), inside))
        for service in services:
            stack.callback(service.kill)
            service.start()
        balancing.wait_until("UP", addresses)
        yield Deployment(services, balancing, machines.server, machines.home)
