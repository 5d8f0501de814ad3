"""`birdlite bench [PATH]...`: how fast loading, inference, decoding and whole runs are on this machine."""

from __future__ import annotations

import sys
from types import SimpleNamespace

from birdlite.bench import measure
from birdlite.bench.report import as_json, as_text
from birdlite.cli.console import open_console
from birdlite.cli.declare import Argument, Command, Option, Value
from birdlite.cli.exit_codes import EXIT_OK
from birdlite.cli.options import CACHE, FILE, LABELS, MESSAGES, MODEL, MODEL_SHA256, NETWORK, RESIZE, RUNNING
from birdlite.cli.values import classifier_settings, whole
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
    figures = measure(classifier_settings(values), values.paths or [PICTURES_FOLDER], rounds=values.rounds)
    with open_output(None, values.format) as output:
        output.stream.write(as_json(figures) if values.format == "json" else as_text(figures, look(sys.stdout)))
    return EXIT_OK


COMMAND = Command(
    "bench",
    "Measure birdlite on this machine, with your own model and pictures if you like: loading, inference, decoding,"
    " pictures a second, memory.",
    EPILOG,
    arguments=[
        Argument(
            "paths",
            "[PATH]...",
            "Pictures: files, folders or globs. Without any, the pictures of `birdlite demo`.",
            type=FILE,
        )
    ],
    options={
        "Measurement": [
            Option(
                "--model MODEL",
                "Model to measure: a name, a model folder, or a model file.",
                type=MODEL,
                default=DEFAULT_MODEL,
            ),
            MODEL_SHA256,
            LABELS,
            Option("--resize", "How a picture is made square.", choices=RESIZE, default=Settings().resize),
            Option("--rounds N", "Measure everything N times.", type=Value(whole, 1, 10_000), default=DEFAULT_ROUNDS),
            *RUNNING,
            Option("--format", "Format of the figures.", choices=("text", "json"), default="text"),
        ],
        **CACHE,
        **NETWORK,
        **MESSAGES,
    },
)
