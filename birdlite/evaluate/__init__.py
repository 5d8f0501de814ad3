"""How good models are on pictures whose species are known. `birdlite evaluate` calls it, and so can any program.

    source = open_source("album/")  # a folder for each species, or a CSV file of path and label
    with Classifier(Settings(resize="squash")) as classifier:
        print(measure(classifier, source).figures().top1)

`Comparison` measures several models and ways to resize, one after the other.

The pictures go through the same pipeline as in `classify`. A picture that cannot be read says nothing about the model:
it is counted apart and is excluded from all rates.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from birdlite.evaluate.accuracy import TOP, Tally
from birdlite.evaluate.labelled import Source, open_source
from birdlite.evaluate.species import Species
from birdlite.models.labels import Labels
from birdlite.results import Progress, Result
from birdlite.run.classifier import Classifier
from birdlite.settings import Resize, Settings
from birdlite.targets import BadTarget, Target

__all__ = ["TOP", "Comparison", "Evaluation", "combinations", "measure", "open_source"]


def measure(
    classifier: Classifier,
    source: Source,
    each: Callable[[Progress, Result], None] | None = None,
    *,
    cancelled: Callable[[], bool] = bool,
) -> Tally:
    """Classify every picture of `source` and count. `classifier` gives at least `TOP` predictions, of any score.

    `each` is called with every result in turn, for messages and progress. A `classifier` that was cancelled gives what
    was counted until then, with the pictures under way among the failed ones. `cancelled` tells whether that was so
    before the run began.

    Raises:
        UsageError: the model does not know a label, or the source cannot be read.
        ModelError: there is no model.
        EngineError: no runtime can run it.
    """
    species, tally = _species(classifier), Tally()
    truth: dict[int, int] = {}  # by index, of the pictures on their way: as many as the pipeline lets ahead

    def targets() -> Iterator[Target | BadTarget]:
        for picture in source.pictures():
            truth[picture.target.index] = species.find(picture.label)
            yield picture.target

    results = classifier.stream(targets())
    if cancelled():
        classifier.cancel()
    for done, result in enumerate(results, start=1):
        true = truth.pop(result.index)
        if result.ok:
            tally.add(true, result.predictions)
        else:
            tally.add_failed()
        if each is not None:
            each(Progress(done, tally.failed, classifier.total), result)
    return tally


class Evaluation(NamedTuple):
    """One model with one way to resize, measured."""

    settings: Settings
    card_name: str
    sha256: str
    engine: str
    labels: Labels
    tally: Tally


def combinations(settings: Settings, models: Iterable[str], ways: Iterable[Resize]) -> list[Settings]:
    """Every model with every way to resize, each once, in the order given.

    `settings.labels` are for the only model, or for those that are files.
    """
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
    """Settings measured one after the other on the same pictures."""

    def __init__(self, combinations: Sequence[Settings], source: Source) -> None:
        """Each of `combinations` gives at least `TOP` predictions, of any score."""
        self._source = source
        self._classifiers = [(one, Classifier(one)) for one in combinations]
        self._cancelled = False

    def check(self) -> None:
        """Find out before any picture is classified whether each model knows every label.

        Raises:
            UsageError: one does not, or the source cannot be read.
            ModelError: there is no model.
        """
        for classifier in {settings.model: classifier for settings, classifier in self._classifiers}.values():
            _species(classifier).check(self._source.labels())

    def run(self, each: Callable[[Settings, Progress, Result], None] | None = None) -> Iterator[Evaluation]:
        """Yield the evaluations. `measure` says what `each` is for, and what is raised."""
        for settings, classifier in self._classifiers:
            with classifier:  # its engines are not kept until the last combination is done
                tally = measure(
                    classifier, self._source, each and partial(each, settings), cancelled=lambda: self._cancelled
                )
                if self._cancelled:
                    return
                model = classifier.model
                yield Evaluation(settings, model.card.name, model.sha256, classifier.engine_name, model.labels, tally)

    def cancel(self) -> None:
        """End soon; may be called from a signal handler. What is not finished is not given."""
        self._cancelled = True
        for _, classifier in self._classifiers:
            classifier.cancel()

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, *exception: object) -> None:
        for _, classifier in self._classifiers:
            classifier.close()


def _species(classifier: Classifier) -> Species:
    model = classifier.model
    return Species(model.card.name, model.labels)
