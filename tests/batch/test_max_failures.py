"""A run of which too much failed because something was away is not a success: --max-failures."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from birdlite.log import counted
from birdlite.results import Failure, FailureKind, is_away
from birdlite.run.options import MaxFailures
from tests.batch_runs import WITH_DEMO_MODEL, records_of
from tests.command_line import Run
from tests.demo_world import PICTURES
from tests.origin import Origin

FLAWS = ("--retries=0", "--downloads=1", "--threads=1", "--resume", "--allow-failures")


class Album(NamedTuple):
    """Twenty pictures on a server, and a part to make of them."""

    origin: Origin
    paths: list[str]
    part: Path

    @property
    def partial(self) -> Path:
        return self.part.with_name(self.part.name + ".partial")

    def command(self, *options: str) -> tuple[object, ...]:
        urls = map(self.origin.url, self.paths)
        return ("classify", *urls, *WITH_DEMO_MODEL, *FLAWS, "-o", self.part, *options)

    def break_(self, count: int, status: int = 503, *, times: int = 2) -> None:
        """Let the first pictures fail so often: twice is the first start, with its second tries at the end."""
        for path in self.paths[:count]:
            self.origin.fail(path, [status] * times)


@pytest.fixture
def album(origin: Origin, tmp_path: Path) -> Album:
    paths = [f"/{number:02}.jpg" for number in range(20)]
    for path in paths:
        origin.serve(path, PICTURES[0].read_bytes(), content_type="image/jpeg")
    return Album(origin, paths, tmp_path / "part.jsonl")


@pytest.mark.parametrize(("most", "broken"), [("5", 5), ("25%", 5), ("24%", 5), ("0", 0), ("0%", 0), ("100%", 20)])
def test_as_many_failures_as_allowed_are_a_success(run: Run, album: Album, most: str, broken: int) -> None:
    album.break_(broken)

    code, _, said = run(*album.command(f"--max-failures={most}"))

    assert (code, sum(record["status"] == "error" for record in records_of(album.part))) == (0, broken), said


@pytest.mark.parametrize(("most", "broken"), [("5", 6), ("25%", 6), ("0", 1), ("0%", 1)])
def test_with_more_the_run_ends_with_exit_code_4_and_the_part_is_unfinished(
    run: Run, album: Album, most: str, broken: int
) -> None:
    album.break_(broken)

    code, _, said = run(*album.command(f"--max-failures={most}"))

    assert code == 4
    assert f"error: {counted(broken, 'target')} failed because something was away (" in said
    assert f"more than --max-failures {most}; {album.part} is unfinished" in said
    assert not album.part.exists()
    assert album.partial.exists()


def test_the_run_ends_as_soon_as_there_are_too_many(run: Run, album: Album) -> None:
    album.break_(3)
    album.origin.hold(album.paths[3])  # without an end, the run would wait for this one

    code, _, said = run(*album.command("--max-failures=2"))

    assert (code, "3 targets failed because something was away" in said) == (4, True), said
    assert [album.origin.hits(path) for path in album.paths[4:]] == [0] * 16


def test_what_was_away_is_tried_once_more_at_the_end(run: Run, album: Album) -> None:
    album.break_(8, times=1)

    code, _, said = run(*album.command("--max-failures=10%"))

    assert code == 0
    assert "20 of 20 classified; written to" in said
    assert [record["status"] for record in records_of(album.part)] == ["ok"] * 20
    assert [album.origin.hits(path) for path in album.paths] == [2] * 8 + [1] * 12


def test_the_next_start_does_only_what_failed(run: Run, album: Album) -> None:
    album.break_(12)
    assert run(*album.command("--max-failures=50%"))[0] == 4
    done = [record["target"] for record in records_of(album.partial) if record["status"] == "ok"]

    code, _, said = run(*album.command("--max-failures=50%", "--retry-failed"))

    assert code == 0, said
    assert all(record["status"] == "ok" for record in records_of(album.part))
    assert [album.origin.hits(path) for path in album.paths if album.origin.url(path) in done] == [1] * len(done)


def test_failures_of_earlier_starts_count_until_they_are_tried_again(run: Run, album: Album) -> None:
    album.break_(12, times=4)
    run(*album.command("--max-failures=50%"))

    code, _, said = run(*album.command("--max-failures=50%"))

    assert code == 4
    assert "12 targets failed" in said


def test_failures_of_earlier_starts_do_not_end_the_one_that_tries_them_again(run: Run, album: Album) -> None:
    album.break_(12)
    assert run(*album.command("--max-failures=100%"))[0] == 0
    album.break_(1)

    code, _, said = run(*album.command("--max-failures=2", "--retry-failed"))

    assert (code, sum(record["status"] == "error" for record in records_of(album.part))) == (0, 1), said


def test_the_kinds_that_are_told_are_those_that_count(run: Run, album: Album) -> None:
    album.break_(12, times=4)
    album.origin.serve(album.paths[19], b"no picture", content_type="image/jpeg")
    run(*album.command("--max-failures=50%"))

    code, _, said = run(*album.command("--max-failures=50%"))

    assert code == 4
    assert "12 targets failed because something was away (http_status 12), more than --max-failures 50%" in said


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_is_not_there_at_all_does_not_count(run: Run, album: Album, status: int) -> None:
    album.break_(20, status, times=1)

    assert run(*album.command("--max-failures=0"))[0] == 0


def test_other_outputs_are_written_as_far_as_they_are(run: Run, album: Album, tmp_path: Path) -> None:
    album.break_(3)
    urls = map(album.origin.url, album.paths)

    code, _, said = run(
        "classify", *urls, *WITH_DEMO_MODEL, "--retries=0", "--max-failures=2", "-o", tmp_path / "birds.csv"
    )

    assert code == 4
    assert "error: 3 targets failed because something was away (http_status 3" in said
    assert (tmp_path / "birds.csv").exists()


@pytest.mark.parametrize(
    ("kind", "message", "away"),
    [
        ("network", "no connection", True),
        ("timeout", "timed out", True),
        ("http_status", "503 Service Unavailable from a.example (4 tries)", True),
        ("http_status", "429 Too Many Requests from a.example", True),
        ("http_status", "500", True),
        ("http_status", "404 Not Found from a.example", False),
        ("http_status", "more than 5 redirects", False),
        ("http_status", "", False),
        ("not_found", "cannot resolve a.example", False),
        ("decode", "503", False),
    ],
)
def test_what_counts(kind: FailureKind, message: str, away: bool) -> None:
    assert is_away("https://a.example/1.jpg", Failure(kind, f"https://a.example/1.jpg: {message}")) is away


@pytest.mark.parametrize("text", ["-1", "101%", "nan%", "%", "x", "1.5", "-1%", "", "5 %%"])
def test_what_is_no_number_of_failures_is_refused(run: Run, text: str) -> None:
    code, _, said = run("classify", str(PICTURES[0]), *WITH_DEMO_MODEL, f"--max-failures={text}")

    assert (code, "--max-failures" in said) == (2, True)


def test_a_percentage_is_rounded_up_so_that_one_picture_alone_ends_no_run() -> None:
    assert MaxFailures(20, percent=True).allows(1, 1)
    assert not MaxFailures(20, percent=True).allows(2, 4)
    assert MaxFailures(20, percent=True).allows(99, None)
