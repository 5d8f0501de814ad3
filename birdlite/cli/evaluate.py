"""`birdlite evaluate`: how often models are right on labelled pictures, side by side."""

from __future__ import annotations

import sys
from types import SimpleNamespace

from birdlite import log
from birdlite.cli.console import open_console
from birdlite.cli.declare import Argument, Command, Option, Value
from birdlite.cli.exit_codes import EXIT_FAILURES, EXIT_OK
from birdlite.cli.interruption import Interruption
from birdlite.cli.options import CACHE, FILE, LABELS, MESSAGES, MODEL, NETWORK, RESIZE, RUNNING
from birdlite.cli.values import classifier_settings, whole
from birdlite.evaluate import Comparison, combinations, open_source
from birdlite.evaluate.report import as_json, as_text
from birdlite.results import Progress, Result
from birdlite.settings import DEFAULT_MODEL, Settings
from birdlite.timing import clock
from birdlite.writers.output import open_output
from birdlite.writers.terminal import look

DEFAULT_CONFUSIONS = 10

EPILOG = """\
Labels are scientific or common names, in upper or lower case, with spaces, underscores or hyphens. A picture that
cannot be read counts as failed and is excluded from all rates.

Exit codes: 0 all classified, 1 some pictures failed, 2 wrong usage or an unknown label, 3 nothing could run, 4 not now:
try again later, 130, 143 or 129 interrupted.
"""


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command."""
    several = combinations(
        classifier_settings(values), values.models or [DEFAULT_MODEL], values.ways or [Settings().resize]
    )
    console = open_console(values)
    evaluations = []

    def each(settings: Settings, progress: Progress, result: Result) -> None:
        if result.failure is not None and result.failure.kind != "cancelled":
            which = {"model": settings.model, "resize": settings.resize} if len(several) > 1 else {}
            log.warning(result.failure.message, **which)
        console.progress(progress, clock() - began)

    with Comparison(several, open_source(values.source)) as comparison:
        comparison.check()
        with Interruption(comparison.cancel) as interruption:
            began = clock()
            for evaluation in comparison.run(each):
                console.clear()
                evaluations.append(evaluation)
                began = clock()
            console.clear()
    stopped = interruption.exit_code
    with open_output(None, values.format) as output:
        if values.format == "json":
            text = as_json(values.source, evaluations, values.top_confusions, interrupted=stopped is not None)
            output.stream.write(text)
        elif evaluations:
            output.stream.write(as_text(evaluations, values.top_confusions, look(sys.stdout)))
    if stopped is not None:
        log.warning(f"interrupted; {len(evaluations)} of {len(several)} evaluations were finished and written")
        return stopped
    return EXIT_FAILURES if any(one.tally.failed for one in evaluations) else EXIT_OK


COMMAND = Command(
    "evaluate",
    "Measure models on labelled pictures: how often the best candidates are right, and how far scores can be trusted.",
    EPILOG,
    arguments=[
        Argument(
            "source",
            "SOURCE",
            "A folder with a folder for each species, or a csv with the column label and one of url, path or target.",
            type=FILE,
        )
    ],
    options={
        "Models": [
            Option(
                "--model MODEL",
                "Model to measure: a name, a model folder, or a model file. May be repeated.",
                name="models",
                type=MODEL,
                multiple=True,
                shown=DEFAULT_MODEL,
            ),
            LABELS,
            Option(
                "--resize",
                "How a picture is made square. May be repeated: each way is measured with each model.",
                name="ways",
                choices=RESIZE,
                multiple=True,
                shown=Settings().resize,
            ),
            *RUNNING,
        ],
        "Answers": [
            Option(
                "--top-confusions N",
                "List the N most frequent confusions.",
                type=Value(whole, 0, 1_000_000),
                default=DEFAULT_CONFUSIONS,
            ),
            Option("--format", "Format of the figures.", choices=("text", "json"), default="text"),
        ],
        **CACHE,
        **NETWORK,
        **MESSAGES,
    },
)
