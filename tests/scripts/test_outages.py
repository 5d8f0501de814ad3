"""Outages under an Indexed Job, small: `python -m scripts.job_check --outages 10` plays the large ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.outages import Size, trials
from scripts.outages.cluster import Job
from scripts.outages.world import KINDS, World
from tests import manifests

SMALL = Size(pictures=20, indexes=2, pace=0.01, scale=0.02)


@pytest.fixture
def world() -> Iterator[World]:
    if manifests.kubectl() is None:
        pytest.skip("no kubectl to render with: pip install '.[k8s]' brings one")
    with World(SMALL.pictures, SMALL.pace) as world:
        yield world


def test_a_job_completes_whatever_is_away_for_a_while(world: World, tmp_path: Path) -> None:
    played = list(trials(world, tmp_path, len(KINDS), 7, SMALL))

    assert [trial.outage.kind for trial in played] == list(KINDS)
    assert [str(trial) for trial in played if not trial.passed] == []


def test_a_job_without_its_pictures_is_not_complete_until_they_are_back(world: World, tmp_path: Path) -> None:
    job = Job(world, tmp_path / "first", "birds", SMALL.indexes, SMALL.scale)
    job.spec["backoffLimitPerIndex"] = 0
    with world.outage("picture host", "status 503", start=0.0, length=600.0):
        away = job.play()
    back = Job(world, tmp_path / "second", "birds", SMALL.indexes, SMALL.scale).play()

    assert (away.complete, away.exit_codes) == (False, {4: 2})
    assert "more than --max-failures 20%" in away.last_words[0]
    assert (back.complete, back.exit_codes) == (True, {0: 2})


def test_a_pod_that_cannot_run_fails_its_index_at_once(world: World, tmp_path: Path) -> None:
    job = Job(world, tmp_path, "wrong", SMALL.indexes, SMALL.scale)
    job.change("BIRDLITE_MODEL", "no-such-model")

    played = job.play()

    assert not played.complete
    assert played.exit_codes == {3: 2}
    assert "no model 'no-such-model'" in played.last_words[0]
