"""What Prometheus reads at /metrics. `app` counts requests here, and `pictures` each result."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from birdlite.results import Result
from birdlite.serve.pictures import Pictures

TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_AWAY = {"network", "timeout", "http_status", "not_found", "blocked"}


class Metrics:
    """The service's numbers, in a registry of their own."""

    def __init__(self, pictures: Pictures) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "birdlite_requests", "Answered requests.", ["route", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "birdlite_request_seconds",
            "From a request's head to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.shed = Counter("birdlite_shed_requests", "Requests refused because too many wait.", registry=registry)
        self._results = Counter(
            "birdlite_pictures", "Pictures, by outcome: ok or the kind of failure.", ["outcome"], registry=registry
        )
        self._stages = Histogram(
            "birdlite_stage_seconds",
            "Time of a picture in each stage.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._fetch_failures = Counter(
            "birdlite_fetch_failures", "Pictures that could not be fetched, by kind.", ["kind"], registry=registry
        )
        self._model = Info("birdlite_model", "The model and its engine.", registry=registry)
        for name, help_, read in (
            ("birdlite_queue_length", "Pictures that wait.", lambda: pictures.admission.waiting),
            ("birdlite_queue_limit", "Pictures that may wait.", lambda: pictures.admission.queue),
            (
                "birdlite_pictures_under_way",
                "Pictures that are fetched or classified.",
                lambda: pictures.admission.running,
            ),
            ("birdlite_engines", "Engines that are loaded.", lambda: pictures.classifier.engines),
            (
                "birdlite_ready",
                "1 when the service takes on work.",
                lambda: int(pictures.ready and not pictures.broken),
            ),
        ):
            Gauge(name, help_, registry=registry).set_function(read)
        pictures.count = self.count

    def count(self, result: Result, queued: float) -> None:
        """Count one picture, which waited so many s."""
        failure, times = result.failure, result.times
        self._results.labels("ok" if failure is None else failure.kind).inc()
        self._stages.labels("queue").observe(queued)
        if times is not None:
            for stage, ms in (("fetch", times.fetch), ("decode", times.decode), ("infer", times.infer)):
                if ms is not None:
                    self._stages.labels(stage).observe(ms / 1e3)
        if failure is not None and failure.kind in _AWAY and result.image is None and times is not None:
            self._fetch_failures.labels(failure.kind).inc()

    def model(self, name: str, sha256: str, engine: str) -> None:
        """Say which model answers."""
        self._model.info({"name": name, "sha256": sha256, "engine": engine})

    def text(self) -> bytes:
        """All numbers, as Prometheus reads them."""
        return generate_latest(self.registry)
