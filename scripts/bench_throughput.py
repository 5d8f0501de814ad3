"""Pictures a second on photographs of many sizes, beside what the machine could do at most, measured in the same round.

    scripts/bench throughput [--model MODEL] [--rounds N] [--megapixels 0.3,1,3,12,24] [--seconds S]

The photographs are those of scripts/subjects.py, baseline and progressive.
The limit of a core is one reduced decode by libjpeg-turbo (through Pillow's own `draft`), one resize and one inference,
in a plain loop; that of the machine is as many times that as there are cores. birdlite runs the whole way, from files
and from a local server, with 1, 2, … workers, bound to as many cores as it has workers. Each round measures everything
once, one after the other; the ratios are medians of the rounds' ratios.

Without --model (a name, a bundle, a file) the demo's own model is used, whose inference is almost nothing: what is left
is the decoder. BIRDLITE_MIRROR and BIRDLITE_CACHE_DIR count as they do for the command.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from PIL import Image

from birdlite import Classifier, FetchSettings, Settings
from birdlite.timing import clock
from scripts.cores import bound_to
from scripts.subjects import model_variables, photographs

LEAST = 448  # px: the short side that a decode may be reduced to; birdlite's own, twice the model's
KINDS = {"baseline": False, "progressive": True}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megapixels", default="0.3,1,3,12,24")
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="of work in one run of one core (default: %(default)s)"
    )
    values = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = _settings(values.model, folder, stack)
        base = stack.enter_context(_server(folder))
        print(
            "| photographs | workers | limit, pictures/s | from files | of the limit | from a server | of the limit |"
        )
        print("|---|---|---|---|---|---|---|")
        for megapixels in map(float, values.megapixels.split(",")):
            for kind, progressive in KINDS.items():
                files = photographs(folder, megapixels, progressive=progressive)
                _measure(f"{megapixels:g} Mpx {kind}", files, base, settings, cores, values.rounds, values.seconds)


def _settings(model: str | None, folder: Path, stack: ExitStack) -> Settings:
    """With the model in a cache already."""
    variables = model_variables(model, folder, stack)
    settings = Settings(
        model=variables["BIRDLITE_MODEL"],
        cache_dir=variables["BIRDLITE_CACHE_DIR"],
        fetch=FetchSettings(mirror=variables.get("BIRDLITE_MIRROR")),
    )
    with Classifier(settings) as classifier:
        classifier.new_engine().close()
    return settings._replace(fetch=FetchSettings())


def _measure(
    what: str, files: list[Path], base: str, settings: Settings, cores: list[int], rounds: int, seconds: float
) -> None:
    """Print a row for each number of workers."""
    for workers in range(1, len(cores) + 1):
        limits, locals_, remotes = [], [], []
        count = 0
        for round_ in range(rounds + 1):
            bound = set(cores[:workers])
            with bound_to(set(cores[:1])), Classifier(settings) as classifier:
                limit = workers / _one_core(classifier, files)
            count = count or max(len(files), int(seconds * limit))
            targets = [str(files[number % len(files)]) for number in range(count)]
            urls = [f"{base}/{Path(target).name}" for target in targets]
            with bound_to(bound):
                local = _run(settings._replace(workers=workers), targets)
                remote = _run(settings._replace(workers=workers), urls)
            if round_:  # the first one warms up
                limits.append(limit)
                locals_.append(local)
                remotes.append(remote)
        print(
            f"| {what} | {workers} | {median(limits):.0f} | {median(locals_):.0f} | {_ratio(locals_, limits):.2f} "
            f"| {median(remotes):.0f} | {_ratio(remotes, limits):.2f} |",
            flush=True,
        )


def _one_core(classifier: Classifier, files: list[Path]) -> float:
    """Seconds for a picture with nothing but decoder, resize and model."""
    side = classifier.model.card.side
    engine = classifier.new_engine()
    times = []
    try:
        for path in files:
            data = path.read_bytes()
            began = clock()
            engine.run(_plain_decode(data, side))
            times.append(clock() - began)
    finally:
        engine.close()
    return median(times)


def _plain_decode(data: bytes, side: int) -> bytes:
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", _reduced(image.size))
    short = min(image.size)
    across = short * 224 / 256
    left, top = (image.width - across) / 2, (image.height - across) / 2
    box = (left, top, left + across, top + across)
    return image.resize((side, side), Image.Resampling.BILINEAR, box).tobytes()


def _reduced(size: tuple[int, int]) -> tuple[int, int]:
    """The smallest size that libjpeg can decode to and that is large enough."""
    for scale in (8, 4, 2):
        if min(size) // scale >= LEAST:
            return size[0] // scale, size[1] // scale
    return size


def _run(settings: Settings, targets: list[str]) -> float:
    """Pictures a second from the first to the last, engines made and connections open."""
    with Classifier(settings) as classifier:
        _consume(classifier, targets[: 2 * settings.threads])
        began = clock()
        _consume(classifier, targets)
        return len(targets) / (clock() - began)


def _consume(classifier: Classifier, targets: list[str]) -> None:
    for result in classifier.classify_many(targets):
        if result.failure is not None:
            raise SystemExit(result.failure.message)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """A web server over the folder, in a process of its own; gives its address."""
    code = (
        "import sys; from functools import partial; from http.server import SimpleHTTPRequestHandler as H, "
        "ThreadingHTTPServer as S; H.protocol_version = 'HTTP/1.1'; H.log_message = lambda *_: None; s = S("
        "('127.0.0.1', 0), partial(H, directory=sys.argv[1])); print(s.server_port, flush=True); s.serve_forever()"
    )
    server = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.terminate()
        server.wait()


def _ratio(times: list[float], others: list[float]) -> float:
    """Median of the ratios round by round."""
    return median(a / b for a, b in zip(times, others, strict=True))


if __name__ == "__main__":
    main()
