"""What names a SavedModel, and that TensorFlow is asked for before anything is fetched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from birdlite import FetchSettings, Settings
from birdlite.convert import proven
from birdlite.convert.hub import DEFAULT_HANDLE
from birdlite.convert.module import Reading, is_module, open_module
from birdlite.errors import EngineMissing
from birdlite.models.card import ModelFormat
from tests.origin import Origin
from tests.tiny_saved_models import lay_out, pack


def test_a_saved_model_is_known_by_its_handle_url_archive_or_folder(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "module")
    archive = tmp_path / "module.tar.gz"
    archive.write_bytes(pack(folder))
    (tmp_path / "model.tflite").write_bytes(b"TFL3")

    assert all(
        is_module(source) for source in (DEFAULT_HANDLE, "https://example.org/a.tar.gz", str(folder), str(archive))
    )
    assert not any(is_module(source) for source in ("birds-v1-lite", str(tmp_path / "model.tflite"), "absent"))


def test_the_folder_of_a_bundle_is_no_saved_model(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")

    assert not is_module(str(tmp_path))


@pytest.fixture
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow is not installed."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)


@pytest.mark.parametrize("to", ["onnx", "tflite"])
def test_without_tensorflow_the_extra_is_named(no_tensorflow: None, to: ModelFormat) -> None:
    with pytest.raises(EngineMissing, match=r"this conversion needs tensorflow: .*pip install .*\[convert\]'"):
        proven.check_module(to, "none", calibrated=False)


def test_without_tensorflow_nothing_is_fetched(no_tensorflow: None, origin: Origin) -> None:
    settings = Settings(fetch=FetchSettings(mirror=origin.base))

    with pytest.raises(EngineMissing, match=r"\[convert\]"):
        open_module("https://example.org/birds.tar.gz", Reading(), settings)
    assert origin.hits("/example.org/birds.tar.gz") == 0
