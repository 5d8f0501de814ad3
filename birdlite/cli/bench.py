"""`birdlite bench [PATH]...`: how fast loading, inference, decoding and whole runs are on this machine."""

from __future__ import annotations

import sys
from types import SimpleNamespace

from birdlite.bench import measure
from birdlite.bench.report import as_json, as_text
from birdlite.cli.declare import Argument, Command, Option, Value
from birdlite.cli.exit_codes import EXIT_OK
from birdlite.cli.make_settings import fetch_settings, open_console
from birdlite.cli.options import (
    FILE,
    MODEL,
    cache_options,
    labels_option,
    log_options,
    network_options,
    running_options,
)
from birdlite.cli.values import whole
from birdlite.demo import PICTURES_FOLDER
from birdlite.settings import DEFAULT_MODEL, Settings
from birdlite.writers.output import open_output
from birdlite.writers.terminal import look

DEFAULT_ROUNDS = 10

EPILOG = """\
Figures are medians. Each round measures everything once, in one process with a warm cache. `birdlite classify --timing`
shows how long a whole process takes from its start.
"""


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command."""
    open_console(values)
    settings = Settings(
        model=values.model,
        labels=values.labels,
        engine=values.engine,
        resize=values.resize,
        workers=values.threads,
        max_pixels=values.max_pixels,
        cache_dir=values.cache_dir,
        no_cache=values.no_cache,
        fetch=fetch_settings(values),
    )
    figures = measure(settings, values.paths or [PICTURES_FOLDER], rounds=values.rounds)
    with open_output(None, values.format) as output:
        output.stream.write(as_json(figures) if values.format == "json" else as_text(figures, look(sys.stdout)))
    return EXIT_OK


def command() -> Command:
    """Declare the command."""
    group = "Measurement"
    return Command(
        "bench",
        main,
        [
            Argument(
                "paths",
                nargs=-1,
                metavar="[PATH]...",
                type=FILE,
                help="Pictures: files, folders or globs. Without any, the pictures of `birdlite demo`.",
            ),
            Option(
                "--model",
                metavar="MODEL",
                type=MODEL,
                default=DEFAULT_MODEL,
                group=group,
                help="Model to measure: a name, a model folder, or a model file.",
            ),
            labels_option(group),
            Option(
                "--resize",
                choices=("crop", "squash", "exact"),
                default=Settings().resize,
                group=group,
                help="How a picture is made square.",
            ),
            Option(
                "--rounds",
                metavar="N",
                type=Value(whole, 1, 10_000),
                default=DEFAULT_ROUNDS,
                group=group,
                help="Measure everything N times.",
            ),
            *running_options(group),
            Option("--format", choices=("text", "json"), default="text", group=group, help="Format of the figures."),
            *cache_options(),
            *network_options(),
            *log_options(),
        ],
        help="Measure birdlite on this machine, with your own model and pictures if you like: loading, inference,"
        " decoding, pictures a second, memory.",
        epilog=EPILOG,
    )
