"""`birdlite convert --to tflite --quantize int8` on a `.tflite` file: no extra, no calibration, and a proof."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import tarfile
from pathlib import Path

import pytest

from birdlite.convert import proven
from birdlite.convert.proof import Bounds
from birdlite.models.bundle import card_to_json
from birdlite.models.card import FileFact
from birdlite.models.catalog import DEMO_MODEL, find
from tests import tiny_models
from tests.command_line import Run
from tests.demo_world import PICTURES


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch, warm_cache: Path, tmp_path: Path) -> Run:
    """Run a command line where `tiny.tflite` and `tiny.csv` lie; gives exit code, standard output and error."""
    monkeypatch.setenv("BIRDLITE_CACHE_DIR", str(warm_cache))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.tflite").write_bytes(tiny_models.model())
    (tmp_path / "tiny.csv").write_text(
        "id,name\n" + "".join(f"{key},colour {key}\n" for key in range(tiny_models.CLASSES))
    )

    return run


CONVERT = ("convert", "tiny.tflite", "--labels", "tiny.csv", "--to", "tflite", "--quantize", "int8")


def test_the_bundle_answers_as_its_source_and_says_what_became_of_the_weights(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("onnx", "onnxruntime", "tensorflow", "numpy"):
        monkeypatch.setitem(sys.modules, package, None)

    code, out, err = run(*CONVERT, "-o", "made")

    assert (code, out) == (0, "made: tiny.tflite-tflite-int8\n")
    assert "5 of 5 channels of weights are as they were" in err
    card = json.loads((tmp_path / "made" / "model.json").read_text())
    assert (card["format"], card["quantization"]) == ("tflite", "int8")
    assert card["input"]["dtype"] == card["output"]["dtype"] == "uint8"
    assert card["distance"]["max_difference"] == 0
    assert (card["distance"]["pictures"], card["distance"]["exact_channels"]) == (12, 1.0)
    source = hashlib.sha256((tmp_path / "tiny.tflite").read_bytes()).hexdigest()
    assert (card["made_with"]["source_sha256"], card["made_with"]["source_format"]) == (source, "tflite")
    assert run("classify", "-q", "--model", "made", PICTURES[0])[0] == 0
    code, out, _ = run("model", "verify", "made")
    assert (code, out) == (0, "model.tflite: ok\nlabels.csv: ok\n")


def test_it_is_the_same_file_every_time(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert run(*CONVERT, "-o", name)[0] == 0

    assert (tmp_path / "a" / "model.tflite").read_bytes() == (tmp_path / "b" / "model.tflite").read_bytes()


def test_the_users_pictures_are_compared_on(run: Run) -> None:
    code, _, err = run(*CONVERT, "--pictures", PICTURES[0].parent, "-o", "made")

    assert code == 0
    assert f"on {len(PICTURES)} pictures" in err


def test_one_picture_is_not_called_pictures(run: Run) -> None:
    _, _, err = run(*CONVERT, "--pictures", PICTURES[0], "-o", "made")

    assert "comparing on 1 picture\n" in err
    assert "to its source, on 1 picture: " in err


def test_beyond_the_bounds_nothing_is_written(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proven, "REQUANTISED", Bounds(-1.0, 1.0, 1.0))

    code, out, err = run(*CONVERT, "-o", "made")

    assert (code, out) == (3, "")
    assert "not written: a score differs by" in err
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (
            ["tiny.tflite", "--labels", "tiny.csv"],
            2,
            "tiny.tflite is not a SavedModel: --to tflite needs --quantize int8",
        ),
        ([DEMO_MODEL, "--quantize", "float16"], 2, "needs --quantize int8 for it"),
        ([DEMO_MODEL, "--quantize", "int8"], 3, "int8 already"),
    ],
)
def test_what_cannot_be_made_is_one_line_and_leaves_nothing(
    run: Run, tmp_path: Path, arguments: list[str], code: int, complaint: str
) -> None:
    result, out, err = run("convert", "-q", *arguments, "--to", "tflite", "-o", "new")

    assert (result, out) == (code, "")
    assert complaint in err
    assert err.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("nosuch", "no model 'nosuch'"),
        ("no/such.tflite", "no/such.tflite: no such model file or folder"),
        (str(PICTURES[0]), f"{PICTURES[0]} is no model: neither a .tflite file, nor"),
        ("photos", "photos: no SavedModel: there is no saved_model.pb"),
        ("cut.tar.gz", "cut.tar.gz: not a readable .tar.gz: "),
        ("other.tar.gz", "other.tar.gz: the archive holds no SavedModel"),
        ("made.onnx", "made.onnx is an ONNX model; only a SavedModel or a .tflite can be converted"),
        ("made", "made is an ONNX model; only a SavedModel or a .tflite can be converted"),
    ],
)
def test_what_is_no_source_is_told_before_a_package_that_is_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, complaint: str
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "cut.tar.gz").write_bytes(gzip.compress(bytes(4000))[:-10])
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "tiny.csv", "tiny.csv")
    (tmp_path / "made.onnx").touch()
    (tmp_path / "made").mkdir()
    card = find(DEMO_MODEL).card._replace(
        format="onnx", files=dict.fromkeys(("model.onnx", "labels.csv"), FileFact(1, "0" * 64))
    )
    (tmp_path / "made" / "model.json").write_text(card_to_json(card))
    for package in ("onnx", "onnxruntime", "tensorflow"):
        monkeypatch.setitem(sys.modules, package, None)

    assert "the package onnx is needed" in run("convert", DEMO_MODEL, "-o", "new")[2]
    code, _, err = run("convert", source, "-o", "new")

    assert code == 3
    assert err.startswith(f"birdlite: error: {complaint}")
