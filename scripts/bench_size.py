"""What birdlite takes on the disk, and how much of that a run of `classify` opens.

    scripts/bench size

Installs this checkout's wheel into an empty environment, classifies one of the demo's pictures there, and lists every
package with the bytes that pip wrote for it, and those of the files that the run had open or imported: what a package
has beyond them could go. Linux tells which libraries are mapped; elsewhere that column counts modules only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from birdlite.demo import PICTURES_FOLDER, DemoServer
from birdlite.models.catalog import DEMO_MODEL

ROOT = Path(__file__).parent.parent
MB = 1e6
PROBE = """
import json, os, sys
from importlib.metadata import distributions
from birdlite.cli import main

assert main(["classify", sys.argv[1], "-q", "-o", os.devnull, "--format", "jsonl"]) == 0
used = {module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)}
used |= {module.__cached__ for module in list(sys.modules.values()) if getattr(module, "__cached__", None)}
try:
    with open("/proc/self/maps") as maps:
        used |= {line.split(maxsplit=5)[5].strip() for line in maps if len(line.split()) > 5}
except FileNotFoundError:
    pass
used = {os.path.realpath(path) for path in used}
sizes = {}
for distribution in distributions():
    files = [os.path.realpath(file.locate()) for file in distribution.files or ()]
    there = {path: os.path.getsize(path) for path in files if os.path.isfile(path)}
    opened = sum(size for path, size in there.items() if path in used)
    sizes[distribution.name] = (distribution.version, sum(there.values()), opened)
print(json.dumps(sizes))
"""


def main() -> None:
    """Install, run, and print."""
    with tempfile.TemporaryDirectory() as scratch, DemoServer() as server:
        python = _installed(Path(scratch))
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BIRDLITE_"))
        }
        environment |= {
            "BIRDLITE_MODEL": DEMO_MODEL,
            "BIRDLITE_MIRROR": server.mirror,
            "BIRDLITE_CACHE_DIR": str(Path(scratch, "cache")),
        }
        picture = min(Path(PICTURES_FOLDER).glob("*.jpg"))
        done = subprocess.run(
            [python, "-I", "-c", PROBE, picture], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    sizes: dict[str, tuple[str, int, int]] = json.loads(done.stdout)
    sizes.pop("pip", None)
    sizes.pop("setuptools", None)
    print("| package | installed MB | of that opened by a run, MB |\n|---|---|---|")
    for name, (version, size, used) in sorted(sizes.items(), key=lambda item: -item[1][1]):
        print(f"| {name} {version} | {size / MB:.1f} | {used / MB:.1f} |")
    installed = sum(size for _, size, _ in sizes.values())
    opened = sum(size for _, _, size in sizes.values())
    print(f"| all | {installed / MB:.1f} | {opened / MB:.1f} |")


def _installed(scratch: Path) -> Path:
    """A Python that has birdlite and what it requires, and nothing else."""
    environment = scratch / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ROOT], check=True)
    return python


if __name__ == "__main__":
    main()
