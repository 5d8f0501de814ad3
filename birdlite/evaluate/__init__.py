"""How good a model is on pictures whose species are known. `birdlite evaluate` calls it, and so can any program.

    source = open_source("album/")  # a folder for each species, or a CSV file of path and label
    with Classifier(Settings(model="birds-v1-lite", resize="squash")) as classifier:
        print(measure(classifier, source).figures().top1)

The pictures go through the same pipeline as in `classify`. A picture that cannot be read says nothing about the model:
it is counted apart and is in no rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from birdlite.evaluate.accuracy import TOP, Tally
from birdlite.evaluate.labelled import Source, open_source
from birdlite.evaluate.species import Species
from birdlite.results import Result
from birdlite.run.classifier import Classifier
from birdlite.targets import BadTarget, Target

__all__ = ["TOP", "check", "measure", "open_source"]


def check(classifier: Classifier, source: Source) -> None:
    """Find out before any picture is classified whether the model knows every label.

    Raises:
        UsageError: it does not, or the source cannot be read.
        ModelError: there is no model.
    """
    _species(classifier).check(source.labels())


def measure(classifier: Classifier, source: Source, each: Callable[[Result], None] | None = None) -> Tally:
    """Classify every picture of `source` and count. `classifier` gives at least `TOP` predictions, of any score.

    `each` is called with every result in turn, for messages and progress. A `classifier` that was cancelled gives what
    was counted until then, with the pictures under way among the failed ones.

    Raises:
        UsageError: the model does not know a label, or the source cannot be read.
        ModelError: there is no model.
        EngineError: no runtime can run it.
    """
    species = _species(classifier)
    truth: dict[int, int] = {}  # by index, of the pictures on their way: as many as the pipeline lets ahead

    def targets() -> Iterator[Target | BadTarget]:
        for picture in source.pictures():
            truth[picture.target.index] = species.find(picture.label)
            yield picture.target

    tally = Tally()
    for result in classifier.stream(targets()):
        true = truth.pop(result.index)
        if result.ok:
            tally.add(true, result.predictions)
        else:
            tally.add_failed()
        if each is not None:
            each(result)
    return tally


def _species(classifier: Classifier) -> Species:
    model = classifier.model
    return Species(model.card.name, model.labels)
