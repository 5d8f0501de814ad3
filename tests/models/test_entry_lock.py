"""The lock of an entry: one process at a time, a word about a long wait, and an end to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from birdlite import log
from birdlite.errors import ModelUnavailable, PictureError
from birdlite.models import cache, store
from birdlite.models.cache import EntryLock
from birdlite.models.store import Store
from birdlite.timing import Timeline
from tests.magpie import CONTENTS, entry_at

HOLD = """
import sys
from birdlite.models.cache import EntryLock
lock = EntryLock(sys.argv[1])
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock of `magpie`, until its standard input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "magpie")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        yield process
        process.stdin.close()


def test_a_lock_that_stays_taken_is_an_error_that_names_its_holder(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        EntryLock(str(tmp_path / "magpie"), seconds=0.2)

    who = f"process {holder.pid} on {os.uname().nodename}"
    assert str(caught.value) == (
        f"{tmp_path}/magpie.lock has been locked for 0.2 s by {who}; end that process, or use another --cache-dir or "
        "--no-cache"
    )


def test_a_long_wait_is_told_once_and_ends_when_the_holder_does(
    holder: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def hear(level: int, message: str, fields: dict[str, object]) -> None:
        said.append(message)
        assert holder.stdin is not None
        holder.stdin.close()  # the holder ends, and its lock with it

    log.to(hear, log.WARNING)
    monkeypatch.setattr(cache, "TELL_AFTER_S", 0.0)

    EntryLock(str(tmp_path / "magpie")).release()

    who = f"process {holder.pid} on {os.uname().nodename}"
    assert said == [f"waiting for {who}, which has locked {tmp_path}/magpie.lock while it gets the model"]


def test_who_does_not_sign_is_another_process(tmp_path: Path) -> None:
    lock = EntryLock(str(tmp_path / "magpie"))
    (tmp_path / "magpie.lock").write_bytes(b"\x1b[2J\xff\n")

    with pytest.raises(ModelUnavailable, match="by another process;"):
        EntryLock(str(tmp_path / "magpie"), seconds=0)

    lock.release()


def test_no_descriptor_is_left_of_a_lock_that_was_not_got(tmp_path: Path) -> None:
    lock = EntryLock(str(tmp_path / "magpie"))

    with pytest.raises(ModelUnavailable):
        EntryLock(str(tmp_path / "magpie"), seconds=0)

    assert descriptors_of(tmp_path / "magpie.lock") == 1
    lock.release()
    assert descriptors_of(tmp_path / "magpie.lock") == 0


def descriptors_of(path: Path) -> int:
    """How many descriptors of this process lead to a file. Other threads may open and close theirs meanwhile."""
    found = 0
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found += os.readlink(f"/proc/self/fd/{number}") == str(path)
    return found


def test_a_pipe_in_place_of_the_lock_keeps_the_model_in_memory(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    os.mkfifo(tmp_path / "models" / "magpie.lock")
    said: list[str] = []
    log.to(lambda level, message, fields: said.append(message), log.WARNING)

    class Served:
        def get(self, url: str, *, max_bytes: int, timeout: float) -> bytes:
            return CONTENTS[url.rpartition("/")[2]]

    opened = Store(str(tmp_path), Served(), offline=False, timeline=Timeline()).open(entry_at("https://example.org"))

    assert bytes(opened.data) == CONTENTS["model.tflite"]
    assert said == [f"the cache {tmp_path} cannot be written (not a regular file); keeping the model in memory"]


def test_all_sources_of_a_file_together_have_one_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a lock is never kept longer than its next holder waits."""
    now = 0.0
    given: list[float] = []
    monkeypatch.setattr(store, "clock", lambda: now)

    class Slow:
        def get(self, url: str, *, max_bytes: int, timeout: float) -> bytes:
            nonlocal now
            given.append(timeout)
            now += 350
            raise PictureError("timeout", "slow")

    entry = entry_at("https://example.org")
    entry = entry._replace(
        card=entry.card._replace(files={"model.tflite": entry.card.files["model.tflite"]}),
        sources={"model.tflite": entry.sources["model.tflite"] * 4},
    )
    with pytest.raises(ModelUnavailable, match=r"no source gave model\.tflite: .*slow.*slow$"):
        Store(str(tmp_path), Slow(), offline=False, timeline=Timeline()).open(entry)

    assert given == [600, 250]
    assert cache.LOCK_SECONDS > cache.DOWNLOAD_SECONDS
