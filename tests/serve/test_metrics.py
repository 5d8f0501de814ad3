"""The numbers at /metrics, after traffic that is known."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.demo_world import PICTURES
from tests.origin import Origin
from tests.serving import Running, Serve

PICTURE = PICTURES[0].read_bytes()


def test_what_prometheus_reads_is_text_that_its_own_parser_takes(service: Running) -> None:
    service.post(PICTURE)
    answer = service.client.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    ours = {name for name in families if name.startswith("birdlite_")}
    assert ours == {
        "birdlite_requests",
        "birdlite_request_seconds",
        "birdlite_shed_requests",
        "birdlite_pictures",
        "birdlite_stage_seconds",
        "birdlite_fetch_failures",
        "birdlite_model_info",
        "birdlite_queue_length",
        "birdlite_queue_limit",
        "birdlite_pictures_under_way",
        "birdlite_engines",
        "birdlite_ready",
        "birdlite_log_lines_lost",
    }
    assert all(families[name].documentation for name in ours)
    assert "process_resident_memory_bytes" in families


def test_traffic_is_counted(serve: Serve, origin: Origin) -> None:
    service = serve()
    service.post(PICTURE)
    service.form(PICTURE, b"no picture", PICTURE)
    service.post(b"no picture")
    service.urls(origin.serve("/a.jpg", PICTURE), origin.url("/nothing.jpg"), "http://127.0.0.1:9/a.jpg", "a.jpg")
    service.client.get("/readyz")
    service.client.get("/invented-by-a-client")
    service.client.request("INVENTED", "/invented-too")

    def requests(route: str, method: str, status: int) -> float:
        return service.number("birdlite_requests_total", route=route, method=method, status=str(status))

    assert requests("/v1/classify", "POST", 200) == 3
    assert requests("/v1/classify", "POST", 415) == 1
    assert requests("/readyz", "GET", 200) == 1
    assert requests("other", "GET", 404) == 1
    assert requests("other", "other", 404) == 1
    assert "invented" not in service.client.get("/metrics").text.lower()

    outcomes = ("ok", "not_an_image", "http_status", "network", "unsupported")
    assert [service.number("birdlite_pictures_total", outcome=one) for one in outcomes] == [4, 2, 1, 1, 1]
    assert service.number("birdlite_fetch_failures_total", kind="http_status") == 1
    assert service.number("birdlite_fetch_failures_total", kind="network") == 1
    assert service.number("birdlite_fetch_failures_total", kind="unsupported") == 0

    assert service.number("birdlite_request_seconds_count", route="/v1/classify") == 4
    assert service.number("birdlite_stage_seconds_count", stage="infer") == 4
    assert service.number("birdlite_stage_seconds_count", stage="queue") == 9
    assert service.number("birdlite_stage_seconds_sum", stage="queue") >= 0
    assert service.number("birdlite_stage_seconds_sum", stage="infer") > 0
    for gauge in ("birdlite_queue_length", "birdlite_pictures_under_way"):
        service.wait_for(0, gauge, lane="upload")
        service.wait_for(0, gauge, lane="url")


def test_the_service_describes_itself(service: Running) -> None:
    assert service.number("birdlite_ready") == 1
    assert service.number("birdlite_queue_limit") == 64
    assert service.number("birdlite_engines") >= 1
    assert service.number("birdlite_model_info", name="birdlite-demo", engine="litert") == 1
