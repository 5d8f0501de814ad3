"""How good models are on pictures whose species are known. `birdlite evaluate` calls it, and so can any program.

    source = open_source("album/")  # a folder for each species, or a CSV file of path and label
    with Comparison(combinations(Settings(), ["birds-v1-lite"], ["crop", "squash"]), source) as comparison:
        for evaluation in comparison.run():
            print(evaluation.settings.resize, evaluation.tally.figures().top1)

The pictures go through the same pipeline as in `classify`. A picture that cannot be read says nothing about the model:
it is counted apart and is excluded from all rates.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from birdlite.evaluate.accuracy import TOP, Tally
from birdlite.evaluate.labelled import Source, open_source
from birdlite.evaluate.species import Species
from birdlite.models.labels import Labels
from birdlite.results import Progress, Result
from birdlite.run.classifier import Classifier
from birdlite.settings import Resize, Settings
from birdlite.targets import BadTarget, Target

__all__ = ["TOP", "Comparison", "Evaluation", "combinations", "open_source"]

Each = Callable[[Settings, Progress, Result], None]


class Evaluation(NamedTuple):
    """One model with one way to resize, measured."""

    settings: Settings
    card_name: str
    sha256: str
    engine: str
    labels: Labels
    tally: Tally


def combinations(settings: Settings, models: Iterable[str], ways: Iterable[Resize]) -> list[Settings]:
    """Every model with every way to resize, each once, in the order given. Only files take `settings.labels` then."""
    models, ways = list(dict.fromkeys(models)), list(dict.fromkeys(ways))
    return [
        settings._replace(
            model=model,
            labels=settings.labels if len(models) == 1 or os.path.isfile(model) else None,
            resize=way,
            top=TOP,
        )
        for model in models
        for way in ways
    ]


class Comparison:
    """Models and ways to resize, measured one after the other on the same pictures."""

    def __init__(self, combinations: Sequence[Settings], source: Source) -> None:
        """Each of `combinations` gives at least `TOP` predictions, of any score."""
        self._source = source
        self._open = ExitStack()
        self._classifiers = [(one, self._open.enter_context(Classifier(one))) for one in combinations]
        self._cancelled = False

    def check(self) -> None:
        """Find out before any picture is classified whether each model knows every label.

        Raises:
            UsageError: one does not, or the source cannot be read.
            ModelError: there is no model.
        """
        for classifier in {settings.model: classifier for settings, classifier in self._classifiers}.values():
            _species(classifier).check(self._source.labels())

    def run(self, each: Each | None = None) -> Iterator[Evaluation]:
        """Yield the evaluations. `each` is called with every result in turn, for messages and progress.

        Raises:
            UsageError: a model does not know a label, or the source cannot be read.
            ModelError: there is no model.
            EngineError: no runtime can run it.
        """
        for settings, classifier in self._classifiers:
            with classifier:  # its engines are not kept until the last combination is done
                tally = self._measure(settings, classifier, each)
                if self._cancelled:
                    return
                model = classifier.model
                yield Evaluation(settings, model.card.name, model.sha256, classifier.engine_name, model.labels, tally)

    def cancel(self) -> None:
        """End soon; may be called from a signal handler. What is not finished is not given."""
        self._cancelled = True
        for _, classifier in self._classifiers:
            classifier.cancel()

    def _measure(self, settings: Settings, classifier: Classifier, each: Each | None) -> Tally:
        species, tally = _species(classifier), Tally()
        truth: dict[int, int] = {}  # by index, of the pictures on their way: as many as the pipeline lets ahead

        def targets() -> Iterator[Target | BadTarget]:
            for picture in self._source.pictures():
                truth[picture.target.index] = species.find(picture.label)
                yield picture.target

        failed = 0
        for done, result in enumerate(classifier.stream(targets()), start=1):
            true = truth.pop(result.index)
            if result.ok:
                tally.add(true, result.predictions)
            else:
                failed += 1
                tally.add_failed()
            if each is not None:
                each(settings, Progress(done, failed, classifier.total), result)
        return tally

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()


def _species(classifier: Classifier) -> Species:
    model = classifier.model
    return Species(model.card.name, model.labels)
