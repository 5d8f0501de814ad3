"""`classify --public-only` on the command line: what is refused, and that no failure tells what answered."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from birdlite.models.catalog import DEMO_MODEL
from birdlite.results import Failure, is_away
from tests.command_line import Run
from tests.demo_world import PICTURES
from tests.names import PUBLIC, Hosts
from tests.origin import Origin

SECRET = b"hunter2"
JPEG = PICTURES[0].read_bytes()
AWAY = ("network", "it could not be downloaded")
NO_PICTURE = ("not_an_image", "no picture of a known format came from there; perhaps it does not exist")
NOT_PUBLIC = ("blocked", "no public address (private, or unknown here); --allow-host HOST:PORT opens a private one")
NOT_SUPPORTED = ("unsupported", "a URL or a kind of picture that is not supported")
TOO_LARGE = ("too_large", "more bytes, pixels or memory than --max-bytes, --max-pixels or --memory allow")

Classify = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def classify(run: Run, warm_cache: Path) -> Classify:
    """Classify one target; gives its record, and all that was said."""

    def classify(*arguments: str) -> tuple[dict[str, Any], str]:
        model = ("--model", DEMO_MODEL, "--cache-dir", str(warm_cache), "--retries", "0")
        _, out, err = run("classify", "--format", "jsonl", "--no-timing", *model, *arguments)
        return json.loads(out), out + err

    return classify


def closed(origin: Origin) -> str:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{nobody.getsockname()[1]}/a"


ANSWERS: dict[str, tuple[Callable[[Origin], str], tuple[str, str]]] = {
    "closed port": (closed, AWAY),
    "silence": (lambda origin: (origin.hold("/a"), origin.url("/a"))[1], AWAY),
    "reset": (lambda origin: origin.reset("/a"), AWAY),
    "ssh": (lambda origin: origin.send_raw("/a", b"SSH-2.0-" + SECRET + b"\r\n"), AWAY),
    "redis": (lambda origin: origin.send_raw("/a", b"-ERR " + SECRET + b"\r\n\r\n"), AWAY),
    "cut": (lambda origin: origin.truncate("/a", SECRET, claimed=4711), AWAY),
    "503": (lambda origin: origin.serve("/a", SECRET, status=503), AWAY),
    "429": (lambda origin: origin.serve("/a", SECRET, status=429, headers={"Retry-After": "4711"}), AWAY),
    "401": (lambda origin: origin.serve("/a", b"", status=401, headers={"WWW-Authenticate": "hunter2"}), NO_PICTURE),
    "403": (lambda origin: origin.serve("/a", SECRET, status=403), NO_PICTURE),
    "404": (lambda origin: origin.serve("/a", SECRET, status=404), NO_PICTURE),
    "302 without a Location": (lambda origin: origin.serve("/a", SECRET, status=302), NO_PICTURE),
    "loop": (lambda origin: origin.redirect("/a", "/a?hunter2"), NO_PICTURE),
    "redirect to a file": (lambda origin: origin.redirect("/a", "file:///hunter2"), NOT_SUPPORTED),
    "redirect to nonsense": (lambda origin: origin.redirect("/a", "http://[hunter2"), NO_PICTURE),
    "redirect inside": (lambda origin: origin.redirect("/a", "http://hunter2.localhost/"), NOT_PUBLIC),
    "redirect to another port": (
        lambda origin: origin.redirect("/a", "http://hunter2.example:4711/"),
        ("blocked", "not at port 80 or 443; --allow-port opens others"),
    ),
    "html": (lambda origin: origin.serve("/a", b"<html>" + SECRET), NO_PICTURE),
    "json": (lambda origin: origin.serve("/a", b'{"AccessKeyId": "hunter2"}'), NO_PICTURE),
    "text": (lambda origin: origin.serve("/a", SECRET), NO_PICTURE),
    "zip": (lambda origin: origin.serve("/a", b"PK\3\4" + SECRET), NO_PICTURE),
    "nothing": (lambda origin: origin.serve("/a", b""), NO_PICTURE),
    "bytes": (lambda origin: origin.serve("/a", b"\xde\xad\xbe\xef" + SECRET), NO_PICTURE),
    "svg": (lambda origin: origin.serve("/a", b"<svg>hunter2"), NOT_SUPPORTED),
    "coding": (lambda origin: origin.serve("/a", SECRET, headers={"Content-Encoding": "br"}), NOT_SUPPORTED),
    "half": (lambda origin: origin.serve("/a", JPEG[: len(JPEG) // 2]), ("decode", "a damaged picture")),
    "many bytes": (lambda origin: origin.truncate("/a", SECRET, claimed=47110000), TOO_LARGE),
}
TELLING = (
    *("hunter2", "4711", "refused", "reset", "stopped", "127.0.0.1: ", "Connection", "HTML", "JSON", "begins", "JPEG"),
    *("401", "403", "404", "429", "503", "Not Found", "Forbidden", "Location", "redirect", "html", "gzip", "br'"),
)


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_failure_tells_nothing_of_what_answered(classify: Classify, origin: Origin, answer: str) -> None:
    make, expected = ANSWERS[answer]
    url = make(origin)
    host = url.split("/")[2]
    patience = ("--read-timeout", "0.2") if answer == "silence" else ()

    record, said = classify("--public-only", "--allow-host", host, "--max-bytes", "1M", *patience, url)

    assert (record["error"]["kind"], record["error"]["message"]) == (expected[0], f"{url}: {expected[1]}")
    rest = said.replace(url, "")
    assert [word for word in TELLING if word in rest] == []


def test_the_same_answers_are_told_without_the_guard(classify: Classify, origin: Origin) -> None:
    record, _ = classify(origin.serve("/a", b"\xde\xad\xbe\xef" + SECRET))

    assert record["error"]["message"].endswith("no picture of a known format (it begins with de ad be ef)")


def test_the_operator_is_told_with_verbose(classify: Classify, origin: Origin) -> None:
    url = origin.serve("/a", SECRET, status=404)

    record, said = classify("--public-only", "--allow-host", url.split("/")[2], "--verbose", url)

    assert record["error"]["kind"] == "not_an_image"
    assert "404 Not Found from 127.0.0.1" in said


def test_a_name_that_is_unknown_and_one_that_is_private_look_alike(
    classify: Classify, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = Hosts(monkeypatch, origin.port)
    hosts.name("known.example", ["10.0.0.1"])

    told = [classify("--public-only", f"http://{name}.example/a")[0]["error"] for name in ("known", "other")]

    assert told[0]["kind"] == told[1]["kind"] == "blocked"
    assert (
        told[0]["message"].partition(": ")[2].partition(": ")[2]
        == told[1]["message"].partition(": ")[2].partition(": ")[2]
    )
    assert hosts.connected == []


@pytest.mark.parametrize(("answer", "away"), [("503", True), ("closed port", True), ("404", False), ("html", False)])
def test_what_is_away_still_counts_as_away(classify: Classify, origin: Origin, answer: str, away: bool) -> None:
    url = ANSWERS[answer][0](origin)

    record, _ = classify("--public-only", "--allow-host", url.split("/")[2], url)

    assert is_away(record["target"], Failure(**record["error"])) is away


def test_a_picture_at_a_public_address_is_classified(
    classify: Classify, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = Hosts(monkeypatch, origin.port)
    hosts.name("public.example", [PUBLIC])
    origin.serve("/a.jpg", JPEG)

    record, _ = classify("--public-only", "http://public.example/a.jpg")

    assert record["status"] == "ok"
    assert hosts.connected == [PUBLIC]


def test_the_variables_do_the_same(classify: Classify, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    url = origin.serve("/a.jpg", JPEG)
    monkeypatch.setenv("BIRDLITE_PUBLIC_ONLY", "1")

    assert classify(url)[0]["error"]["kind"] == "blocked"

    monkeypatch.setenv("BIRDLITE_ALLOW_HOST", f"a.example,127.0.0.1:{origin.port}")

    assert classify(url)[0]["status"] == "ok"


def test_a_local_file_is_told_as_ever(classify: Classify, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xde\xad\xbe\xef")

    record, _ = classify("--public-only", str(tmp_path / "a.jpg"))

    assert "begins with de ad be ef" in record["error"]["message"]


def test_an_allowed_host_that_is_none_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    code, _, err = run("classify", "--public-only", "--allow-host", "http://a.example", "http://a.example/b.jpg")

    assert code == 2
    assert "--allow-host 'http://a.example': must be HOST or HOST:PORT" in err
