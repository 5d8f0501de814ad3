"""requirements/*.txt: up to date with pyproject.toml, hashed, and without an address."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from scripts import lock

NAMES = pytest.mark.parametrize("name", lock.LOCKS)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of pyproject.toml, to be changed."""
    return Path(shutil.copy(lock.ROOT / "pyproject.toml", tmp_path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of requirements/, to be changed."""
    return Path(shutil.copytree(lock.FOLDER, tmp_path / "requirements"))


def replace(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@NAMES
def test_each_file_is_up_to_date(name: str) -> None:
    assert list(lock.faults_of(name, lock.FOLDER)) == []


def test_no_other_file_lies_beside_them() -> None:
    assert {path.name for path in lock.FOLDER.iterdir()} == {f"{name}.txt" for name in lock.LOCKS}


@NAMES
def test_every_package_has_the_hashes_of_its_files(name: str) -> None:
    for pin in lock.pins_of(lock.FOLDER / f"{name}.txt"):
        assert pin.hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in pin.hashes)


def test_files_that_are_installed_together_agree() -> None:
    """pip refuses two versions of one package."""
    build = {(pin.name, pin.version) for pin in lock.pins_of(lock.FOLDER / "build.txt")}
    for name in lock.LOCKS:
        for environment in lock.environments(lock.LOCKS[name].pythons):
            both = [*lock.pins_of(lock.FOLDER / f"{name}.txt"), *lock.pins_of(lock.FOLDER / "build.txt")]
            here = {(pin.name, pin.version) for pin in both if pin.marker is None or pin.marker.evaluate(environment)}
            assert len({package for package, _ in here}) == len(here), name
    assert build


def test_the_image_gets_nothing_that_only_the_python_side_of_litert_needs() -> None:
    names = {
        pin.name for name in ("image", "cloud", "serve", "heif") for pin in lock.pins_of(lock.FOLDER / f"{name}.txt")
    }

    assert names & set(lock.NOT_IN_THE_IMAGE) == set()
    assert {"pillow", "httpx", "obstore", "uvicorn", "pi-heif"} <= names


def test_a_new_bound_makes_a_file_stale(project: Path) -> None:
    replace(project, '"httpx>=0.28,<1"', '"httpx>=99"')

    faults = list(lock.faults_of("run", lock.FOLDER, project))

    assert "run.txt: httpx>=99 is new in pyproject.toml" in faults
    assert "run.txt: httpx<1,>=0.28 is no longer in pyproject.toml" in faults
    assert any(re.match(r"run\.txt: httpx 0\.\S+ on Python 3\.10, aarch64 is not >=99$", fault) for fault in faults)


def test_a_package_that_is_no_longer_wanted_makes_a_file_stale(project: Path) -> None:
    replace(project, '    "idna>=3.7",\n', "")

    assert list(lock.faults_of("run", lock.FOLDER, project)) == ["run.txt: idna>=3.7 is no longer in pyproject.toml"]


def test_an_extra_of_an_extra_counts(project: Path) -> None:
    replace(project, '"obstore>=0.11"', '"obstore>=0.11.1"')

    assert "dev.txt: obstore>=0.11.1 is new in pyproject.toml" in list(lock.faults_of("dev", lock.FOLDER, project))


def test_a_file_changed_by_hand_is_noticed(folder: Path) -> None:
    run = folder / "run.txt"
    replace(run, "\nidna==", "\nidna-of-another==")
    run.write_text(run.read_text() + "# from https://index.invalid/simple\nnohash==1\n")

    faults = list(lock.faults_of("run", folder))

    assert "run.txt: holds an address" in faults
    assert "run.txt: nohash has no hash" in faults
    assert "run.txt: 0 versions of idna on Python 3.14, x86_64" in faults


def test_a_missing_file_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "heif.txt").unlink()
    monkeypatch.setattr(lock, "FOLDER", folder)

    assert lock.main(["--check"]) == 1
    assert capsys.readouterr().out == "heif.txt: not there\n"


def test_a_check_that_finds_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert lock.main(["--check"]) == 0
    assert capsys.readouterr().out == f"{len(lock.LOCKS)} files in requirements/ are up to date\n"
