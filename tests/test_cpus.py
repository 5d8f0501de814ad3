"""Workers are counted by what the process may use, not by what the machine has."""

from __future__ import annotations

from pathlib import Path

import pytest

from birdlite import cpus


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of 8 processors without a cgroup; tests write its files."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cpus, "CGROUP_V2", str(tmp_path / "v2"))
    monkeypatch.setattr(cpus, "CGROUP_V1_QUOTA", str(tmp_path / "quota"))
    monkeypatch.setattr(cpus, "CGROUP_V1_PERIOD", str(tmp_path / "period"))
    return tmp_path


def test_without_a_quota_the_affinity_mask_counts(machine: Path) -> None:
    assert cpus.usable() == 8


@pytest.mark.parametrize(
    ("text", "expected"),
    [("200000 100000\n", 2), ("150000 100000\n", 2), ("25000 100000\n", 1), ("max 100000\n", 8), ("9000000 100000", 8)],
)
def test_a_quota_of_cgroup_v2_counts_rounded_up(machine: Path, text: str, expected: int) -> None:
    (machine / "v2").write_text(text)

    assert cpus.usable() == expected


@pytest.mark.parametrize(("quota", "expected"), [("300000", 3), ("-1", 8), ("50000", 1)])
def test_a_quota_of_cgroup_v1_counts_rounded_up(machine: Path, quota: str, expected: int) -> None:
    (machine / "quota").write_text(quota + "\n")
    (machine / "period").write_text("100000\n")

    assert cpus.usable() == expected


@pytest.mark.parametrize("text", ["", "garbage", "1 0", "a b"])
def test_a_cgroup_file_that_makes_no_sense_is_no_quota(machine: Path, text: str) -> None:
    (machine / "v2").write_text(text)

    assert cpus.usable() == 8


def test_without_affinity_masks_the_number_of_processors_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 5)

    assert cpus.usable() == 5
