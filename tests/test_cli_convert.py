"""`birdlite convert`: a bundle that classifies like its source, or nothing at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from birdlite.cli import main
from birdlite.convert import conversion as conversion_room
from birdlite.convert.compare import Bounds
from birdlite.models.catalog import DEMO_MODEL
from tests.demo_world import LABELS, MODEL, PICTURES, slug, species_of

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
pytest.importorskip("tflite", reason="the extra `onnx` is not installed")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, warm_cache: Path) -> Run:
    """Run a command line on a warm cache; gives exit code, standard output and standard error."""
    monkeypatch.setenv("BIRDLITE_CACHE_DIR", str(warm_cache))

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_a_converted_model_names_the_same_birds_and_its_card_says_how_close_it_is(
    run: Run, tmp_path: Path, quantize: str
) -> None:
    bundle = tmp_path / "bundle"

    code, out, err = run("convert", DEMO_MODEL, "--to", "onnx", "--quantize", quantize, "-o", bundle)

    assert code == 0
    assert out.startswith(f"{bundle}: birdlite-demo-onnx")
    assert "largest difference of a score" in err
    card = json.loads((bundle / "model.json").read_text())
    assert (card["format"], card["quantization"]) == ("onnx", quantize)
    assert card["distance"]["pictures"] == 12
    assert card["distance"]["top1"] == 1.0
    assert {"birdlite", "onnx", "onnxruntime", "source_sha256"} <= card["made_with"].keys()

    code, out, _ = run("classify", "--model", bundle, "--format", "json", *PICTURES)
    document = json.loads(out)
    assert (code, document["model"]["engine"]) == (0, "onnx")
    names = [slug(result["predictions"][0]["common_name"]) for result in document["results"]]
    assert names == [species_of(picture) for picture in PICTURES]


def test_a_bare_file_is_converted_with_its_labels_and_compared_on_the_users_pictures(run: Run, tmp_path: Path) -> None:
    arguments = ("convert", MODEL, "--labels", LABELS, "--pictures", PICTURES[0].parent, "-o", tmp_path / "bundle")

    code, _, err = run(*arguments)

    assert code == 0
    assert f"on {len(PICTURES)} pictures" in err
    assert (tmp_path / "bundle" / "labels.csv").read_bytes().startswith(b"id,name\n0,Demoavis cristata\n")
    assert not (tmp_path / "bundle" / "names.txt").exists()


def test_beyond_the_bounds_nothing_is_written_unless_forced(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(conversion_room.BOUNDS, "int8", Bounds(1e-9, 1.0, 1.0))
    arguments = ("convert", DEMO_MODEL, "--quantize", "int8", "-o", tmp_path / "bundle")

    code, out, err = run(*arguments)
    assert (code, out) == (3, "")
    assert "not written: a score differs by" in err
    assert not (tmp_path / "bundle").exists()

    assert run(*arguments, "--force")[0] == 0
    assert (tmp_path / "bundle" / "model.json").exists()


WRONG: list[tuple[list[str], int, str]] = [
    ([DEMO_MODEL], 2, "say with --output where the bundle goes"),
    ([DEMO_MODEL, "-o", "photos"], 2, "photos exists and is not a model bundle"),
    ([DEMO_MODEL, "-o", "new", "--to", "coreml"], 2, "invalid choice: 'coreml'"),
    ([DEMO_MODEL, "-o", "new", "--pictures", "absent"], 2, "absent: no such file"),
    ([DEMO_MODEL, "-o", "new", "--pictures", "photos"], 2, "photos: no pictures in this folder"),
    ([DEMO_MODEL, "-o", "new", "--pictures", "https://example.org/a.jpg"], 2, "pictures to compare on are files"),
    (["nosuch", "-o", "new"], 3, "no model 'nosuch'"),
]


@pytest.mark.parametrize(("arguments", "code", "complaint"), WRONG)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.txt").touch()

    result, out, err = run("convert", "-q", *arguments)

    assert (result, out) == (code, "")
    assert complaint in err
    assert err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_bare_onnx_file_classifies_with_labels(run: Run, tmp_path: Path) -> None:
    assert run("convert", DEMO_MODEL, "-o", tmp_path / "bundle")[0] == 0
    bare = tmp_path / "mine.onnx"
    bare.write_bytes((tmp_path / "bundle" / "model.onnx").read_bytes())

    code, out, _ = run("classify", "--model", bare, "--labels", LABELS, "--format", "json", PICTURES[0])

    assert code == 0
    assert json.loads(out)["results"][0]["predictions"][0]["name"] == "Demoavis cristata"


def test_a_conversion_gives_the_same_bytes_every_time(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert run("convert", DEMO_MODEL, "--quantize", "int8", "-o", tmp_path / name)[0] == 0

    assert (tmp_path / "a" / "model.onnx").read_bytes() == (tmp_path / "b" / "model.onnx").read_bytes()


def test_verify_repeats_the_proof_and_finds_a_bundle_that_no_longer_keeps_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle"
    assert run("convert", DEMO_MODEL, "--quantize", "int8", "-o", bundle)[0] == 0

    code, out, _ = run("model", "verify", bundle, "--against", DEMO_MODEL)
    assert code == 0
    assert out.startswith("model.onnx: ok\nlabels.csv: ok\nnames.txt: ok\nagainst birdlite-demo, on 12 pictures: ")

    monkeypatch.setitem(conversion_room.BOUNDS, "int8", Bounds(1e-9, 1.0, 1.0))
    code, _, err = run("model", "verify", bundle, "--against", DEMO_MODEL)
    assert code == 3
    assert "is further from birdlite-demo than a conversion may be: a score differs by" in err


def test_verify_names_a_damaged_file_of_a_bundle(run: Run, tmp_path: Path) -> None:
    assert run("convert", DEMO_MODEL, "-o", tmp_path / "bundle")[0] == 0
    (tmp_path / "bundle" / "labels.csv").write_text("id,name\n")

    code, out, err = run("model", "verify", tmp_path / "bundle")

    assert code == 3
    assert "labels.csv: has 8 bytes instead of" in out
    assert "is not whole; convert or copy it again" in err


def test_models_of_different_things_are_not_compared(run: Run, tmp_path: Path) -> None:
    assert run("convert", DEMO_MODEL, "-o", tmp_path / "a")[0] == 0
    labels = tmp_path / "labels.csv"
    labels.write_text("id,name\n" + "".join(f"{key},other {key}\n" for key in range(7)))
    assert run("convert", MODEL, "--labels", labels, "-o", tmp_path / "b")[0] == 0

    code, _, err = run("model", "verify", tmp_path / "a", "--against", tmp_path / "b")

    assert code == 3
    assert "are models of different things" in err
