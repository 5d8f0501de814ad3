"""The C library's own matters: what is declared, what is released, what is not imported, what reaches stderr."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from birdlite import engines
from birdlite.engines import litert, litert_library
from birdlite.errors import EngineError, InvalidModel
from tests import tiny_models
from tests.tiny_models import picture, scores

REPO = Path(__file__).parents[2]


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_models.model())
    return path


def python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, where nothing is imported or loaded yet."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("struct", "size"),
    [
        (litert_library.Layout, 68),
        (litert_library.RankedTensorType, 72),
        (litert_library.AnyValue, 16),
        (litert_library.EnvOption, 24),
        (litert_library.PerTensorQuantization, 16),
    ],
)
def test_structs_have_the_sizes_that_the_headers_assert(struct: type[ctypes.Structure], size: int) -> None:
    assert ctypes.sizeof(struct) == size


def test_every_function_that_is_called_is_declared() -> None:
    source = (REPO / "birdlite/engines/litert.py").read_text()
    called = {part.split("(")[0].split(")")[0].split(",")[0] for part in source.split("library.")[1:]}
    called = {name for name in called if name.startswith("LiteRt")}
    library = litert_library.open_library()
    assert len(called) > 20
    for name in called:
        assert getattr(library, name).argtypes is not None, name


def test_the_library_is_the_one_that_an_import_would_find() -> None:
    import ai_edge_litert

    package = Path(ai_edge_litert.__file__ or "").parent
    assert litert_library.library_file() == str(package / "libLiteRt.so")


def test_the_first_folder_on_the_search_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nearer = tmp_path / "ai_edge_litert" / "libLiteRt.so"
    nearer.parent.mkdir()
    nearer.touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert litert_library.library_file() == str(nearer)


def test_there_may_be_no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert litert_library.library_file() is None


LIGHT = """
import sys
from birdlite import engines
from birdlite.models.card import Card, Tensor
from birdlite.local_file import read_bounded

data = read_bounded(sys.argv[1], 1 << 20)
card = Card("tiny", "tflite", *engines.describe(data), {}, "")
engine = engines.load(data, card)
assert engine.name == "litert"
engine.run(bytes(192))
print(*(set(sys.modules) & set(sys.argv[2:])))
"""
HEAVY = ["numpy", "ai_edge_litert", "logging", "importlib.metadata", "importlib.util", "dataclasses", "pathlib"]


def test_loading_and_running_imports_nothing_heavy(model_file: Path) -> None:
    done = python(LIGHT, model_file, *HEAVY)
    assert (done.stdout.strip(), done.stderr) == ("", "")


LEAKS = """
import os, sys
from birdlite import engines
from birdlite.errors import BirdliteError
from tests import tiny_models

sound, card = tiny_models.model(), tiny_models.card()
refused = {
    "load": sound,
    "describe": sound,
    "garbage": sound[: len(sound) // 2],
    "wrong card": tiny_models.model(classes=6),
    "cannot run": tiny_models.model(custom_op="Nonsense"),
}

def once():
    if sys.argv[1] == "describe":
        engines.describe(sound)
        return
    try:
        engine = engines.load(refused[sys.argv[1]], card)
    except BirdliteError:
        return
    engine.run(bytes(192))
    engine.close()

def held():
    with open("/proc/self/statm") as file:
        return len(os.listdir("/proc/self/fd")), int(file.read().split()[1]) * 4096

for _ in range(50):
    once()
before = held()
for _ in range(300):
    once()
after = held()
print(after[0] - before[0], after[1] - before[1])
"""


@pytest.mark.parametrize("what", ["load", "describe", "garbage", "wrong card", "cannot run"])
def test_nothing_is_left_of_engines_that_were_closed_or_refused(what: str) -> None:
    done = python(LEAKS, what)
    assert done.stderr == ""
    files, memory = map(int, done.stdout.split())
    assert files == 0
    assert memory < 400_000  # 300 models of this size take 1.6 MB, compiled 11 MB


class Library:
    """The real library, which notes what it gave out and got back. One of its calls can be told to fail."""

    def __init__(self, failing_call: int | None = None) -> None:
        self._real = litert_library.open_library()
        self._failing_call = failing_call
        self.calls: list[str] = []
        self.given: list[tuple[str, int]] = []
        self.taken_back: list[tuple[str, int]] = []

    def __getattr__(self, name: str) -> Callable[..., int | None]:
        real = getattr(self._real, name)

        def call(*arguments: Any) -> int | None:
            if name.startswith("LiteRtDestroy"):
                self.taken_back.append((name.removeprefix("LiteRtDestroy"), arguments[0].value))
                real(*arguments)
                return None
            self.calls.append(name)
            if len(self.calls) - 1 == self._failing_call:
                return 3
            status: int = real(*arguments)
            if status == 0 and name in MAKES:
                self.given.append((MAKES[name], arguments[-1]._obj.value))
            if status == 0 and name == "LiteRtAddOpaqueOptions":  # from now on part of the options
                self.taken_back.append(("OpaqueOptions", arguments[1].value))
            return status

        return call


MAKES = {
    "LiteRtCreateEnvironment": "Environment",
    "LiteRtCreateModelFromBuffer": "Model",
    "LiteRtCreateOptions": "Options",
    "LiteRtCreateOpaqueOptions": "OpaqueOptions",
    "LiteRtCreateCompiledModel": "CompiledModel",
    "LiteRtCreateManagedTensorBufferFromRequirements": "TensorBuffer",
}


def load_with(library: Library) -> litert.LitertEngine:
    return litert.CLibrary(cast(ctypes.CDLL, library)).load(tiny_models.model(), tiny_models.card(), 1)


def test_handles_are_released_in_the_reverse_of_their_order() -> None:
    library = Library()
    load_with(library).close()
    made = ["Environment", "Model", "CompiledModel", "TensorBuffer", "TensorBuffer"]
    kept = [handle for handle in library.given if "Options" not in handle[0]]
    assert [kind for kind, _ in kept] == made
    assert [handle for handle in library.taken_back if "Options" not in handle[0]] == kept[::-1]


def test_whichever_call_fails_every_handle_is_released_once() -> None:
    sound = Library()
    load_with(sound).close()
    assert len(sound.calls) > 20
    for number, name in enumerate(sound.calls):
        library = Library(failing_call=number)
        with pytest.raises((EngineError, InvalidModel)):
            load_with(library)
        assert library.calls[-1] == name
        assert sorted(library.taken_back) == sorted(library.given), name


@pytest.mark.parametrize("name", ["LiteRtLockTensorBuffer", "LiteRtRunCompiledModel"])
def test_a_failure_while_running_is_an_error_and_the_next_run_is_right(name: str) -> None:
    library = Library()
    engine = load_with(library)
    so_far = len(library.calls)
    engine.run(bytes(192))
    first = library.calls.index(name, so_far)
    library._failing_call = first + len(library.calls) - so_far
    with pytest.raises(EngineError, match="runtime failure"):
        engine.run(bytes(192))
    assert engine.run(picture(255, 0, 0)) == [scores(255, 0, 0)]
    engine.close()


@pytest.mark.parametrize("offset", range(16))
@pytest.mark.parametrize("writable", [True, False])
def test_the_library_sees_the_model_at_an_aligned_address(offset: int, writable: bool) -> None:
    data = bytearray(bytes(offset) + b"content")[:] if writable else bytes(offset) + b"content"
    handles = litert._Handles()
    address = handles.pin(memoryview(data)[offset:])
    assert address % 16 == 0
    assert ctypes.string_at(address, 7) == b"content"
    handles.close()


SILENT = """
import os, sys, threading
from birdlite import engines
from birdlite.engines import litert_library
from tests import tiny_models

if sys.argv[1] == "interpreter":
    litert_library.library_file = lambda: None

model, card = tiny_models.model(), tiny_models.card()
done = threading.Event()

def talk():
    count = 0
    while not done.is_set() or count < 1000:
        os.write(2, b"x")
        count += 1
    print(count)

talker = threading.Thread(target=talk)
talker.start()
for _ in range(20):
    engines.load(model, card).close()
done.set()
talker.join()
"""


@pytest.mark.parametrize("way", ["C library", "interpreter"])
def test_litert_prints_nothing_and_others_may_meanwhile(way: str) -> None:
    done = python(SILENT, way)
    assert done.returncode == 0
    assert done.stderr == "x" * int(done.stdout)


def test_litert_would_print_a_line_if_it_were_not_caught() -> None:
    code = (
        "from birdlite import native_stderr; native_stderr._is_glibc = lambda: False\n"
        "from birdlite import engines; from tests import tiny_models as t; engines.load(t.model(), t.card())"
    )
    assert python(code).stderr == "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"


def test_closed_standard_streams_do_not_matter() -> None:
    code = (
        "import os; [os.close(n) for n in (0, 1, 2)]\n"
        "from birdlite import engines; from tests import tiny_models as t\n"
        "engine = engines.load(t.model(), t.card())\n"
        "row = engine.run(t.picture(255, 200, 100)); engine.close(); os._exit(row != [t.scores(255, 200, 100)])"
    )
    assert python(code).returncode == 0


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_scores_stay_when_the_engine_runs_again(kind: tiny_models.Dtype) -> None:
    output = engines.describe(tiny_models.model(gives=kind))[1]
    engine = engines.load(tiny_models.model(gives=kind), tiny_models.card(output=output))
    first = engine.run(picture(255, 0, 0))
    engine.run(picture(0, 255, 0))
    assert first == [scores(255, 0, 0)]
    engine.close()
