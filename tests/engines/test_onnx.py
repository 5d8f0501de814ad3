"""The engine `onnx`: what is particular to ONNX Runtime. What every engine promises is in test_contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from birdlite import engines
from birdlite.errors import EngineError, EngineMissing, InvalidModel
from birdlite.models.card import Tensor
from tests.damaged_models import with_turned_bits
from tests.tiny_models import picture, scores

REPO = Path(__file__).parents[2]
HALF = bytes.fromhex("0000003f")  # 0.5 as a 32-bit float
COLOURS = [(200, 255, 100), (0, 255, 0), (129, 0, 255)]
THREE = b"".join(picture(*colour) for colour in COLOURS)


def test_without_onnxruntime_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineMissing, match=r"^ONNX Runtime is not installed: .*pip install .*\[onnx\]' \("):
        engines.describe(b"", "onnx")


pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
onnx = pytest.importorskip("onnx", reason="onnx is not installed")
from tests import tiny_onnx  # noqa: E402 - it imports onnx


def test_auto_is_onnx_for_an_onnx_model() -> None:
    engine = engines.load(tiny_onnx.model(), tiny_onnx.card())
    assert engine.name == "onnx"
    engine.close()


def test_importing_the_engine_imports_no_runtime() -> None:
    code = "import sys, birdlite.engines.onnx_engine; print({'numpy', 'onnxruntime', 'onnx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


WATCH = """
import sys

class Watch:
    def find_spec(name, path, target=None):
        print(name)

sys.meta_path.insert(0, Watch)
from birdlite.engines import onnx_engine
onnx_engine.runtime()
"""


def test_numpy_is_imported_before_onnxruntime_and_by_its_front_door() -> None:
    """Where onnxruntime imports it while another thread does, one of them may get half of it."""
    done = subprocess.run([sys.executable, "-c", WATCH], cwd=REPO, capture_output=True, text=True, check=True)
    order = [name for name in done.stdout.split() if name.partition(".")[0] in ("numpy", "onnxruntime")]
    assert order[0] == "numpy"
    assert order.index("onnxruntime") > order.index("numpy.linalg")


@pytest.mark.parametrize(
    ("odd", "calls"), [({}, [4, 2]), ({"batch": 1}, [1] * 6), ({"inner_batch": 1}, [1] * 6)], ids=str
)
def test_up_to_four_pictures_go_through_together_where_the_model_takes_any_number(
    odd: dict[str, object], calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    sizes: list[int] = []
    real_run = onnxruntime.InferenceSession.run

    def run(session: object, names: list[str], feed: dict[str, object]) -> object:
        sizes.extend(array.shape[0] for array in feed.values())  # type: ignore[attr-defined]
        return real_run(session, names, feed)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", run)
    engine = engines.load(tiny_onnx.model(**odd), tiny_onnx.card())
    assert engine.run(THREE * 2, 6) == [scores(*colour) for colour in COLOURS] * 2
    assert sizes == calls
    engine.close()


def test_a_dimension_with_a_name_is_of_any_size() -> None:
    assert engines.describe(tiny_onnx.model(batch="pictures", width="wide"), "onnx") == (
        Tensor((-1, 8, -1, 3), "uint8"),
        Tensor((-1, 5), "float32"),
    )


def test_a_model_without_a_fixed_width_is_refused() -> None:
    model = tiny_onnx.model(width="wide")
    with pytest.raises(InvalidModel, match=r"takes uint8 \[-1, 8, -1, 3\]"):
        engines.load(model, tiny_onnx.card(*engines.describe(model, "onnx")))


@pytest.mark.parametrize("gives", ["uint8", "int8"])
def test_scores_without_a_scale_are_refused(gives: str) -> None:
    model = tiny_onnx.model(gives=gives)
    with pytest.raises(InvalidModel, match=rf"^tiny: the model gives {gives} .*; only float32 can be read"):
        engines.load(model, tiny_onnx.card(*engines.describe(model, "onnx")))


def test_a_type_that_no_card_knows_is_refused() -> None:
    with pytest.raises(InvalidModel, match=r"float16 \[-1, 8, 8, 3\]; only"):
        engines.describe(tiny_onnx.model(takes="float16"), "onnx")


def test_an_operation_of_an_unknown_domain_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    model = tiny_onnx.model(operation="Nonsense", domain="nowhere")
    with pytest.raises(EngineError, match=r"^tiny: ONNX Runtime could not prepare the model: .*nowhere:Nonsense"):
        engines.load(model, tiny_onnx.card())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("field", "says"), [("ir_version", "Unsupported model IR version: 99, max supported"), ("opset", "Opset 99 is")]
)
def test_a_model_newer_than_the_runtime_is_refused_in_one_short_line(field: str, says: str) -> None:
    proto = tiny_onnx.proto()
    if field == "opset":
        proto.opset_import[0].version = 99
    else:
        proto.ir_version = 99
    with pytest.raises(EngineError, match=says) as caught:
        engines.load(proto.SerializeToString(), tiny_onnx.card())
    message = str(caught.value)
    assert message.startswith("tiny: ONNX Runtime could not prepare the model: ")
    assert "onnxruntime_src" not in message
    assert "[ONNXRuntimeError]" not in message
    assert "\n" not in message
    assert len(message) < 350


def test_a_model_that_fails_in_the_middle_is_an_error_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    proto = tiny_onnx.proto()
    for name, shape in {"two rows": [2, -1], "rows of five": [-1, 5]}.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(_numpy(shape).astype("int64"), name))
    proto.graph.node[-1].output[0] = "row"
    proto.graph.node.append(onnx.helper.make_node("Reshape", ["row", "two rows"], ["halves"]))
    proto.graph.node.append(onnx.helper.make_node("Reshape", ["halves", "rows of five"], ["scores"]))
    engine = engines.load(proto.SerializeToString(), tiny_onnx.card())
    with pytest.raises(EngineError, match=r"^ONNX Runtime could not run the model: ") as caught:
        engine.run(THREE, 3)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    engine.close()


def test_a_model_that_gives_another_number_of_rows_than_it_says_is_an_error() -> None:
    proto = tiny_onnx.proto()
    proto.graph.node[-1].output[0] = "row"
    proto.graph.node.append(onnx.helper.make_node("Concat", ["row", "row"], ["scores"], axis=0))
    engine = engines.load(proto.SerializeToString(), tiny_onnx.card())
    with pytest.raises(EngineError, match=r"^the model gave scores of shape \[6, 5\], not \[3, 5\]$"):
        engine.run(THREE, 3)
    engine.close()


def _numpy(values: object) -> Any:
    import numpy

    return numpy.array(values, numpy.float32)


@pytest.mark.parametrize("where", ["initializer", "constant", "branch"])
@pytest.mark.parametrize("how", ["beside", "absolute", "missing"])
def test_weights_in_another_file_are_refused_before_the_runtime_sees_the_model(
    where: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    def never(*arguments: object, **options: object) -> None:
        pytest.fail("ONNX Runtime was given the model")

    monkeypatch.setattr(onnxruntime, "InferenceSession", never)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(HALF)
    location = {"beside": "weights.bin", "absolute": str(tmp_path / "weights.bin"), "missing": "nothing.bin"}[how]
    model = tiny_onnx.with_weights_in(location, where)
    for attempt in (lambda: engines.describe(model, "onnx"), lambda: engines.load(model, tiny_onnx.card())):
        with pytest.raises(InvalidModel, match=r"keeps weights in other files; only one that is a single file"):
            attempt()


def test_an_unusual_encoding_does_not_hide_that_weights_are_in_another_file() -> None:
    usual, unusual = b"\x0a\x08location", b"\x0a\x88\x80\x00location"  # the length 8 in one byte and in three
    plain = onnx.load_from_string(tiny_onnx.with_weights_in("weights.bin"))
    (tensor,) = (tensor for tensor in plain.graph.initializer if tensor.external_data)
    entry = tensor.external_data[0].SerializeToString().replace(usual, unusual)
    del tensor.external_data[0]
    tensor_bytes = tensor.SerializeToString() + b"\x6a" + bytes([len(entry)]) + entry
    plain.graph.initializer.remove(tensor)
    graph_bytes = b"\x2a" + bytes([len(tensor_bytes)]) + tensor_bytes
    model = plain.SerializeToString() + b"\x3a" + bytes([len(graph_bytes)]) + graph_bytes  # protobuf joins the graphs
    assert onnx.load_from_string(model).graph.initializer[-1].external_data[-1].key == "location"
    assert usual not in model

    with pytest.raises(InvalidModel, match="keeps weights in other files"):
        engines.describe(model, "onnx")


def test_such_a_model_would_have_been_run_by_its_runtime(tmp_path: Path) -> None:
    """What the refusal is about: from a file, ONNX Runtime takes the weights from beside it."""
    import onnxruntime

    (tmp_path / "weights.bin").write_bytes(HALF)
    (tmp_path / "model.onnx").write_bytes(tiny_onnx.with_weights_in("weights.bin"))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    white = _numpy([[[[255.0] * 3] * 8] * 8]).astype("uint8")
    assert session.run(None, {"pixels": white})[0].tolist() == [[0.5] * 5]


@pytest.mark.parametrize(
    "message",
    [b"\x3a", b"\x3a\x05abc", b"\x3a" + b"\xff" * 11, b"\x3b", b"\x3d\x00\x00\x00", b"\x39\x00", b"\x3a\x01\x2a"],
    ids=["no size", "cut", "endless number", "group", "cut 32 bits", "cut 64 bits", "cut inside"],
)
def test_what_is_no_protobuf_is_refused(message: bytes) -> None:
    with pytest.raises(InvalidModel, match="not an ONNX model"):
        engines.describe(message, "onnx")


def test_no_turned_bit_crashes_or_prints() -> None:
    done = with_turned_bits("tiny_onnx", None, (0, 3, 7))
    assert (done.returncode, done.stderr) == (0, "")
    noticed = done.stdout.split()
    assert all(line.isdecimal() for line in noticed), "something else was printed"
    assert len(noticed) > 100


def test_the_threads_and_the_provider_are_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    made: list[onnxruntime.InferenceSession] = []
    real_init = onnxruntime.InferenceSession.__init__

    def init(session: onnxruntime.InferenceSession, *arguments: object, **options: object) -> None:
        real_init(session, *arguments, **options)
        made.append(session)

    monkeypatch.setattr(onnxruntime.InferenceSession, "__init__", init)
    engines.load(tiny_onnx.model(), tiny_onnx.card(), threads=2).close()
    options = made[0].get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert made[0].get_providers() == ["CPUExecutionProvider"]
