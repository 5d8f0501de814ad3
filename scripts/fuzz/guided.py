"""A part of the fuzzer with atheris, which goes on from inputs that reach new lines of birdlite.

    pip install atheris
    python -m scripts.fuzz.guided lists --seconds 60

atheris is for Linux and some versions of Python, so the extra `dev` does not have it. The first find ends the process;
it is written to a folder and printed, and `python -m scripts.fuzz --only PART --file FIND` tries it again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

LONGEST = 1 << 16  # bytes of an input


def guided(name: str, seconds: float, keep: Path) -> None:
    """Fuzz one part until the time is over, or the first find. Ends the process."""
    import atheris

    keep.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, TemporaryDirectory() as corpus:
        with atheris.instrument_imports(include=["birdlite"]):
            from birdlite import log
            from scripts.fuzz.__main__ import chosen
            from scripts.fuzz.child import outcome

            ((part, _),) = chosen(name)
            seeds = part.seeds()
            for number, data in enumerate(seeds.values()):
                Path(corpus, str(number)).write_bytes(data)
            os.chdir(folder)
            log.to(lambda *_: None)
            attempt = part.prepare(Path(folder))
            for data in seeds.values():
                with contextlib.suppress(*part.allowed):
                    attempt(data)  # imports what is to be looked at

        def one_input(data: bytes) -> None:
            what = outcome(part, attempt, data)
            if what:
                (keep / f"{name}-guided").write_bytes(data)
                print(f"{name}: {what}: {keep}/{name}-guided", flush=True)
                os._exit(1)

        limits = [f"-max_total_time={seconds:.0f}", f"-max_len={LONGEST}", "-rss_limit_mb=2048", "-timeout=60"]
        atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={keep}/", corpus], one_input)
        atheris.Fuzz()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", help="its name")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to try")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-finds"), metavar="FOLDER", help="where the find goes")
    values = parser.parse_args()
    guided(values.part, values.seconds, values.keep.absolute())


if __name__ == "__main__":
    main()
