"""A model that nobody vouches for is loaded and run once where it can do no harm."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from birdlite import Classifier, Settings, engines
from birdlite.engines import trial
from birdlite.engines.trial import try_once
from birdlite.errors import EngineError, InvalidModel
from birdlite.models import bundle
from birdlite.models.card import FileFact
from birdlite.models.catalog import DEMO_MODEL
from tests import tiny_models
from tests.command_line import Run
from tests.demo_world import LABELS, MODEL, PICTURES

HERE = "import sys; sys.path[:] = sys.argv[4:]; from birdlite.engines import trial; "


def attempt(model: bytes, cache: Path | None = None, sha256: str = "5" * 64) -> None:
    try_once(model, sha256, "folder/my.tflite", ("tflite", "auto"), None if cache is None else str(cache))


def test_a_sound_model_is_tried_once_and_then_remembered(started: list[str], tmp_path: Path) -> None:
    for _ in range(3):
        attempt(tiny_models.model(), tmp_path)
    assert started == ["folder/my.tflite"]

    attempt(tiny_models.model(), tmp_path, sha256="6" * 64)
    assert len(started) == 2


def test_another_build_of_the_runtime_tries_it_again(
    started: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt(tiny_models.model(), tmp_path)
    monkeypatch.setattr(engines, "identity", lambda *_: "litert, a newer one")
    attempt(tiny_models.model(), tmp_path)

    assert len(started) == 2


def test_without_a_cache_it_is_tried_each_time(started: list[str]) -> None:
    attempt(tiny_models.model())
    attempt(tiny_models.model())

    assert len(started) == 2


def test_a_cache_that_cannot_be_written_costs_only_another_trial(started: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where the cache's folder should be")

    attempt(tiny_models.model(), tmp_path / "file")
    attempt(tiny_models.model(), tmp_path / "file")

    assert len(started) == 2


BAD_ENDS = {
    "a crash": ("import os; os.kill(os.getpid(), 11)", r"the model crashes its engine when it is tried \(signal 11\)"),
    "an end": ("import os; os._exit(7)", r"the model crashes its engine when it is tried \(exit code 7\)"),
    "a hang": ("import signal; signal.pause()", r"the model does not load and run once within 0\.5 s"),
    "a hang that reads": (
        "import sys, signal; sys.stdin.buffer.read(); signal.pause()",
        r"does not load and run once within",
    ),
    "a flood": ("import os\nwhile True: os.write(2, bytes(10000))", r"does not load and run once within"),
    "too little memory for LiteRT": (HERE + "trial.MEMORY = 1 << 16; sys.exit(trial.main())", r"my\.tflite: "),
    "a MemoryError": (
        HERE + "trial.engines.describe = lambda *_: bytes(1 << 40); sys.exit(trial.main())",
        r"the model takes more than 1024 MiB to load and run",
    ),
}


@pytest.mark.parametrize("what", BAD_ENDS)
def test_whatever_becomes_of_the_process_is_one_line_and_is_not_remembered(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, complaint = BAD_ENDS[what]
    monkeypatch.setattr(trial, "_START", code)
    if "hang" in what or "flood" in what:
        monkeypatch.setattr(trial, "SECONDS", 0.5)

    with pytest.raises((InvalidModel, EngineError), match=complaint) as caught:
        attempt(MODEL.read_bytes(), tmp_path)

    assert "\n" not in str(caught.value)
    assert "my.tflite" in str(caught.value)
    assert not (tmp_path / trial.FOLDER).exists()


def test_an_error_of_our_own_in_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_START", HERE + "trial.check_ends = lambda *_: 1 / 0; sys.exit(trial.main())")

    with pytest.raises(EngineError, match=r"my\.tflite: the model cannot be tried: division by zero"):
        attempt(tiny_models.model())


def test_what_a_runtime_prints_is_not_taken_for_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = "trial.check_ends = lambda *_: (print('InvalidModel mine'), 1 / 0); sys.exit(trial.main())"
    monkeypatch.setattr(trial, "_START", HERE + prints)

    with pytest.raises(EngineError, match="division by zero"):
        attempt(tiny_models.model())


@pytest.mark.parametrize(
    ("model", "error", "complaint"),
    [
        (b"nothing of the kind", InvalidModel, "^folder/my.tflite: not a TensorFlow Lite model, or a damaged one$"),
        (tiny_models.model(takes="float32"), InvalidModel, r"^folder/my.tflite: the model takes float32"),
        (tiny_models.model(custom_op="Nonsense"), EngineError, "Nonsense"),
        (tiny_models.model(flat=False), InvalidModel, r"only \[1, classes\] can be read"),
    ],
    ids=["garbage", "floats", "unknown operation", "not a row"],
)
def test_a_refusal_comes_in_the_words_of_the_engine(model: bytes, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        attempt(model)


def test_a_python_that_cannot_start_another_says_so_and_loads_the_model(
    started: list[str], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr("sys.frozen", True, raising=False)

    code, _, err = run("classify", "--no-cache", "--model", MODEL, "--labels", LABELS, PICTURES[0])

    assert code == 0
    assert "this Python cannot start another one, so the model is loaded without a trial" in err
    assert started == []


def test_a_bare_file_is_tried_and_models_of_the_catalogue_are_not(started: list[str], warm_cache: Path) -> None:
    for settings in (
        Settings(model=str(MODEL), labels=str(LABELS)),
        Settings(model=DEMO_MODEL),
        Settings(model=str(warm_cache / "models" / DEMO_MODEL)),
    ):
        with Classifier(settings._replace(cache_dir=str(warm_cache))) as birds:
            assert birds.classify(PICTURES[0]).ok

    assert started == [str(MODEL)]


@pytest.mark.parametrize(("made_with", "tries"), [({}, 1), ({"birdlite": "1.0"}, 0)])
def test_a_folder_is_tried_if_its_card_is_not_of_birdlite(
    started: list[str], warm_cache: Path, made_with: dict[str, str], tries: int
) -> None:
    folder = warm_cache / "models" / DEMO_MODEL
    changed = MODEL.read_bytes() + b" "  # still the same network
    (folder / "model.tflite").write_bytes(changed)
    card = bundle.read_card(str(folder))
    files = card.files | {"model.tflite": FileFact(len(changed), bundle.sha256(changed))}
    (folder / "model.json").write_text(bundle.card_to_json(card._replace(files=files, made_with=made_with)))

    for _ in range(2):
        with Classifier(Settings(model=str(folder), cache_dir=str(warm_cache))) as birds:
            assert birds.classify(PICTURES[0]).ok

    assert started == [str(folder / "model.tflite")] * tries


@pytest.mark.parametrize("which", ["model", "labels"])
def test_a_pipe_in_place_of_a_bare_file_is_an_error_at_once(run: Run, tmp_path: Path, which: str) -> None:
    pipe = tmp_path / "pipe.tflite"
    os.mkfifo(pipe)
    model, labels = (pipe, LABELS) if which == "model" else (MODEL, pipe)

    assert run("classify", "--model", model, "--labels", labels, PICTURES[0]) == (
        3,
        "",
        f"birdlite: error: {pipe}: not a regular file\n",
    )


def test_an_onnx_model_is_tried_too(started: list[str]) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    from tests import tiny_onnx

    try_once(tiny_onnx.model(), "5" * 64, "my.onnx", ("onnx", "auto"), None)
    with pytest.raises(InvalidModel, match=r"my\.onnx: not an ONNX model, or a damaged one"):
        try_once(b"\x08", "5" * 64, "my.onnx", ("onnx", "auto"), None)

    assert started == ["my.onnx"] * 2
