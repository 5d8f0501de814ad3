"""Scores are numbers from 0 to 1, or there is one line that says whose fault it is: the model's or the picture's."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from birdlite import engines
from birdlite.engines.checked_engine import CheckedEngine
from birdlite.engines.contract import Engine, always_probabilities
from birdlite.errors import InvalidModel, PictureError
from birdlite.models.card import Card, Tensor
from tests import tiny_models
from tests.command_line import Run
from tests.pictures import saved
from tests.tiny_models import SCORES, picture

FLOATS = Tensor((1, 5), "float32")
BRIGHT, DARK = (200, 255, 255), (0, 0, 0)

LOGARITHM = ("LOG",)  # minus infinity for what scores 0, a grey picture too
NO_ROOT = ("NEG", "SQRT")  # not a number for what scores above 0, as a grey picture does not
EXPONENT = ("EXP",)  # 1 for what scores 0, and more for others


def tflite(after: tuple[str, ...]) -> Engine:
    card = tiny_models.card(output=FLOATS)
    return engines.checked(engines.load(tiny_models.model(gives="float32", after=after), card), card)


def onnx(after: tuple[str, ...]) -> Engine:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    from tests import tiny_onnx

    model, card = tiny_onnx.model(after=tuple(step.capitalize() for step in after)), tiny_onnx.card()
    return engines.checked(engines.load(model, card), card)


Load = Callable[[tuple[str, ...]], Engine]


@pytest.fixture(params=[tflite, onnx])
def load(request: pytest.FixtureRequest) -> Load:
    return request.param  # type: ignore[no-any-return]


def test_a_model_whose_scores_are_never_numbers_is_invalid(load: Load) -> None:
    with pytest.raises(InvalidModel, match=r"tiny: the model gives scores that are not numbers \(-inf\)"):
        load(LOGARITHM).run(picture(*DARK))


def test_a_picture_whose_scores_are_not_numbers_fails_alone(load: Load) -> None:
    engine = load(NO_ROOT)

    with pytest.raises(PictureError, match=r"tiny gives it scores that are not numbers \(-?nan\)") as caught:
        engine.run(picture(*BRIGHT))

    assert caught.value.kind == "unsupported"
    assert engine.run(picture(*DARK)) == [[0.0] * 5]


def test_a_model_that_gives_no_probabilities_is_told_to_end_in_a_softmax(load: Load) -> None:
    with pytest.raises(InvalidModel, match=r"tiny: the model gives a score of 2\.697, .* must end in a softmax"):
        load(EXPONENT).run(picture(255, 255, 255))


class Fixed:
    """An engine that always gives the same scores."""

    name = "fixed"

    def __init__(self, row: list[float]) -> None:
        self.row = row

    def run(self, pixels: object, n: int = 1) -> list[list[float]]:
        return [self.row]

    def close(self) -> None:
        """Nothing to do."""


@pytest.mark.parametrize(
    ("row", "checked"),
    [([0.25, 0.75], [0.25, 0.75]), ([-0.0005, 1.0009], [0.0, 1.0]), ([0.0, 1.0], [0.0, 1.0])],
)
def test_what_rounding_adds_is_taken_away(row: list[float], checked: list[float]) -> None:
    assert CheckedEngine(Fixed(row), tiny_models.card()).run(b"") == [checked]


@pytest.mark.parametrize("row", [[-0.01, 0.5], [0.5, 1.01], [3.5, -3.5]])
def test_what_is_more_than_rounding_is_refused(row: list[float]) -> None:
    with pytest.raises(InvalidModel, match="softmax"):
        CheckedEngine(Fixed(row), tiny_models.card()).run(b"")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_score_that_is_not_a_number_is_seen_wherever_it_stands(bad: float, place: int) -> None:
    row = [0.5, 0.25, 0.25]
    row[place] = bad

    with pytest.raises(InvalidModel, match="not numbers"):
        CheckedEngine(Fixed(row), tiny_models.card()).run(b"")


def test_whole_numbers_that_can_only_mean_probabilities_are_not_checked_one_by_one() -> None:
    assert always_probabilities(SCORES)
    assert always_probabilities(SCORES._replace(dtype="int8", zero_point=-128))
    assert not always_probabilities(SCORES._replace(dtype="int8"))
    assert not always_probabilities(SCORES._replace(scale=0.5))
    assert not always_probabilities(FLOATS)


def plain(brightness: int) -> bytes:
    """A picture of one brightness."""
    return saved(Image.new("RGB", (16, 16), (brightness,) * 3), "JPEG")


def bundle(folder: Path, after: tuple[str, ...]) -> Path:
    """A model folder, as `convert` would write it."""
    from birdlite.convert.conversion import write_bundle
    from birdlite.models.bundle import LABELS_FILE, sha256
    from birdlite.models.card import FileFact

    files = {
        "model.tflite": tiny_models.model(gives="float32", after=after),
        LABELS_FILE: b"id,name\n" + b"".join(b"%d,bird %d\n" % (n, n) for n in range(5)),
    }
    facts = {name: FileFact(len(data), sha256(data)) for name, data in files.items()}
    card = Card("odd", "tflite", tiny_models.PIXELS, FLOATS, facts, "made by a test")
    write_bundle(str(folder), card, files)
    return folder


def test_a_run_with_a_model_of_no_numbers_ends_with_one_line_and_no_result(run: Run, tmp_path: Path) -> None:
    (tmp_path / "black.jpg").write_bytes(plain(0))

    for format_ in ("text", "json", "jsonl", "csv"):
        code, out, err = run(
            "classify", "--model", bundle(tmp_path / format_, LOGARITHM), "--format", format_, tmp_path / "black.jpg"
        )

        assert code == 3
        assert "bird" not in out
        assert err == "birdlite: error: odd: the model gives scores that are not numbers (-inf)\n"


def test_pictures_whose_scores_are_not_numbers_are_failures_among_the_others(run: Run, tmp_path: Path) -> None:
    (tmp_path / "black.jpg").write_bytes(plain(0))
    (tmp_path / "white.jpg").write_bytes(plain(255))
    model = bundle(tmp_path / "model", NO_ROOT)

    code, out, _ = run("classify", "--model", model, "--format", "jsonl", tmp_path)

    assert code == 1
    black, white = (json.loads(line, parse_constant=pytest.fail) for line in out.splitlines())
    assert (black["status"], black["predictions"][0]["score"]) == ("ok", 0.0)
    assert (white["status"], white["error"]["kind"]) == ("error", "unsupported")
