"""What the service answers to pictures: by body, form, JSON and query; whole and as lines."""

from __future__ import annotations

import json
from typing import Any

import httpx
import jsonschema
import pytest
from PIL import Image

from birdlite import __version__
from birdlite.serve import openapi
from tests.demo_world import PICTURES, slug, species_of
from tests.origin import Origin
from tests.pictures import photograph, saved
from tests.serving import Running

PICTURE = PICTURES[0].read_bytes()
LINES = {"Accept": "application/x-ndjson"}


def best(record: dict[str, Any]) -> str:
    return slug(record["predictions"][0]["common_name"] or record["predictions"][0]["name"])


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of an answer."""
    found: dict[str, Any] = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert (found["status"], found["request_id"]) == (status, answer.headers["x-request-id"])
    check_shape(found, "Problem")
    return found


def check_shape(value: object, name: str) -> None:
    """That a value is what /openapi.json says it is."""
    schemas = openapi.document()["components"]
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{name}", "components": schemas})


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/whatever", "application/octet-stream"])
def test_one_picture_is_the_body(service: Running, content_type: str) -> None:
    answer = service.post(PICTURE, content_type)

    assert answer.status_code == 200
    document = answer.json()
    check_shape(document, "Answer")
    (record,) = document["results"]
    assert (record["target"], best(record)) == ("body", species_of(PICTURES[0]))
    assert document["model"]["name"] == "birdlite-demo"
    assert (document["summary"]["targets"], document["summary"]["ok"]) == (1, 1)


def test_a_body_without_a_content_type_is_a_picture(service: Running) -> None:
    assert service.client.post("/v1/classify", content=PICTURE).status_code == 200


def test_several_pictures_are_the_files_of_a_form(service: Running) -> None:
    files = [("file", (picture.name, picture.read_bytes())) for picture in PICTURES]
    document = service.client.post("/v1/classify", files=files, data={"top": "1"}).json()

    check_shape(document, "Answer")
    assert [record["target"] for record in document["results"]] == [picture.name for picture in PICTURES]
    assert [best(record) for record in document["results"]] == [species_of(picture) for picture in PICTURES]
    assert all(len(record["predictions"]) == 1 for record in document["results"])


def test_several_pictures_are_urls_in_json(service: Running, origin: Origin) -> None:
    urls = [origin.serve(f"/{picture.name}", picture.read_bytes()) for picture in PICTURES]
    document = service.urls(*urls, top=2).json()

    check_shape(document, "Answer")
    assert [best(record) for record in document["results"]] == [species_of(picture) for picture in PICTURES]
    assert [record["index"] for record in document["results"]] == list(range(len(PICTURES)))


def test_one_url_is_in_the_query(service: Running, origin: Origin) -> None:
    url = origin.serve("/a bird.jpg?size=large".replace(" ", "%20"), PICTURE)
    answer = service.client.get("/v1/classify", params={"url": url, "top": 1})

    assert best(answer.json()["results"][0]) == species_of(PICTURES[0])


def test_a_request_changes_top_resize_and_min_score_for_itself(service: Running) -> None:
    usual = service.post(PICTURE).json()["results"][0]["predictions"]
    one = service.post(PICTURE, params={"top": 1}).json()["results"][0]["predictions"]
    none = service.form(PICTURE, data={"min_score": "1"}).json()["results"][0]["predictions"]
    squashed = service.post(PICTURE, params={"resize": "squash", "top": 7}).json()["results"][0]["predictions"]
    cropped = service.post(PICTURE, params={"top": 7}).json()["results"][0]["predictions"]

    assert (len(usual), one, none) == (3, usual[:1], [])
    assert squashed != cropped
    assert service.post(PICTURE).json()["results"][0]["predictions"] == usual


def test_a_failure_among_several_is_a_value(service: Running) -> None:
    answer = service.form(PICTURE, b"no picture", PICTURE)

    assert answer.status_code == 200
    check_shape(answer.json(), "Answer")
    assert [record["status"] for record in answer.json()["results"]] == ["ok", "error", "ok"]
    assert answer.json()["results"][1]["error"] == {
        "kind": "not_an_image",
        "message": "1.jpg: this is text, not a picture",
    }
    assert answer.json()["summary"]["failed"] == 1


def test_a_form_of_one_is_answered_as_several_are(service: Running) -> None:
    answer = service.form(b"no picture")

    assert (answer.status_code, answer.json()["results"][0]["error"]["kind"]) == (200, "not_an_image")


def test_lines_come_as_each_picture_is_finished(service: Running, origin: Origin) -> None:
    held = origin.hold("/held.jpg", PICTURE)
    urls = [origin.url("/held.jpg"), origin.serve("/quick.jpg", PICTURE)]
    with service.client.stream("POST", "/v1/classify", json={"urls": urls}, headers=LINES) as answer:
        lines = answer.iter_lines()
        first = json.loads(next(lines))
        held.set()
        rest = [json.loads(line) for line in lines]

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert (first["index"], [record["index"] for record in rest]) == (1, [0])
    for record in (first, *rest):
        check_shape(record, "Record")


def test_one_picture_asked_for_as_lines_is_one_line_or_a_problem(service: Running) -> None:
    good = service.client.post("/v1/classify", content=PICTURE, headers=LINES)
    bad = service.client.post("/v1/classify", content=b"no picture", headers=LINES)

    assert (best(json.loads(good.text)), good.text.count("\n")) == (species_of(PICTURES[0]), 1)
    assert problem(bad, 415)["kind"] == "not_an_image"


def test_the_head_of_lines_comes_before_the_first_picture_is_finished(service: Running, origin: Origin) -> None:
    release = origin.hold("/held.jpg", PICTURE)
    urls = {"urls": [origin.url("/held.jpg")]}
    with service.client.stream("POST", "/v1/classify", json=urls, headers=LINES) as answer:  # comes here with the head
        origin.wait_for(1, "/held.jpg")
        release.set()
        (line,) = answer.iter_lines()

    assert json.loads(line)["status"] == "ok"


@pytest.mark.parametrize(
    "accept",
    ["Application/X-NDJSON", "text/html, application/x-ndjson;q=0.5", "application/json, application/x-ndjson",
     "application/x-ndjson, */*;q=0.1", "application/json;q=0.4,application/x-ndjson ; Q=0.5",
     'application/x-ndjson;a="x, application/json;q=0";q=0.9, application/json;q=0.8'],
)  # fmt: skip
def test_lines_may_be_asked_for_among_others_and_in_any_letters(service: Running, accept: str) -> None:
    assert service.form(PICTURE, headers={"Accept": accept}).headers["content-type"] == "application/x-ndjson"


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/*", "text/html", "application/json, application/x-ndjson;q=0",
     "application/x-ndjson;q=0.0", "application/x-ndjson;q=0.5, application/json", "application/x-ndjson;q=0.5, */*",
     "application/x-ndjson;q=one", "*/*, application/x-ndjson; charset=utf-8; Q = 0.9", "application/x-ndjsonp",
     "application/x-ndjson+x", 'text/html;a=",application/x-ndjson,"'],
)  # fmt: skip
def test_lines_that_are_not_asked_for_or_less_than_json_are_not_sent(service: Running, accept: str) -> None:
    assert service.form(PICTURE, headers={"Accept": accept}).headers["content-type"] == "application/json"


def test_what_is_accepted_may_stand_in_several_headers(service: Running) -> None:
    headers = [("Accept", "application/json;q=0.5"), ("Accept", "application/x-ndjson")]
    files = {"file": PICTURE}

    answer = service.client.post("/v1/classify", files=files, headers=headers)
    assert answer.headers["content-type"] == "application/x-ndjson"


def test_an_animation_and_a_file_of_many_pages_are_read_as_their_first_picture(service: Running) -> None:
    first = Image.open(PICTURES[0]).resize((120, 90))
    others = [photograph(120, 90)] * 3
    for name, size, times in (
        ("GIF", (120, 90), 1),
        ("WEBP", (120, 90), 1),
        ("PNG", (120, 90), 1),
        ("TIFF", (60, 45), 33),
    ):
        pictures = [one.resize(size) for one in (first, *others * times)]
        record = service.post(saved(pictures[0], name, save_all=True, append_images=pictures[1:])).json()["results"][0]
        last = service.post(saved(pictures[-1], name)).json()["results"][0]

        assert (best(record), best(last)) == (species_of(PICTURES[0]), "background")


def test_the_stages_are_in_server_timing(service: Running, origin: Origin) -> None:
    answer = service.client.get("/v1/classify", params={"url": origin.serve("/a.jpg", PICTURE)})
    stages = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))

    assert list(stages) == ["queue", "fetch", "decode", "infer", "total"]
    assert float(stages["fetch"]) > 0
    assert sum(map(float, stages.values())) <= 2 * float(stages["total"]) + 0.5


def test_a_long_answer_is_written_by_a_thread_and_is_the_same(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = service.form(*[PICTURE] * 3).json()["results"]
    monkeypatch.setattr("birdlite.serve.answers.MANY", 1)
    long = service.form(*[PICTURE] * 3).json()["results"]

    assert [record["predictions"] for record in long] == [record["predictions"] for record in short]


def test_a_request_id_is_taken_or_made_and_stands_in_answer_and_log(service: Running) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    taken = service.post(b"no", headers={"X-Request-Id": "birder-7", "traceparent": trace})
    made = [
        service.post(b"no", headers={"X-Request-Id": bad}).headers["x-request-id"] for bad in ("a b", "x" * 129, "")
    ]

    assert problem(taken, 415)["request_id"] == "birder-7"
    fields = service.logged("birder-7")
    assert (fields["status"], fields["traceparent"]) == (415, trace)
    assert len(set(made)) == 3
    assert all(len(one) == 32 for one in made)


def test_a_traceparent_that_is_none_is_left_out_of_the_log(service: Running) -> None:
    service.post(b"no", headers={"X-Request-Id": "it", "traceparent": "nonsense"})

    assert "traceparent" not in service.logged("it")


def test_every_answer_forbids_to_guess_its_type_and_to_keep_it(service: Running) -> None:
    for answer in (service.post(PICTURE), service.post(b""), service.client.get("/livez"), service.client.get("/x")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_the_model_describes_itself(service: Running) -> None:
    answer = service.client.get("/v1/model").json()

    check_shape(answer, "ModelCard")
    assert (answer["name"], answer["classes"], answer["side"]) == ("birdlite-demo", 7, 224)


def test_probes_answer(service: Running) -> None:
    assert [service.client.get(path).text for path in ("/livez", "/readyz")] == ["alive\n", "ready\n"]
    assert service.client.head("/readyz").status_code == 200


def test_the_description_is_served(service: Running) -> None:
    document = service.client.get("/openapi.json").json()

    assert document == openapi.document()
    assert document["info"]["version"] == __version__
