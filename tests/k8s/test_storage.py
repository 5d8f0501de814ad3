"""What k8s/overlays/cluster tells its pods, tried word for word on a real S3 server: a pod is a process here."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from birdlite.cli import main
from tests.demo_world import LABELS, MODEL, PICTURES
from tests.manifests import Render
from tests.object_store import Bucket, Gate

SHARDS = 3  # instead of the overlay's own number
NIGHT = "birdlite-nightly-29384760"


def variables_of(documents: list[dict[str, Any]], kind: str, bucket: Bucket) -> dict[str, str]:
    """The environment of a pod, as the kubelet makes it."""
    (settings,) = (d["data"] for d in documents if d["kind"] == "ConfigMap" and "OUTPUT" in d["data"])
    (job,) = (d for d in documents if d["kind"] == kind)
    pod = (job["spec"] if kind == "Job" else job["spec"]["jobTemplate"]["spec"])["template"]["spec"]
    (container,) = pod["containers"]
    known = {name: value.replace("YOUR-BUCKET", bucket.name) for name, value in settings.items()}
    for entry in container["env"]:
        value = entry.get("value", NIGHT)  # the other one comes from a label
        known[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda match: known[match[1]], value)
    return known


def run_pods(variables: dict[str, str], tmp_path: Path, count: int = SHARDS) -> list[str]:
    """Run `classify` as each pod would; gives what they say."""
    said = []
    model = {"BIRDLITE_MODEL": str(MODEL), "BIRDLITE_LABELS": str(LABELS), "BIRDLITE_SHARDS": str(count)}
    place = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}  # TMPDIR: the pod's /tmp
    outside = {name: value for name, value in os.environ.items() if name != "BIRDLITE_SCRATCH"}
    for index in range(count):
        environment = {**outside, **variables, **model, **place, "JOB_COMPLETION_INDEX": str(index)}
        run = subprocess.run(
            [sys.executable, "-m", "birdlite", "classify"], env=environment, cwd="/", capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        said.append(run.stderr)
    return said


@pytest.fixture
def urls(bucket: Bucket) -> list[str]:
    """Pictures in the bucket, and the list of them that the overlay names."""
    urls = [bucket.put(f"pictures/{path.name}", path.read_bytes()) for path in PICTURES]
    bucket.put("list.txt", "\n".join([*urls, bucket.url("pictures/gone.jpg")]).encode())
    return urls


def listed(bucket: Bucket) -> list[str]:
    """The lines of the list in the bucket."""
    return bucket.get("list.txt").decode().splitlines()


def parts_in(bucket: Bucket) -> list[str]:
    """The keys of what pods have written."""
    keys = bucket.keys()
    return [key for key in keys if key.startswith("birdlite/")]


def test_the_job_takes_its_list_from_the_bucket_and_leaves_its_parts_there(
    render: Render, bucket: Bucket, urls: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_pods(variables_of(render("cluster"), "Job", bucket), tmp_path)

    run = hashlib.sha256("".join(f"{name}\n" for name in listed(bucket)).encode()).hexdigest()[:12]
    assert bucket.keys() == [f"birdlite/{run}-part-{shard}.jsonl" for shard in range(SHARDS)] + ["list.txt"] + [
        f"pictures/{path.name}" for path in PICTURES
    ]
    assert main(["merge", bucket.url("birdlite/"), "-o", str(tmp_path / "birds.jsonl")]) == 1  # one of them is gone
    assert "3 parts: 6 of 7 targets classified, 1 failed; written to " in capsys.readouterr().err


def test_a_pod_that_starts_again_finds_its_part_complete(
    render: Render, bucket: Bucket, urls: list[str], tmp_path: Path
) -> None:
    variables = variables_of(render("cluster"), "Job", bucket)
    run_pods(variables, tmp_path, count=1)
    (part,) = parts_in(bucket)
    before = bucket.get(part)

    another_node = tmp_path / "another"
    another_node.mkdir()
    (said,) = run_pods(variables, another_node, count=1)

    assert "0 of 1 classified, 1 failed (not_found 1)" in said  # only what failed is tried again
    assert bucket.get(part) == before


def test_the_night_leaves_out_what_the_job_has(render: Render, bucket: Bucket, urls: list[str], tmp_path: Path) -> None:
    run_pods(variables_of(render("cluster"), "Job", bucket), tmp_path)

    said = run_pods(variables_of(render("cluster"), "CronJob", bucket), tmp_path)

    assert all("6 targets were classified by earlier runs" in text for text in said[:1])
    parts = [bucket.get(f"birdlite/{NIGHT}-part-{shard}.jsonl").decode() for shard in range(SHARDS)]
    assert sum(part.count('"target"') for part in parts) == 1  # what was gone is tried again


def test_a_night_reads_the_index_and_no_part_of_earlier_nights(
    render: Render, bucket: Bucket, gate: Gate, urls: list[str], tmp_path: Path
) -> None:
    run_pods(variables_of(render("cluster"), "Job", bucket), tmp_path)
    variables = variables_of(render("cluster"), "CronJob", bucket)
    nights = [{name: value.replace(NIGHT, f"night-{number}") for name, value in variables.items()} for number in (1, 2)]
    run_pods(nights[0], tmp_path)
    gate.asked.clear()

    said = run_pods(nights[1], tmp_path)

    assert all("6 targets were classified by earlier runs" in text for text in said)
    got = [asked.path.partition("?")[0].rpartition("/")[2] for asked in gate.asked if asked.method == "GET"]
    parts = {name for name in got if name.endswith(".jsonl")}
    assert parts == {f"night-2-part-{shard}.jsonl" for shard in range(SHARDS)}
    (index,) = {name for name in got if name.endswith(".index")}
    assert got.count(index) == SHARDS + 1  # once a pod, and the last one once more to bring it up to date


def test_another_list_is_another_run(render: Render, bucket: Bucket, urls: list[str], tmp_path: Path) -> None:
    variables = variables_of(render("cluster"), "Job", bucket)
    run_pods(variables, tmp_path)
    first = {key: bucket.get(key) for key in parts_in(bucket)}

    bucket.put("list.txt", "\n".join([*urls, urls[0], urls[1]]).encode())
    run_pods(variables, tmp_path)

    after = {key: bucket.get(key) for key in parts_in(bucket)}
    assert len(after) == 2 * SHARDS
    assert first.items() <= after.items()
    new = [line for key in after.keys() - first.keys() for line in after[key].splitlines()[1:]]
    assert len(new) == len(urls) + 2


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_the_scratch_folder_is_on_a_volume_that_a_read_only_root_leaves_writable(render: Render, kind: str) -> None:
    (job,) = (document for document in render("cluster") if document["kind"] == kind)
    pod = (job["spec"] if kind == "Job" else job["spec"]["jobTemplate"]["spec"])["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}

    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert "emptyDir" in volumes[mounts["/tmp"]["name"]]
    assert not mounts["/tmp"].get("readOnly")
    assert not {entry["name"] for entry in container["env"]} & {"TMPDIR", "BIRDLITE_SCRATCH"}
