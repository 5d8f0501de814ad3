"""A folder in which the examples of the documentation run, without the Internet.

In the demo's world the name `birds-v1-lite` means the demo model, and every URL of an example gives a picture of the
demo. In the real world, model and photographs are the real ones. A server on this machine is the mirror of both.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote

from birdlite.demo import FOLDER, PICTURES_FOLDER
from birdlite.models.catalog import DEMO_MODEL
from birdlite.settings import DEFAULT_MODEL
from birdlite.targets.expand import SAMPLES
from tests.demo_world import PICTURES, species_of
from tests.doc_pages import ROOT

HOME = "/home/you"  # what the pages show for the world's folder
SERVICE = "localhost:8000"  # where the pages have `birdlite serve`
TIMEOUT = 120  # s for one block

# The pages show what a user sees, who has no mirror: Python code of the examples gets it here.
STARTUP = f"""
import os
from birdlite import settings
from birdlite.models import catalog

MIRROR = os.environ["BIRDLITE_MIRROR"]


def set_default(kind, name, value):
    names = kind._fields[-len(kind.__new__.__defaults__):]
    values = dict(zip(names, kind.__new__.__defaults__)) | {{name: value}}
    kind.__new__.__defaults__ = tuple(values.values())
    kind._field_defaults[name] = value


set_default(settings.FetchSettings, "mirror", MIRROR)
set_default(settings.Settings, "fetch", settings.FetchSettings())
if os.environ["WORLD"] == "demo":
    demo = catalog.CATALOG["{DEMO_MODEL}"]
    demo = demo._replace(card=demo.card._replace(name="{DEFAULT_MODEL}"))
    catalog.CATALOG["{DEFAULT_MODEL}"] = demo
"""


class World:
    """One folder and its mirror. Use it in a `with` statement."""

    def __init__(self, folder: Path, birds: Path | None = None, more: dict[str, str] | None = None) -> None:
        """The demo's world, or that of the real `birds`; `more` variables are set in it."""
        self.folder = folder
        self._service = SERVICE
        self._mirror = folder / "mirror" if birds is None else birds / "mirror"
        folder.mkdir(parents=True)
        if birds is None:
            self._fill_with_the_demo()
        else:
            self._fill_with(birds)
        self._more = {"WORLD": "demo" if birds is None else "real", **(more or {})}

    @contextlib.contextmanager
    def serve(self) -> Iterator[None]:
        """Within it, `localhost:8000` is a service."""
        command = [str(self.folder / "bin" / "birdlite"), "serve", "--port", "0", "--drain", "0.01"]
        with subprocess.Popen(
            command, cwd=self.folder, env=self._environment(), stderr=subprocess.PIPE, text=True
        ) as service:
            assert service.stderr is not None
            try:
                ready = next(line for line in service.stderr if "ready at http://" in line)
                self._service = ready.split("http://")[1].split()[0]
                # Its log must not fill the pipe.
                threading.Thread(target=service.stderr.read, daemon=True).start()
                yield
            finally:
                self._service = SERVICE
                service.terminate()

    def run(self, script: str, *, stop_at_errors: bool = True) -> tuple[int, str]:
        """Run a script of bash; gives its exit code and what it printed, errors among it."""
        script = script.replace(SERVICE, self._service)
        command = ["bash", *(["-euo", "pipefail"] if stop_at_errors else []), "-c", script]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired as error:
            return -1, f"not finished after {TIMEOUT} s: {error.stdout!r}"
        return done.returncode, done.stdout.replace(str(self.folder), HOME)

    def run_python(self, program: str) -> tuple[int, str]:
        """Run a Python program in the folder."""
        (self.folder / "example.py").write_text(program.replace(SERVICE, self._service))
        return self.run("python3 example.py")

    def _environment(self) -> dict[str, str]:
        tools = self.folder / "bin"
        return {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join([str(self.folder / "startup"), str(ROOT)]),
            "BIRDLITE_MIRROR": f"http://127.0.0.1:{self._server.server_port}",
            **self._more,
        }

    def _fill_with_the_demo(self) -> None:
        album = self.folder / "album"
        album.mkdir()
        for picture in PICTURES:
            shutil.copy(picture, album)
            species = self.folder / "labelled" / species_of(picture)
            species.mkdir(parents=True)
            shutil.copy(picture, species)
        for name, picture in (("photo.jpg", PICTURES[0]), ("parrot.jpg", PICTURES[4]), ("robin.jpg", PICTURES[1])):
            shutil.copy(picture, self.folder / name)
        (self.folder / "damaged.jpg").write_bytes(PICTURES[0].read_bytes()[:-2000])
        (self.folder / "list.txt").write_text("".join(f"album/{picture.name}\n" for picture in PICTURES))
        rows = [f"album/{picture.name},{species_of(picture)}\n" for picture in PICTURES]
        (self.folder / "pictures.csv").write_text("".join(["path,label\n", *rows]))
        for url in (*SAMPLES, "https://example.org/bird.jpg"):
            place = self._mirror / unquote(url.removeprefix("https://"))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PICTURES[0], place)
        (self._mirror / "demo.birdlite.invalid").symlink_to(FOLDER)
        self._add_tools()

    def _fill_with(self, birds: Path) -> None:
        hosts = birds / "mirror"
        shutil.copy(hosts / "raw.githubusercontent.com/google-coral/test_data/master/parrot.jpg", self.folder)
        shutil.copy(hosts / SAMPLES[4].removeprefix("https://"), self.folder / "robin.jpg")
        album = self.folder / "album"
        album.mkdir()
        shutil.copy(self.folder / "robin.jpg", album)
        for picture in ("robin.jpg", "parrot.jpg"):
            species = self.folder / "labelled" / {"robin.jpg": "european-robin", "parrot.jpg": "scarlet-macaw"}[picture]
            species.mkdir(parents=True)
            shutil.copy(self.folder / picture, species)
        self._add_tools()

    def _add_tools(self) -> None:
        startup = self.folder / "startup"
        startup.mkdir()
        (startup / "sitecustomize.py").write_text(STARTUP)
        for name in ("bin/birdlite", "scripts/birdlite"):
            self._add_tool(name, f'exec "{sys.executable}" -m birdlite "$@"')
        self._add_tool("bin/python3", f'exec "{sys.executable}" "$@"')
        (self.folder / "examples").symlink_to(ROOT / "examples")
        pictures = self.folder / "birdlite" / "demo" / "pictures"  # as in a checkout
        pictures.parent.mkdir(parents=True)
        pictures.symlink_to(PICTURES_FOLDER)

    def _add_tool(self, name: str, line: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def __enter__(self) -> World:
        handler = functools.partial(_Quiet, directory=str(self._mirror))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    """Static files, without a log."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


_STAGES = re.compile(
    r"^(stage|interpreter start-up|imports|threads|model fetch|model load|labels|image fetch|decode|inference|output"
    r"|other|total)  .*"
)
_RUN_TIME = re.compile(r" in \d+ ms\b.*")
_RECORD_TIME = re.compile(r'("(?:fetch|decode|infer|total|wall_ms|images_per_second)": )[\d.]+')


def masked(output: str) -> list[str]:
    """Lines that can be compared: times are masked, and spaces at the end of a line are gone."""
    lines = []
    for line in output.strip("\n").split("\n"):
        text = _STAGES.sub(r"\1", line)
        text = _RUN_TIME.sub(" in N ms", text)
        lines.append(_RECORD_TIME.sub(r"\1N", text).rstrip())
    return lines


def agrees(shown: list[str], printed: list[str]) -> bool:
    """Whether the lines that a page shows are those printed. A line `...` stands for any number of lines."""
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(agrees(shown[1:], printed[skip:]) for skip in range(len(printed) + 1))
    return bool(printed) and shown[0] == printed[0] and agrees(shown[1:], printed[1:])
