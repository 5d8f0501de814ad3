"""The first load and the first run of an unknown model, in a process of its own that may crash, hang or be killed.

The runtimes are native code. They check what they read, but a file that is whole and describes an impossible network
still crashes LiteRT now and then: 1 in 500 of a tiny model with one number changed. A model of the catalogue, and one
in a folder with a card, has a checksum against that. A bare model file has none, so `ModelLoader` has it tried here
before anything else reads it. What passed is remembered in the cache by its sha256, for this build of the runtime.
A record that somebody else can have written is not believed.

`try_once` starts a fresh interpreter, gives it the model on standard input, and has `main` run there. Its answer is a
line on standard output: nothing, or the kind of an error and its message.
"""

from __future__ import annotations

import os
import signal
import sys

from birdlite import engines, log
from birdlite._version import __version__
from birdlite.atomic_file import quietly
from birdlite.errors import BirdliteError, EngineError, InvalidModel, one_line
from birdlite.local_file import reason
from birdlite.models.cache import make_folder
from birdlite.models.card import Card, ModelFormat, check_ends
from birdlite.models.trust import doubt_about
from birdlite.settings import EngineChoice

SECONDS = 60.0  # wall time; the birds take 0.2 s
MEMORY = 1 << 30  # bytes of address space beyond what the runtime itself takes, and beyond four times the model
FOLDER = "tried"  # in the cache: an empty file for each model and runtime

_REFUSED = 3
_ERRORS: dict[str, type[BirdliteError]] = {kind.__name__: kind for kind in (InvalidModel, EngineError)}
_START = "import sys; sys.path[:] = sys.argv[4:]; from birdlite.engines.trial import main; sys.exit(main())"


def try_once(
    model: bytes, sha256: str, path: str, runtime: tuple[ModelFormat, EngineChoice], cache: str | None
) -> None:
    """Have a model tried, unless it was already. `path` is what messages call it; without a cache nothing is kept.

    Raises:
        InvalidModel: it crashes the runtime, does not come to an end, takes too much memory, or is refused.
        EngineError: the runtime cannot run it, or no process can be started.
        EngineMissing: the runtime is not installed.
    """
    passed = None if cache is None else os.path.join(cache, FOLDER, f"{sha256}-{_build(*runtime)}")
    if passed is not None and os.path.exists(passed) and doubt_about([passed]) is None:
        log.debug("this model was tried before", path=path, record=passed)
        return
    if getattr(sys, "frozen", False) or not sys.executable:
        log.warning(f"{path}: this Python cannot start another one, so the model is loaded without a trial")
        return
    log.debug("trying the model in a process of its own", path=path)
    _run(model, path, runtime)
    if passed is not None:
        quietly(lambda: _remember(str(cache), passed))


def _build(format_: ModelFormat, engine: EngineChoice) -> str:
    """A short name for this version of birdlite with this build of the runtime."""
    import hashlib

    return hashlib.sha256(f"{__version__} {engines.identity(format_, engine)}".encode()).hexdigest()[:16]


def _remember(cache: str, path: str) -> None:
    make_folder(cache, os.path.dirname(path))
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))


def _run(model: bytes, path: str, runtime: tuple[ModelFormat, EngineChoice]) -> None:
    import subprocess

    command = [sys.executable, "-c", _START, *runtime, path, *sys.path]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter
            command, input=model, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise InvalidModel(f"{path}: the model does not load and run once within {SECONDS:g} s") from None
    except OSError as error:
        raise EngineError(f"{path}: no process can be started to try the model: {reason(error)}") from None
    if done.returncode == 0:
        return
    kind, _, message = done.stdout.decode("utf-8", "replace").partition(" ")
    if done.returncode == _REFUSED and kind in _ERRORS:
        raise _ERRORS[kind](message)
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    raise InvalidModel(f"{path}: the model crashes its engine when it is tried ({how}): a damaged or hostile file")


def main() -> int:
    """The process of the trial. Arguments: format, engine, the model's path for messages."""
    signal.alarm(2 * int(SECONDS))  # if the parent process is no longer there to end this one
    _end_with_parent()
    answer = os.dup(1)
    os.dup2(2, 1)  # what a runtime prints is no answer
    model = sys.stdin.buffer.read()
    try:
        _load_and_run(model, *sys.argv[1:4])  # type: ignore[arg-type]
    except MemoryError:
        kind, message = "InvalidModel", f"{sys.argv[3]}: the model takes more than {MEMORY >> 20} MiB to load and run"
    except BirdliteError as error:
        kind, message = "InvalidModel" if isinstance(error, InvalidModel) else "EngineError", str(error)
    except Exception as error:  # noqa: BLE001 - the parent process says it
        kind, message = "EngineError", f"{sys.argv[3]}: the model cannot be tried: {one_line(error)}"
    else:
        return 0
    os.write(answer, f"{kind} {message}".encode("utf-8", "replace"))
    return _REFUSED


def _end_with_parent() -> None:
    """Have the kernel end this process with the one that started it, where it can: in Linux."""
    if sys.platform == "linux":
        import ctypes

        quietly(lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL))  # PR_SET_PDEATHSIG


def _load_and_run(model: bytes, format_: ModelFormat, choice: EngineChoice, path: str) -> None:
    engines.preload(format_, choice)
    _limit_memory(len(model))
    try:
        input_, output = engines.describe(model, format_)
        check_ends(input_, output)
    except (InvalidModel, EngineError) as error:
        raise type(error)(f"{path}: {error}") from None
    card = Card(os.path.basename(path), format_, input_, output, {}, path)
    engine = engines.load(model, card, engine=choice)
    size = card.side**2 * 3
    engine.run(bytes(size))
    engine.run((bytes(range(256)) * (size // 256 + 1))[:size])
    engine.close()


def _limit_memory(model_bytes: int) -> None:
    """Let the address space grow only so far from here on, and leave no core file."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/statm", "rb") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # only Linux tells, and elsewhere the limit would mean little
        return
    limit = now + MEMORY + 4 * model_bytes
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
