"""The optional components of k8s/: each renders with an overlay, keeps the rules, and changes only what it is for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s_rules import faults_in, jobs_in
from tests.manifests import COMPONENTS, FOLDER, SERVE_COMPONENTS, Render, render_folder

Document = dict[str, Any]
VERSIONS = ("1.29", "1.37")
NOT_OF_KUBERNETES = {"PrometheusRule", "ServiceMonitor"}  # kinds of an operator, whose schema is elsewhere


CASES = [
    *(("cluster", name) for name in COMPONENTS),
    *(("serve/cluster", f"serve/{name}") for name in SERVE_COMPONENTS),
    *(("serve/cluster", name) for name in COMPONENTS if name.startswith("dns-")),
]


def with_component(name: str, folder: Path, overlay: str = "cluster") -> list[Document]:
    """An overlay with one component, as a user's own overlay has it. `serve/…` are those of the service."""
    text = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "birdlite-serve" if overlay.startswith("serve/") else "birdlite",
        "resources": [_path("overlays", overlay, folder)],
        "components": [_path("components", name, folder)],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return render_folder(folder)


def _path(kind: str, name: str, folder: Path) -> str:
    group, _, last = name.rpartition("/")
    return os.path.relpath(FOLDER / group / kind / last, folder.resolve())


@pytest.mark.parametrize(("overlay", "name"), CASES)
def test_a_component_keeps_every_rule_and_schema(render: Render, overlay: str, name: str, tmp_path: Path) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install '.[k8s]' brings the schemas")
    before = render(overlay)

    documents = with_component(name, tmp_path, overlay)

    assert faults_in(documents) == []
    assert documents != before, "the component changes nothing"
    for document in documents:
        for version in VERSIONS if document["kind"] not in NOT_OF_KUBERNETES else ():
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize(
    ("name", "peer", "port"),
    [
        ("dns-nodelocal", {"ipBlock": {"cidr": "10.96.0.10/32"}}, 53),
        ("dns-gke", {"ipBlock": {"cidr": "169.254.169.254/32"}}, 53),
        (
            "dns-openshift",
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}},
            5353,
        ),
    ],
)
def test_a_name_server_is_opened_and_nothing_else(
    render: Render, name: str, peer: Document, port: int, tmp_path: Path
) -> None:
    (policy,) = (d for d in with_component(name, tmp_path) if d not in render("cluster"))

    (rule,) = policy["spec"]["egress"]
    assert rule["to"] == [peer]
    assert [(p["protocol"], p["port"]) for p in rule["ports"]] == [("UDP", port), ("TCP", port)]
    assert policy["spec"]["policyTypes"] == ["Egress"]
    assert policy["metadata"]["namespace"] == "birdlite"


def test_the_nightly_run_is_awake(render: Render, tmp_path: Path) -> None:
    (nightly,) = (d for d in with_component("nightly", tmp_path) if d["kind"] == "CronJob")

    assert nightly["spec"]["suspend"] is False


def test_both_jobs_give_way(render: Render, tmp_path: Path) -> None:
    documents = with_component("priority", tmp_path)
    (priority,) = (d for d in documents if d["kind"] == "PriorityClass")

    assert priority["value"] < 0
    assert "namespace" not in priority["metadata"]
    assert [job.pod["priorityClassName"] for job in jobs_in(documents)] == [priority["metadata"]["name"]] * 2


def test_kueue_gets_both_jobs(render: Render, tmp_path: Path) -> None:
    documents = with_component("kueue", tmp_path)
    (job,) = (d for d in documents if d["kind"] == "Job")
    (nightly,) = (d for d in documents if d["kind"] == "CronJob")

    for labels in (job["metadata"]["labels"], nightly["spec"]["jobTemplate"]["metadata"]["labels"]):
        assert labels["kueue.x-k8s.io/queue-name"] == "birdlite"
        assert labels["app.kubernetes.io/name"] == "birdlite"


@pytest.mark.parametrize(
    ("name", "annotations"),
    [
        ("argocd-replace", {"argocd.argoproj.io/sync-options": "Force=true,Replace=true"}),
        (
            "argocd-hook",
            {"argocd.argoproj.io/hook": "Sync", "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation"},
        ),
    ],
)
def test_argo_cd_makes_the_job_anew(render: Render, name: str, annotations: dict[str, str], tmp_path: Path) -> None:
    (job,) = (d for d in with_component(name, tmp_path) if d["kind"] == "Job")

    assert job["metadata"]["annotations"] == annotations


def test_alerts_ask_only_for_metrics_of_kube_state_metrics(render: Render, tmp_path: Path) -> None:
    (rules,) = (d for d in with_component("alerts", tmp_path) if d["kind"] == "PrometheusRule")

    (group,) = rules["spec"]["groups"]
    for rule in group["rules"]:
        metric = rule["expr"].removeprefix("time() - ").partition("{")[0]
        assert metric.startswith(("kube_job_", "kube_cronjob_"))
        assert 'namespace="birdlite"' in rule["expr"]
        assert rule["labels"]["severity"] in {"info", "warning"}
