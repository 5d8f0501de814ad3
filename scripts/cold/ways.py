"""The ways to name birds that `bench_cold` compares: their commands, and which of them can run here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

from scripts.cold.measure import Way

HERE = os.path.dirname(os.path.abspath(__file__))
CURL = "curl --parallel"
ONLY_HTTP = ("floor",)
NEEDS = {  # what must be importable, by way
    "floor": ("PIL", "ai_edge_litert"),
    "plain": ("numpy", "PIL", "ai_edge_litert"),
    "onnx": ("numpy", "PIL", "onnxruntime"),
    "original": ("tensorflow",),
}
TITLES = {
    "floor": "the floor: C API and Pillow, no checks",
    "plain": "plain: NumPy, Pillow, Interpreter",
    "onnx": "plain, on onnxruntime",
    "original": "original: TensorFlow, Hub model",
}


class World(NamedTuple):
    """What is classified, and with what. Places are HOST/PATH as in a URL: under `folder`, or behind the server."""

    folder: str  # laid out as a mirror of the Internet
    name: str  # of the model, for birdlite
    model: str
    labels: str
    names: str
    pictures: tuple[str, ...]
    photo: str  # the one local picture: a path
    onnx: str | None = None  # the model converted
    archive: str | None = None  # the Hub's
    saved_model: str | None = None  # what is in it: a folder


class Scenario(NamedTuple):
    """What is timed."""

    title: str
    local: bool  # one picture on the disk, else those behind the server
    warm: bool  # model and labels are on the disk, else behind the server too
    secure: bool = False  # the server speaks https


SCENARIOS = (
    Scenario("one local picture, warm cache", local=True, warm=True),
    Scenario("one local picture, empty cache", local=True, warm=False),
    Scenario("five URLs, warm cache", local=False, warm=True),
    Scenario("five URLs, empty cache", local=False, warm=False),
    Scenario("five URLs over https, warm cache", local=False, warm=True, secure=True),
    Scenario("five URLs over https, empty cache", local=False, warm=False, secure=True),
)


class Bench(NamedTuple):
    """Where everything is in one run of the benchmark."""

    world: World
    server: str  # URL, without a slash at the end
    scratch: str  # a folder for caches
    pythons: Mapping[str, str]  # the interpreter of each way that can run; of birdlite too
    trust: str | None = None  # the file with which an https server is trusted

    def ways(self, scenario: Scenario) -> list[Way]:
        """The ways that can run, birdlite first, curl last."""
        made = [self._birdlite(scenario)]
        able = [name for name in NEEDS if name in self.pythons and not (scenario.secure and name in ONLY_HTTP)]
        made += [self._script(name, scenario) for name in able]
        made.append(Way("nothing: python -c pass", (self.pythons["birdlite"], "-c", "pass"), self._environment()))
        if not scenario.local and shutil.which("curl"):
            made.append(self._curl(scenario))
        return made

    def against(self, scenario: Scenario, checkout: str) -> list[Way]:
        """The birdlite of this checkout and that of another one."""
        python = os.path.join(checkout, ".venv", "bin", "python")
        other = self._replace(pythons={"birdlite": python})._birdlite(scenario, "-other")
        return [self._birdlite(scenario), other._replace(name=f"birdlite of {os.path.basename(checkout)}")]

    def _birdlite(self, scenario: Scenario, mark: str = "") -> Way:
        """The command as users have it, all at its default but where things are. `mark` tells caches apart.

        Every host is one host to it here, so as many connections are allowed as all hosts together would be.
        """
        python = self.pythons["birdlite"]
        command = os.path.join(os.path.dirname(python), "birdlite")
        cache = os.path.join(self.scratch, ("warm" if scenario.warm else "empty") + mark)
        environment = self._environment() | {
            "BIRDLITE_MODEL": self.world.name,
            "BIRDLITE_CACHE_DIR": cache,
            "BIRDLITE_MIRROR": self.server,
            "BIRDLITE_PER_HOST": "16",
        }
        start = (command,) if os.path.exists(command) else (python, "-m", "birdlite")
        urls = [f"https://{place}" for place in self.world.pictures]
        pictures = [self.world.photo] if scenario.local else urls
        return Way("birdlite", (*start, "classify", *pictures), environment, () if scenario.warm else (cache,))

    def _script(self, name: str, scenario: Scenario) -> Way:
        first = {"plain": ["litert"], "onnx": ["onnxruntime"]}.get(name, [])
        pictures = [self.world.photo] if scenario.local else [self._url(place) for place in self.world.pictures]
        arguments = [*first, self._model(name, scenario), self._place(self.world.labels, scenario), *pictures]
        path = os.path.join(HERE, f"{'plain' if name == 'onnx' else name}.py")
        return Way(TITLES[name], (self.pythons[name], path, *arguments), self._environment())

    def _model(self, name: str, scenario: Scenario) -> str:
        world = self.world
        if name == "original":
            return str(world.saved_model) if scenario.warm else self._url(str(world.archive))
        return self._place(str(world.onnx) if name == "onnx" else world.model, scenario)

    def _place(self, place: str, scenario: Scenario) -> str:
        return os.path.join(self.world.folder, place) if scenario.warm else self._url(place)

    def _url(self, place: str) -> str:
        return f"{self.server}/{place}"

    def _curl(self, scenario: Scenario) -> Way:
        """The same files and nothing done with them."""
        world = self.world
        places = world.pictures if scenario.warm else (world.model, world.labels, world.names, *world.pictures)
        targets = [word for place in places for word in ("--output", os.devnull, self._url(place))]
        options = ("--silent", "--fail", "--parallel", "--parallel-immediate")
        return Way(f"{CURL}, the files only", ("curl", *options, *targets), self._environment())

    def _environment(self) -> dict[str, str]:
        """Give this process's own, without what would change how Python or birdlite run."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BIRDLITE_"))}
        return own if self.trust is None else own | {"SSL_CERT_FILE": self.trust, "CURL_CA_BUNDLE": self.trust}


def runnable(world: World, pythons: Mapping[str, str], default: str) -> tuple[dict[str, str], list[str]]:
    """The interpreter for each way that can run here, and a line for each that cannot."""
    found, missing = {"birdlite": pythons.get("birdlite", default)}, []
    for name, needs in NEEDS.items():
        python = pythons.get(name, default)
        lacking = _lacking(python, needs)
        if lacking:
            missing.append(f"Left out: {TITLES[name]}; not installed: {', '.join(lacking)}.")
        elif (name == "onnx" and world.onnx is None) or (name == "original" and world.archive is None):
            missing.append(f"Left out: {TITLES[name]}; there is no such model of {world.name}.")
        else:
            found[name] = python
    if shutil.which("curl") is None:
        missing.append("Left out: curl is not installed.")
    return found, missing


def _lacking(python: str, packages: tuple[str, ...]) -> list[str]:
    code = "import sys, importlib.util as u; print(*[name for name in sys.argv[1:] if u.find_spec(name) is None])"
    done = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, check=True)
    return done.stdout.split()
