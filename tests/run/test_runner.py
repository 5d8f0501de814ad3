"""A `Runner` from Python: it runs once, on targets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from birdlite import Runner, RunOptions, Settings, UsageError, expand
from birdlite.batch.journal import Journal
from birdlite.models.catalog import DEMO_MODEL
from tests.batch_runs import make_album


@pytest.fixture
def settings(warm_cache: Path) -> Settings:
    return Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))


@pytest.mark.parametrize("resume", [False, True])
def test_a_runner_runs_once_and_says_so(settings: Settings, tmp_path: Path, resume: bool) -> None:
    album, path = make_album(tmp_path / "album", 3), tmp_path / "out.jsonl"
    runner = Runner(settings, RunOptions(output=str(path), resume=resume))
    assert runner.run(expand([str(album)])).summary.ok == 3
    before = path.read_bytes()

    with path.open("rb") as of_the_caller:  # it may have the number that the first run has closed
        with pytest.raises(UsageError, match=r"^a Runner runs once; make another one$"):
            runner.run(expand([str(album)]))
        assert of_the_caller.read() == before


def test_a_journal_closes_its_file_once_and_no_other_that_has_its_number(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "part.jsonl.partial"))
    journal.close()
    read_end, write_end = os.pipe()  # the smallest free numbers

    journal.close()

    os.write(write_end, b"open")
    assert os.read(read_end, 4) == b"open"
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("given", ["robin.jpg", Path("robin.jpg"), b"robin.jpg"])
def test_a_single_name_is_not_several(given: Any) -> None:
    words = r"^expand takes several names, such as a list: expand\(\['robin.jpg'\], \['list.txt'\]\)$"
    with pytest.raises(TypeError, match=words):
        expand(given)
    with pytest.raises(TypeError, match=words):
        expand([], given)


def test_names_may_be_paths(tmp_path: Path) -> None:
    album = make_album(tmp_path / "album", 2)

    assert [target.name for target in expand([album])] == [target.name for target in expand([str(album)])]


@pytest.mark.parametrize(("given", "words"), [(b"robin.jpg", "a path of bytes: give it as str"), (3, "not int")])
def test_what_is_no_name_is_an_error(given: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        list(expand([given]))


@pytest.mark.parametrize(
    ("given", "kind"),
    [("robin.jpg", "str"), (["robin.jpg"], "str"), ((Path("a"),), "PosixPath"), (iter(["a"]), "str"), (3, "int")],
)
def test_a_run_takes_targets(settings: Settings, given: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=rf"^run takes targets, not {kind}: run\(expand\(\['robin.jpg'\]\)\)$"):
        Runner(settings).run(given)


def test_names_in_place_of_targets_cost_no_old_output(settings: Settings, tmp_path: Path) -> None:
    names: Any = ["robin.jpg"]
    (tmp_path / "out.jsonl").write_text("old\n")
    with pytest.raises(TypeError):
        Runner(settings, RunOptions(output=str(tmp_path / "out.jsonl"))).run(names)

    assert (tmp_path / "out.jsonl").read_text() == "old\n"


def test_a_run_takes_a_list_of_targets_too(settings: Settings, tmp_path: Path) -> None:
    targets = list(expand([make_album(tmp_path / "album", 2)]))

    report = Runner(settings, RunOptions(output=str(tmp_path / "out.csv"))).run(targets)

    assert report.summary.ok == 2
