"""What every engine promises, whichever runtime is behind it: one suite, run through each that is installed."""

from __future__ import annotations

import json
import mmap
import random
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from birdlite import engines
from birdlite.engines import litert_library
from birdlite.engines.contract import Engine
from birdlite.errors import EngineError, InvalidModel
from birdlite.images.picture import decode
from birdlite.models.card import Card, ModelFormat, Tensor
from birdlite.settings import EngineChoice
from tests import tiny_models
from tests.demo_world import PICTURES
from tests.tiny_models import picture, scores

REPO = Path(__file__).parents[2]
DEMO_MODEL = REPO / "birdlite" / "demo" / "model.tflite"
REAL_MODEL = "storage.googleapis.com/tfhub-lite-models/google/lite-model/aiy/vision/classifier/birds_V1/3.tflite"

COLOURS = [(200, 255, 100), (0, 255, 0), (129, 0, 255)]
STEP = 1 / 256  # of the scores of a model that stores them in a byte
# Kernels that round a little differently, as those of tflite-runtime and ONNX Runtime do, move the scores of a network
# that is quantised to the last bit: 15 steps were seen on a photograph.
OTHER_KERNELS = 20 * STEP

# How engines are called here: the engine to ask for and the runtime to reach, with the name that it then has.
WAYS: dict[str, tuple[EngineChoice, str]] = {
    "LiteRT's C library": ("litert", "litert"),
    "LiteRT's interpreter": ("litert", "litert (interpreter)"),
    "tflite-runtime": ("tflite", "tflite"),
    "tflite on ai-edge-litert": ("tflite", "tflite (ai-edge-litert)"),
    "ONNX Runtime": ("onnx", "onnx"),
}


class Way(NamedTuple):
    """An engine, and how to make tiny models for it that all mean the same."""

    engine: EngineChoice
    name: str
    format: ModelFormat
    pixels: Tensor
    scores: Tensor
    model: Callable[..., bytes]
    new_card: Callable[..., Card]

    def card(self, **odd: Tensor) -> Card:
        """The card of the plain model, but for an `input_` or an `output` that is odd."""
        return self.new_card(**odd)

    def load(self, model: bytes | bytearray | memoryview | None = None, card: Card | None = None) -> Engine:
        return engines.load(self.model() if model is None else model, card or self.card(), engine=self.engine)

    def describe(self, model: bytes) -> tuple[Tensor, Tensor]:
        return engines.describe(model, self.format)


def reach(title: str, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Make engines go this way, or skip the test."""
    engine, name = WAYS[title]
    if title == "LiteRT's interpreter":
        monkeypatch.setattr(litert_library, "library_file", lambda: None)
    if title == "tflite on ai-edge-litert":
        monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    if title == "tflite-runtime":
        numpy = pytest.importorskip("numpy")
        pytest.importorskip("tflite_runtime.interpreter", reason="tflite-runtime is not installed")
        if not numpy.__version__.startswith("1."):
            pytest.skip("tflite-runtime needs NumPy 1")
    if engine == "onnx":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        pytest.importorskip("onnx", reason="onnx is not installed")
        from tests import tiny_onnx

        return Way(engine, name, "onnx", tiny_onnx.PIXELS, tiny_onnx.SCORES, tiny_onnx.model, tiny_onnx.card)
    return Way(engine, name, "tflite", tiny_models.PIXELS, tiny_models.SCORES, tiny_models.model, tiny_models.card)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    return reach(str(request.param), monkeypatch)


@pytest.fixture
def engine(way: Way) -> Iterator[Engine]:
    loaded = way.load()
    yield loaded
    loaded.close()


def test_the_name_says_which_runtime_it_is(way: Way, engine: Engine) -> None:
    assert engine.name == way.name


@pytest.mark.parametrize("colour", COLOURS, ids=str)
def test_a_picture_gets_a_row_of_scores(engine: Engine, colour: tuple[int, int, int]) -> None:
    assert engine.run(picture(*colour)) == [scores(*colour)]


def test_scores_are_plain_floats_between_0_and_1(engine: Engine) -> None:
    pixels = random.Random(3).randbytes(3 * 192)
    rows = [*engine.run(pixels, 3), *engine.run(picture(255, 255, 255)), *engine.run(picture(0, 0, 0))]
    assert {type(score) for row in rows for score in row} == {float}
    assert all(0 <= score <= 1 for row in rows for score in row)


def test_three_pictures_at_once_score_as_they_do_one_by_one(engine: Engine) -> None:
    pixels = random.Random(4).randbytes(3 * 192)
    together = engine.run(pixels, 3)
    assert together == [engine.run(pixels[start : start + 192])[0] for start in (0, 192, 384)]
    assert len({json.dumps(row) for row in together}) == 3


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))])
def test_pixels_may_be_any_bytes(engine: Engine, kind: type[bytes]) -> None:
    assert engine.run(kind(picture(*COLOURS[0]))) == [scores(*COLOURS[0])]


@pytest.mark.parametrize(("size", "n"), [(191, 1), (193, 1), (0, 1), (192, 2), (192, 0), (0, 0), (192, -1)])
def test_pixels_of_another_size_are_refused(engine: Engine, size: int, n: int) -> None:
    with pytest.raises(EngineError, match=rf"^{n} pictures of 8x8 RGB are {n * 192} contiguous bytes, not {size}$"):
        engine.run(bytes(size), n)


def test_pixels_with_gaps_are_refused(engine: Engine) -> None:
    with pytest.raises(EngineError, match="contiguous"):
        engine.run(memoryview(bytes(2 * 192))[::2])


def test_closing_twice_is_harmless_and_running_after_is_an_error(engine: Engine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match=r"^this engine was closed$"):
        engine.run(picture(*COLOURS[0]))


@pytest.mark.parametrize("batch", [1, -1])
def test_a_card_may_allow_one_picture_or_any_number(way: Way, batch: int) -> None:
    shapes = (batch, *way.pixels.shape[1:]), (batch, *way.scores.shape[1:])
    card = way.card(input_=way.pixels._replace(shape=shapes[0]), output=way.scores._replace(shape=shapes[1]))
    engine = way.load(card=card)
    pixels = b"".join(picture(*colour) for colour in COLOURS)
    assert engine.run(pixels, 3) == [scores(*colour) for colour in COLOURS]
    engine.close()


@pytest.mark.parametrize("odd", [{"side": 9}, {"classes": 300}, {"batch": 1}], ids=str)
def test_a_model_may_be_of_another_size(way: Way, odd: dict[str, int]) -> None:
    model = way.model(**odd)
    card = way.new_card(*way.describe(model))
    assert (card.side, card.classes) == (odd.get("side", 8), odd.get("classes", 5))
    engine = way.load(model, card)
    pixels = b"".join(picture(*colour, side=card.side) for colour in COLOURS)
    assert engine.run(pixels, 3) == [scores(*colour, classes=card.classes) for colour in COLOURS]
    engine.close()


def test_describe_reads_the_tensors_of_a_model(way: Way) -> None:
    assert way.describe(way.model()) == (way.pixels, way.scores)


MISMATCHES: list[tuple[str, dict[str, object]]] = [
    ("takes", {"shape": (1, 9, 9, 3)}),
    ("takes", {"shape": (2, 8, 8, 3)}),
    ("takes", {"shape": (8, 8, 3)}),
    ("takes", {"dtype": "float32", "scale": 1.0, "zero_point": 0}),
    ("takes", {"scale": 1 / 127}),
    ("takes", {"zero_point": 7}),
    ("gives", {"shape": (1, 6)}),
    ("gives", {"shape": (1, 5, 1)}),
    ("gives", {"dtype": "int8", "scale": 1 / 256}),
]


@pytest.mark.parametrize(("does", "odd"), MISMATCHES, ids=str)
def test_a_model_that_is_not_what_its_card_says_is_refused(way: Way, does: str, odd: dict[str, object]) -> None:
    end, is_ = ("input_", way.pixels) if does == "takes" else ("output", way.scores)
    says = is_._replace(**odd)  # type: ignore[arg-type]
    with pytest.raises(InvalidModel) as caught:
        way.load(card=way.card(**{end: says}))
    expected = f"tiny: the model {does} {_spelt(is_)}, but its card says {_spelt(says)}"
    assert str(caught.value) == expected


def _spelt(tensor: Tensor) -> str:
    shape = f"{tensor.dtype} [{', '.join(map(str, tensor.shape))}]"
    return shape if tensor.dtype == "float32" else f"{shape} (scale {tensor.scale:.7g}, zero point {tensor.zero_point})"


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ({"takes": "float32"}, "takes float32"),
        ({"takes": "int8"}, "takes int8"),
        ({"width": 4}, r"takes uint8 \[-?1, 8, 4, 3\]"),
        ({"batch": 2}, "2 pictures at once"),
        ({"flat": False}, r"gives (uint8|float32) \[-?1, 1, 1, 5\]"),
        ({"inputs": 2}, "2 inputs and 1 output"),
        ({"outputs": 2}, "1 input and 2 outputs"),
    ],
    ids=str,
)
def test_a_model_of_another_kind_is_refused_even_if_its_card_agrees(
    way: Way, odd: dict[str, object], says: str
) -> None:
    model = way.model(**odd)
    with pytest.raises(InvalidModel, match=says):
        way.load(model, way.new_card(*way.describe(model)))


def _cut(part: int, model: bytes) -> bytes:
    return model[: len(model) * part // 8]


GARBAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda model: b"",
    "one byte": lambda model: b"T",
    "random bytes": lambda model: random.Random(7).randbytes(5000),
    "zeros": lambda model: bytes(5000),
    "a zip file": lambda model: b"PK\x03\x04" + model,
    "text": lambda model: b"<!DOCTYPE html><html><body>Not here</body></html>" * 20,
    "the other format": lambda model: b"\x08\x08\x3a\x00" if model[4:8] == b"TFL3" else DEMO_MODEL.read_bytes(),
    **{f"the first {part} of 8 parts": partial(_cut, part) for part in range(1, 8)},
}


@pytest.mark.parametrize("what", GARBAGE)
def test_what_is_no_model_is_refused_and_nothing_is_printed(
    way: Way, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    garbage = GARBAGE[what](way.model())
    for attempt in (way.describe, way.load):
        with pytest.raises(InvalidModel, match="empty" if not garbage else "damaged") as caught:
            attempt(garbage)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))])
def test_a_model_may_be_any_bytes(way: Way, kind: type[bytes]) -> None:
    engine = way.load(kind(way.model()))
    assert engine.run(picture(*COLOURS[0])) == [scores(*COLOURS[0])]
    engine.close()


@pytest.mark.parametrize("how", ["after closing", "after an error"])
def test_a_map_of_the_model_is_let_go_of(way: Way, tmp_path: Path, how: str) -> None:
    path = tmp_path / "model"
    path.write_bytes(way.model())
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    with memoryview(mapped) as view:
        if how == "after closing":
            engine = way.load(view)
            assert engine.run(picture(*COLOURS[0])) == [scores(*COLOURS[0])]
            engine.close()
        else:
            with pytest.raises(InvalidModel):
                way.load(view, way.card(output=way.scores._replace(shape=(1, 6))))
    mapped.close()  # a BufferError if somebody still points into it


def test_a_model_with_an_unknown_operation_is_refused_when_it_is_loaded(
    way: Way, capfd: pytest.CaptureFixture[str]
) -> None:
    odd = {"operation": "Nonsense"} if way.format == "onnx" else {"custom_op": "Nonsense"}
    with pytest.raises(EngineError, match=r"^tiny: (LiteRT|tflite-runtime|ONNX Runtime) could not .*\bNonsense\b"):
        way.load(way.model(**odd))
    assert capfd.readouterr() == ("", "")


def test_two_engines_in_two_threads_give_the_same_answers(way: Way) -> None:
    pixels = random.Random(5).randbytes(4 * 192)
    rows: dict[int, list[list[list[float]]]] = {}

    def work(number: int) -> None:
        engine = way.load()
        rows[number] = [engine.run(pixels, 4) for _ in range(50)]
        engine.close()

    alone = way.load()
    expected = alone.run(pixels, 4)
    alone.close()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows == {0: [expected] * 50, 1: [expected] * 50}


def test_several_threads_inside_give_the_same_scores(way: Way) -> None:
    engine = engines.load(way.model(), way.card(), engine=way.engine, threads=2)
    assert engine.run(picture(*COLOURS[0])) == [scores(*COLOURS[0])]
    engine.close()


def test_a_model_of_another_format_is_refused_with_the_engine_that_can(way: Way) -> None:
    other, able = ("tflite", "litert or tflite") if way.format == "onnx" else ("onnx", "onnx")
    with pytest.raises(EngineError) as caught:
        way.load(card=way.card()._replace(format=other))  # type: ignore[arg-type]
    message = f"tiny: the engine {way.engine} runs {way.format} models, not {other}: use {able}"
    assert str(caught.value) == message


def _rows(way: Way, model: bytes, pixels: bytes, n: int) -> list[list[float]]:
    engine = way.load(model, way.new_card(*way.describe(model)))
    assert engine.name == way.name
    rows = engine.run(pixels, n)
    engine.close()
    return rows


def _check_alike(rows: list[list[float]], expected: list[list[float]], step: float) -> None:
    """The same scores but for `step`, and the same top 3 but for candidates that lie no further apart than that."""
    for row, right in zip(rows, expected, strict=True):
        assert max(abs(a - b) for a, b in zip(row, right, strict=True)) <= step
        top = sorted(range(len(row)), key=row.__getitem__, reverse=True)[:3]
        for place, score in zip(top, sorted(right, reverse=True), strict=False):
            assert abs(right[place] - score) <= 2 * step


def test_every_engine_gives_the_same_scores_and_top_3_for_a_tiny_model(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pixels of a narrow range have a mean that the network's clipping does not reach.
    chance = random.Random(6)
    pixels = bytes(chance.randrange(low, low + 100) for low in [140, 90, 155, 60] for _ in range(192))
    rows = _rows(way, way.model(classes=3), pixels, 4)
    monkeypatch.undo()
    reference = reach("LiteRT's C library", monkeypatch)
    expected = _rows(reference, reference.model(classes=3), pixels, 4)
    assert max(max(row) for row in expected) > 0.5
    _check_alike(rows, expected, STEP)


def _compare_on(
    model: bytes, pixels: bytes, n: int, way: Way, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[int], list[int]]:
    """Check the scores of a real network against LiteRT's C library, bit for bit where LiteRT is behind the engine too.

    Gives the best class of each picture, by the engine and by the C library.
    """
    own = model
    if way.format == "onnx":
        pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
        from birdlite.convert.tflite_to_onnx import tflite_to_onnx

        own = tflite_to_onnx(model, quantize="int8")
    rows = _rows(way, own, pixels, n)
    monkeypatch.undo()
    expected = _rows(reach("LiteRT's C library", monkeypatch), model, pixels, n)
    assert len({json.dumps(row) for row in expected}) == n, "the pictures must not look alike to the model"
    by_litert = way.engine == "litert" or way.name == "tflite (ai-edge-litert)"
    _check_alike(rows, expected, 0.0 if by_litert else OTHER_KERNELS)
    return _best(rows), _best(expected)


def _best(rows: list[list[float]]) -> list[int]:
    return [row.index(max(row)) for row in rows]


def _photographs(files: list[Path], side: int) -> bytes:
    return b"".join(bytes(decode(file.read_bytes(), side=side).pixels) for file in files)


def test_every_engine_gives_the_same_scores_and_top_3_for_the_demo(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    model = DEMO_MODEL.read_bytes()
    side = engines.describe(model)[0].shape[1]

    best, expected = _compare_on(model, _photographs(PICTURES, side), len(PICTURES), way, monkeypatch)

    assert best == expected


@pytest.mark.birds
def test_every_engine_gives_the_same_scores_and_top_3_for_real_birds(
    birds: Path, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((birds / "mirror").rglob("*.jp*g"))
    model = (birds / "mirror" / REAL_MODEL).read_bytes()

    best, expected = _compare_on(model, _photographs(files, 224), len(files), way, monkeypatch)

    assert best == expected
