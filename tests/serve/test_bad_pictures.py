"""Every bad picture that the picture tests know, sent and at URLs: the right answer, and the service goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from birdlite.models.catalog import DEMO_MODEL
from birdlite.results import FailureKind
from tests.bad_pictures import BAD_PICTURES
from tests.command_line import Run
from tests.demo_world import PICTURES
from tests.origin import Origin
from tests.serve.test_classify import problem
from tests.serving import Running

PICTURE = PICTURES[0].read_bytes()
STATUSES: dict[FailureKind, int] = {"not_an_image": 415, "unsupported": 415, "too_large": 413, "decode": 422}
SENT = {name: bad for name, bad in BAD_PICTURES.items() if bad[0]}  # without a body there is nothing to look at


@pytest.mark.parametrize("name", SENT)
def test_a_bad_picture_that_is_sent_is_a_problem_of_its_kind(service: Running, name: str) -> None:
    data, kind = BAD_PICTURES[name]
    found = problem(service.post(data), STATUSES[kind])

    assert found["kind"] == kind
    assert found["detail"].startswith("body: ")
    assert found["detail"].isprintable()
    assert service.post(PICTURE).status_code == 200


def test_a_bad_picture_at_a_url_is_a_problem_of_its_kind(service: Running, origin: Origin) -> None:
    found: dict[str, tuple[str, int]] = {}
    for name, (data, kind) in BAD_PICTURES.items():
        url = origin.serve("/bad.jpg", data)
        one = problem(service.client.get("/v1/classify", params={"url": url}), STATUSES[kind])
        found[name] = one["kind"], one["status"]
        assert one["detail"].startswith(f"{url}: ")

    assert found == {name: (kind, STATUSES[kind]) for name, (_, kind) in BAD_PICTURES.items()}


def test_all_of_them_have_the_record_that_the_command_gives(
    service: Running, run: Run, filled_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By form and by file, with good pictures among them."""
    pictures = {name: data for name, (data, _) in BAD_PICTURES.items()} | {"good": PICTURE, "zz": PICTURE}
    names = [name.replace(" ", "-") + ".jpg" for name in pictures]
    for name, data in zip(names, pictures.values(), strict=True):
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    usual = ("--model", DEMO_MODEL, "--cache-dir", filled_cache, "--no-timing", "--format", "json")
    code, out, _ = run("classify", *names, *usual)
    records = json.loads(out)["results"]

    answered = []
    files = [("file", (name, data)) for name, data in zip(names, pictures.values(), strict=True)]
    for first in range(0, len(files), 32):
        answered += service.client.post("/v1/classify", files=files[first : first + 32]).json()["results"]

    assert code == 1
    assert {record["status"] for record in records[-2:]} == {"ok"}
    for record, one in zip(records, answered, strict=True):
        one.pop("timing_ms", None)
        one["index"] = record["index"]
        if not one["predictions"]:  # to a user's file, the command adds advice
            record["error"]["message"] = record["error"]["message"].partition("; if it is a list")[0]
    assert answered == records


def test_all_of_them_at_urls_are_values_beside_good_ones(service: Running, origin: Origin) -> None:
    names = list(BAD_PICTURES)
    good = origin.serve("/good.jpg", PICTURE)
    for first in range(0, len(names), 31):
        some = names[first : first + 31]
        urls = [origin.serve(f"/{first}-{at}.jpg", BAD_PICTURES[name][0]) for at, name in enumerate(some)]
        results = service.urls(*urls, good).json()["results"]

        kinds = [record["error"]["kind"] for record in results[:-1]]
        assert dict(zip(some, kinds, strict=True)) == {name: BAD_PICTURES[name][1] for name in some}
        assert results[-1]["status"] == "ok"


def test_what_was_bad_is_counted_by_kind_and_nothing_stays_behind(service: Running) -> None:
    before = {kind: service.number("birdlite_pictures_total", outcome=kind) for kind in STATUSES}
    for data, _ in SENT.values():
        service.post(data)
    counted = {kind: service.number("birdlite_pictures_total", outcome=kind) - before[kind] for kind in STATUSES}

    assert counted == {kind: sum(one == kind for _, one in SENT.values()) for kind in STATUSES}
    service.wait_for(0, "birdlite_pictures_under_way", lane="upload")
    assert service.service.bodies.held == 0
    assert service.client.get("/readyz").status_code == 200
