"""The distance between two models: plain arithmetic, checked by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from birdlite.convert.pictures import drawn_pictures
from birdlite.convert.proof import Bounds, Distance, beyond, compare
from birdlite.engines.contract import Pixels
from birdlite.errors import InvalidModel


class Told:
    """An engine that gives the scores it was told, picture by picture."""

    name = "told"

    def __init__(self, *answers: Sequence[float]) -> None:
        self._answers = iter(answers)

    def run(self, pixels: Pixels, n: int = 1) -> list[list[float]]:
        return [list(next(self._answers)) for _ in range(n)]

    def close(self) -> None:
        pass


def test_equal_answers_have_no_distance() -> None:
    answers = ([0.7, 0.2, 0.1, 0.0], [0.1, 0.1, 0.2, 0.6])

    assert compare(Told(*answers), Told(*answers), [b"", b""]) == Distance(2, 0.0, 0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_no_number_never_passes(which: int) -> None:
    answers = [[0.5, 0.5], [0.5, 0.5]]
    answers[which] = [float("nan"), 0.5]

    with pytest.raises(InvalidModel, match="no numbers"):
        compare(Told(answers[0]), Told(answers[1]), [b""])


def test_differences_and_agreement_are_counted() -> None:
    reference = Told([0.6, 0.3, 0.1, 0.0, 0.0], [0.5, 0.2, 0.2, 0.1, 0.0])
    result = Told([0.5, 0.4, 0.0, 0.1, 0.0], [0.1, 0.6, 0.2, 0.1, 0.0])

    distance = compare(reference, result, [b"", b""])

    assert distance.pictures == 2
    assert distance.max_difference == pytest.approx(0.4)
    assert distance.median_difference == pytest.approx(0.4)  # of 0.1 and 0.4, the upper one
    assert distance.mean_difference == pytest.approx((0.1 + 0.1 + 0.1 + 0.1 + 0.4 + 0.4) / 10)
    assert distance.top1 == 0.5  # the second picture's best class moved
    assert distance.top3 == pytest.approx((2 / 3 + 1.0) / 2)  # classes 0, 1 of 0, 1, 2; and 0, 1, 2 in another order


def test_without_pictures_nothing_is_proven() -> None:
    with pytest.raises(ValueError, match="nothing to compare on"):
        compare(Told(), Told(), [])


def test_models_of_different_size_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="argument"):
        compare(Told([1.0, 0.0]), Told([1.0]), [b""])


@pytest.mark.parametrize(
    ("distance", "complaint"),
    [
        (Distance(10, 0.05, 0.01, 0.0, 0.9, 1.0), None),
        (Distance(10, 0.0501, 0.0, 0.0, 1.0, 1.0), "a score differs by 0.0501, more than 0.05"),
        (
            Distance(10, 0.05, 0.02, 0.0, 1.0, 1.0),
            "on half of the pictures a score differs by 0.0200 or more, more than",
        ),
        (Distance(10, 0.0, 0.0, 0.0, 0.8, 1.0), "the best class is the same for 80% of the pictures, less than 90%"),
    ],
)
def test_what_is_beyond_the_bounds_is_said(distance: Distance, complaint: str | None) -> None:
    found = beyond(distance, Bounds(0.05, 0.01, 0.9))

    assert (found is None) == (complaint is None)
    assert (found or "").startswith(complaint or "")


def test_the_drawn_pictures_are_twelve_different_ones_of_the_right_size() -> None:
    pictures = list(drawn_pictures(96))

    assert len(set(pictures)) == 12
    assert {len(pixels) for pixels in pictures} == {96 * 96 * 3}
