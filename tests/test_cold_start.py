"""What a cold start imports: the rules that keep it fast, checked by what is loaded and never by the clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from birdlite.cli.group import COMMANDS
from birdlite.models.catalog import DEMO_MODEL
from tests.demo_world import PICTURES
from tests.origin import Origin

ROOT = Path(__file__).parents[1]

NETWORK = {"httpx", "httpcore", "h11", "anyio", "asyncio", "ssl", "http", "http.client", "socket", "certifi"}
HEAVY = {
    "obstore",
    "birdlite.storage.store",
    "birdlite.storage.upload",
    "birdlite.storage.bucket",
    "numpy",
    "onnxruntime",
    "tensorflow",
    "tflite_runtime",
    "ai_edge_litert",
    "rich",
    "click",
    "argparse",
    "pygments",
    "starlette",
    "uvicorn",
    "prometheus_client",
    "python_multipart",
    "birdlite.serve",
}
# Cheap one by one, and together a third of a run: what each costs stands in docs/decisions.
SLOW = {"dataclasses", "inspect", "pathlib", "logging", "tempfile", "shutil", "concurrent", "importlib.metadata"}
SLOW |= {"importlib.resources", "platformdirs", "xml", "email", "urllib.request"}
REPORT = {"html", "zlib", "birdlite.run.report_file"}
REPORT |= {f"birdlite.writers.{name}" for name in ("html", "html_sections", "page", "waterfall")}
OTHER_PLUGINS = {f"PIL.{name}ImagePlugin" for name in ("Bmp", "Gif", "Png", "Ppm", "Tiff", "WebP")}


def modules_after(*arguments: str, interpreter: tuple[str, ...] = (), stdin: str | None = None) -> set[str]:
    """The modules in `sys.modules` after a successful command, with their packages."""
    code = (
        "import sys; from birdlite.cli import main; code = main(sys.argv[1:]);"
        "print(*sorted(sys.modules), sep='\\n', file=sys.stderr); sys.exit(code)"
    )
    run = subprocess.run(
        [sys.executable, *interpreter, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, input=stdin
    )
    assert run.returncode == 0, run.stderr
    return set(run.stderr.split())


def pillows_own() -> set[str]:
    """What Pillow imports by itself, which is its affair: older ones come with logging and tempfile."""
    code = "import sys, PIL.Image; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.fixture
def warm(warm_cache: Path) -> tuple[str, ...]:
    """A command line up to the picture."""
    arguments = ("classify", "--model", DEMO_MODEL, "--cache-dir", str(warm_cache), "--no-timing")
    modules_after(*arguments, str(PICTURES[0]))
    return arguments


@pytest.mark.parametrize("format_", ["text", "jsonl", "json"])
def test_a_warm_run_on_a_file_imports_no_network_no_numpy_and_nothing_slow(warm: tuple[str, ...], format_: str) -> None:
    loaded = modules_after(*warm, "--format", format_, str(PICTURES[0]))

    assert "PIL._imaging" in loaded
    assert loaded & (NETWORK | HEAVY | OTHER_PLUGINS) == set()
    assert loaded & SLOW <= pillows_own()


def test_the_guard_is_imported_for_urls_only(warm: tuple[str, ...]) -> None:
    loaded = modules_after(*warm, "--public-only", str(PICTURES[0]))

    assert {name for name in loaded if name.startswith("birdlite.http")} | loaded & (NETWORK | {"ipaddress"}) == set()


def test_the_forms_of_settings_are_imported_for_python_programs_only(warm: tuple[str, ...]) -> None:
    loaded = modules_after(*warm, "--mirror", "https://mirror.example", str(PICTURES[0]))

    assert "birdlite.settings" in loaded
    assert "birdlite.setting_forms" not in loaded


def test_what_makes_a_report_is_imported_for_a_report_only(warm: tuple[str, ...], tmp_path: Path) -> None:
    assert modules_after(*warm, str(PICTURES[0])) & REPORT == set()

    loaded = modules_after(*warm, str(PICTURES[0]), "--report", str(tmp_path / "report.html"))

    assert loaded >= REPORT
    assert loaded & (NETWORK | HEAVY) == set()


def test_a_run_does_not_wait_for_the_modules_that_make_its_report(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from birdlite.run.report_file import ReportFile\n"
        "from birdlite.results import Result\n"
        "from birdlite.writers.base import WriterOptions\n"
        "with ReportFile(sys.argv[1], WriterOptions()) as report:\n"
        "    report.write(Result(0, 'a.jpg', ()))\n"
        "    print(*sys.modules)\n"
        "    sys.exit()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "report.html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(run.stdout.split()) & REPORT == {"birdlite.run.report_file"}


@pytest.mark.birds
def test_a_model_that_is_made_on_first_use_is_made_without_numpy_and_later_found_like_any_other(
    birds: Path, tmp_path: Path, origin: Origin
) -> None:
    for host in (birds / "mirror").iterdir():
        origin.serve_folder(f"/{host.name}", host)
    arguments = ("classify", "--model", "birds-v1-lite-int8", "--cache-dir", str(tmp_path), "--no-timing")

    making = modules_after(*arguments, "--mirror", origin.base, str(PICTURES[0]))
    loaded = modules_after(*arguments, str(PICTURES[0]))

    assert "birdlite.tflite.requantize" in making
    assert making & (HEAVY | {"flatbuffers", "tflite"}) == set()
    assert not {name for name in loaded if name.startswith("birdlite.convert")}
    assert loaded & (NETWORK | HEAVY | OTHER_PLUGINS) == set()
    assert loaded & SLOW <= pillows_own()


def test_exact_resizing_alone_imports_numpy(warm: tuple[str, ...]) -> None:
    loaded = modules_after(*warm, "--resize", "exact", str(PICTURES[0]))

    assert loaded & (NETWORK | HEAVY) == {"numpy"}


def test_the_version_imports_next_to_nothing() -> None:
    loaded = modules_after("--version")

    assert {name for name in loaded if name.startswith("birdlite")} == {
        "birdlite",
        "birdlite._version",
        "birdlite.cli",
        "birdlite.cli.exit_codes",
    }
    assert "click" not in loaded


def test_the_help_of_birdlite_imports_no_command() -> None:
    loaded = modules_after("--help")

    assert loaded & {f"birdlite.cli.{command}" for command in COMMANDS} == set()
    assert loaded & (NETWORK | (HEAVY - {"click"}) | {"PIL", "birdlite.run", "birdlite.engines"}) == set()


def test_the_help_of_a_command_loads_no_runtime() -> None:
    code = "import sys; from birdlite.cli import main\ntry: main(['classify', '--help'])\nexcept SystemExit: pass\n"
    code += "print(*sys.modules, file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    loaded = set(run.stderr.split())
    assert loaded & (NETWORK | (HEAVY - {"click"}) | {"PIL", "ctypes"}) == set()
    assert "--samples" in run.stdout


def test_importing_the_library_is_free() -> None:
    code = "import sys; before = set(sys.modules); import birdlite; print(*set(sys.modules) - before)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert not {name for name in run.stdout.split() if name.startswith("birdlite.")}


def test_rules_of_lists_are_imported_for_lists_only(warm: tuple[str, ...]) -> None:
    rules = "birdlite.targets.list_rules"
    listed = modules_after(*warm, "--allow-files", str(ROOT), "--from", "-", stdin=f"{PICTURES[0]}\n")

    assert rules not in modules_after(*warm, "--only-urls", str(PICTURES[0]))
    assert rules in listed
    assert listed & (NETWORK | HEAVY - {"birdlite.storage.store"}) == set()


# The service


NOT_FOR_A_START = NETWORK - {"asyncio", "ssl", "http", "http.client", "socket", "h11", "anyio"}
NOT_FOR_A_START |= HEAVY - {"click", "starlette", "uvicorn", "python_multipart", "birdlite.serve", "argparse"}
NOT_FOR_A_START |= {"starlette.applications", "starlette.routing", "birdlite.serve.metrics", "birdlite.serve.openapi"}
NOT_FOR_A_START |= {"birdlite.http.client", "birdlite.bench", "PIL.Image"} | OTHER_PLUGINS


def test_a_service_is_ready_without_what_its_first_answer_does_not_need(warm_cache: Path) -> None:
    code = (
        "import os, sys\n"
        "from birdlite import log\n"
        "def said(message, **fields):\n"
        "    print(message, *sys.modules, sep='\\n', flush=True)\n"
        "    os._exit(0)\n"
        "log.info = said\n"
        "from birdlite.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    arguments = ("serve", "--port", "0", "--model", DEMO_MODEL, "--cache-dir", str(warm_cache))
    run = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    said, *loaded = run.stdout.splitlines()

    assert said.startswith("ready at "), run.stderr
    assert {"uvicorn", "starlette.requests", "PIL._imaging"} <= set(loaded)
    assert set(loaded) & NOT_FOR_A_START == set()
