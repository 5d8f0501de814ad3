"""`birdlite convert`: a bundle that classifies like its source, or nothing at all."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from birdlite.cli import main
from birdlite.convert import proof as bounds_module
from birdlite.convert import proven
from birdlite.convert.proof import Bounds
from birdlite.errors import installing
from birdlite.models.catalog import DEMO_MODEL
from tests.command_line import Run
from tests.demo_world import LABELS, MODEL, PICTURES, slug, species_of
from tests.origin import Origin
from tests.tiny_graphs import network
from tests.tiny_saved_models import CLASSES, lay_out, pack, write

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch, warm_cache: Path) -> Run:
    """Run a command line on a warm cache; gives exit code, standard output and standard error."""
    monkeypatch.setenv("BIRDLITE_CACHE_DIR", str(warm_cache))

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
    monkeypatch.setattr(proven, "SAME_GRIDS", Bounds(1e-9, 1.0, 1.0))
    arguments = ("convert", DEMO_MODEL, "--quantize", "int8", "-o", tmp_path / "bundle")

    code, out, err = run(*arguments)
    assert (code, out) == (3, "")
    assert "not written: a score differs by" in err
    assert not (tmp_path / "bundle").exists()

    assert run(*arguments, "--force")[0] == 0
    assert (tmp_path / "bundle" / "model.json").exists()


WRONG: list[tuple[list[str], int, str]] = [
    ([DEMO_MODEL], 2, "--output DIR is missing: the folder for the converted model"),
    ([DEMO_MODEL, "-o", "photos"], 2, "photos exists and is not a model bundle"),
    ([DEMO_MODEL, "-o", "new", "--to", "coreml"], 2, "--to coreml: not one of onnx, tflite"),
    ([DEMO_MODEL, "-o", "new", "--pictures", "absent"], 2, "absent: no such file"),
    ([DEMO_MODEL, "-o", "new", "--pictures", "photos"], 2, "photos: no pictures in this folder"),
    ([DEMO_MODEL, "-o", "new", "--pictures", "http://127.0.0.1:9/a.jpg"], 4, "http://127.0.0.1:9/a.jpg: "),
    ([DEMO_MODEL, "-o", "new", "--to", "tflite"], 2, "is not a SavedModel: --to tflite needs --quantize int8 for it"),
    ([DEMO_MODEL, "-o", "new", "--signature", "default"], 2, "are for SavedModels only, and birdlite-demo is not one"),
    ([DEMO_MODEL, "-o", "new", "--input-range", "1,0"], 2, "must be two numbers such as 0,1, the smaller one first"),
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


TENSORFLOW = pytest.mark.skipif(find_spec("tf2onnx") is None, reason="the extra `convert` is not installed")


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A tiny SavedModel's folder, and a label map beside it."""
    (tmp_path / "labels.csv").write_text(
        "id,name\n" + "".join(f"{number},bird {number}\n" for number in range(CLASSES))
    )
    return write(tmp_path / "module", network())


@TENSORFLOW
def test_a_saved_model_is_converted_from_its_folder_or_its_archive(run: Run, module: Path) -> None:
    archive = module.parent / "tiny.tar.gz"
    archive.write_bytes(pack(module))
    labels = ("--labels", module.parent / "labels.csv")
    for source, name in ((module, "module-onnx"), (archive, "tiny-onnx")):
        bundle = module.parent / name

        code, out, err = run("convert", source, *labels, "--to", "onnx", "-o", bundle)

        assert (code, out) == (0, f"{bundle}: {name}\n")
        assert "took the rounding of training out of it: 9 FakeQuant nodes" in err
        assert "to its source in floats, on 12 pictures: largest difference of a score" in err
        card = json.loads((bundle / "model.json").read_text())
        assert (card["source"], card["licence"]) == (str(source), "")
        assert (
            card["made_with"]["source_sha256"] == hashlib.sha256((module / "saved_model.pb").read_bytes()).hexdigest()
        )
        code, out, _ = run("classify", "--model", bundle, "--format", "json", PICTURES[0])
        assert (code, json.loads(out)["results"][0]["predictions"][0]["name"][:5]) == (0, "bird ")

        code, out, err = run("model", "verify", bundle, "--against", source)
        assert (code, f"against {source}, on 12 pictures" in out) == (0, True), err


@TENSORFLOW
def test_the_calibration_pictures_are_counted(run: Run, module: Path) -> None:
    write(module, network(rounds=False))
    arguments = ("convert", module, "--labels", module.parent / "labels.csv", "--quantize", "int8")

    code, _, err = run(*arguments, "-o", module.parent / "out")
    assert (code, "name some with --calibrate" in err) == (2, True)

    code, _, err = run(*arguments, "--calibrate", PICTURES[0].parent, "-o", module.parent / "out")
    assert code == 0, err
    assert f"calibrating on {len(PICTURES)} pictures in {4 * len(PICTURES)} views" in err
    assert f"on {len(PICTURES)} pictures: largest difference" in err


@TENSORFLOW
def test_a_list_of_pictures_can_be_calibrated_on(run: Run, module: Path) -> None:
    write(module, network(rounds=False))
    (module.parent / "list.txt").write_text(f"{PICTURES[0]}\n{PICTURES[1]}\n")
    arguments = ("convert", module, "--labels", module.parent / "labels.csv", "--quantize", "int8")

    code, _, err = run(*arguments, "--calibrate", module.parent / "list.txt", "-o", module.parent / "out", "--force")

    assert code == 0, err
    assert "calibrating on 2 pictures in 8 views" in err


@TENSORFLOW
def test_another_range_of_the_input_makes_another_network(run: Run, module: Path) -> None:
    arguments = ("convert", module, "--labels", module.parent / "labels.csv")
    for name, more in (("a", ()), ("b", ("--input-range=-1,1",))):
        assert run(*arguments, *more, "-o", module.parent / name)[0] == 0

    assert (module.parent / "a" / "model.onnx").read_bytes() != (module.parent / "b" / "model.onnx").read_bytes()


@TENSORFLOW
@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["module"], 2, "gives 5 scores: name the label map that belongs to it with --labels"),
        (["module", "--labels", "few.csv"], 3, "few.csv: label map: 4 labels for a model with 5 outputs"),
        (["module", "--labels", "absent.csv"], 3, "absent.csv: no such file"),
        (["module", "--labels", "labels.csv", "--signature", "serve"], 3, "there are: default, image_classifier"),
        (
            ["module", "--labels", "labels.csv", "--tags", "serve"],
            3,
            "no graph with the tags serve; there are: '' (none)",
        ),
        (["module", "--labels", "labels.csv", "--calibrate", "empty"], 2, "empty: no pictures in this folder"),
        (["empty"], 3, "there is no saved_model.pb"),
        (["damaged"], 3, "damaged: its saved_model.pb is not that of a SavedModel"),
        (["page.tar.gz"], 3, "page.tar.gz"),
        (["other.tar.gz"], 3, "the archive holds no SavedModel"),
        (["google/aiy/vision/classifier/birds_V1/1", "--offline"], 3, "which --offline forbids"),
        (
            ["google/aiy/vision/classifier/birds_V1/1", "--mirror", "http://127.0.0.1:9", "--retries", "0"],
            4,
            "could not be downloaded",
        ),
        (["module", "--to", "tflite", "--quantize", "int8"], 2, "takes its ranges from pictures"),
    ],
)
def test_a_module_that_cannot_be_converted_is_one_line_and_leaves_nothing(
    run: Run, module: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, complaint: str
) -> None:
    folder = module.parent
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    lay_out(folder / "damaged", b"<html>moved</html>")
    (folder / "few.csv").write_text("id,name\n0,a\n1,b\n2,c\n3,d\n")
    (folder / "page.tar.gz").write_bytes(b"\x1f\x8b<html>moved</html>")
    (folder / "other.tar.gz").write_bytes(pack(folder / "empty"))

    result, out, err = run("convert", "-q", *arguments, "-o", "new")

    assert (result, out) == (code, "")
    assert complaint in err
    assert err.count("\n") == 1
    assert not (folder / "new").exists()
    assert not list(folder.glob("new*"))


def test_without_tensorflow_a_saved_model_names_the_extra(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)

    code, out, err = run("convert", "-q", lay_out(tmp_path / "module"), "-o", tmp_path / "new")

    assert (code, out) == (3, "")
    assert err == f"birdlite: error: this conversion needs tensorflow: {installing('convert')}\n"


@TENSORFLOW
@pytest.mark.birds
def test_the_hubs_model_is_fetched_and_names_the_samples(run: Run, birds: Path, tmp_path: Path, origin: Origin) -> None:
    for host in (birds / "mirror").iterdir():
        origin.serve_folder(f"/{host.name}", host)
    bundle = tmp_path / "bundle"

    code, out, err = run("convert", "--mirror", origin.base, "--cache-dir", tmp_path / "cache", "-o", bundle)

    assert (code, out) == (0, f"{bundle}: birds-v1-onnx\n")
    assert "fetched google/aiy/vision/classifier/birds_V1/1: 8.8 MB from www.kaggle.com" in err
    assert "warning: this saved_model.pb is not the known one of birds_V1/1" in err  # it is the stand-in
    code, out, _ = run(
        "classify", "--samples", "--mirror", origin.base, "--model", bundle, "--resize", "exact", "--format", "json"
    )
    published = json.loads((birds / "expected.json").read_text())["images"]
    results = json.loads(out)["results"]
    assert len(results) == len(published) == 5
    for result, image in zip(results, published, strict=True):
        first = result["predictions"][0]
        name, score = image["top3"][0]
        assert (first["name"], first["score"]) == (name, pytest.approx(score, abs=0.06))


def test_a_conversion_that_is_killed_leaves_no_bundle(tmp_path: Path) -> None:
    """Killed while it writes: what is there has no card, so it is no model, and the next conversion sweeps it up."""
    script = (
        "import os, signal, sys\n"
        "from birdlite import atomic_file\n"
        "from birdlite.cli import main\n"
        "write = atomic_file.write\n"
        "def write_and_die(path, data):\n"
        "    write(path, data)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic_file.write = write_and_die\n"
        "main(sys.argv[1:])\n"
    )
    arguments = ["convert", str(MODEL), "--labels", str(LABELS), "-o", str(tmp_path / "out")]

    killed = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    left = list(tmp_path.glob(".out.*.partial"))
    assert len(left) == 1
    assert main(["classify", "-q", "--model", str(left[0]), str(PICTURES[0])]) == 3
    assert main(arguments) == 0
    assert not list(tmp_path.glob(".out.*.partial"))


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

    monkeypatch.setattr(bounds_module, "SAME_GRIDS", Bounds(1e-9, 1.0, 1.0))
    code, _, err = run("model", "verify", bundle, "--against", DEMO_MODEL)
    assert code == 3
    assert "differ too much from those of birdlite-demo: a score differs by" in err


def test_verify_names_a_damaged_file_of_a_bundle(run: Run, tmp_path: Path) -> None:
    assert run("convert", DEMO_MODEL, "-o", tmp_path / "bundle")[0] == 0
    (tmp_path / "bundle" / "labels.csv").write_text("id,name\n")

    code, out, err = run("model", "verify", tmp_path / "bundle")

    assert code == 3
    assert "labels.csv: has 8 bytes instead of" in out
    assert "is damaged or incomplete; convert or copy it again" in err


def test_models_of_different_things_are_not_compared(run: Run, tmp_path: Path) -> None:
    assert run("convert", DEMO_MODEL, "-o", tmp_path / "a")[0] == 0
    labels = tmp_path / "labels.csv"
    labels.write_text("id,name\n" + "".join(f"{key},other {key}\n" for key in range(7)))
    assert run("convert", MODEL, "--labels", labels, "-o", tmp_path / "b")[0] == 0

    code, _, err = run("model", "verify", tmp_path / "a", "--against", tmp_path / "b")

    assert code == 3
    assert "are models of different things" in err
