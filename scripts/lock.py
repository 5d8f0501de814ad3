"""Lock what is installed: requirements/*.txt, one file an environment, made from pyproject.toml.

    .venv/bin/python -m scripts.lock             make them anew, with the newest versions that pyproject.toml allows
    .venv/bin/python -m scripts.lock --keep      make them anew, and change a version only where it must be
    .venv/bin/python -m scripts.lock --check     say what is stale; needs no network

Each file holds one version of each package, with the hashes of all its files, for Python 3.10 to 3.14 and any system.
scripts/bootstrap.py, .ci/run and the Dockerfile install them with pip's `--require-hashes`. uv resolves them: it comes
with `requirements/release.txt`. uv also proves that each file can be installed from wheels alone.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
SYSTEM = "manylinux_2_36"  # Debian 12
EDITABLES = "editables>=0.5"  # what hatchling asks for when it installs a checkout
MADE_BY = "# Made by `python -m scripts.lock` from pyproject.toml. Do not edit."
INPUT = "#   "
# LiteRT is called through its C library (docs/decisions/0003): the image needs nothing of what its Python side needs.
NOT_IN_THE_IMAGE = ("numpy", "protobuf", "flatbuffers", "tqdm", "ml-dtypes", "backports-strenum")
# Its 1.3 refuses Python 3.11 by an upper bound in its metadata, which uv ignores and pip does not.
CAPS = "backports-strenum<1.3\n"


class Lock(NamedTuple):
    """What one file is for."""

    extras: tuple[str, ...] = ()
    project: bool = True  # False: the build backend alone, which installs a checkout
    without: tuple[str, ...] = ()  # packages that are needed by metadata only
    beside: str = ""  # a file that is installed too; nothing of it is repeated
    like: tuple[str, ...] = ("build", "run")  # files whose versions this one takes
    pythons: tuple[str, ...] = PYTHONS


LOCKS = {
    "build": Lock(project=False, like=()),
    "run": Lock(like=("build",)),
    "image": Lock(without=NOT_IN_THE_IMAGE),
    "cloud": Lock(extras=("cloud",), beside="image", without=NOT_IN_THE_IMAGE),
    "serve": Lock(extras=("serve",), beside="image", without=NOT_IN_THE_IMAGE),
    "heif": Lock(extras=("heif",), beside="image", without=NOT_IN_THE_IMAGE),
    "dev": Lock(extras=("dev", "k8s")),
    "onnx": Lock(extras=("dev", "onnx", "tflite"), like=("build",)),
    "convert": Lock(extras=("dev", "convert"), like=("build",), pythons=("3.10", "3.11", "3.12", "3.13")),
    "release": Lock(extras=("release",), like=("build", "run", "dev")),
}


class Pin(NamedTuple):
    """One version of one package, and where it is installed."""

    name: str
    version: Version
    marker: Marker | None
    hashes: tuple[str, ...]


def main(arguments: list[str] | None = None) -> int:
    """Make or check the files. Gives an exit code."""
    parser = argparse.ArgumentParser(prog="scripts.lock", description="Lock requirements/*.txt.")
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    parser.add_argument("--keep", action="store_true", help="keep versions that may stay")
    chosen = parser.parse_args(arguments)
    if chosen.check:
        faults = [fault for name in LOCKS for fault in faults_of(name, FOLDER)]
        print("\n".join(faults) or f"{len(LOCKS)} files in requirements/ are up to date")
        return 1 if faults else 0
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        print("uv is not there: .venv/bin/pip install --require-hashes -r requirements/release.txt", file=sys.stderr)
        return 3
    FOLDER.mkdir(exist_ok=True)
    for name in LOCKS:
        _make(uv, name, keep=chosen.keep)
        print(f"requirements/{name}.txt: {len(list(pins_of(FOLDER / f'{name}.txt')))} packages")
    return 0


def inputs_of(lock: Lock, project: Path = ROOT / "pyproject.toml") -> list[str]:
    """What pyproject.toml asks for, one requirement a line, extras of extras resolved."""
    told = tomllib.loads(project.read_text())
    found = list(told["project"]["dependencies"]) if lock.project else [*told["build-system"]["requires"], EDITABLES]
    waiting = list(lock.extras)
    while waiting:
        for line in told["project"]["optional-dependencies"][waiting.pop()]:
            requirement = Requirement(line)
            if canonicalize_name(requirement.name) == told["project"]["name"]:
                waiting += sorted(requirement.extras)
            else:
                found.append(line)
    return sorted({str(Requirement(line)) for line in found})


def pins_of(path: Path) -> Iterator[Pin]:
    """The packages of one file."""
    text = path.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            told, *hashes = line.split(" --hash=")
            requirement = Requirement(told.strip())
            (version,) = requirement.specifier
            name = canonicalize_name(requirement.name)
            yield Pin(name, Version(version.version), requirement.marker, tuple(digest.strip() for digest in hashes))


def faults_of(name: str, folder: Path, project: Path = ROOT / "pyproject.toml") -> Iterator[str]:
    """What is stale or missing in one file, each in a line."""
    path = folder / f"{name}.txt"
    if not path.exists():
        yield f"{path.name}: not there"
        return
    lock = LOCKS[name]
    wanted = inputs_of(lock, project)
    text = path.read_text()
    told = [line.removeprefix(INPUT) for line in text.splitlines() if line.startswith(INPUT)]
    yield from (f"{path.name}: {line} is new in pyproject.toml" for line in wanted if line not in told)
    yield from (f"{path.name}: {line} is no longer in pyproject.toml" for line in told if line not in wanted)
    if "://" in text:
        yield f"{path.name}: holds an address"
    pins = list(pins_of(path))
    yield from (f"{path.name}: {pin.name} has no hash" for pin in pins if not pin.hashes)
    elsewhere = list(pins_of(folder / f"{lock.beside}.txt")) if lock.beside else []
    requirements = [Requirement(line) for line in wanted if Requirement(line).name not in lock.without]
    for environment in environments(lock.pythons):
        yield from _unmet(path.name, requirements, [*pins, *elsewhere], environment)


def environments(pythons: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Where birdlite is installed: what markers ask for."""
    for python in pythons:
        for machine in MACHINES:
            yield {
                "python_version": python,
                "python_full_version": f"{python}.0",
                "implementation_name": "cpython",
                "platform_python_implementation": "CPython",
                "sys_platform": "linux",
                "platform_system": "Linux",
                "os_name": "posix",
                "platform_machine": machine,
            }


def _unmet(file: str, requirements: list[Requirement], pins: list[Pin], environment: dict[str, str]) -> Iterator[str]:
    where = f"Python {environment['python_version']}, {environment['platform_machine']}"
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        versions = {pin.version for pin in here if pin.name == canonicalize_name(requirement.name)}
        if len(versions) != 1:
            yield f"{file}: {len(versions)} versions of {requirement.name} on {where}"
        yield from (
            f"{file}: {requirement.name} {version} on {where} is not {requirement.specifier}"
            for version in versions
            if version not in requirement.specifier
        )


def _make(uv: str, name: str, *, keep: bool) -> None:
    lock = LOCKS[name]
    path = FOLDER / f"{name}.txt"
    before = path.read_text() if path.exists() else ""
    inputs = inputs_of(lock)
    beside = {pin.name for pin in pins_of(FOLDER / f"{lock.beside}.txt")} if lock.beside else set()
    command = [uv, "--quiet", "pip", "compile", "-", "--universal", f"--python-version={PYTHONS[0]}"]
    command += ["--generate-hashes", "--no-header", "--no-annotate", f"--output-file={path}"]
    command += [f"--no-emit-package={package}" for package in sorted({*lock.without, *beside})]
    command += [f"--constraints={FOLDER / like}.txt" for like in lock.like]
    command += [] if keep else ["--upgrade"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as caps:
        caps.write(CAPS)
        caps.flush()
        command += [f"--constraints={caps.name}"]
        subprocess.run(command, input="\n".join(inputs), text=True, check=True, stdout=subprocess.DEVNULL)
    packages = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    path.write_text("\n".join([MADE_BY, *(INPUT + line for line in inputs), packages, ""]))
    if path.read_text() == before:
        return
    try:
        for python in lock.pythons:
            for machine in MACHINES:
                _try(uv, path, python, machine)
    except subprocess.CalledProcessError:
        path.write_text(before)
        raise


def _try(uv: str, path: Path, python: str, machine: str) -> None:
    """Resolve one file again, as pip would on that machine. What has no wheel there ends the program."""
    command = [uv, "--quiet", "pip", "install", "--dry-run", "--require-hashes", "--no-deps", "--only-binary=:all:"]
    command += [f"--python-version={python}", f"--python-platform={machine}-{SYSTEM}", f"--requirements={path}"]
    with tempfile.TemporaryDirectory() as empty:
        subprocess.run([*command, f"--target={empty}"], check=True)


if __name__ == "__main__":
    sys.exit(main())
