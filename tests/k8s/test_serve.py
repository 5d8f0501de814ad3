"""The manifests of the service: every overlay keeps the rules, and each rule catches its fault."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from birdlite import Classifier, Settings
from birdlite.cli import serve
from birdlite.models.catalog import DEMO_MODEL
from tests.k8s.test_rules import put
from tests.k8s_pods import Document, Workload
from tests.k8s_rules import faults_in
from tests.k8s_serve_rules import settings_of
from tests.manifests import BASE, SERVE, SERVE_OVERLAYS, Render, documents_of
from tests.serving import Running

LABELS = {"app.kubernetes.io/name": "birdlite", "app.kubernetes.io/component": "serve"}


def variables() -> dict[str, str]:
    lines = (SERVE / "base" / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture
def base() -> list[Document]:
    """The base's documents as they are written, with what kustomize would add."""
    paths = sorted(path for path in (SERVE / "base").glob("*.yaml") if path.stem != "kustomization")
    documents = [document for path in paths for document in documents_of(path)]
    of_kind(documents, "Deployment")["spec"]["template"]["metadata"] = {"labels": dict(LABELS)}
    of_kind(documents, "Service")["metadata"]["labels"] = dict(LABELS)
    settings = {"kind": "ConfigMap", "metadata": {"name": "birdlite-serve-settings"}, "data": variables()}
    monitor = documents_of(SERVE / "components" / "monitor" / "service-monitor.yaml")
    return [*documents, settings, *monitor]


def of_kind(documents: list[Document], kind: str) -> Document:
    (found,) = (document for document in documents if document["kind"] == kind)
    return found


@pytest.mark.parametrize("overlay", SERVE_OVERLAYS)
def test_an_overlay_keeps_every_rule(render: Render, overlay: str) -> None:
    documents = render(overlay)

    assert of_kind(documents, "Deployment")
    assert faults_in(documents) == []


def test_the_base_keeps_every_rule(base: list[Document]) -> None:
    assert faults_in(base) == []


POD = "spec/template/spec"
CONTAINER = f"{POD}/containers/0"


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        # What all pods must keep to
        (f"{POD}/automountServiceAccountToken", None, "token"),
        (f"{POD}/enableServiceLinks", None, "variables of Services"),
        (f"{POD}/securityContext/runAsNonRoot", None, "may run as root"),
        (f"{CONTAINER}/securityContext/readOnlyRootFilesystem", False, "may write to its image"),
        (f"{CONTAINER}/resources/requests/cpu", None, "cpu is not both requested and limited"),
        (f"{CONTAINER}/resources/requests/memory", "2Gi", "requests more memory"),
        (f"{POD}/topologySpreadConstraints/0/labelSelector/matchLabels", {"app": "x"}, "does not select the pods"),
        (f"{POD}/serviceAccountName", "bird", "ServiceAccount/bird is not there"),
        # A rolling update
        ("spec/strategy/rollingUpdate/maxUnavailable", 1, "before another one is ready"),
        ("spec/strategy/rollingUpdate/maxSurge", 0, "before another one is ready"),
        ("spec/strategy", None, "before another one is ready"),
        ("spec/minReadySeconds", None, "no minReadySeconds"),
        (
            "spec/replicas",
            2,
            "every apply sets replicas to 2, whatever HorizontalPodAutoscaler/birdlite-serve has decided",
        ),
        ("spec/selector/matchLabels", {"app": "x"}, "does not select its own pods"),
        (f"{POD}/restartPolicy", "OnFailure", "a Deployment wants Always"),
        # The end
        (f"{POD}/terminationGracePeriodSeconds", 40, "--drain 10 and --grace 30 take all of"),
        (f"{POD}/terminationGracePeriodSeconds", None, "take all of terminationGracePeriodSeconds"),
        (f"{CONTAINER}/lifecycle", {"preStop": {"sleep": {"seconds": 5}}}, "a preStop hook"),
        # Its options
        (f"{CONTAINER}/args", ["classify"], "runs `birdlite classify`"),
        (f"{CONTAINER}/args", ["serve", "--quue=3"], "--quue"),
        (f"{CONTAINER}/args", ["serve", "--queue=many"], "many"),
        (f"{CONTAINER}/args", ["serve", "--port=9000"], "it listens on port 9000, and its container has [8000]"),
        (f"{CONTAINER}/args", ["serve", "--grace=20"], "--grace 20 cuts off requests, which may take 30 s"),
        (f"{CONTAINER}/env", [{"name": "BIRDLITE_QUUE", "value": "3"}], "BIRDLITE_QUUE is no variable"),
        (f"{CONTAINER}/env", [{"name": "BIRDLITE_PORT", "value": "8000"}], "BIRDLITE_PORT is no variable"),
        (f"{CONTAINER}/env", [{"name": "BIRDLITE_HOST", "value": "127.0.0.1"}], "for its own pod only"),
        (f"{CONTAINER}/envFrom", None, "--host 127.0.0.1: it listens for its own pod only"),
        # Ports and probes
        (f"{CONTAINER}/ports/0/containerPort", 8080, "it listens on port 8000, and its container has [8080]"),
        (f"{CONTAINER}/ports/0/name", "web", "readinessProbe: the container has no port http"),
        (f"{CONTAINER}/startupProbe", None, "no startupProbe by HTTP"),
        (f"{CONTAINER}/livenessProbe", {"tcpSocket": {"port": "http"}}, "no livenessProbe by HTTP"),
        (
            f"{CONTAINER}/readinessProbe/httpGet/path",
            "/healthz",
            "readinessProbe: the service does not answer /healthz",
        ),
        (f"{CONTAINER}/startupProbe/failureThreshold", 300, "startupProbe gives up before --startup-timeout 300"),
        (f"{CONTAINER}/readinessProbe/periodSeconds", 6, "readinessProbe notices the end after --drain 10"),
        (f"{CONTAINER}/livenessProbe/httpGet/path", "/readyz", "livenessProbe: /readyz would start replicas again"),
    ],
)
def test_a_fault_in_the_deployment_is_found(base: list[Document], path: str, value: object, complaint: str) -> None:
    put(of_kind(base, "Deployment"), path, value)

    assert complaint in "\n".join(faults_in(base))


@pytest.mark.parametrize(
    ("kind", "path", "value", "complaint"),
    [
        ("HorizontalPodAutoscaler", "spec/scaleTargetRef/name", "birdlite", "scales Deployment/birdlite, which is not"),
        ("HorizontalPodAutoscaler", "spec/scaleTargetRef/apiVersion", "v1", "scales Deployment/birdlite-serve, which"),
        ("HorizontalPodAutoscaler", "spec/minReplicas", 1, "with one replica"),
        ("HorizontalPodAutoscaler", "spec/minReplicas", 10, "minReplicas is not below maxReplicas"),
        ("HorizontalPodAutoscaler", "spec/metrics/0/resource/target/averageUtilization", 95, "at 95 %"),
        ("PodDisruptionBudget", "spec/selector/matchLabels", {"app": "x"}, "selects the pods of no Deployment"),
        ("PodDisruptionBudget", "spec/minAvailable", 2, "minAvailable 2 of 2 replicas blocks drains"),
        ("PodDisruptionBudget", "spec/minAvailable", "50%", "minAvailable 50% of 2 replicas blocks drains"),
        ("PodDisruptionBudget", "spec/maxUnavailable", 0, "maxUnavailable 0 blocks every drain"),
        ("PodDisruptionBudget", "spec/unhealthyPodEvictionPolicy", None, "replicas that are not ready block drains"),
        ("Service", "spec/selector", {"app": "x"}, "selects other pods than Deployment/birdlite-serve"),
        ("Service", "spec/ports/0/targetPort", 80, "Service/birdlite-serve: the container has no port 80"),
        ("Service", "kind", "Secret", "no Service leads to it"),
        ("NetworkPolicy", "spec/podSelector/matchLabels", {"app": "x"}, "does not select the pods of Deployment/"),
        ("NetworkPolicy", "spec/ingress/0/ports/0/port", 8080, "let in requests for ports [8080], and its"),
        ("NetworkPolicy", "spec/ingress/0/ports", None, "let in requests for ports ['any'], and its"),
        ("NetworkPolicy", "spec/ingress", None, "let in requests for ports [], and its container has [8000]"),
        (
            "ServiceMonitor",
            "spec/selector/matchLabels",
            {"app": "x"},
            "ServiceMonitor/birdlite-serve: selects no Service",
        ),
        ("ServiceMonitor", "spec/endpoints/0/port", "metrics", "the Service has no port metrics"),
        ("ServiceMonitor", "spec/endpoints/0/path", "/prometheus", "the service does not answer /prometheus"),
    ],
)
def test_a_fault_around_the_deployment_is_found(
    base: list[Document], kind: str, path: str, value: object, complaint: str
) -> None:
    put(of_kind(base, kind), path, value)

    assert complaint in "\n".join(faults_in(base))


def test_a_number_of_replicas_is_said_somewhere(base: list[Document]) -> None:
    base.remove(of_kind(base, "HorizontalPodAutoscaler"))

    assert "Deployment/birdlite-serve: no autoscaler and no replicas" in "\n".join(faults_in(base))


def test_the_command_reads_the_settings_as_they_are_meant(base: list[Document]) -> None:
    deployment = of_kind(base, "Deployment")
    values: dict[str, Any] = settings_of(Workload("", deployment["spec"]), base)

    assert (values["host"], values["port"], values["drain"], values["grace"]) == ("0.0.0.0", 8000, 10, 30)
    assert (values["max_bytes"], values["max_pixels"], values["log_format"]) == (32 << 20, 60 << 20, "json")
    assert not values["allow_private"]


def test_the_local_overlay_runs_one_replica_and_the_other_leaves_the_number_to_the_autoscaler(render: Render) -> None:
    local, cluster = (render(overlay) for overlay in SERVE_OVERLAYS)

    assert of_kind(local, "Deployment")["spec"]["replicas"] == 1
    assert "HorizontalPodAutoscaler" not in {document["kind"] for document in local}
    assert "replicas" not in of_kind(cluster, "Deployment")["spec"]
    assert of_kind(cluster, "HorizontalPodAutoscaler")["spec"]["minReplicas"] == 3


@pytest.mark.parametrize("overlay", SERVE_OVERLAYS)
def test_the_namespace_holds_its_pods_to_the_restricted_standard_and_is_not_that_of_the_batch(
    render: Render, overlay: str
) -> None:
    namespace = of_kind(render(overlay), "Namespace")
    standards = {name: value for name, value in namespace["metadata"]["labels"].items() if "pod-security" in name}
    batch = of_kind(render("local"), "Namespace")["metadata"]["name"]

    assert standards == {f"pod-security.kubernetes.io/{what}": "restricted" for what in ("enforce", "audit", "warn")}
    assert {d["metadata"].get("namespace", namespace["metadata"]["name"]) for d in render(overlay)} == {
        namespace["metadata"]["name"]
    }
    assert namespace["metadata"]["name"] != batch


def test_what_leaves_a_replica_goes_where_the_batchs_pods_may_go(base: list[Document]) -> None:
    (batch,) = documents_of(BASE / "network-policy.yaml")

    assert of_kind(base, "NetworkPolicy")["spec"]["egress"] == batch["spec"]["egress"]


def test_the_port_is_the_commands_default(base: list[Document]) -> None:
    (container,) = of_kind(base, "Deployment")["spec"]["template"]["spec"]["containers"]

    assert [port["containerPort"] for port in container["ports"]] == [serve.DEFAULTS.port]
    assert "BIRDLITE_LISTEN_PORT" not in variables()


def test_alerts_ask_for_numbers_that_the_service_has(filled_cache: Path) -> None:
    (rules,) = documents_of(SERVE / "components" / "alerts" / "rules.yaml")
    (group,) = rules["spec"]["groups"]
    settings = Settings(model=DEMO_MODEL, cache_dir=str(filled_cache))
    with Classifier(settings) as classifier, Running(classifier, settings) as service:
        lines = service.client.get("/metrics").text.splitlines()
    there = {line.split()[2] for line in lines if line.startswith("# TYPE")}

    for rule in group["rules"]:
        asked = set(re.findall(r"\bbirdlite_\w+", rule["expr"]))
        assert asked
        assert {name.removesuffix("_bucket") for name in asked} <= there
        assert rule["labels"]["severity"] in {"warning", "critical"}
