"""`birdlite evaluate`: how often models are right on labelled pictures, side by side."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from types import SimpleNamespace

from birdlite import log
from birdlite.cli.console import Console, Interruption, open_console
from birdlite.cli.declare import Argument, Command, Option, Value
from birdlite.cli.exit_codes import EXIT_FAILURES, EXIT_OK
from birdlite.cli.options import (
    FILE,
    MODEL,
    RESIZE,
    cache_options,
    labels_option,
    log_options,
    network_options,
    running_options,
)
from birdlite.cli.values import classifier_settings, whole
from birdlite.evaluate import TOP, check, measure, open_source
from birdlite.evaluate.labelled import Source
from birdlite.evaluate.report import Evaluation, as_json, as_text
from birdlite.results import Progress, Result
from birdlite.run.classifier import Classifier
from birdlite.settings import DEFAULT_MODEL, Settings
from birdlite.timing import clock
from birdlite.writers.output import open_output
from birdlite.writers.terminal import look

DEFAULT_CONFUSIONS = 10

EPILOG = """\
Labels are scientific or common names, in upper or lower case, with spaces, underscores or hyphens. A picture that
cannot be read counts as failed and is excluded from all rates.

Exit codes: 0 all classified, 1 some pictures failed, 2 wrong usage or an unknown label, 3 nothing could run, 130 or 143
interrupted.
"""


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command."""
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


def command() -> Command:
    """Declare the command."""
    return Command(
        "evaluate",
        main,
        "Measure models on labelled pictures: how often the best candidates are right, and how far scores can be"
        " trusted.",
        EPILOG,
        arguments=[
            Argument(
                "source",
                "SOURCE",
                "A folder with a folder for each species, or a csv with the column label and one of url, path or"
                " target.",
                type=FILE,
            )
        ],
        options={
            "Models": _model_options(),
            "Answers": [
                Option(
                    "--top-confusions N",
                    "List the N most frequent confusions.",
                    type=Value(whole, 0, 1_000_000),
                    default=DEFAULT_CONFUSIONS,
                ),
                Option("--format", "Format of the figures.", choices=("text", "json"), default="text"),
            ],
            **cache_options(),
            **network_options(),
            **log_options(),
        },
    )


def _model_options() -> list[Option]:
    return [
        Option(
            "--model MODEL",
            "Model to measure: a name, a model folder, or a model file. May be repeated.",
            type=MODEL,
            multiple=True,
            shown=DEFAULT_MODEL,
        ),
        labels_option(),
        Option(
            "--resize",
            "How a picture is made square. May be repeated: each way is measured with each model.",
            choices=RESIZE,
            multiple=True,
            shown=Settings().resize,
        ),
        *running_options(),
    ]


def _combinations(values: SimpleNamespace) -> list[Settings]:
    """Every model with every way to resize, each once, in the order given.

    Raises:
        UsageError: an option makes no sense.
    """
    models = list(dict.fromkeys(values.model)) or [DEFAULT_MODEL]
    ways = list(dict.fromkeys(values.resize)) or [Settings().resize]
    settings = classifier_settings(values)
    return [
        settings._replace(
            model=model,
            labels=values.labels if len(models) == 1 or os.path.isfile(model) else None,
            resize=way,
            top=TOP,
        )
        for model in models
        for way in ways
    ]
