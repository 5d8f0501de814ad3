"""`birdlite bench [PATH]...`: how fast loading, inference, decoding and whole runs are on this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from birdlite.bench import measure
from birdlite.bench.report import as_json, as_text
from birdlite.cli import EXIT_OK
from birdlite.cli.options import (
    add_cache_options,
    add_log_options,
    add_network_options,
    add_running_options,
    fetch_settings,
    open_console,
)
from birdlite.cli.parser import Parser
from birdlite.cli.values import whole
from birdlite.demo import PICTURES_FOLDER
from birdlite.models.catalog import DEFAULT_MODEL
from birdlite.settings import Settings
from birdlite.writers.output import open_output
from birdlite.writers.terminal import look

DEFAULT_ROUNDS = 10

EPILOG = """\
Medians over the rounds, in each of which everything is measured in turn, in one process with a warm cache. What a
whole process takes from its start is shown by `birdlite classify --timing`.
"""


def main(argv: Sequence[str], started: float) -> int:  # noqa: ARG001 - every command has this shape
    """Run the command."""
    parser = _parser()
    values = parser.parse(argv)
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


def _parser() -> Parser:
    parser = Parser("birdlite bench", "Measure birdlite on this machine, with a model and pictures of yours.", EPILOG)
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="pictures: files, folders, globs (default: the demo's drawings)"
    )
    group = parser.add_argument_group("measurement")
    parser.option("--model", metavar="MODEL", default=DEFAULT_MODEL, group=group, help="a name, a bundle, or a file")
    parser.option("--labels", metavar="FILE", group=group, help="the label map (csv: id,name) of a bare model file")
    parser.option(
        "--resize", choices=("crop", "squash", "exact"), default=Settings().resize, group=group, help="how to resize"
    )
    parser.option("--rounds", metavar="N", type=whole(1, 10_000), default=DEFAULT_ROUNDS, group=group, help="how often")
    add_running_options(parser, group)
    parser.option("--format", choices=("text", "json"), default="text", group=group, help="how the figures look")
    add_cache_options(parser)
    add_network_options(parser)
    add_log_options(parser)
    return parser
