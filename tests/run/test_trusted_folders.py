"""A model folder whose files vouch only for each other: who can write to it decides, or a sha256 from elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from birdlite import Classifier, Settings, engines
from birdlite.engines.trial import try_once
from birdlite.errors import InvalidModel
from birdlite.models import bundle
from birdlite.models.card import FileFact
from birdlite.models.catalog import CATALOG, DEMO_MODEL
from tests import tiny_models
from tests.command_line import Run
from tests.demo_world import LABELS, MODEL, PICTURES

WRONG = "0" * 64


@pytest.fixture
def published(warm_cache: Path, tmp_path: Path) -> Path:
    """A copy of the demo's model: the catalogue has the sha256 of every file."""
    return Path(shutil.copytree(warm_cache / "models" / DEMO_MODEL, tmp_path / "published"))


@pytest.fixture
def own(published: Path) -> Path:
    """A model folder that birdlite could have written: a network that no catalogue knows."""
    changed = MODEL.read_bytes() + b" "  # still the same network
    (published / "model.tflite").write_bytes(changed)
    card = bundle.read_card(str(published))
    files = card.files | {"model.tflite": FileFact(len(changed), bundle.sha256(changed))}
    mine = card._replace(files=files, made_with={"birdlite": "1.0"})
    (published / "model.json").write_text(bundle.card_to_json(mine))
    for place in (published, *published.iterdir()):
        place.chmod(place.stat().st_mode & ~0o022)  # whatever the umask
    return published


def card_digest(folder: Path) -> str:
    return bundle.sha256((folder / "model.json").read_bytes())


def classify(folder: Path, cache: Path, pinned: str | None = None) -> None:
    with Classifier(Settings(model=str(folder), model_sha256=pinned, cache_dir=str(cache))) as birds:
        assert birds.classify(PICTURES[0]).ok


def test_where_only_the_user_can_write_the_card_is_believed(
    own: Path, tmp_path: Path, started: list[str], warnings_said: list[str]
) -> None:
    classify(own, tmp_path / "cache")

    assert (started, warnings_said) == ([], [])


@pytest.mark.parametrize("which", ["", "model.json", "model.tflite", "labels.csv"])
def test_where_others_can_write_it_is_told_and_the_model_is_tried_whatever_its_card_says(
    own: Path, tmp_path: Path, started: list[str], warnings_said: list[str], which: str
) -> None:
    place = own / which
    place.chmod(place.stat().st_mode | 0o002)

    classify(own, tmp_path / "cache")

    assert started == [str(own / "model.tflite")]
    assert len(warnings_said) == 1
    assert warnings_said[0] == (
        f"{place} can be written by anyone, so nothing vouches for the model there: model.json can change with the "
        f"files that it is about; run `chmod o-w {place}`, or name the sha256 of model.json with --model-sha256"
    )


def test_a_pinned_card_vouches_for_the_folder_wherever_it_is(
    own: Path, tmp_path: Path, started: list[str], warnings_said: list[str]
) -> None:
    own.chmod(0o777)

    classify(own, tmp_path / "cache", card_digest(own))

    assert (started, warnings_said) == ([], [])


def test_the_catalogue_vouches_for_its_models_wherever_they_are(
    published: Path, tmp_path: Path, started: list[str], warnings_said: list[str]
) -> None:
    published.chmod(0o777)

    classify(published, tmp_path / "cache")

    assert (started, warnings_said) == ([], [])


def test_the_catalogue_does_not_vouch_for_other_labels(
    published: Path, tmp_path: Path, warnings_said: list[str]
) -> None:
    labels = (published / "labels.csv").read_bytes().replace(b"background", b"albatross.")
    (published / "labels.csv").write_bytes(labels)
    card = bundle.read_card(str(published))
    files = card.files | {"labels.csv": FileFact(len(labels), bundle.sha256(labels))}
    files.pop("names.txt")
    (published / "model.json").write_text(bundle.card_to_json(card._replace(files=files)))
    published.chmod(0o777)

    classify(published, tmp_path / "cache")

    assert len(warnings_said) == 1
    assert "so nothing vouches for the model there" in warnings_said[0]


def test_another_model_than_the_pinned_one_is_refused(own: Path, run: Run) -> None:
    digest = CATALOG[DEMO_MODEL].card.files["model.tflite"].sha256
    for model, said in (
        ((own,), f"{own}/model.json has sha256 {card_digest(own)} instead of {WRONG}"),
        ((MODEL, "--labels", LABELS), f"{MODEL} has sha256 {digest} instead of {WRONG}"),
        ((DEMO_MODEL,), f"{DEMO_MODEL} of the catalogue has sha256 {digest} instead of {WRONG}"),
    ):
        code, out, err = run("classify", "--model", *model, "--model-sha256", WRONG, PICTURES[0])

        assert (code, out, err) == (3, "", f"birdlite: error: {said}, which --model-sha256 names\n")


def test_the_pinned_model_is_used(own: Path, warm_cache: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = CATALOG[DEMO_MODEL].card.files["model.tflite"].sha256
    monkeypatch.setenv("BIRDLITE_CACHE_DIR", str(warm_cache))

    for model in ((MODEL, "--labels", LABELS), (DEMO_MODEL,)):
        assert run("classify", "--model", *model, "--model-sha256", f"SHA256:{digest.upper()}", PICTURES[0])[0] == 0
    monkeypatch.setenv("BIRDLITE_MODEL_SHA256", card_digest(own))
    assert run("classify", "--model", own, PICTURES[0])[0] == 0


def test_what_is_no_sha256_is_wrong_usage(run: Run) -> None:
    code, _, err = run("classify", "--model-sha256", "abc", PICTURES[0])

    assert code == 2
    assert "not a sha256 of 64 hexadecimal digits" in err


def test_a_record_of_a_trial_that_others_can_have_written_is_not_believed(tmp_path: Path, started: list[str]) -> None:
    def attempt() -> None:
        try_once(tiny_models.model(), "5" * 64, "my.tflite", ("tflite", "auto"), str(tmp_path / "cache"))

    attempt()
    attempt()
    assert len(started) == 1

    (tmp_path / "cache").chmod(0o777)
    attempt()
    assert len(started) == 2


def test_what_is_checked_is_what_is_loaded(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = (own / "model.tflite").read_bytes()
    loaded: list[bytes] = []
    load = engines.load

    def late(model: Any, *rest: Any, **more: Any) -> Any:
        (own / "model.tflite").write_bytes(b"another one")
        loaded.append(bytes(model))
        return load(model, *rest, **more)

    monkeypatch.setattr(engines, "load", late)
    classify(own, tmp_path / "cache")

    assert loaded
    assert set(loaded) == {checked}


def test_a_folder_in_place_of_the_model_is_an_error(own: Path, tmp_path: Path) -> None:
    (own / "model.tflite").unlink()
    (own / "model.tflite").mkdir()

    with pytest.raises(InvalidModel, match=r"model\.tflite cannot be read \(it is a folder\)"):
        classify(own, tmp_path / "cache")


def test_the_card_says_what_is_checked(own: Path, run: Run) -> None:
    assert (
        '"checked": "On every load birdlite compares bytes and sha256 of everything in files.'
        in (own / "model.json").read_text()
    )


def test_verify_says_against_what_and_who_else_can_write(own: Path, warm_cache: Path, run: Run) -> None:
    ok = "model.tflite: ok\nlabels.csv: ok\nnames.txt: ok\n"
    checked = f"birdlite: checked against {own}/model.json, whose sha256 is {card_digest(own)}\n"
    assert run("model", "verify", own) == (0, ok, checked)

    own.chmod(0o777)
    said = f"birdlite: warning: {own} can be written by anyone (run `chmod o-w {own}`)\n"
    assert run("model", "verify", own) == (0, ok, checked + said)

    assert run("model", "verify", DEMO_MODEL, "--cache-dir", warm_cache) == (
        0,
        ok,
        "birdlite: checked against birdlite's own catalogue\n",
    )


def test_the_list_says_who_else_can_write_to_the_cache(warm_cache: Path, run: Run) -> None:
    assert run("model", "list", "--cache-dir", warm_cache)[2] == ""

    warm_cache.chmod(0o777)

    assert f"{warm_cache} can be written by anyone" in run("model", "list", "--cache-dir", warm_cache)[2]
