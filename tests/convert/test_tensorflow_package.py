"""TensorFlow is imported when it is needed, a missing one is named with its extra, and it prints nothing."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from birdlite.convert.tensorflow_package import imported, reason, require
from birdlite.errors import EngineMissing


@pytest.mark.parametrize("package", ["tensorflow", "tf2onnx"])
def test_what_is_missing_is_named_with_its_remedy(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    for ask in (require, imported):
        with pytest.raises(EngineMissing, match=rf"{package}.*pip install .*\[convert\]'"):
            ask(package)


def test_a_package_that_does_not_work_here_is_missing_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tf2onnx.py").write_text("raise ImportError('libwhatever.so: cannot\\nopen')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tf2onnx", raising=False)

    require("tf2onnx")
    with pytest.raises(EngineMissing, match=r"\[convert\]' \(libwhatever.so: cannot open\)$"):
        imported("tf2onnx")


def test_what_an_import_prints_is_not_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tf2onnx.py").write_text("import os\nos.write(2, b'hello from C')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tf2onnx", raising=False)

    assert imported("tf2onnx").__name__ == "tf2onnx"
    assert capfd.readouterr().err == ""
    del sys.modules["tf2onnx"]


def test_importing_the_modules_imports_neither_tensorflow_nor_numpy() -> None:
    program = (
        "import sys\n"
        "from importlib.util import find_spec\n"
        "from birdlite.convert import proven, module, tensorflow_package\n"
        "if find_spec('tensorflow'): tensorflow_package.require('tensorflow')\n"
        "print([name for name in ('tensorflow', 'tf2onnx', 'numpy', 'onnx', 'google.protobuf') if name in sys.modules])"
    )

    assert _run(program) == ("[]\n", "")


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="the extra `convert` is not installed")
def test_freezing_converting_and_running_print_nothing(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from tests import tensorflow_models as models
from tests.tiny_graphs import drawn
from birdlite.convert.graph import published, without_rounding
from birdlite.convert.saved_model import frozen, read
from birdlite.convert.to_onnx import to_onnx
from birdlite.convert.to_tflite import to_tflite
from birdlite.convert.graph import TensorFlowEngine
from birdlite.errors import InvalidModel

hub, module = Path({str(tmp_path)!r}) / "hub", Path({str(tmp_path)!r}) / "module"
for folder in (models.hub_module(hub, resources=False), models.module(module)):
    source = frozen(str(folder), read(str(folder)))
    graph, _ = published(source.definition, source.input, source.output, models.SIDE, (0, 1))
    to_onnx(without_rounding(graph).ranged)
graph, pictures = drawn(models.classifier), models.pictures()
for quantize in ("none", "float16", "int8"):
    to_tflite(graph, quantize, pictures)
to_onnx(graph)
TensorFlowEngine(graph).run(pictures[0])
for convert in (to_onnx, lambda graph: to_tflite(graph, "none")):
    try:
        convert(drawn(models.unknown))
    except InvalidModel:
        continue
    raise AssertionError("known after all")
"""

    assert _run(program) == ("", "")


_EXECUTION = """Graph execution error:

Detected at node save/RestoreV2 defined at (most recent call last):
  File "a.py", line 1, in <module>

Read less bytes than requested
\t [[{{node save/RestoreV2}}]] [Op:__inference_pruned_333]"""

_SESSION = """Graph execution error:

Detected at node 'GatherV2' defined at (most recent call last):
Node: 'GatherV2'
indices[0,0,0,0] = 57 is not in [0, 10)
\t [[{{node GatherV2}}]]

Original stack trace for 'GatherV2':
"""

_MLIR = """Could not translate MLIR to FlatBuffer.<unknown>:0: error: loc(fused["Print:", "y"]): 'tf.Print' op is no op
<unknown>:0: note: loc(fused["Print:", "y"]): see current operation: %4 = "tf.Print"(%3)"""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("plain", "plain"),
        ("\n  first \n second", "first"),
        ("", "RuntimeError"),
        (_EXECUTION, "Read less bytes than requested"),
        (_SESSION, "indices[0,0,0,0] = 57 is not in [0, 10)"),
        (_MLIR, "'tf.Print' op is no op"),
        ("{{function_node __wrapped__RestoreV2_device_/cpu:0}} Checksum [Op:RestoreV2]", "Checksum"),
    ],
)
def test_a_reason_is_one_line_without_places(said: str, expected: str) -> None:
    assert reason(RuntimeError(said)) == expected


def _run(program: str) -> tuple[str, str]:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr
