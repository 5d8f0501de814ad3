"""Build what is published: wheel, sdist, the list of what the wheel needs, and checksums; signed if there is a key.

    .venv/bin/pip install --require-hashes -r requirements/release.txt
    .venv/bin/python -m scripts.release dist [--key SSH-KEY] [--rehearse]

The commit that is checked out is built twice, in two folders, with other clocks, languages and permissions: both must
be the same to the byte. twine checks what the index would show. The wheel is installed with requirements/run.txt into
an empty environment, where it must run; the list (SBOM, CycloneDX) is made of that environment. docs/releasing.md says
how to publish, and how anybody repeats and checks a release. `--rehearse` takes a version that CHANGELOG.md lacks.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from birdlite import __version__
from scripts.lock import FOLDER, LOCKS, ROOT, faults_of
from scripts.sbom import main as make_sbom

NAMESPACE = "birdlite-release"  # what a signature is for: ssh-keygen -Y
SUMS = "SHA256SUMS"
WAYS = (  # two builders who have nothing in common but the commit
    {"TZ": "UTC", "LC_ALL": "C.UTF-8", "UMASK": "022"},
    {"TZ": "Pacific/Auckland", "LC_ALL": "C", "UMASK": "077", "PYTHONHASHSEED": "1"},
)


def main(arguments: list[str] | None = None) -> int:
    """Build, check and sign into a folder. Gives an exit code."""
    parser = argparse.ArgumentParser(prog="scripts.release", description="Build what is published.")
    parser.add_argument("folder", type=Path, help="where it goes; made, and must be empty")
    parser.add_argument("--key", type=Path, help="a private SSH key that signs the checksums")
    parser.add_argument("--rehearse", action="store_true", help="of a version that CHANGELOG.md does not have yet")
    chosen = parser.parse_args(arguments)
    try:
        _refuse_what_is_not_ready(rehearse=chosen.rehearse)
        release(chosen.folder.resolve(), chosen.key)
    except NotReady as error:
        print(f"release: error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"release: error: {' '.join(map(str, error.cmd))}: exit {error.returncode}", file=sys.stderr)
        return 1
    return 0


class NotReady(Exception):
    """The commit cannot be released. The message says why."""


def release(folder: Path, key: Path | None) -> None:
    """Build the commit into an empty folder, check it, and sign it."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise NotReady(f"{folder} is not empty")
    with tempfile.TemporaryDirectory(prefix="birdlite-release-") as name:
        work = Path(name)
        first, second = (build(work / str(number), way) for number, way in enumerate(WAYS))
        compare(first, second)
        for file in first:
            shutil.copyfile(file, folder / file.name)
        files = sorted(folder.iterdir())
        subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True)
        list_contents(work / "venv", folder)
    write_sums(folder)
    if key is not None:
        sign(folder / SUMS, key)
    for file in sorted(folder.iterdir()):
        print(f"{file.stat().st_size:10} {file.name}")


def build(work: Path, way: dict[str, str]) -> list[Path]:
    """Build sdist and wheel of the last commit in a folder of their own; the wheel is made from the sdist."""
    source, built = work / "source", work / "built"
    source.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    environment = {**os.environ, **way, "SOURCE_DATE_EPOCH": _time_of_the_commit()}
    mask = f'umask {way["UMASK"]}; exec "$@"'
    subprocess.run(["sh", "-c", mask, "sh", "tar", "-x", "-C", source], input=archive, check=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built), str(source)]
    subprocess.run(["sh", "-c", mask, "sh", *command], check=True, env=environment, stdout=subprocess.DEVNULL)
    return sorted(built.iterdir())


def compare(first: list[Path], second: list[Path]) -> None:
    """Two builds are the same, name by name and byte by byte.

    Raises:
        NotReady: they are not.
    """
    if [file.name for file in first] != [file.name for file in second]:
        raise NotReady("two builds of this commit have other names")
    for one, other in zip(first, second, strict=True):
        if one.read_bytes() != other.read_bytes():
            raise NotReady(f"two builds of this commit differ: {one.name}")


def list_contents(environment: Path, folder: Path) -> None:
    """Install the wheel with its locked packages, run it, and write the list of what is there."""
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    reports = [environment / "packages.json", environment / "birdlite.json"]
    needed = [f"--requirement={FOLDER / name}.txt" for name in ("run", "cloud", "serve", "heif")]
    locked = ["--require-hashes", "--only-binary=:all:", "--no-deps", *needed]
    subprocess.run([*pip, "install", "--quiet", f"--report={reports[0]}", *locked], check=True)
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", f"--report={reports[1]}", str(wheel)], check=True
    )
    subprocess.run([*pip, "check"], check=True)
    subprocess.run([environment / "bin" / "birdlite", "demo"], check=True, stdout=subprocess.DEVNULL)
    (site,) = (environment / "lib").glob("python3*/site-packages")
    subprocess.run([*pip, "uninstall", "--quiet", "--yes", "pip", "setuptools"], check=True, stderr=subprocess.DEVNULL)
    sbom = ["packages", f"--site={site}", *(f"--report={report}" for report in reports)]
    list_of_packages = folder / wheel.name.replace(".whl", ".cdx.json")
    make_sbom([*sbom, f"--notices={folder / 'THIRD_PARTY.txt'}", f"--output={list_of_packages}"])


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS, as `sha256sum --check` reads it."""
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(folder.iterdir())]
    (folder / SUMS).write_text("".join(lines))


def sign(sums: Path, key: Path) -> None:
    """Sign the checksums into SHA256SUMS.sig."""
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", NAMESPACE, sums], check=True)


def _refuse_what_is_not_ready(*, rehearse: bool) -> None:
    told = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    if told:
        raise NotReady(f"the checkout holds changes that are not committed:\n{told}")
    if faults := [fault for name in LOCKS for fault in faults_of(name, FOLDER)]:
        raise NotReady("\n".join(["requirements/ are stale:", *faults]))
    if not rehearse and f"## [{__version__}]" not in (ROOT / "CHANGELOG.md").read_text():
        raise NotReady(f"CHANGELOG.md has no heading for {__version__}")


def _time_of_the_commit() -> str:
    command = ["git", "log", "-1", "--format=%ct"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
