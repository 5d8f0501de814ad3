"""What a cluster makes of an Indexed Job: a pod for each index. `job_check` and `outages` play them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]


def settings_of(documents: list[Document]) -> dict[str, str]:
    """What `envFrom` brings."""
    (settings,) = (d["data"] for d in documents if d["kind"] == "ConfigMap" and "list.txt" not in d["data"])
    return dict(settings)


def pods_of(job: Document, settings: dict[str, str]) -> Iterator[Document]:
    """Give what the Job controller makes of an Indexed Job, and the kubelet of its variables: a pod for each index."""
    spec, name = job["spec"], job["metadata"]["name"]
    assert spec["completionMode"] == "Indexed"
    for index in range(spec["completions"]):
        template = json.loads(json.dumps(spec["template"]))  # a copy to change
        labels = template["metadata"].get("labels", {})
        labels |= {"batch.kubernetes.io/job-name": name, "batch.kubernetes.io/job-completion-index": str(index)}
        for container in template["spec"]["containers"]:
            given = [{"name": "JOB_COMPLETION_INDEX", "value": str(index)}]
            container["env"] = _expanded([*given, *container.get("env", [])], settings)
        metadata = {"name": f"{name}-{index}", "labels": labels}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _expanded(entries: list[Document], settings: dict[str, str]) -> list[Document]:
    """Put values for `$(NAME)`, as the kubelet does and podman does not."""
    known = dict(settings)
    for entry in entries:
        if "value" in entry:
            entry["value"] = re.sub(r"\$\((\w+)\)", lambda match: known.get(match[1], match[0]), entry["value"])
            known[entry["name"]] = entry["value"]
    return entries
