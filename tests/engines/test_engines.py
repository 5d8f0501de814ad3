"""What every engine promises, whichever way LiteRT is called: the C library or the wheel's interpreter."""

from __future__ import annotations

import json
import mmap
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from birdlite import engines, log
from birdlite.engines import litert_library
from birdlite.engines.contract import Engine
from birdlite.errors import EngineError, EngineMissing, InvalidModel
from birdlite.models.card import Card, Tensor
from tests import tiny_models
from tests.damaged_models import with_turned_bits
from tests.tiny_models import PIXELS, SCORES, Dtype, picture, scores

REPO = Path(__file__).parents[2]
DEMO_MODEL = REPO / "birdlite" / "demo" / "model.tflite"
REAL_MODEL = "storage.googleapis.com/tfhub-lite-models/google/lite-model/aiy/vision/classifier/birds_V1/3.tflite"

COLOUR = (200, 255, 100)
NAMES = {"C library": "litert", "interpreter": "litert (interpreter)"}


@pytest.fixture(params=NAMES)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How LiteRT is called in this test."""
    if request.param == "interpreter":
        monkeypatch.setattr(litert_library, "library_file", lambda: None)
    return str(request.param)


@pytest.fixture
def engine(way: str) -> Iterator[Engine]:
    loaded = engines.load(tiny_models.model(), tiny_models.card())
    yield loaded
    loaded.close()


@pytest.fixture
def lines() -> list[tuple[int, str, dict[str, object]]]:
    """What is logged during the test."""
    heard: list[tuple[int, str, dict[str, object]]] = []
    log.to(lambda level, message, fields: heard.append((level, message, fields)), log.DEBUG)
    return heard


def test_the_name_says_how_litert_is_called(engine: Engine, way: str) -> None:
    assert engine.name == NAMES[way]


@pytest.mark.parametrize(
    "odd",
    [{"signatures": 1}, {"batch": -1}, {"side": 9}, {"classes": 300}],
    ids=str,
)
def test_a_model_may_be(way: str, odd: dict[str, int]) -> None:
    side, classes = odd.get("side", 8), odd.get("classes", 5)
    card = tiny_models.card(PIXELS._replace(shape=(1, side, side, 3)), SCORES._replace(shape=(1, classes)))
    engine = engines.load(tiny_models.model(**odd), card)  # type: ignore[arg-type]
    assert engine.run(picture(*COLOUR, side=side)) == [scores(*COLOUR, classes=classes)]
    engine.close()


@pytest.mark.parametrize(
    ("gives", "output"),
    [
        ("uint8", SCORES),
        ("int8", SCORES._replace(dtype="int8", zero_point=-128)),
        ("float32", Tensor((1, 5), "float32")),
    ],
)
def test_scores_are_probabilities_however_they_are_stored(way: str, gives: Dtype, output: Tensor) -> None:
    engine = engines.load(tiny_models.model(gives=gives), tiny_models.card(output=output))
    assert engine.run(picture(*COLOUR)) == [scores(*COLOUR)]
    engine.close()


def test_several_threads_give_the_same_scores(way: str) -> None:
    engine = engines.load(tiny_models.model(), tiny_models.card(), threads=2)
    assert engine.run(picture(*COLOUR)) == [scores(*COLOUR)]
    engine.close()


@pytest.mark.parametrize("batch", [1, -1])
def test_a_card_may_allow_one_picture_or_any_number(way: str, batch: int) -> None:
    card = tiny_models.card(PIXELS._replace(shape=(-1, 8, 8, 3)), SCORES._replace(shape=(-1, 5)))
    engine = engines.load(tiny_models.model(batch=batch), card)
    assert engine.run(picture(*COLOUR)) == [scores(*COLOUR)]
    engine.close()


def test_scales_of_32_and_64_bits_are_the_same(way: str) -> None:
    third = 1 / 3  # no 32-bit float is that
    engine = engines.load(tiny_models.model(input_scale=third), tiny_models.card(PIXELS._replace(scale=third)))
    assert engine.run(picture(0, 0, 0)) == [scores(0, 0, 0)]
    engine.close()


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (tiny_models.card(PIXELS._replace(shape=(1, 9, 9, 3))), ["uint8 [1, 8, 8, 3]", "uint8 [1, 9, 9, 3]"]),
        (tiny_models.card(PIXELS._replace(shape=(2, 8, 8, 3))), ["[1, 8, 8, 3]", "[2, 8, 8, 3]"]),
        (tiny_models.card(PIXELS._replace(shape=(8, 8, 3))), ["[1, 8, 8, 3]", "[8, 8, 3]"]),
        (tiny_models.card(PIXELS._replace(dtype="float32")), ["takes uint8", "float32"]),
        (tiny_models.card(PIXELS._replace(scale=1 / 127)), ["scale 0.0078125", "scale 0.007874016"]),
        (tiny_models.card(PIXELS._replace(scale=1 / 128 + 1e-7)), ["scale 0.0078125", "scale 0.0078126"]),
        (tiny_models.card(PIXELS._replace(zero_point=0)), ["zero point 128", "zero point 0"]),
        (tiny_models.card(output=SCORES._replace(shape=(1, 6))), ["gives uint8 [1, 5]", "uint8 [1, 6]"]),
        (tiny_models.card(output=SCORES._replace(dtype="int8")), ["gives uint8", "int8 [1, 5]"]),
        (tiny_models.card(output=SCORES._replace(scale=1 / 255)), ["scale 0.00390625", "scale 0.003921569"]),
        (tiny_models.card(output=SCORES._replace(zero_point=1)), ["zero point 0", "zero point 1"]),
    ],
    ids=lambda value: "" if isinstance(value, Card) else value[-1],
)
def test_a_model_that_is_not_what_its_card_says_is_refused(way: str, card: Card, says: list[str]) -> None:
    with pytest.raises(InvalidModel) as caught:
        engines.load(tiny_models.model(), card)
    message = str(caught.value)
    assert message.startswith("tiny: ")
    assert "\n" not in message
    for part in says:
        assert part in message


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ({"takes": "float32"}, "takes float32"),
        ({"takes": "int8"}, "takes int8"),
        ({"width": 4}, r"takes uint8 \[1, 8, 4, 3\]"),
        ({"batch": 2}, "2 pictures at once"),
        ({"flat": False}, r"gives uint8 \[1, 1, 1, 5\]"),
        ({"gives": "int16"}, r"int16 \[1, 5\]"),
        ({"inputs": 2}, "2 inputs and 1 output"),
        ({"outputs": 2}, "1 input and 2 outputs"),
        ({"outputs": 2, "signatures": 1}, "1 input and 2 outputs"),
        ({"signatures": 2}, "2 signatures"),
    ],
    ids=str,
)
def test_a_model_of_another_kind_is_refused_even_if_its_card_agrees(
    way: str, odd: dict[str, object], says: str
) -> None:
    model = tiny_models.model(**odd)  # type: ignore[arg-type]
    with pytest.raises(InvalidModel, match=says):
        engines.load(model, tiny_models.card(*engines.describe(model)))


def test_a_model_with_an_unknown_operation_is_refused_when_it_is_loaded(
    way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EngineError, match=r"tiny: .*unresolved custom op: Nonsense"):
        engines.load(tiny_models.model(custom_op="Nonsense"), tiny_models.card())
    assert capfd.readouterr() == ("", "")


def test_an_onnx_model_is_refused() -> None:
    card = tiny_models.card()._replace(format="onnx")
    with pytest.raises(EngineError, match="litert runs tflite models, not onnx: use onnx"):
        engines.load(tiny_models.model(), card, engine="litert")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32"])
def test_describe_reads_the_tensors_of_a_model(way: str, dtype: Dtype) -> None:
    output = {"uint8": SCORES, "int8": Tensor((1, 5), "int8", 1 / 256, -128), "float32": Tensor((1, 5), "float32")}
    assert engines.describe(tiny_models.model(gives=dtype)) == (PIXELS, output[dtype])


def test_describe_tells_what_no_engine_runs(way: str) -> None:
    assert engines.describe(tiny_models.model(takes="float32"))[0] == Tensor((1, 8, 8, 3), "float32")


MODEL = tiny_models.model()
GARBAGE = {
    "empty": b"",
    "one byte": b"T",
    "an identifier and nothing else": b"\x10\0\0\0TFL3",
    "random bytes": random.Random(7).randbytes(5000),
    "zeros": bytes(5000),
    "a zip file": b"PK\x03\x04" + MODEL,
    **{f"the first {part} of 8 parts": MODEL[: len(MODEL) * part // 8] for part in range(1, 8)},
}


@pytest.mark.parametrize("what", GARBAGE)
def test_what_is_no_model_is_refused(way: str, what: str, capfd: pytest.CaptureFixture[str]) -> None:
    for attempt in (engines.describe, lambda data: engines.load(data, tiny_models.card())):
        with pytest.raises(InvalidModel, match="empty" if not GARBAGE[what] else "damaged"):
            attempt(GARBAGE[what])
    assert capfd.readouterr() == ("", "")


def test_no_turned_bit_in_the_head_of_a_model_crashes() -> None:
    done = with_turned_bits("tiny_models")
    assert (done.returncode, done.stderr) == (0, "")
    assert {4, 5, 6, 7} <= set(map(int, done.stdout.split())), "a turned bit in the identifier went unnoticed"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))])
def test_a_model_may_be_any_bytes(way: str, kind: type[bytes]) -> None:
    engine = engines.load(kind(MODEL), tiny_models.card())
    assert engine.run(picture(*COLOUR)) == [scores(*COLOUR)]
    engine.close()


@pytest.mark.parametrize("offset", [1, 4, 15])
def test_a_model_may_begin_at_any_address(way: str, offset: int) -> None:
    engine = engines.load(memoryview(bytearray(bytes(offset) + MODEL))[offset:], tiny_models.card())
    assert engine.run(picture(*COLOUR)) == [scores(*COLOUR)]
    engine.close()


@pytest.mark.parametrize("how", ["after closing", "after an error"])
def test_a_map_of_the_model_is_let_go_of(way: str, tmp_path: Path, how: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(MODEL)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    with memoryview(mapped) as view:
        if how == "after closing":
            engine = engines.load(view, tiny_models.card())
            assert engine.run(picture(*COLOUR)) == [scores(*COLOUR)]
            engine.close()
        else:
            with pytest.raises(InvalidModel):
                engines.load(view, tiny_models.card(output=SCORES._replace(zero_point=1)))
    mapped.close()  # a BufferError if somebody still points into it


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_the_library_holds_on_to_a_model_until_it_is_closed(kind: type[bytes | bytearray]) -> None:
    model = kind(bytearray(MODEL))
    ours = sys.getrefcount(model)
    engine = engines.load(model, tiny_models.card())
    assert sys.getrefcount(model) > ours
    engine.close()
    assert sys.getrefcount(model) == ours


def test_engines_run_side_by_side(way: str) -> None:
    colours = [(50 * i, 255 - 50 * i, 130) for i in range(6)]
    rows: dict[int, list[list[list[float]]]] = {}

    def work(number: int) -> None:
        engine = engines.load(MODEL, tiny_models.card())
        rows[number] = [engine.run(picture(*colours[number])) for _ in range(50)]
        engine.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows == {number: [[scores(*colour)]] * 50 for number, colour in enumerate(colours)}


def test_without_the_library_the_interpreter_takes_over_and_says_so(
    monkeypatch: pytest.MonkeyPatch, lines: list[tuple[int, str, dict[str, object]]]
) -> None:
    monkeypatch.setattr(litert_library, "library_file", lambda: None)
    engines.load(MODEL, tiny_models.card()).close()
    level, _, fields = next(line for line in lines if "interpreter" in line[1])
    assert level == log.DEBUG
    assert "ai_edge_litert" in str(fields["reason"])


def test_a_library_without_a_function_is_not_used(
    monkeypatch: pytest.MonkeyPatch, lines: list[tuple[int, str, dict[str, object]]]
) -> None:
    import _ctypes  # any shared library that is not LiteRT

    monkeypatch.setattr(litert_library, "library_file", lambda: _ctypes.__file__)
    engine = engines.load(MODEL, tiny_models.card())
    assert engine.name == "litert (interpreter)"
    assert engine.run(picture(*COLOUR)) == [scores(*COLOUR)]
    assert any("LiteRtCreateEnvironment" in str(fields.get("reason")) for _, _, fields in lines)
    engine.close()


def test_a_library_that_does_not_load_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "libLiteRt.so"
    broken.write_bytes(b"\x7fELF, or so it says")
    monkeypatch.setattr(litert_library, "library_file", lambda: str(broken))
    engine = engines.load(MODEL, tiny_models.card())
    assert engine.name == "litert (interpreter)"
    engine.close()


def test_without_the_wheel_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert_library, "library_file", lambda: None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    for attempt in (engines.describe, lambda data: engines.load(data, tiny_models.card())):
        with pytest.raises(EngineMissing, match=r"^LiteRT is not installed: .*pip install ai-edge-litert \("):
            attempt(MODEL)


def test_importing_engines_imports_no_runtime() -> None:
    code = "import sys, birdlite.engines; print('ctypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def _scores_of_both(model: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[list[list[float]], list[list[float]]]:
    """What the C library and the interpreter make of four pictures."""
    input_, output = engines.describe(model)
    card = tiny_models.card(input_, output)
    size = card.side**2 * 3
    pixels = b"".join(
        [bytes(size), b"\xff" * size, random.Random(1).randbytes(size), bytes(i % 251 for i in range(size))]
    )
    by_c = engines.load(model, card)
    assert by_c.name == "litert"
    monkeypatch.setattr(litert_library, "library_file", lambda: None)
    by_python = engines.load(model, card)
    assert by_python.name == "litert (interpreter)"
    rows = by_c.run(pixels, 4), by_python.run(pixels, 4)
    assert len({json.dumps(row) for row in rows[0]}) > 1, "the pictures must not all look the same to the model"
    by_c.close()
    by_python.close()
    return rows


@pytest.mark.skipif(not DEMO_MODEL.exists(), reason="the demo model has not been trained")
def test_both_ways_give_the_same_scores_on_the_demo_model(monkeypatch: pytest.MonkeyPatch) -> None:
    by_c, by_python = _scores_of_both(DEMO_MODEL.read_bytes(), monkeypatch)

    assert by_c == by_python


@pytest.mark.birds
def test_both_ways_give_the_same_scores_on_the_real_model(birds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_c, by_python = _scores_of_both((birds / "mirror" / REAL_MODEL).read_bytes(), monkeypatch)

    assert by_c == by_python
