"""What the checks of image and Job do besides calling podman: skip with a reason, and make pods of a Job."""

from __future__ import annotations

import os
import shutil

import pytest

from scripts import podman
from scripts.job_pods import pods_of
from tests.manifests import BASE, documents_of


def _never(_: podman.Podman) -> None:
    raise AssertionError("the check was called")


def test_without_root_nothing_is_checked_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)

    assert podman.guarded(_never) == podman.SKIPPED
    assert capsys.readouterr().out.startswith("skipped: this is not root")


def test_without_debian_what_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda program: None)

    assert podman.guarded(_never) == podman.SKIPPED
    assert "podman, runc" in capsys.readouterr().out


def test_a_job_becomes_a_pod_for_each_index_with_its_variables_expanded() -> None:
    (job,) = documents_of(BASE / "job.yaml")

    pods = list(pods_of(job | {"spec": job["spec"] | {"completions": 2}}, {"OUTPUT": "/out"}))

    assert [pod["metadata"]["name"] for pod in pods] == ["birdlite-0", "birdlite-1"]
    for index, pod in enumerate(pods):
        values = {entry["name"]: entry["value"] for entry in pod["spec"]["containers"][0]["env"]}
        assert values["JOB_COMPLETION_INDEX"] == str(index)
        assert values["BIRDLITE_OUTPUT"] == "/out/{run}-part-{shard}.jsonl"
    assert "JOB_COMPLETION_INDEX" not in str(job)
