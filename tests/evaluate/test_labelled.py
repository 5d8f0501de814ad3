"""Where labelled pictures come from: folders named by species, and CSV files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from birdlite import log
from birdlite.errors import UsageError
from birdlite.evaluate.labelled import Picture, open_source
from birdlite.targets import BadTarget, Target
from birdlite.targets.list_text import LINE_LIMIT


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def listing(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def short(pictures: list[Picture]) -> list[tuple[str, str]]:
    return [(picture.target.name, picture.label.text) for picture in pictures]


@pytest.fixture
def warnings() -> list[str]:
    lines: list[str] = []
    log.to(lambda level, message, fields: lines.append(message), log.WARNING)
    return lines


def test_all_pictures_in_and_below_a_folder_have_its_label(tmp_path: Path) -> None:
    touch(tmp_path / "Pica pica" / "b.jpg")
    touch(tmp_path / "Pica pica" / "2024" / "a.png")
    touch(tmp_path / "Alca torda" / "c.jpg")
    touch(tmp_path / "Alca torda" / "notes.txt")
    touch(tmp_path / ".thumbnails" / "d.jpg")
    source = open_source(str(tmp_path))

    assert short(list(source.pictures())) == [
        (str(tmp_path / "Alca torda" / "c.jpg"), "Alca torda"),
        (str(tmp_path / "Pica pica" / "b.jpg"), "Pica pica"),
        (str(tmp_path / "Pica pica" / "2024" / "a.png"), "Pica pica"),
    ]
    assert [label.text for label in source.labels()] == ["Alca torda", "Pica pica"]


def test_a_source_can_be_gone_through_again(tmp_path: Path) -> None:
    touch(tmp_path / "Pica pica" / "b.jpg")
    for source in (open_source(str(tmp_path)), open_source(listing(tmp_path, "path,label\na.jpg,Pica pica\n"))):
        assert list(source.pictures()) == list(source.pictures()) != []


def test_a_link_to_a_folder_of_pictures_is_a_label(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "a.jpg")
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "Pica pica").symlink_to(tmp_path / "elsewhere")

    assert short(list(open_source(str(tmp_path / "album")).pictures())) == [
        (str(tmp_path / "album" / "Pica pica" / "a.jpg"), "Pica pica")
    ]


def test_folders_without_pictures_and_pictures_without_a_folder_are_left_out_with_a_warning(
    tmp_path: Path, warnings: list[str]
) -> None:
    touch(tmp_path / "Pica pica" / "a.jpg")
    touch(tmp_path / "no bird" / "notes.txt")
    touch(tmp_path / "stray.jpg")
    touch(tmp_path / "README.txt")
    source = open_source(str(tmp_path))

    assert short(list(source.pictures())) == [(str(tmp_path / "Pica pica" / "a.jpg"), "Pica pica")]
    assert warnings == [
        f"{tmp_path / 'no bird'}: no pictures in this folder; left out",
        f"{tmp_path}: pictures directly in this folder have no label; left out",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_read_is_a_bad_target(tmp_path: Path) -> None:
    touch(tmp_path / "Pica pica" / "a.jpg")
    (tmp_path / "Pica pica").chmod(0)
    (picture,) = open_source(str(tmp_path)).pictures()

    assert isinstance(picture.target, BadTarget)
    assert picture.target.failure.kind == "blocked"


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "no such file or folder"), ("empty", "no pictures"), ("flat", "no pictures"), ("pipe", "neither")],
)
def test_a_source_without_labelled_pictures_is_a_usage_error(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty" / "Pica pica").mkdir(parents=True)
    touch(tmp_path / "flat" / "a.jpg")
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UsageError, match=f"{name}: {message}"):
        open_source(str(tmp_path / name))


@pytest.mark.parametrize(
    "text",
    [
        "path,label\nb/a.jpg,Pica pica\n\nhttps://e.org/x.jpg,Alca torda\n",
        "Label;PATH\r\nPica pica;b/a.jpg\r\nAlca torda;https://e.org/x.jpg\r\n",
        "note\turl\tpath\tlabel\n-\t\tb/a.jpg\tPica pica\n-\thttps://e.org/x.jpg\tother.jpg\tAlca torda\n",
        '\ufefftarget,label\n"b/a.jpg","Pica pica"\nhttps://e.org/x.jpg, Alca torda \n',
        "\ufeffpath,label\nb/a.jpg,Pica pica\nhttps://e.org/x.jpg,Alca torda".encode("utf-16-le"),
    ],
)
def test_a_csv_file_has_files_and_urls_with_their_labels(tmp_path: Path, text: str | bytes) -> None:
    source = open_source(listing(tmp_path, text))

    assert [(picture.target, picture.label.text) for picture in source.pictures()] == [
        (Target("b/a.jpg", "file", "b/a.jpg"), "Pica pica"),
        (Target("https://e.org/x.jpg", "url", "https://e.org/x.jpg", 1), "Alca torda"),
    ]


def test_the_place_of_a_label_is_its_line(tmp_path: Path) -> None:
    path = listing(tmp_path, "path,label\n\na.jpg,Pica pica\n")

    assert [label.place for label in open_source(path).labels()] == [f"{path}:3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no pictures in this list"),
        ("path,label\n", "no pictures in this list"),
        ("path,species\na.jpg,Pica pica\n", "no column label; found: path, species"),
        ("where,label\na.jpg,Pica pica\n", "no column url, path or target; found: where, label"),
        ("path,label\na.jpg,\n", ":2: no label in this row"),
        ("path,label\na.jpg\n", ":2: no label in this row"),
        ("path,label\na.jpg,Pica pica\n,Pica pica\n", ":3: no url, path or target in this row"),
        ("path,label\na.jpg,Pica pica\n" + "x" * LINE_LIMIT + ".jpg,Pica pica\n", f":3: longer than {LINE_LIMIT}"),
    ],
)
def test_a_csv_file_that_makes_no_sense_is_a_usage_error(tmp_path: Path, text: str, message: str) -> None:
    path = listing(tmp_path, text)

    with pytest.raises(UsageError) as caught:
        list(open_source(path).labels())

    assert message in str(caught.value)
    assert str(caught.value).startswith(path)
