"""`birdlite evaluate`: how often models are right on labelled pictures, side by side."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import get_args

from birdlite import log
from birdlite.cli import EXIT_FAILURES, EXIT_OK
from birdlite.cli.console import Console
from birdlite.cli.interruption import Interruption
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
from birdlite.errors import UsageError
from birdlite.evaluate import TOP, check, measure, open_source
from birdlite.evaluate.labelled import Source
from birdlite.evaluate.report import Evaluation, as_json, as_text
from birdlite.images.picture import Resize
from birdlite.models.catalog import DEFAULT_MODEL
from birdlite.results import Result
from birdlite.run.classifier import Classifier
from birdlite.run.progress import Progress
from birdlite.settings import Settings
from birdlite.timing import clock
from birdlite.writers.output import open_output
from birdlite.writers.terminal import look

DEFAULT_CONFUSIONS = 10

EPILOG = """\
SOURCE is a folder of folders named by species, or a csv with a column label and one of url, path, target.
Labels are scientific or common names, in any case, with spaces, underscores or hyphens.
A picture that cannot be read is counted as failed and is in no rate.
Exit codes: 0 all classified, 1 some pictures failed, 2 wrong usage or an unknown label, 3 nothing could run,
130/143 interrupted.
"""


def main(argv: Sequence[str], started: float) -> int:  # noqa: ARG001 - every command has this shape
    """Run the command."""
    values = _parser().parse(argv)
    combinations = _combinations(values)
    console = open_console(values)
    source = open_source(values.source)
    evaluations, exit_code = _evaluate_all(combinations, source, values.top_confusions, console)
    with open_output(None, values.format) as output:
        if values.format == "json":
            output.stream.write(as_json(values.source, evaluations, interrupted=exit_code is not None))
        elif evaluations:
            output.stream.write(as_text(evaluations, look(sys.stdout)))
    if exit_code is not None:
        log.warning(f"interrupted; {len(evaluations)} of {len(combinations)} evaluations were finished and written")
        return exit_code
    return EXIT_FAILURES if any(one.figures.failed for one in evaluations) else EXIT_OK


def _evaluate_all(
    combinations: list[Settings], source: Source, confusions: int, console: Console
) -> tuple[list[Evaluation], int | None]:
    """Measure one combination after the other. A signal ends that; it gives the exit code then."""
    evaluations: list[Evaluation] = []
    with ExitStack() as stack:
        classifiers = [stack.enter_context(Classifier(settings)) for settings in combinations]
        checked: set[str] = set()
        for settings, classifier in zip(combinations, classifiers, strict=True):
            if settings.model not in checked:  # a label that one of them does not know is told before any is measured
                checked.add(settings.model)
                check(classifier, source)
        for settings, classifier in zip(combinations, classifiers, strict=True):
            with classifier:  # its engines are not kept until the last combination is done
                measured, exit_code = _evaluate(
                    classifier, settings, source, confusions, console, alone=len(combinations) == 1
                )
            if exit_code is not None:
                return evaluations, exit_code
            evaluations.append(measured)
    return evaluations, None


def _evaluate(
    classifier: Classifier, settings: Settings, source: Source, confusions: int, console: Console, *, alone: bool
) -> tuple[Evaluation, int | None]:
    """Measure one combination. Also gives the exit code if a signal came: the figures are then of a part only."""
    began = clock()
    done = failed = 0

    def each(result: Result) -> None:
        nonlocal done, failed
        done += 1
        if result.failure is not None and result.failure.kind != "cancelled":
            failed += 1
            which = {} if alone else {"model": settings.model, "resize": settings.resize}
            log.warning(result.failure.message, **which)
        console.progress(Progress(done, failed, classifier.total), clock() - began)

    with Interruption(classifier.cancel) as interruption:
        tally = measure(classifier, source, each)
        console.clear()
        model = classifier.model
        measured = Evaluation(
            model=settings.model,
            resize=settings.resize,
            card_name=model.card.name,
            sha256=model.sha256,
            engine=classifier.engine_name,
            labels=model.labels,
            figures=tally.figures(),
            confusions=tally.confusions(confusions),
            calibration=tally.calibration(),
        )
        return measured, interruption.exit_code


def _parser() -> Parser:
    parser = Parser(
        "birdlite evaluate", "Measure models on labelled pictures: how often they are right, and how surely.", EPILOG
    )
    parser.add_argument("source", metavar="SOURCE", help="a folder of folders named by species, or a csv of path,label")
    _add_model_options(parser)
    group = parser.add_argument_group("answers")
    parser.option(
        "--top-confusions",
        metavar="N",
        type=whole(0, 1_000_000),
        default=DEFAULT_CONFUSIONS,
        group=group,
        help="most frequent confusions to list",
    )
    parser.option("--format", choices=("text", "json"), default="text", group=group, help="how the figures look")
    add_cache_options(parser)
    add_network_options(parser)
    add_log_options(parser)
    return parser


def _add_model_options(parser: Parser) -> None:
    group = parser.add_argument_group("models")
    parser.options(
        "--model",
        metavar="MODEL",
        group=group,
        help=f"a name, a bundle's folder, or a model file; may be repeated (default: {DEFAULT_MODEL})",
    )
    parser.option("--labels", metavar="FILE", group=group, help="the label map (csv: id,name) of bare model files")
    parser.options(
        "--resize",
        metavar="WAY",
        group=group,
        help=f"{', '.join(get_args(Resize))}; may be repeated: each with each model (default: {Settings().resize})",
    )
    add_running_options(parser, group)


def _combinations(values: argparse.Namespace) -> list[Settings]:
    """Every model with every way to resize, each once, in the order given.

    Raises:
        UsageError: there is no such way to resize, or another option makes no sense.
    """
    models = list(dict.fromkeys(values.model)) or [DEFAULT_MODEL]
    ways = list(dict.fromkeys(values.resize)) or [Settings().resize]
    for way in ways:
        if way not in get_args(Resize):
            raise UsageError(f"--resize {way}: not one of {', '.join(get_args(Resize))}")
    fetch = fetch_settings(values)
    return [
        Settings(
            model=model,
            labels=values.labels if len(models) == 1 or os.path.isfile(model) else None,
            engine=values.engine,
            resize=way,
            top=TOP,
            workers=values.threads,
            max_pixels=values.max_pixels,
            cache_dir=values.cache_dir,
            no_cache=values.no_cache,
            fetch=fetch,
        )
        for model in models
        for way in ways
    ]
