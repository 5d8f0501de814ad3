"""Any schedule of faults, with any settings: each target has one result, and good ones that of a run without faults.

Hypothesis draws the schedules: for each target, what its server does at the first try, the second and so on. Servers
and pictures are real. What must become of a target follows from its schedule and the number of tries.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdlite import FetchSettings, Runner, RunOptions, Settings, expand
from birdlite.models.catalog import DEMO_MODEL
from birdlite.settings import PerHost
from tests.batch_runs import records_of
from tests.demo_world import PICTURES
from tests.origin import Exchange, Origin, head, message

RETRIES = 2
HANGS_S = 120.0  # s; a run takes a fraction of one

Answer = Callable[[Exchange, bytes], None]


def said(make: Callable[[bytes], bytes], *, keep: bool = True) -> Answer:
    """Send what is made of the picture."""

    def answer(exchange: Exchange, picture: bytes) -> None:
        if not keep:
            exchange.hang_up()
        exchange.finish(make(picture))

    return answer


def status(code: int, **headers: str) -> Answer:
    return said(lambda _: message(code, headers, b"no"))


def reset(after: bytes) -> Answer:
    def answer(exchange: Exchange, picture: bytes) -> None:
        exchange.send(after)
        exchange.reset()

    return answer


PASSING: dict[
    str, tuple[str, Answer]
] = {  # after these, birdlite asks again: the kind of the failure, if it is the last
    "500": ("http_status", status(500)),
    "503 for now": ("http_status", said(lambda _: message(503, {"Retry-After": "0"}, b"no"))),
    "429": ("http_status", status(429)),
    "reset": ("network", reset(b"HTTP/1.1 2")),
    "half a head": ("network", said(lambda _: b"HTTP/1.1 200 OK\r\nContent-", keep=False)),
    "no HTTP": ("network", said(lambda _: b"SSH-2.0-x\r\n\r\n", keep=False)),
    "cut": ("network", said(lambda picture: head(200, {"Content-Length": "999999"}) + picture, keep=False)),
    "bad chunks": (
        "network",
        said(lambda picture: head(200, {"Transfer-Encoding": "chunked"}) + b"zz\r\n" + picture, keep=False),
    ),
}
SILENT: dict[str, tuple[str, Answer]] = {  # so ends an idle connection too, and then the next try is not counted
    "reset at once": ("network", reset(b"")),
    "closed at once": ("network", said(lambda _: b"", keep=False)),
}
LASTING: dict[str, tuple[str, Answer]] = {  # after these, it does not
    "good": ("ok", said(lambda picture: message(200, {}, picture))),
    "called a page": ("ok", said(lambda picture: message(200, {"Content-Type": "text/html"}, picture))),
    "404": ("http_status", status(404)),
    "403": ("http_status", status(403)),
    "loop": ("http_status", said(lambda _: message(302, {"Location": "#"}, b""))),
    "to a file": ("unsupported", said(lambda _: message(302, {"Location": "file:///etc/passwd"}, b""))),
    "too long": ("too_large", said(lambda _: head(200, {"Content-Length": str(1 << 40)}), keep=False)),
    "page": ("not_an_image", said(lambda _: message(200, {"Content-Type": "image/jpeg"}, b"<html>"))),
    "empty": ("not_an_image", said(lambda _: message(200, {}, b""))),
    "half": ("decode", said(lambda picture: message(200, {}, picture[: len(picture) // 2]))),
}


class Schedule(NamedTuple):
    """What the server does with one target: some faults that pass, and then always the same."""

    faults: tuple[str, ...]
    end: str

    def expected(self) -> str:
        """`ok`, or the kind of the failure."""
        if len(self.faults) > RETRIES:
            return PASSING[self.faults[RETRIES]][0]
        return LASTING[self.end][0]

    def answer(self, tries: int) -> Answer:
        """What is answered at this try, from 0."""
        return (PASSING | SILENT)[self.faults[tries]][1] if tries < len(self.faults) else LASTING[self.end][1]


SCHEDULES = st.lists(
    st.builds(
        Schedule,
        st.lists(st.sampled_from(sorted(PASSING)), max_size=RETRIES + 1).map(tuple),
        st.sampled_from(sorted(LASTING)) | st.just("good"),
    ),
    min_size=1,
    max_size=12,
)
MENDED = st.lists(  # those that are good in the end
    st.builds(
        Schedule, st.lists(st.sampled_from(sorted(PASSING | SILENT)), max_size=RETRIES).map(tuple), st.just("good")
    ),
    min_size=2,
    max_size=12,
)
WAYS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "workers": st.integers(1, 3),
        "downloads": st.integers(1, 8),
        "per_host": st.integers(1, 8),
        "ordered": st.booleans(),
    }
)
DRAWN = settings(derandomize=True, database=None, deadline=None, max_examples=25)


class World:
    """A server that follows schedules, and runs against it."""

    def __init__(self, origin: Origin, schedules: list[Schedule], cache: Path, **ways: Any) -> None:
        per_host, downloads = PerHost(ways.pop("per_host", 6)), ways.pop("downloads", 16)
        fetch = FetchSettings(retries=RETRIES, backoff=0.0, max_bytes=1 << 20, per_host=per_host, downloads=downloads)
        self._settings = Settings(model=DEMO_MODEL, cache_dir=str(cache), fetch=fetch, **ways)
        self.urls = [self._serve(origin, number, one) for number, one in enumerate(schedules)]

    def _serve(self, origin: Origin, number: int, schedule: Schedule) -> str:
        tries = iter(range(1_000_000))
        picture = PICTURES[number % len(PICTURES)].read_bytes()
        return origin.answer(f"/{number}.jpg", lambda exchange: schedule.answer(next(tries))(exchange, picture))

    def run(self, output: Path, *, resume: bool = False, stop_after: int | None = None) -> list[dict[str, Any]]:
        """Classify all; the records by index. `stop_after` so many results, the run is interrupted."""
        runner = Runner(self._settings, RunOptions(str(output), times=False, resume=resume))

        def on_progress(progress: Any) -> None:
            if progress.done == stop_after:
                runner.cancel()

        work = threading.Thread(target=runner.run, args=(expand(self.urls), on_progress), daemon=True)
        work.start()
        work.join(HANGS_S)
        assert not work.is_alive(), "the run does not end"
        return sorted(records_of(output), key=lambda record: record["index"]) if output.exists() else []


@pytest.fixture(scope="module")
def faultless(filled_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The records of a run over each picture without faults."""
    with Origin() as origin:
        world = World(origin, [Schedule((), "good")] * len(PICTURES), filled_cache)
        return world.run(tmp_path_factory.mktemp("faultless") / "birds.jsonl")


def answer_of(record: dict[str, Any]) -> tuple[Any, Any]:
    return record["predictions"], record["image"]


@DRAWN
@given(schedules=SCHEDULES, ways=WAYS)
def test_every_target_has_one_result_and_the_right_one(
    filled_cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
    faultless: list[dict[str, Any]],
    schedules: list[Schedule],
    ways: dict[str, Any],
) -> None:
    with Origin() as origin:
        world = World(origin, schedules, filled_cache, **ways)

        records = world.run(tmp_path_factory.mktemp("run") / "birds.jsonl")

    assert [record["target"] for record in records] == world.urls
    outcomes = ["ok" if record["status"] == "ok" else record["error"]["kind"] for record in records]
    assert outcomes == [schedule.expected() for schedule in schedules]
    for record in records:
        if record["status"] == "ok":
            assert answer_of(record) == answer_of(faultless[record["index"] % len(PICTURES)])


@DRAWN
@given(schedules=MENDED, ways=WAYS, data=st.data())
def test_a_run_that_is_interrupted_goes_on_and_has_them_all_too(
    filled_cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
    faultless: list[dict[str, Any]],
    schedules: list[Schedule],
    ways: dict[str, Any],
    data: st.DataObject,
) -> None:
    output = tmp_path_factory.mktemp("run") / "birds.jsonl"
    with Origin() as origin:
        world = World(origin, schedules, filled_cache, **ways)
        world.run(output, resume=True, stop_after=data.draw(st.integers(1, len(schedules) - 1)))
        assert not output.exists()  # it was interrupted

        records = world.run(output, resume=True)

    assert [record["target"] for record in records] == world.urls
    expected = [answer_of(faultless[number % len(PICTURES)]) for number in range(len(schedules))]
    assert [answer_of(record) for record in records] == expected
