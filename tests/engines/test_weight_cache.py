"""XNNPACK's packed weights on disk: used when intact, replaced when damaged, and never a reason to fail."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from birdlite import engines, log
from birdlite.engines import litert_library, weight_cache
from birdlite.engines.base import Engine
from tests import tiny_models
from tests.tiny_models import picture, scores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="packed weights are kept on Linux only")

REPO = Path(__file__).parents[2]
MODEL = tiny_models.model()
COLOUR = (255, 200, 100)
OLD_NS = time.time_ns() - 2 * 3600 * 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the weights are kept. It is not there yet."""
    return tmp_path / "weights"


@pytest.fixture
def new_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forget what this process has built and verified, as a new one would have."""

    def forget() -> None:
        monkeypatch.setattr(weight_cache, "_built", set())
        monkeypatch.setattr(weight_cache, "_verified", set())

    return forget


@pytest.fixture
def heard() -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    log.to(lambda level, message, fields: lines.append((level, message)), log.DEBUG)
    return lines


def load(folder: Path, sha256: str = "a" * 64, model: bytes = MODEL) -> Engine:
    return engines.load(model, tiny_models.card(sha256=sha256), weight_cache=str(folder))


def answer(folder: Path, sha256: str = "a" * 64) -> list[float]:
    """What the model says of a picture."""
    engine = load(folder, sha256)
    (row,) = engine.run(picture(*COLOUR))
    engine.close()
    return row


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def is_mapped(file: Path) -> bool:
    """Whether this process has the file in its memory."""
    facts = file.stat()
    with open("/proc/self/maps") as maps:
        return any(line.split()[4] == str(facts.st_ino) for line in maps if line.split()[0] != "0")


def damage(file: Path) -> None:
    """Turn around every weight in the file, and leave alone what XNNPACK checks by itself: the ends."""
    content = bytearray(file.read_bytes())
    weights = slice(128, 128 + 64)  # XNNPACK's header fills up the first 128 bytes
    content[weights] = bytes(byte ^ 0xFF for byte in content[weights])
    replace(file, content)


def replace(file: Path, content: bytes | bytearray) -> None:
    file.unlink()
    file.write_bytes(content)


def test_the_first_load_leaves_one_file_that_carries_its_digest(folder: Path) -> None:
    assert answer(folder) == scores(*COLOUR)
    file = only_file(folder)
    kind, model, machine, content = file.stem.split("-")
    assert (kind, model, file.suffix) == ("xnnpack", "a" * 16, ".bin")
    assert content == hashlib.sha256(file.read_bytes()).hexdigest()
    assert len(machine) == 16


def test_the_next_load_maps_that_file_and_leaves_it_alone(folder: Path, new_process: Callable[[], None]) -> None:
    answer(folder)
    file = only_file(folder)
    before = file.stat()
    new_process()
    engine = load(folder)
    assert is_mapped(file)
    assert engine.run(picture(*COLOUR)) == [scores(*COLOUR)]
    engine.close()
    assert not is_mapped(file)
    assert only_file(folder).stat().st_ino == before.st_ino
    assert file.stat().st_mtime_ns == before.st_mtime_ns


def test_without_a_folder_nothing_is_kept(folder: Path) -> None:
    engines.load(MODEL, tiny_models.card()).close()
    assert not folder.exists()


def test_a_model_of_unknown_digest_goes_without(folder: Path) -> None:
    card = tiny_models.card()._replace(files={})
    engine = engines.load(MODEL, card, weight_cache=str(folder))
    assert engine.run(picture(*COLOUR)) == [scores(*COLOUR)]
    engine.close()
    assert not folder.exists()


def test_damage_would_change_the_answers(folder: Path, new_process: Callable[[], None]) -> None:
    """The fault that the next tests are about. A file that is damaged and named after what it holds looks intact."""
    answer(folder)
    damage(only_file(folder))
    file = only_file(folder)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file.rename(folder / f"{file.name.rpartition('-')[0]}-{digest}.bin")
    new_process()
    assert answer(folder) != scores(*COLOUR)


@pytest.mark.parametrize("how", ["weights", "cut", "empty", "longer", "garbage", "another model's"])
def test_a_damaged_file_is_replaced_and_the_answers_stay_right(
    folder: Path, new_process: Callable[[], None], heard: list[tuple[int, str]], how: str
) -> None:
    answer(folder)
    file = only_file(folder)
    sound = file.read_bytes()
    if how == "weights":
        damage(file)
    else:
        other = {"cut": sound[: len(sound) // 2], "empty": b"", "longer": sound + b"\0", "garbage": os.urandom(4000)}
        replace(file, other.get(how, sound[::-1]))
    heard.clear()
    new_process()
    assert answer(folder) == scores(*COLOUR)
    assert only_file(folder) == file
    assert file.read_bytes() == sound
    assert [message for level, message in heard if level == log.INFO] == [
        "the cached packed weights are damaged; packing them again"
    ]


def test_damage_is_found_in_a_process_that_has_seen_the_file_intact(folder: Path) -> None:
    answer(folder)
    assert answer(folder) == scores(*COLOUR)  # this one verified it
    damage(only_file(folder))
    assert answer(folder) == scores(*COLOUR)
    assert list(folder.iterdir()) == []


def test_a_folder_in_place_of_the_file_does_not_matter(folder: Path, new_process: Callable[[], None]) -> None:
    answer(folder)
    file = only_file(folder)
    file.unlink()
    file.mkdir()
    new_process()
    assert answer(folder) == scores(*COLOUR)


def test_a_pipe_in_place_of_the_file_does_not_block(folder: Path, new_process: Callable[[], None]) -> None:
    answer(folder)
    file = only_file(folder)
    file.unlink()
    os.mkfifo(file)
    new_process()
    assert answer(folder) == scores(*COLOUR)
    assert file.is_file()


def test_models_do_not_share_files(folder: Path) -> None:
    assert answer(folder, "a" * 64) == scores(*COLOUR)
    assert answer(folder, "b" * 64) == scores(*COLOUR)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("what", ["library", "CPU"])
def test_a_file_made_with_another_library_or_cpu_is_not_used(
    folder: Path, new_process: Callable[[], None], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    answer(folder)
    foreign = only_file(folder)
    new_process()
    if what == "CPU":
        monkeypatch.setattr(weight_cache, "_cpu", lambda: b"another CPU")
    else:
        monkeypatch.setattr(weight_cache, "_library", lambda path: b"another library")
    engine = load(folder)
    assert not is_mapped(foreign)
    engine.close()
    assert len(list(folder.iterdir())) == 2


def test_the_same_library_elsewhere_is_the_same_library(tmp_path: Path) -> None:
    library = litert_library.library_file()
    assert library is not None
    copy = tmp_path / "libLiteRt.so"
    shutil.copyfile(library, copy)
    assert weight_cache._library(str(copy)) == weight_cache._library(library)


@pytest.mark.parametrize("place", [0, -1, 3000, -3000])
def test_a_library_that_differs_at_an_end_is_another(tmp_path: Path, place: int) -> None:
    content = bytearray(os.urandom(20_000))
    library = tmp_path / "libLiteRt.so"
    library.write_bytes(content)
    before = weight_cache._library(str(library))
    content[place] ^= 1
    library.write_bytes(content)
    assert weight_cache._library(str(library)) != before


def test_what_identifies_the_cpu_does_not_change_from_moment_to_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = [
        b"processor\t: 0\nmodel name\t: Bird 9000\ncpu MHz\t: %d\nflags\t: fpu sse avx2\n\nprocessor\t: 1\n" % clock
        for clock in (800, 4200)
    ]

    def head(path: str) -> bytes:
        if "modalias" in path:
            raise FileNotFoundError
        return cpuinfo.pop()

    monkeypatch.setattr(weight_cache, "_head", head)
    assert weight_cache._cpu() == weight_cache._cpu() == b"model name\t: Bird 9000\nflags\t: fpu sse avx2"


def test_an_unknown_cpu_goes_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(path: str) -> bytes:
        raise FileNotFoundError(2, "no such file", path)

    monkeypatch.setattr(weight_cache, "_head", nothing)
    assert answer(folder) == scores(*COLOUR)
    assert not folder.exists()


def test_a_few_files_of_a_model_are_kept_and_the_oldest_removed(folder: Path) -> None:
    folder.mkdir()
    others = [folder / f"xnnpack-{'a' * 16}-{number:016}-{'0' * 64}.bin" for number in range(6)]
    unrelated = [folder / f"xnnpack-{'b' * 16}-{0:016}-{'0' * 64}.bin", folder / "notes.txt"]
    for age, file in enumerate(others + unrelated):
        file.touch()
        os.utime(file, ns=(OLD_NS - age, OLD_NS - age))
    answer(folder)
    left = set(folder.iterdir())
    assert {file for file in others if file in left} == set(others[: weight_cache.KEPT_PER_MODEL - 1])
    assert set(unrelated) <= left
    assert len(left) == weight_cache.KEPT_PER_MODEL + len(unrelated)


def test_what_a_killed_process_left_is_swept_when_it_is_old(folder: Path) -> None:
    folder.mkdir()
    old, young = folder / "xnnpack-a-b-1-2.part", folder / "xnnpack-a-b-3-4.part"
    for file in (old, young):
        file.touch()
    os.utime(old, ns=(OLD_NS, OLD_NS))
    answer(folder)
    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize(
    "name",
    ["with space", 'with "quotes"', "with 'quotes'", "#1", "a=b", "new\nline", "Vögel 🐦", "back\\slash", "..."],
)
def test_the_folder_may_be_called_anything(tmp_path: Path, new_process: Callable[[], None], name: str) -> None:
    folder = tmp_path / name
    answer(folder)
    new_process()
    engine = load(folder)
    assert is_mapped(only_file(folder))
    assert engine.run(picture(*COLOUR)) == [scores(*COLOUR)]
    engine.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("where", ["file/in/the/way", "/proc/self/birdlite", "x" * 300])
def test_a_folder_that_cannot_be_made_does_not_matter(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    assert answer(tmp_path / where) == scores(*COLOUR)


def test_a_folder_that_cannot_be_written_does_not_matter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere, so it is pretended
    assert answer(folder) == scores(*COLOUR)
    assert list(folder.iterdir()) == []


def test_a_folder_that_vanishes_does_not_matter(folder: Path) -> None:
    first = load(folder)
    second = load(folder)
    shutil.rmtree(folder)
    third = load(folder)
    for engine in (first, second, third):
        assert engine.run(picture(*COLOUR)) == [scores(*COLOUR)]
        engine.close()


# In a process of its own, because a limit once set stays. Python ignores SIGXFSZ, so writes fail as on a full disk.
FULL = """
import resource, sys
from birdlite import engines
from tests import tiny_models as t

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
for _ in range(2):
    engine = engines.load(t.model(), t.card(), weight_cache=sys.argv[1])
    assert engine.run(t.picture(255, 200, 100)) == [t.scores(255, 200, 100)]
    engine.close()
"""


@pytest.mark.parametrize("limit", [0, 100, 1000])
def test_a_disk_that_is_full_does_not_matter(folder: Path, limit: int) -> None:
    command = [sys.executable, "-c", FULL, str(folder), str(limit)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_write_that_fails_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert answer(folder) == scores(*COLOUR)
    assert list(folder.iterdir()) == []


def test_what_the_next_run_would_not_take_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_cache, "_MAX_BYTES", 100)
    assert answer(folder) == scores(*COLOUR)
    assert list(folder.iterdir()) == []


def test_a_process_tries_to_build_only_once(folder: Path, heard: list[tuple[int, str]]) -> None:
    for _ in range(3):
        answer(folder)
        for file in folder.iterdir():
            file.unlink()
    assert sum(message == "packed weights kept" for _, message in heard) == 1


def test_engines_loaded_at_once_build_one_file(folder: Path) -> None:
    rows: list[list[float]] = []
    threads = [threading.Thread(target=lambda: rows.append(answer(folder))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows == [scores(*COLOUR)] * 8
    only_file(folder)


def test_a_process_hashes_a_file_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(folder)
    answer(folder)
    hashed: list[int] = []
    real = hashlib.sha256

    def sha256(data: bytes) -> object:
        hashed.append(len(data))
        return real(data)

    monkeypatch.setattr(hashlib, "sha256", sha256)
    for _ in range(3):
        engine = load(folder)
        assert is_mapped(only_file(folder))
        engine.close()
    assert only_file(folder).stat().st_size not in hashed


BUILD = """
import sys
from birdlite import engines
from tests import tiny_models as t

sys.stdin.read()  # until all of them are ready
engine = engines.load(t.model(), t.card(sha256="a" * 64), weight_cache=sys.argv[1])
assert engine.run(t.picture(255, 200, 100)) == [t.scores(255, 200, 100)]
"""


def test_processes_that_build_at_once_do_not_disturb_each_other(folder: Path) -> None:
    command = [sys.executable, "-c", BUILD, str(folder)]
    processes = [subprocess.Popen(command, cwd=REPO, stdin=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0] * 4
    file = only_file(folder)
    assert file.stem.endswith(hashlib.sha256(file.read_bytes()).hexdigest())


def test_published_files_are_read_only(folder: Path) -> None:
    answer(folder)
    assert only_file(folder).stat().st_mode & 0o222 == 0


@pytest.mark.birds
def test_the_real_model_has_the_same_scores_with_and_without(
    birds: Path, folder: Path, new_process: Callable[[], None]
) -> None:
    name = "storage.googleapis.com/tfhub-lite-models/google/lite-model/aiy/vision/classifier/birds_V1/3.tflite"
    model = (birds / "mirror" / name).read_bytes()
    card = tiny_models.card(*engines.describe(model))
    pixels = bytes(range(256)) * 588
    rows = []
    for cache in (None, str(folder), str(folder)):
        new_process()
        engine = engines.load(model, card, weight_cache=cache)
        rows.append(engine.run(pixels))
        engine.close()
    assert rows[0] == rows[1] == rows[2]
    assert only_file(folder).stat().st_size > 3_000_000
