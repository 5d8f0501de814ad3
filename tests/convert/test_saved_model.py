"""Which graph and which signature of a SavedModel is the classifier, and what is none."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="the extra `convert` is not installed")

from birdlite.convert import saved_model
from birdlite.convert.saved_model import read
from birdlite.errors import InvalidModel
from tests.tiny_graphs import CLASSES, SIDE
from tests.tiny_saved_models import GIVES, HUB, TAKES, write, write_graphs

SERVING = {"__saved_model_init_op": (TAKES, GIVES), "serving_default": (TAKES, GIVES)}


def test_the_hubs_old_modules_have_no_tags_and_the_signature_default(tmp_path: Path) -> None:
    found = read(str(write(tmp_path)))

    assert (found.tags, found.signature) == ((), "default")
    assert (found.side, found.classes) == (SIDE, CLASSES)
    assert found.sha256 == hashlib.sha256((tmp_path / "saved_model.pb").read_bytes()).hexdigest()


def test_tensorflow_2_serves_and_adds_signatures_of_its_own(tmp_path: Path) -> None:
    found = read(str(write(tmp_path, tags=("serve",), signatures=SERVING)))

    assert (found.tags, found.signature) == (("serve",), "serving_default")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["name_birds"], "name_birds"),
        (["__saved_model_init_op", "name_birds"], "name_birds"),
        (["another", "serving_default"], "serving_default"),
        (["another", "default", "serving_default"], "default"),
    ],
)
def test_the_usual_signature_is_taken_or_the_only_one(tmp_path: Path, names: list[str], chosen: str) -> None:
    assert read(str(write(tmp_path, signatures=dict.fromkeys(names, (TAKES, GIVES))))).signature == chosen


def test_a_signature_of_tensorflows_own_is_none(tmp_path: Path) -> None:
    folder = write(tmp_path, tags=("serve",), signatures=SERVING)

    with pytest.raises(InvalidModel, match="no signature '__saved_model_init_op'; there are: serving_default"):
        read(str(folder), signature="__saved_model_init_op")


def test_pictures_may_be_as_large_as_is_sane(tmp_path: Path) -> None:
    sides = signature(takes=TAKES._replace(shape=(1, 2048, 2048, 3)))

    assert read(str(write(tmp_path, signatures=sides))).side == 2048


@pytest.mark.parametrize(
    ("there", "named", "found"),
    [
        ([("train",)], None, ("train",)),
        ([("train",), ()], None, ()),
        ([("serve",), ()], None, ()),
        ([("train",), ("serve",)], None, ("serve",)),
        ([("train",), ("serve",)], "train", ("train",)),
        ([("train",), ()], "", ()),
        ([("serve", "gpu"), ("serve",)], "gpu,serve", ("serve", "gpu")),
        ([("gpu", "serve"), ("serve",)], "serve,gpu", ("gpu", "serve")),
    ],
)
def test_one_of_several_graphs_is_chosen_by_its_tags(
    tmp_path: Path, there: list[tuple[str, ...]], named: str | None, found: tuple[str, ...]
) -> None:
    assert read(str(write_graphs(tmp_path, there)), named).tags == found


@pytest.mark.parametrize(
    ("there", "named", "complaint"),
    [
        ([("train",), ("gpu",)], None, r"which graph\? there are those with the tags: train; gpu"),
        ([("train",), ()], "serve", r"no graph with the tags serve; there are: train; '' \(none\)"),
        ([], None, "holds no graph"),
    ],
)
def test_a_graph_that_is_not_there_is_told_with_those_that_are(
    tmp_path: Path, there: list[tuple[str, ...]], named: str | None, complaint: str
) -> None:
    with pytest.raises(InvalidModel, match=complaint):
        read(str(write_graphs(tmp_path, there)), named)


def test_a_signature_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="no signature 'serve'; there are: default, image_classifier"):
        read(str(write(tmp_path)), signature="serve")


def signature(takes: Any = TAKES, gives: Any = GIVES) -> dict[str, Any]:
    return {"default": (takes, gives)}


@pytest.mark.parametrize(
    ("signatures", "complaint"),
    [
        ({}, "the graph has no signature"),
        ({"a": (TAKES, GIVES), "b": (TAKES, GIVES)}, "which signature"),
        (signature(takes=TAKES._replace(shape=(-1, 299, 224, 3))), "square"),
        (signature(takes=TAKES._replace(shape=(-1, -1, -1, 3))), r"takes float32 \[-1, -1, -1, 3\]"),
        (signature(takes=TAKES._replace(shape=(-1, 2049, 2049, 3))), "no side may be over 2048 px"),
        (signature(takes=TAKES._replace(shape=(-1, 3, 224, 224))), r"a classifier takes \[n, side, side, 3\]"),
        (signature(takes=TAKES._replace(shape=(-1, 224, 224))), r"takes float32 \[-1, 224, 224\]"),
        (signature(takes=TAKES._replace(shape=(-1, 224, 224, 3, 1))), r"takes float32 \[-1, 224, 224, 3, 1\]"),
        (signature(takes=TAKES._replace(shape=None)), "takes float32 of any shape"),
        (signature(takes=TAKES._replace(dtype=7)), "takes string"),
        (signature(takes=TAKES._replace(dtype=99)), "takes type 99"),
        (signature(takes=(TAKES, TAKES._replace(key="size"))), "takes images, size"),
        (signature(gives=GIVES._replace(shape=(-1, 7, 7, 1280))), r"gives float32 \[-1, 7, 7, 1280\]"),
        (signature(gives=GIVES._replace(shape=(-1, 0))), r"gives float32 \[-1, 0\]"),
        (signature(gives=GIVES._replace(dtype=3)), "gives int32"),
        (signature(gives=(GIVES, GIVES._replace(key="boxes"))), "gives boxes, default"),
        (signature(gives=()), "gives nothing"),
    ],
)
def test_what_is_no_classifier_of_pictures_is_refused(
    tmp_path: Path, signatures: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidModel, match=complaint):
        read(str(write(tmp_path, signatures=signatures)))


@pytest.mark.parametrize("shape", [(-1, -1), None])
def test_an_output_may_leave_open_how_many_classes_it_has(tmp_path: Path, shape: tuple[int, ...] | None) -> None:
    assert read(str(write(tmp_path, signatures=signature(gives=GIVES._replace(shape=shape))))).classes is None


def test_bytes_are_taken_too(tmp_path: Path) -> None:
    assert read(str(write(tmp_path, signatures=signature(takes=TAKES._replace(dtype=4))))).side == SIDE


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "there is no saved_model.pb"),
        ({"saved_model.pbtxt": b"meta_graphs {}"}, "saved_model.pbtxt is not read"),
        ({"saved_model.pb": b"<html>nothing here</html>"}, "is not that of a SavedModel"),
        ({"saved_model.pb": b""}, "holds no graph"),
        ({"saved_model.pb": b"\x12\x05\x0a\x03\x22\x01\xff"}, "is not that of a SavedModel"),  # a tag in no encoding
    ],
)
def test_a_folder_that_is_no_saved_model_is_refused(tmp_path: Path, files: dict[str, bytes], complaint: str) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)

    with pytest.raises(InvalidModel, match=complaint):
        read(str(tmp_path))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "saved_model.pb")

    with pytest.raises(InvalidModel, match=r"saved_model\.pb: not a regular file"):
        read(str(tmp_path))


def test_a_file_beyond_all_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_model, "MAX_BYTES", 100)

    with pytest.raises(InvalidModel, match=r"saved_model\.pb: more than 100 bytes"):
        read(str(write(tmp_path)))


def test_another_signature_can_be_named(tmp_path: Path) -> None:
    found = read(str(write(tmp_path, signatures=HUB)), signature="image_classifier")

    assert found.signature == "image_classifier"
