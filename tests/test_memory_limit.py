"""The memory to plan for is what the process may really use, not what the machine has."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path
from types import SimpleNamespace

import pytest

from birdlite import memory_limit

M = 1 << 20
MACHINE = 4096 * M


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of 4 GiB without a cgroup; tests write its files."""
    facts = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": MACHINE // 4096}
    monkeypatch.setattr("os.sysconf", facts.__getitem__)
    monkeypatch.setattr(memory_limit, "CGROUPS", str(tmp_path / "cgroups"))
    monkeypatch.setattr(memory_limit, "V2", (str(tmp_path / "v2"), "memory.max"))
    monkeypatch.setattr(memory_limit, "V1", (str(tmp_path / "v1"), "memory.limit_in_bytes"))
    return tmp_path


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_a_limit_it_is_half_of_the_machines_memory(machine: Path) -> None:
    assert memory_limit.automatic() == (2048 * M, "half of this machine's memory")


@pytest.mark.parametrize("text", ["max\n", "", "garbage", str(1 << 62)])
def test_a_cgroup_without_a_limit_does_not_count(machine: Path, text: str) -> None:
    put(machine / "cgroups", "0::/\n")
    put(machine / "v2" / "memory.max", text)

    assert memory_limit.automatic() == (2048 * M, "half of this machine's memory")


def test_the_smallest_limit_on_the_way_to_the_root_counts(machine: Path) -> None:
    put(machine / "cgroups", "0::/kubepods/pod1/main\n")
    put(machine / "v2" / "memory.max", "max\n")
    put(machine / "v2" / "kubepods" / "memory.max", f"{3000 * M}\n")
    put(machine / "v2" / "kubepods" / "pod1" / "memory.max", f"{512 * M}\n")
    put(machine / "v2" / "kubepods" / "pod1" / "main" / "memory.max", f"{1024 * M}\n")

    assert memory_limit.automatic() == (512 * M, "the container's memory limit")


def test_in_a_container_the_root_has_the_limit_whatever_path_the_kernel_names(machine: Path) -> None:
    put(machine / "cgroups", "0::/../../somewhere/else\n")
    put(machine / "v2" / "memory.max", f"{3000 * M}\n")

    assert memory_limit.automatic() == (3000 * M, "the container's memory limit")


def test_a_limit_of_cgroup_v1_counts(machine: Path) -> None:
    put(machine / "cgroups", "5:cpu,cpuacct:/a\n4:memory:/docker/abc\n0::/\n")
    put(machine / "v1" / "memory.limit_in_bytes", "9223372036854771712\n")
    put(machine / "v1" / "docker" / "abc" / "memory.limit_in_bytes", f"{1024 * M}\n")

    assert memory_limit.automatic() == (1024 * M, "the container's memory limit")


def test_what_is_resident_comes_from_the_kernel(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limit, "STATM", str(machine / "statm"))
    assert memory_limit.resident() == 0

    put(machine / "statm", "9000 512 300 1 0 500 0\n")

    assert memory_limit.resident() == 512 * 4096


def test_threads_share_as_many_heaps_as_there_are_workers_but_two_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda parameter, value: told.append((parameter, value)))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)

    memory_limit.share_heaps(1)
    memory_limit.share_heaps(8)
    del library.mallopt
    memory_limit.share_heaps(8)  # another C library has no such function

    assert told == [(-8, 2), (-8, 8)]  # M_ARENA_MAX in malloc.h


def test_large_blocks_are_returned_and_what_smaller_ones_leave_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, int] = {}
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=told.__setitem__))

    memory_limit.return_large_blocks()

    assert told == {-3: 4 * M, -1: 8 * M}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


def test_in_long_runs_a_collector_that_waits_long_looks_often_and_another_stays_as_it_is() -> None:
    before = gc.get_threshold()
    try:
        gc.set_threshold(50_000)
        memory_limit.collect_often()
        assert gc.get_threshold()[0] == 2000
        gc.set_threshold(700, 5, 5)
        memory_limit.collect_often()
        assert gc.get_threshold() == (700, 5, 5)
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
