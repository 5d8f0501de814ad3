"""What a conversion looks at: the user's pictures in every form that targets have, each checked and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from birdlite.convert import pictures as pictures_module
from birdlite.convert.pictures import calibration, choose
from birdlite.errors import ModelUnavailable, PictureError, UsageError
from birdlite.http.fetcher import FetchSettings
from birdlite.images.picture import decode
from tests.demo_world import PICTURES
from tests.object_store import Bucket
from tests.origin import Origin

SIDE = 32
SETTINGS = FetchSettings(retries=0)


def shown(path: Path) -> bytes:
    """What `classify` sees of a picture."""
    return decode(path.read_bytes(), side=SIDE).pixels


def test_files_folders_and_lists_are_compared_on_as_classify_sees_them(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{PICTURES[0]}\n{PICTURES[1]}\n")

    assert choose([str(PICTURES[2])], SIDE, SETTINGS, birds=False) == [shown(PICTURES[2])]
    assert choose([str(tmp_path / "list.txt")], SIDE, SETTINGS, birds=False) == [shown(path) for path in PICTURES[:2]]
    assert len(choose([str(PICTURES[0].parent)], SIDE, SETTINGS, birds=True)) == len(PICTURES)


def test_a_picture_may_be_on_a_server(origin: Origin) -> None:
    origin.serve("/bird.png", PICTURES[0].read_bytes())

    assert choose([origin.url("/bird.png")], SIDE, SETTINGS, birds=False) == [shown(PICTURES[0])]


def test_pictures_and_lists_may_be_in_a_bucket(bucket: Bucket) -> None:
    url = bucket.put("bird.png", PICTURES[0].read_bytes())

    assert choose([url], SIDE, SETTINGS, birds=False) == [shown(PICTURES[0])]
    assert choose([bucket.put("list.txt", url.encode())], SIDE, SETTINGS, birds=False) == [shown(PICTURES[0])]


def test_without_pictures_of_the_user_the_drawings_are_taken_and_for_birds_the_samples(origin: Origin) -> None:
    assert len(choose([], SIDE, SETTINGS, birds=False)) == 2 * len(PICTURES)
    with pytest.raises(ModelUnavailable, match=r"not be downloaded \(404 Not Found .*name your own with --pictures"):
        choose([], SIDE, SETTINGS._replace(mirror=origin.base), birds=True)


def test_no_more_are_compared_on_than_show_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures_module, "COMPARED", 2)

    assert len(choose([str(PICTURES[0].parent)], SIDE, SETTINGS, birds=False)) == 2


def test_a_network_is_calibrated_on_four_views_of_each_picture() -> None:
    found = calibration([str(PICTURES[0]), str(PICTURES[1])], SIDE, SETTINGS)

    assert (found.pictures, len(found.views)) == (2, 8)
    assert found.middles == [shown(path) for path in PICTURES[:2]]
    whole = decode(PICTURES[0].read_bytes(), resize="squash", side=SIDE).pixels
    arrays = [np.frombuffer(view, np.uint8).reshape(SIDE, SIDE, 3) for view in found.views]
    assert found.views[2] == whole
    assert np.array_equal(arrays[1], arrays[0][:, ::-1])
    assert np.array_equal(arrays[3], arrays[2][:, ::-1])


def test_no_more_are_calibrated_on_than_tell_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures_module, "CALIBRATED", 3)

    assert calibration([str(PICTURES[0].parent)], SIDE, SETTINGS).pictures == 3


def test_nothing_can_be_calibrated_on_an_empty_list(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")

    with pytest.raises(UsageError, match="there are no pictures to calibrate on"):
        calibration([str(tmp_path / "empty.txt")], SIDE, SETTINGS)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("absent.jpg", "absent.jpg: no such file"),
        ("broken.jpg", "broken.jpg: "),
        ("empty", "empty: no pictures in this folder"),
        ("absent.txt", "absent.txt"),
        ("ftp://example.org/a.jpg", "ftp://example.org/a.jpg: "),
    ],
)
def test_what_is_no_picture_is_told_and_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more than this")
    (tmp_path / "empty").mkdir()

    for take in (lambda: choose([name], SIDE, SETTINGS, birds=False), lambda: calibration([name], SIDE, SETTINGS)):
        with pytest.raises(UsageError) as caught:
            take()
        assert complaint in str(caught.value)
        assert "\n" not in str(caught.value)


def test_what_is_away_for_now_may_be_tried_again() -> None:
    away = SETTINGS._replace(mirror="http://127.0.0.1:9")

    for paths, kind in ((["https://example.org/a.jpg"], PictureError), ([], ModelUnavailable)):
        with pytest.raises(kind, match="no connection to the mirror") as caught:
            choose(paths, SIDE, away, birds=True)
        assert caught.value.temporary


@pytest.mark.parametrize("key", ["a.jpg", "album/"])
def test_a_bucket_that_is_away_for_now_may_be_tried_again(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    url = bucket.url(key)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with pytest.raises(PictureError, match=f"^{url}: ") as caught:
        choose([url], SIDE, SETTINGS._replace(startup_timeout=0.0), birds=False)
    assert caught.value.temporary


def test_an_object_that_does_not_exist_is_wrong_usage(bucket: Bucket) -> None:
    for key in ("absent.jpg", "absent/"):
        with pytest.raises(UsageError, match=f"^{bucket.url(key)}: no "):
            choose([bucket.url(key)], SIDE, SETTINGS, birds=False)
