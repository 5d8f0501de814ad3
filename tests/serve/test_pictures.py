"""Pictures that the event loop waits for, and what it counts of them."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from birdlite.results import Result
from birdlite.run.classifier import Classifier
from birdlite.serve.pictures import Pictures
from birdlite.settings import Settings
from birdlite.targets import Target
from birdlite.timing import Timeline
from tests.origin import PATIENCE


class NeverDone:
    """A classifier, and the picture that it has got, which takes for ever."""

    def __init__(self, *, is_fetched: bool) -> None:
        self.is_fetched = is_fetched

    def submit(self, *_: object) -> NeverDone:
        return self

    def cancel(self) -> None:
        """Nothing is to be done."""


@pytest.mark.parametrize("is_fetched", [False, True])
def test_only_a_picture_that_has_not_come_when_the_time_is_up_could_not_be_fetched(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *, is_fetched: bool
) -> None:
    monkeypatch.setattr("birdlite.serve.admission.clock", lambda: 0.0)
    monkeypatch.setattr("birdlite.serve.pictures.clock", lambda: 2.0)
    missing: list[bool] = []

    async def wait_for_it() -> Result:
        pictures = Pictures(cast("Classifier", NeverDone(is_fetched=is_fetched)), settings, 1, 1.0)
        pictures.count = lambda _result, _queued, absent: missing.append(absent)
        url = Target("http://a.example/", "url", "http://a.example/")
        (task,) = pictures.begin([url], settings, Timeline(), until=1.0).tasks
        return await asyncio.wait_for(task, PATIENCE)

    failure = asyncio.run(wait_for_it()).failure
    assert failure is not None
    assert failure.kind == "timeout"
    assert missing == [not is_fetched]
