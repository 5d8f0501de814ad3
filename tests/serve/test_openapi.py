"""/openapi.json is valid, and says of every route and status what the service really gives."""

from __future__ import annotations

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from birdlite.serve import openapi, problems
from birdlite.serve.app import ROUTES
from tests.demo_world import PICTURES
from tests.origin import Origin
from tests.serve.test_classify import check_shape
from tests.serving import Running


def test_the_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(openapi.document()).iter_errors()) == []


def test_every_route_and_method_is_in_it() -> None:
    described = {path: {method.upper() for method in item} for path, item in openapi.document()["paths"].items()}

    assert described == {path: set(methods) for path, (_, methods) in ROUTES.items()}


def test_every_status_of_a_failed_picture_is_in_it() -> None:
    for method in ("get", "post"):
        responses = openapi.document()["paths"]["/v1/classify"][method]["responses"]
        assert {str(status) for status in problems.STATUSES.values()} <= responses.keys()


def test_each_problem_has_a_reason_and_each_reason_is_used() -> None:
    described = {
        int(status)
        for item in openapi.document()["paths"].values()
        for operation in item.values()
        for status in operation["responses"]
    }

    assert described - {200} == openapi._REASONS.keys()


REQUESTS = {
    "one": ("POST", "/v1/classify", PICTURES[0].read_bytes(), "image/jpeg"),
    "bad": ("POST", "/v1/classify", b"no picture", "image/jpeg"),
    "half": ("POST", "/v1/classify", PICTURES[0].read_bytes()[:-3000], "image/jpeg"),
    "none": ("POST", "/v1/classify", b"", "image/jpeg"),
    "form": ("POST", "/v1/classify", b"x", "multipart/form-data; boundary=x"),
    "json": ("POST", "/v1/classify", b"{}", "application/json"),
    "text": ("POST", "/v1/classify", b"{}", "text/plain"),
    "no url": ("GET", "/v1/classify", b"", ""),
    "away": ("GET", "/v1/classify?url=http://127.0.0.1:9/", b"", ""),
    "model": ("GET", "/v1/model", b"", ""),
    "alive": ("GET", "/livez", b"", ""),
    "ready": ("GET", "/readyz", b"", ""),
    "numbers": ("GET", "/metrics", b"", ""),
    "itself": ("GET", "/openapi.json", b"", ""),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_real_answers_are_as_described(service: Running, name: str) -> None:
    method, path, body, content_type = REQUESTS[name]
    answer = service.client.request(method, path, content=body, headers={"Content-Type": content_type})
    described = openapi.document()["paths"][path.partition("?")[0]][method.lower()]["responses"]

    content = described[str(answer.status_code)]["content"]
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in content
    assert answer.text.endswith("\n")  # or a terminal's next prompt stands behind it
    reference = content[kind]["schema"].get("$ref", "")
    if reference:
        check_shape(answer.json(), reference.rpartition("/")[2])


def test_a_request_as_described_is_taken(service: Running, origin: Origin) -> None:
    asked = {"urls": [origin.serve("/a.jpg", PICTURES[0].read_bytes())], "top": 1, "min_score": 0.1, "resize": "exact"}
    check_shape(asked, "Urls")

    assert service.client.post("/v1/classify", json=asked).json()["summary"]["ok"] == 1
    assert asked.keys() == openapi.document()["components"]["schemas"]["Urls"]["properties"].keys()
