"""Make `.venv` and install birdlite into it. `scripts/birdlite` and `scripts/test` call this when something is missing.

    python3 scripts/bootstrap.py run    what birdlite needs to run
    python3 scripts/bootstrap.py dev    and what its tests and checks need

The packages come from requirements/<what>.txt, and what installs birdlite itself from requirements/build.txt: these
versions and no others, each file checked by its hash, wheels only.

Standard library only. What was installed is written down in `.venv/installed-<what>`, a copy of pyproject.toml and of
requirements/<what>.txt, last of all: an interrupted installation is done again, and so is one for another of the two.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import subprocess
import sys
import venv

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOCKED = ("--require-hashes", "--only-binary=:all:")
ITSELF = ("--no-deps", "--no-build-isolation", "--editable", ".")
OLDEST = (3, 10)


def main(what: str) -> int:
    """Install `what` unless somebody else just did. Gives an exit code."""
    if sys.version_info < OLDEST:
        return _fail(f"birdlite needs Python {OLDEST[0]}.{OLDEST[1]}; this is {sys.version.split()[0]}")
    try:
        return _install(what)
    except OSError as error:
        return _fail(f"cannot install into {VENV}: {error.strerror}; copy this folder to where you may write")


def _install(what: str) -> int:
    os.makedirs(VENV, exist_ok=True)
    with open(os.path.join(VENV, "bootstrap.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _installed(what) == _wanted(what):
            return 0
        print(f"birdlite: installing into {os.path.relpath(VENV)}, once; this takes a minute", file=sys.stderr)
        if not _works() and not _make():
            return _fail("this Python cannot make a virtual environment; on Debian: apt install python3-venv")
        pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        for arguments in ((*LOCKED, "-r", _requirements("build"), "-r", _requirements(what)), ITSELF):
            if subprocess.run([*pip, *arguments], cwd=ROOT, stdout=sys.stderr).returncode:
                return _fail("pip could not install what birdlite needs; its own message is above. Is there a network?")
        for name in ("run", what):
            with open(_marker(name), "w") as file:
                file.write(_wanted(name))
    return 0


def _make() -> bool:
    """Make the virtual environment. Debian ships `venv` without `ensurepip`, which is in the package python3-venv."""
    if importlib.util.find_spec("ensurepip") is None:
        return False
    try:
        venv.create(VENV, with_pip=True)
    except subprocess.CalledProcessError:
        return False
    return True


def _works() -> bool:
    """Whether there is a virtual environment with a pip that runs; a half-made one has none."""
    if not os.path.exists(PYTHON):
        return False
    return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0


def _requirements(what: str) -> str:
    return os.path.join(ROOT, "requirements", f"{what}.txt")


def _wanted(what: str) -> str:
    with open(os.path.join(ROOT, "pyproject.toml")) as project, open(_requirements(what)) as requirements:
        return project.read() + requirements.read()


def _marker(what: str) -> str:
    return os.path.join(VENV, f"installed-{what}")


def _installed(what: str) -> str:
    try:
        with open(_marker(what)) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _fail(message: str) -> int:
    print(f"birdlite: error: {message}", file=sys.stderr)
    return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
