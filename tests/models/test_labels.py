"""Labels are keyed by id, and a label map that does not fit is refused with the line that is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from birdlite.errors import InvalidModel
from birdlite.models.labels import Labels, read_label_file, read_labels, top_k


def label_map(*rows: str) -> bytes:
    return "\n".join(["id,name", *rows, ""]).encode()


def test_names_are_keyed_by_id_and_not_by_row() -> None:
    labels = read_labels(label_map("2,background", "0,Ara macao", "1,Pica pica"), None, 3)

    assert labels.names == ("Ara macao", "Pica pica", "background")
    assert labels.common == (None, None, None)


def test_common_names_stand_beside_the_scientific_ones() -> None:
    names = b"Ara macao (Scarlet Macaw)\nCircus hudsonius (Harrier (American))\nbackground\n"

    labels = read_labels(label_map("2,background", "0,Ara macao", "1,Circus hudsonius"), names, 3)

    assert labels.common == ("Scarlet Macaw", "Harrier (American)", None)


def test_a_hybrid_is_recognised_though_its_cross_is_spelt_as_an_escape() -> None:
    labels = read_labels(label_map("0,Larus a × b"), b"Larus a \\xd7 b (Olympic Gull)\n", 1)

    assert labels.common == ("Olympic Gull",)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (["0,a", "2,c"], "2 labels for a model with 3 outputs; the first missing id is 1"),
        (["0,a", "1,b", "1,c"], "line 4: id 1 appears twice"),
        (["0,a", "1,b", "3,c"], "line 4: id 3, but the model has 3 outputs"),
        (["0,a", "1,b", "99999999999999999999,c"], "but the model has 3 outputs"),
        (["0,a", "one,b", "2,c"], "line 3: the id 'one' is not a whole number"),
        (["0,a", "-1,b", "2,c"], "the id '-1' is not a whole number"),
        (["0,a", "1.0,b", "2,c"], "the id '1.0' is not a whole number"),
        (["0,a", "²,b", "2,c"], "is not a whole number"),
        (["0,a", "1", "2,c"], "line 3: expected an id and a name"),
        (['0,"a"', "1", "2,c"], "line 3: expected an id and a name"),
        (["0,a", "", "1,b,c", "2,c"], "line 4: expected an id and a name"),
        (["0,a", "1,", "2,c"], "line 3: expected an id and a name"),
        ([], "0 labels for a model with 3 outputs"),
        (["0,a", '1,"' + "b" * 140_000 + '"', "2,c"], r"label map, line 3: field larger than field limit \(131072\)"),
        (["0,a", "1," + "b" * 1001, "2,c"], "line 3: 'b{40}'… is too long for a name"),
        (["0,a", '1,"b', '2,c"'], "line 4: a cell of several lines; a quote too many?"),
        (["0,a", '1,"b', "2,c"], "line 4: a cell of several lines"),
    ],
)
def test_ids_other_than_exactly_those_of_the_outputs_are_an_error(rows: list[str], complaint: str) -> None:
    with pytest.raises(InvalidModel, match=complaint):
        read_labels(label_map(*rows), None, 3)


@pytest.mark.parametrize("data", [b"", b"name,id\na,0\n", b"0,a\n"])
def test_a_label_map_without_its_header_is_an_error(data: bytes) -> None:
    with pytest.raises(InvalidModel, match="the first line must be `id,name`"):
        read_labels(data, None, 1)


def test_a_label_map_that_is_not_utf8_is_an_error() -> None:
    with pytest.raises(InvalidModel, match="label map: not UTF-8"):
        read_labels(b"id,name\n0,caf\xe9\n", None, 1)


def test_a_label_file_that_is_a_pipe_a_folder_or_far_too_large_is_an_error_at_once(tmp_path: Path) -> None:
    pipe, large = tmp_path / "pipe.csv", tmp_path / "large.csv"
    os.mkfifo(pipe)
    with large.open("wb") as file:
        file.truncate(1 << 40)

    for path, complaint in (
        (pipe, "not a regular file"),
        (tmp_path, "it is a folder"),
        (large, "larger than a label map can be"),
    ):
        with pytest.raises(InvalidModel, match=complaint):
            read_label_file(str(path), 3)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_quoted_names_are_read_as_csv_has_them_and_others_like_them(end: str) -> None:
    rows = ["id,name", "0,Larus a", "1,Larus \x0b\u2028b"]

    plain = read_labels(end.join(rows).encode(), None, 2)
    quoted = read_labels(end.join([*rows, '2,"c, ""d"""']).encode(), None, 3)

    assert plain.names == quoted.names[:2] == ("Larus a", "Larus \x0b\u2028b")
    assert quoted.names[2] == 'c, "d"'


def test_a_byte_order_mark_and_blank_lines_do_no_harm() -> None:
    assert read_labels(b"\xef\xbb\xbfid,name\r\n\r\n0,a\r\n", None, 1).names == ("a",)


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (b"a (A)\n", "1 line for 2 labels"),
        (b"b (B)\na (A)\n", "line 1: .* is not about 'a'"),
        (b"a (A\nb (B)\n", "line 1"),
    ],
)
def test_common_names_of_other_species_are_an_error(names: bytes, complaint: str) -> None:
    with pytest.raises(InvalidModel, match=complaint):
        read_labels(label_map("0,a", "1,b"), names, 2)


@pytest.mark.birds
def test_the_real_label_map_and_names_agree_on_every_species(birds: Path) -> None:
    mirror = birds / "mirror"
    label_map = (mirror / "www.gstatic.com/aihub/tfhub/labelmaps/aiy_birds_V1_labelmap.csv").read_bytes()
    names = (mirror / "raw.githubusercontent.com/google-coral/test_data/master/inat_bird_labels.txt").read_bytes()

    labels = read_labels(label_map, names, 965)

    assert labels.names[0] == "Haemorhous cassinii"
    assert labels.names[964] == "background"
    assert labels.common[0] == "Cassin's Finch"
    assert labels.common[964] is None
    assert labels.common.count(None) == 1


FIVE = Labels(("a", "b", "c", "d", "background"), ("A", None, "C", "D", None))


def test_the_best_come_first_with_rank_id_and_both_names() -> None:
    first, second = top_k([0.1, 0.2, 0.7, 0.0, 0.0], FIVE, 2, 0.0)

    assert first == (1, 2, "c", 0.7, "C")
    assert second == (2, 1, "b", 0.2, None)


def test_equal_scores_come_in_the_order_of_their_ids() -> None:
    assert [p.id for p in top_k([0.1, 0.25, 0.1, 0.25, 0.1], FIVE, 4, 0.0)] == [1, 3, 0, 2]


@pytest.mark.parametrize(("k", "expected"), [(1, 1), (5, 5), (50, 5)])
def test_there_are_never_more_than_k_nor_more_than_outputs(k: int, expected: int) -> None:
    assert len(top_k([0.2] * 5, FIVE, k, 0.0)) == expected


def test_what_is_below_the_least_score_is_left_out_and_what_equals_it_stays() -> None:
    assert [p.id for p in top_k([0.5, 0.4, 0.05, 0.05, 0.0], FIVE, 3, 0.4)] == [0, 1]
    assert top_k([0.2] * 5, FIVE, 3, 0.9) == ()
