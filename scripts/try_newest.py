"""Try the newest versions of what birdlite needs, also those that pyproject.toml does not allow yet.

    .venv/bin/python -m scripts.try_newest [--tests PATH...]

It installs birdlite's packages without their upper bounds into an environment of its own, without pre-releases, and
runs the tests that touch them. It says which bounds are too low, and what failed. It takes minutes, so .ci/run does not
call it: a scheduled job does, for example once a week. Exit codes: 0 the newest work, 1 they do not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from scripts.lock import ROOT, Lock, inputs_of

EVERYTHING = Lock(extras=("dev", "onnx"))
TESTS = (
    "tests/images",
    "tests/http",
    "tests/engines",
    "tests/storage",
    "tests/cli/test_plain_line.py",
    "tests/test_cold_start.py",
)
UPPER = ("<", "<=", "==", "~=")


def main(arguments: list[str] | None = None) -> int:
    """Install the newest, run the tests, say what was tried. Gives an exit code."""
    parser = argparse.ArgumentParser(prog="scripts.try_newest", description="Try the newest versions.")
    parser.add_argument("--tests", nargs="+", default=TESTS, metavar="PATH", help="what pytest runs")
    chosen = parser.parse_args(arguments)
    allowed = [Requirement(line) for line in inputs_of(EVERYTHING)]
    with tempfile.TemporaryDirectory(prefix="birdlite-newest-") as folder:
        python = Path(folder) / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", *(str(without_upper_bound(one)) for one in allowed)], check=True)
        itself = ["--quiet", "--no-deps", "--editable", str(ROOT)]
        subprocess.run([*pip, "install", *itself], check=True)
        told = subprocess.run([*pip, "list", "--format=json"], check=True, capture_output=True, text=True).stdout
        versions: dict[str, str] = {canonicalize_name(item["name"]): item["version"] for item in json.loads(told)}
        for line in beyond(allowed, versions):
            print(line)
        tests = subprocess.run([str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen.tests], cwd=ROOT)
    return 1 if tests.returncode else 0


def without_upper_bound(requirement: Requirement) -> Requirement:
    """The same without what keeps newer versions out; versions that are known to be bad stay out."""
    lifted = Requirement(str(requirement))
    lifted.specifier = SpecifierSet(",".join(str(one) for one in lifted.specifier if one.operator not in UPPER))
    return lifted


def beyond(allowed: list[Requirement], versions: dict[str, str]) -> list[str]:
    """What was installed and pyproject.toml does not allow, one line each; and Pillow in any case."""
    lines = []
    for requirement in allowed:
        version = versions.get(canonicalize_name(requirement.name))
        if version is None or (requirement.marker and not requirement.marker.evaluate()):
            continue
        if version not in requirement.specifier:
            lines.append(f"{requirement.name} {version} is tried; pyproject.toml allows {requirement.specifier}")
        elif requirement.name == "pillow":
            lines.append(f"pillow {version} is the newest, and allowed: {requirement.specifier}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
