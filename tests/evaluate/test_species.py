"""Labels as people write them, to the species of a model."""

from __future__ import annotations

import pytest

from birdlite.errors import UsageError
from birdlite.evaluate.labelled import Label
from birdlite.evaluate.species import MOST_UNKNOWN, Species
from birdlite.models.labels import Labels

SPECIES = Species(
    "six",
    Labels(
        (
            "Erithacus rubecula",
            "Accipiter cooperii",
            "Anas superciliosa × platyrhynchos",
            "Pica pica",
            "a",
            "background",
        ),
        ("European Robin", "Cooper's Hawk", None, "Magpie", "Magpie", None),
    ),
)


def label(text: str) -> Label:
    return Label(text, f"album/{text}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Erithacus rubecula", 0),
        ("erithacus_rubecula", 0),
        ("European Robin", 0),
        ("european-robin", 0),
        ("  EUROPEAN   robin ", 0),
        ("Cooper\u2019s Hawk", 1),
        ("anas superciliosa x platyrhynchos", 2),
        ("Anas_superciliosa_×_platyrhynchos", 2),
        ("Background", 5),
    ],
)
def test_case_and_dividers_of_a_label_do_not_matter(text: str, expected: int) -> None:
    assert SPECIES.find(label(text)) == expected


def test_accents_may_be_apart_from_their_letters_as_file_names_of_macos_have_them() -> None:
    species = Species("one", Labels(("Asthenes",), ("Caparo\u0301 Bird",)))

    assert species.find(label("caparó_bird")) == 0


def test_a_scientific_name_counts_before_a_common_one() -> None:
    species = Species("two", Labels(("Alca", "Uria"), ("Uria", None)))

    assert species.find(label("uria")) == 1


def test_an_unknown_label_is_named_with_its_place_and_the_nearest_names() -> None:
    with pytest.raises(UsageError) as caught:
        SPECIES.find(label("Europaen Robin"))

    assert str(caught.value) == ("album/Europaen Robin: six knows no species 'Europaen Robin'; nearest: European Robin")


def test_a_label_like_no_name_at_all_says_so() -> None:
    with pytest.raises(UsageError, match=r"'0123456789', and none with a similar name$"):
        SPECIES.find(label("0123456789"))


def test_a_name_that_several_species_have_is_refused_with_their_scientific_names() -> None:
    with pytest.raises(UsageError, match=r"'magpie' is the name of several species of six: Pica pica \(3\), a \(4\)"):
        SPECIES.find(label("magpie"))


def test_the_check_names_all_unknown_labels_once() -> None:
    with pytest.raises(UsageError, match=r"'Robin Hood'.*; unknown too: 'Zorro'$"):
        SPECIES.check([label("Pica pica"), label("Robin Hood"), label("Zorro"), label("Robin Hood")])


def test_the_check_refuses_an_ambiguous_label() -> None:
    with pytest.raises(UsageError, match="several"):
        SPECIES.check([label("Magpie")])


def test_the_check_does_not_read_on_once_it_has_enough_unknown_labels() -> None:
    labels = (label(f"nobody {number}") for number in range(1000))
    with pytest.raises(UsageError, match="unknown too"):
        SPECIES.check(labels)

    assert next(labels).text == f"nobody {MOST_UNKNOWN + 1}"


def test_the_check_is_silent_where_all_is_well() -> None:
    SPECIES.check([label("Pica pica"), label("background")])
