"""The engine `tflite`: which interpreter it takes, and what it says of it.

What every engine promises is in test_contract. Where tflite-runtime is not installed, LiteRT's interpreter
stands in for it here: the two have the same face.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import types
from pathlib import Path

import numpy
import pytest
from ai_edge_litert import schema_py_generated as tfl

from birdlite import engines, log
from birdlite.engines import interpreter, litert_library
from birdlite.errors import EngineMissing, InvalidModel
from birdlite.tflite.flatbuffer import check_whole
from tests import tiny_models
from tests.damaged_models import with_turned_bits
from tests.tiny_models import _Graph as Graph
from tests.tiny_models import picture, scores

REPO = Path(__file__).parents[2]
DEMO_MODEL = REPO / "birdlite" / "demo" / "model.tflite"

COLOUR = (200, 255, 100)
MODEL = tiny_models.model()


@pytest.fixture
def tflite_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """tflite-runtime is installed, with a NumPy that it was built for; nothing was said of it yet."""
    monkeypatch.setattr(interpreter, "_warned", False)
    try:
        import tflite_runtime.interpreter  # noqa: F401
    except ImportError:
        from ai_edge_litert.interpreter import Interpreter

        package, module = types.ModuleType("tflite_runtime"), types.ModuleType("tflite_runtime.interpreter")
        package.interpreter = module  # type: ignore[attr-defined]
        module.Interpreter = Interpreter  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "tflite_runtime", package)
        monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", module)
        monkeypatch.setattr(numpy, "__version__", "1.26.4")


@pytest.fixture
def no_litert(monkeypatch: pytest.MonkeyPatch) -> None:
    """ai-edge-litert is not installed. Use it after `tflite_runtime`, whose stand-in needs it."""
    monkeypatch.setattr(litert_library, "library_file", lambda: None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)


@pytest.fixture
def no_tflite_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)


@pytest.fixture
def lines() -> list[tuple[int, str, dict[str, object]]]:
    """What is logged during the test."""
    heard: list[tuple[int, str, dict[str, object]]] = []
    log.to(lambda level, message, fields: heard.append((level, message, fields)), log.DEBUG)
    return heard


def test_importing_the_engine_imports_no_runtime() -> None:
    code = "import sys, birdlite.engines.interpreter; print({'numpy', 'tflite_runtime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_tflite_runtime_is_taken_where_it_is_installed(tflite_runtime: None) -> None:
    engine = engines.load(MODEL, tiny_models.card(), engine="tflite")
    assert engine.name == "tflite"
    assert engine.run(picture(*COLOUR)) == [scores(*COLOUR)]
    engine.close()


def test_the_interpreter_of_litert_is_taken_where_it_is_not(
    no_tflite_runtime: None, lines: list[tuple[int, str, dict[str, object]]]
) -> None:
    engine = engines.load(MODEL, tiny_models.card(), engine="tflite")
    assert engine.name == "tflite (ai-edge-litert)"
    engine.close()
    assert [level for level, message, _ in lines if "ai-edge-litert takes over" in message] == [log.DEBUG]
    assert not [message for level, message, _ in lines if level >= log.WARNING]


def test_a_tflite_runtime_beside_numpy_2_is_not_used(
    tflite_runtime: None, monkeypatch: pytest.MonkeyPatch, lines: list[tuple[int, str, dict[str, object]]]
) -> None:
    monkeypatch.setattr(numpy, "__version__", "2.1.0")
    engine = engines.load(MODEL, tiny_models.card(), engine="tflite")
    assert engine.name == "tflite (ai-edge-litert)"
    engine.close()
    assert "it needs numpy<2, and 2.1.0 is installed" in [fields.get("reason") for _, _, fields in lines]


def test_without_any_interpreter_the_error_names_the_extra(no_tflite_runtime: None, no_litert: None) -> None:
    with pytest.raises(EngineMissing, match=r"^tflite-runtime cannot be used: .*pip install .*\[tflite\]' \("):
        engines.load(MODEL, tiny_models.card(), engine="tflite")


def test_auto_takes_litert_where_both_are_installed(tflite_runtime: None) -> None:
    engine = engines.load(MODEL, tiny_models.card())
    assert engine.name == "litert"
    engine.close()


def test_auto_takes_tflite_runtime_where_litert_is_not_installed(tflite_runtime: None, no_litert: None) -> None:
    engine = engines.load(MODEL, tiny_models.card())
    assert engine.name == "tflite"
    engine.close()
    assert engines.describe(MODEL) == (tiny_models.PIXELS, tiny_models.SCORES)


def test_litert_asked_for_by_name_is_not_replaced(tflite_runtime: None, no_litert: None) -> None:
    with pytest.raises(EngineMissing, match=r"^LiteRT is not installed: .*pip install ai-edge-litert \("):
        engines.load(MODEL, tiny_models.card(), engine="litert")


def test_auto_asks_for_litert_where_nothing_is_installed(no_tflite_runtime: None, no_litert: None) -> None:
    for attempt in (engines.describe, lambda data: engines.load(data, tiny_models.card())):
        with pytest.raises(EngineMissing, match=r"^LiteRT is not installed: .*pip install ai-edge-litert \("):
            attempt(MODEL)


@pytest.mark.parametrize("path", [None, DEMO_MODEL], ids=["uint8", "int8"])
def test_a_quantised_network_on_tflite_runtime_warns_once_and_names_the_better_model(
    tflite_runtime: None, path: Path | None, lines: list[tuple[int, str, dict[str, object]]]
) -> None:
    model = MODEL if path is None else path.read_bytes()
    card = tiny_models.card(*engines.describe(model))
    for _ in range(3):
        engines.load(model, card, engine="tflite").close()
    warnings = [(message, fields) for level, message, fields in lines if level == log.WARNING]
    assert len(warnings) == 1
    assert "prefer the engine litert, or a model in floats" in warnings[0][0]
    assert warnings[0][1] == {"model": "tiny"}


def test_a_network_with_only_its_ends_quantised_is_not_warned_of(
    tflite_runtime: None, lines: list[tuple[int, str, dict[str, object]]]
) -> None:
    card = tiny_models.card(output=tiny_models.SCORES._replace(shape=(1, 3)))
    engine = engines.load(_of_floats(), card, engine="tflite")
    assert engine.run(picture(*COLOUR)) == [scores(*COLOUR, classes=3)]
    engine.close()
    assert not [message for level, message, _ in lines if level >= log.WARNING]


def _of_floats() -> bytes:
    """A meter of three colours with floats inside: dequantised at the start, quantised at the end."""
    graph = Graph()
    pixels = graph.tensor("pixels", [1, 8, 8, 3], "uint8", 1 / 128, 128)
    floats = graph.tensor("floats", [1, 8, 8, 3], "float32", 0.0, 0)
    axes = graph.tensor("axes", [2], "int32", 0.0, 0, struct.pack("<ii", 1, 2))
    means = graph.tensor("means", [1, 3], "float32", 0.0, 0)
    row = graph.tensor("row", [1, 3], "uint8", 1 / 256, 0)
    graph.op(tfl.BuiltinOperator.DEQUANTIZE, [pixels], [floats])
    graph.op(
        tfl.BuiltinOperator.MEAN, [floats, axes], [means], tfl.BuiltinOptions.ReducerOptions, tfl.ReducerOptionsT()
    )
    graph.op(tfl.BuiltinOperator.QUANTIZE, [means], [row])
    return graph.finish([pixels], [row], 0)


WHOLE = {"tiny": MODEL, "with a signature": tiny_models.model(signatures=1), "demo": DEMO_MODEL.read_bytes()}


@pytest.mark.parametrize("which", WHOLE)
def test_a_whole_file_is_taken_for_one(which: str) -> None:
    check_whole(memoryview(WHOLE[which]))


@pytest.mark.parametrize("size", range(0, len(MODEL) - 4, 61))
def test_a_file_that_is_cut_off_is_noticed(size: int) -> None:
    with pytest.raises(InvalidModel, match="damaged"):
        check_whole(memoryview(MODEL[:size]))


(TABLE,) = struct.unpack_from("<I", MODEL)  # where the table of the model is
VTABLE = TABLE - struct.unpack_from("<i", MODEL, TABLE)[0]
FIELDS = struct.unpack_from("<5H", MODEL, VTABLE + 4)
TEXT = TABLE + FIELDS[3]  # where the way to the description is
DAMAGES = {
    "no operation codes": ("<H", VTABLE + 4 + 2 * 1, 0),
    "no networks": ("<H", VTABLE + 4 + 2 * 2, 0),
    "no buffers": ("<H", VTABLE + 4 + 2 * 4, 0),
    "few fields": ("<H", VTABLE, 6),
    "an endless text": ("<I", TEXT + struct.unpack_from("<I", MODEL, TEXT)[0], len(MODEL)),
    "a text behind the end": ("<I", TEXT, len(MODEL)),
    "a field behind its table": ("<H", VTABLE + 4, 200),
    "a table behind the end": ("<H", VTABLE + 2, len(MODEL)),
    "a vtable as far before the start as it lies behind": ("<i", TABLE, TABLE - VTABLE + len(MODEL)),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_file_that_was_overwritten_is_noticed(what: str) -> None:
    kind, place, number = DAMAGES[what]
    damaged = bytearray(MODEL)
    struct.pack_into(kind, damaged, place, number)
    with pytest.raises(InvalidModel, match="damaged"):
        check_whole(memoryview(damaged))


def test_no_turned_bit_in_the_head_of_a_model_crashes() -> None:
    done = with_turned_bits("tiny_models", engine="tflite")
    assert done.returncode == 0, done.stderr
    assert {4, 5, 6, 7} <= set(map(int, done.stdout.split())), "a turned bit in the identifier went unnoticed"
