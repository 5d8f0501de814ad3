"""What decoding takes, for each format and mode: the peak of a process of its own against what the header promised.

    python -m scripts.measure_memory                      # 24 Mpx, both ways to resize
    python -m scripts.measure_memory --mpx 60 --only PNG

Prints a line a kind of picture: the promise (`picture.plan(...).memory`) and the peak, in bytes a pixel, and their
difference in MB. The promise has to be the larger one; `birdlite.images` has the numbers it is made of.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.picture_kinds import KINDS, made

MB = 1 << 20


def child(path: Path, resize: str) -> None:
    """Decode one file, and print what was promised and what it took."""
    from birdlite.errors import PictureError
    from birdlite.images import picture
    from birdlite.settings import Resize

    ways: dict[str, Resize] = {"crop": "crop", "squash": "squash", "exact": "exact"}
    small = made(path.stem, 64, 48)
    for way in {"crop", resize}:
        picture.decode(small, resize=ways[way])  # imports
    data = path.read_bytes()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    found: dict[str, object] = {}
    try:
        plan = picture.plan(data, resize=ways[resize], max_pixels=10**9)
        found["promised"] = plan.memory
        found["kind"] = plan.decode().format
    except PictureError as error:
        found["error"] = str(error)
    status = Path("/proc/self/status").read_text()
    highest = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024
    print(json.dumps({**found, "took": highest - before, "file": len(data)}))


def main() -> None:
    """Measure each kind of picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpx", type=float, default=24.0, help="size of the pictures, millions of pixels")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--resize", default="crop,exact", help="ways to resize, with commas")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(Path(arguments.child[0]), arguments.child[1])
        return
    height = round((arguments.mpx * 1e6 / 1.5) ** 0.5)
    width = round(height * 1.5)
    print(f"{width}x{height} px; bytes a pixel promised, taken; MB to spare")
    with TemporaryDirectory() as folder:
        for kind in KINDS:
            if arguments.only not in kind:
                continue
            path = Path(folder) / kind
            path.write_bytes(made(kind, width, height))
            for resize in arguments.resize.split(","):
                command = [sys.executable, "-m", "scripts.measure_memory", "--child", str(path), resize]
                output = subprocess.run(command, capture_output=True, text=True, check=False)
                if output.returncode:
                    print(f"{kind:32} {resize:7} fell with {output.returncode}: {output.stderr[-300:]}")
                    continue
                found = json.loads(output.stdout)
                pixels, promised = width * height, found.get("promised", 0)
                spare = (promised - found["took"]) / MB
                note = found.get("error", "") or ("TOO LITTLE" if spare < 0 else "")
                print(
                    f"{kind:32} {resize:7} {promised / pixels:6.2f} {found['took'] / pixels:6.2f} {spare:8.1f}  {note}",
                    flush=True,
                )
            path.unlink()


if __name__ == "__main__":
    main()
