"""What Prometheus reads at /metrics. `requests` counts requests here, and `pictures` each result.

Only this imports prometheus_client, after the service is ready: see `server`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.samples import Sample

from birdlite import log
from birdlite.results import Result
from birdlite.serve.admission import LANES
from birdlite.serve.pictures import Pictures
from birdlite.writers.base import ModelFacts

TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_AWAY = {"network", "timeout", "http_status", "not_found", "blocked"}


class Metrics:
    """The service's numbers, in a registry of their own."""

    def __init__(self, pictures: Pictures, routes: Collection[str], ready: Callable[[], bool]) -> None:
        """Requests for other paths than `routes` are counted together: anyone can invent paths."""
        self.routes = routes
        self.registry = registry = CollectorRegistry()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the number of series
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "birdlite_requests", "Answered requests.", ["route", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "birdlite_request_seconds",
            "From a request's head to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.shed = Counter(
            "birdlite_shed_requests", "Requests refused because too much is under way or waits.", registry=registry
        )
        self._results = Counter(
            "birdlite_pictures", "Pictures, by outcome: ok or the kind of failure.", ["outcome"], registry=registry
        )
        self._stages = Histogram(
            "birdlite_stage_seconds",
            "Time of a picture in each stage: queue, fetch, decode, infer.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._fetch_failures = Counter(
            "birdlite_fetch_failures", "URLs whose picture could not be fetched, by kind.", ["kind"], registry=registry
        )
        self._model = Info("birdlite_model", "The model and its engine.", registry=registry)
        self._add_gauges(pictures, ready)

    def _add_gauges(self, pictures: Pictures, ready: Callable[[], bool]) -> None:
        """What is looked up when Prometheus asks."""
        registry, admission = self.registry, pictures.admission
        waiting = Gauge("birdlite_queue_length", "Pictures that wait for their turn.", ["lane"], registry=registry)
        running = Gauge("birdlite_pictures_under_way", "Pictures that have their turn.", ["lane"], registry=registry)
        for lane in LANES:
            waiting.labels(lane).set_function(partial(admission.waiting, lane))
            running.labels(lane).set_function(partial(admission.running, lane))
        limit = Gauge("birdlite_queue_limit", "Pictures that may wait in each lane.", registry=registry)
        limit.set(admission.queue)
        engines = Gauge("birdlite_engines", "Engines that are loaded.", registry=registry)
        engines.set_function(lambda: pictures.classifier.engines)
        lost = Gauge("birdlite_log_lines_lost", "Lines of the log that nobody read in time.", registry=registry)
        lost.set_function(log.lost)
        is_ready = Gauge("birdlite_ready", "1 when the service takes on work, as /readyz says.", registry=registry)
        is_ready.set_function(lambda: float(ready()))

    def count(self, result: Result, queued: float, missing: bool) -> None:
        """Count one picture, which waited so many s; `missing`: it was asked for at its URL, and did not come."""
        failure, times = result.failure, result.times
        self._results.labels("ok" if failure is None else failure.kind).inc()
        self._stages.labels("queue").observe(queued)
        if times is not None:
            for stage, ms in (("fetch", times.fetch), ("decode", times.decode), ("infer", times.infer)):
                if ms is not None:
                    self._stages.labels(stage).observe(ms / 1e3)
        if missing and failure is not None and failure.kind in _AWAY:
            self._fetch_failures.labels(failure.kind).inc()

    def tally(self) -> dict[str, int]:
        """What became of the requests for pictures until now, and of the pictures, for the last line of the log."""
        by_status = {"2": "answered", "503": "refused", "499": "gone"}  # gone: the client went away
        found = dict.fromkeys(("requests", *by_status.values(), "failed", "pictures", "pictures_failed"), 0)
        for sample in _samples(self.requests):
            if sample.labels["route"] == "/v1/classify":
                status, number = sample.labels["status"], int(sample.value)
                found["requests"] += number
                found[by_status.get(status) or by_status.get(status[0], "failed")] += number
        for sample in _samples(self._results):
            found["pictures"] += int(sample.value)
            found["pictures_failed"] += int(sample.value) * (sample.labels["outcome"] != "ok")
        return found

    def text(self, model: ModelFacts | None) -> bytes:
        """All numbers, as Prometheus reads them; `model` is the one that answers, once it is loaded."""
        if model is not None:
            self._model.info({"name": model.name, "sha256": model.sha256, "engine": model.engine})
        return generate_latest(self.registry)


def _samples(counter: Counter) -> list[Sample]:
    return [sample for metric in counter.collect() for sample in metric.samples]
