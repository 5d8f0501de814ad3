"""What a Deployment of `birdlite serve` must keep to, with all that stands around it. `k8s_rules` calls these rules.

A rolling update loses no request, the autoscaler can do its work, and whatever names a port, a path, an option or a
label names one that is there. Paths are those of the service's own routes; its settings are read as the command does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import click

from birdlite.cli import serve
from birdlite.serve.app import ROUTES
from tests.k8s_pods import Document, Workload, where

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def faults_of(deployment: Workload, documents: list[Document]) -> list[str]:
    """What is wrong, each in one line that says where."""
    faults = [f"{deployment.where}: {fault}" for fault in _update(deployment)]
    try:
        values = settings_of(deployment, documents)
    except click.UsageError as error:
        faults.append(f"{deployment.where}: {error.format_message()}")
    else:
        rules = (_end, _listens, _probes)
        faults += [f"{deployment.where}: {fault}" for rule in rules for fault in rule(deployment, values)]
    around = (_autoscaler, _budget, _service, _ingress, _monitor)
    return faults + [fault for rule in around for fault in rule(deployment, documents)]


def settings_of(deployment: Workload, documents: list[Document]) -> dict[str, Any]:
    """The values of all options, as the pod's `birdlite serve` reads them from its arguments and variables.

    Raises:
        click.UsageError: it would refuse to start, or does not know a variable.
    """
    (container,) = deployment.containers
    command, *arguments = container["args"]
    if command != serve.COMMAND.name:
        raise click.UsageError(f"runs `birdlite {command}`, not `birdlite serve`")
    configs = {d["metadata"]["name"]: d.get("data", {}) for d in documents if d["kind"] == "ConfigMap"}
    names = [source["configMapRef"]["name"] for source in container.get("envFrom", []) if "configMapRef" in source]
    given = {name: value for config in names for name, value in configs.get(config, {}).items()}
    given |= {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
    options = [param for param in serve.COMMAND.params if isinstance(param, click.Option)]
    known = {option.envvar for option in options} | {getattr(option, "opposite", None) for option in options}
    for name in given:
        if name.startswith("BIRDLITE_") and name not in known:
            raise click.UsageError(f"{name} is no variable of `birdlite serve`")
    others = {name: value for name, value in os.environ.items() if not name.startswith("BIRDLITE_")}
    with patch.dict(os.environ, {**others, **given}, clear=True):
        return dict(serve.COMMAND.make_context("serve", arguments).params)


def _update(deployment: Workload) -> Iterator[str]:
    rolling = deployment.spec.get("strategy", {}).get("rollingUpdate", {})
    if rolling.get("maxUnavailable") != 0 or not rolling.get("maxSurge"):
        yield "a rolling update takes a replica away before another one is ready"
    if not deployment.spec.get("minReadySeconds"):
        yield "no minReadySeconds: a new replica that fails at once would take the place of the old ones"
    if not deployment.spec["selector"]["matchLabels"].items() <= deployment.labels.items():
        yield "does not select its own pods"
    if deployment.pod.get("restartPolicy", "Always") != "Always":
        yield f"restartPolicy {deployment.pod['restartPolicy']}: a Deployment wants Always"


def _end(deployment: Workload, values: dict[str, Any]) -> Iterator[str]:
    """Between SIGTERM and SIGKILL there is time to finish what was accepted."""
    most = deployment.pod.get("terminationGracePeriodSeconds", 30)
    if values["drain"] + values["grace"] >= most:
        yield f"--drain {values['drain']:g} and --grace {values['grace']:g} take all of terminationGracePeriodSeconds"
    if values["grace"] < values["request_timeout"]:
        yield f"--grace {values['grace']:g} cuts off requests, which may take {values['request_timeout']:g} s"
    (container,) = deployment.containers
    if "preStop" in container.get("lifecycle", {}):
        yield "a preStop hook takes from terminationGracePeriodSeconds; --drain does its work"


def _listens(deployment: Workload, values: dict[str, Any]) -> Iterator[str]:
    if values["host"] in LOOPBACK:
        yield f"--host {values['host']}: it listens for its own pod only"
    ports = [port["containerPort"] for port in _ports(deployment)]
    if ports != [values["port"]]:
        yield f"it listens on port {values['port']}, and its container has {ports}"


def _probes(deployment: Workload, values: dict[str, Any]) -> Iterator[str]:
    (container,) = deployment.containers
    for name in PROBES:
        if "httpGet" not in container.get(name, {}):
            yield f"no {name} by HTTP"
            continue
        asked = container[name]["httpGet"]
        if asked["path"] not in ROUTES or "GET" not in ROUTES[asked["path"]][1]:
            yield f"{name}: the service does not answer {asked['path']}"
        if asked["port"] not in _port_names(deployment):
            yield f"{name}: the container has no port {asked['port']}"
        if name == "startupProbe" and _lasts(container[name]) <= values["startup_timeout"]:
            yield f"startupProbe gives up before --startup-timeout {values['startup_timeout']:g} is over"
        if name == "readinessProbe" and _lasts(container[name]) > values["drain"]:
            yield f"readinessProbe notices the end after --drain {values['drain']:g} is over"
        if name == "livenessProbe" and asked["path"] == "/readyz":
            yield "livenessProbe: /readyz would start replicas again that are busy or about to end"


def _lasts(probe: Document) -> float:
    """Seconds until it has failed; the defaults are Kubernetes' own."""
    return float(probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3))


def _autoscaler(deployment: Workload, documents: list[Document]) -> Iterator[str]:
    scalers = [d for d in documents if d["kind"] == "HorizontalPodAutoscaler"]
    replicas = deployment.spec.get("replicas")
    if not scalers and replicas is None:
        yield f"{deployment.where}: no autoscaler and no replicas: it is left to chance how many there are"
    for scaler in scalers:
        spec, place = scaler["spec"], where(scaler)
        target = spec["scaleTargetRef"]
        if (target["apiVersion"], f"{target['kind']}/{target['name']}") != ("apps/v1", deployment.where):
            yield f"{place}: scales {target['kind']}/{target['name']}, which is not there"
            continue
        if replicas is not None:
            yield f"{deployment.where}: every apply sets replicas to {replicas}, whatever {place} has decided"
        if spec.get("minReplicas", 1) < 2:
            yield f"{place}: with one replica, a lost node is an outage"
        if spec.get("minReplicas", 1) >= spec["maxReplicas"]:
            yield f"{place}: minReplicas is not below maxReplicas"
        for metric in spec.get("metrics", []):
            use = metric.get("resource", {}).get("target", {}).get("averageUtilization")
            if use is not None and not 0 < use < 90:
                yield f"{place}: at {use} % of its processors there is no room for what comes until new replicas run"


def _budget(deployment: Workload, documents: list[Document]) -> Iterator[str]:
    fewest = min(
        (d["spec"].get("minReplicas", 1) for d in documents if d["kind"] == "HorizontalPodAutoscaler"),
        default=deployment.spec.get("replicas", 1),
    )
    budgets = [d for d in documents if d["kind"] == "PodDisruptionBudget"]
    for budget in (d for d in budgets if d["spec"].get("selector") == deployment.spec["selector"]):
        least, most = budget["spec"].get("minAvailable", 0), budget["spec"].get("maxUnavailable", 1)
        if isinstance(least, str) or least >= fewest:
            yield f"{where(budget)}: minAvailable {least} of {fewest} replicas blocks drains"
        if most in (0, "0%"):
            yield f"{where(budget)}: maxUnavailable {most} blocks every drain"
        if budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{where(budget)}: replicas that are not ready block drains"


def _service(deployment: Workload, documents: list[Document]) -> Iterator[str]:
    services = [d for d in documents if d["kind"] == "Service"]
    if not services:
        yield f"{deployment.where}: no Service leads to it"
    for service in services:
        if service["spec"].get("selector") != deployment.spec["selector"]["matchLabels"]:
            yield f"{where(service)}: selects other pods than {deployment.where}"
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            if target not in _port_names(deployment):
                yield f"{where(service)}: the container has no port {target}"


def _ingress(deployment: Workload, documents: list[Document]) -> Iterator[str]:
    """Policies add up: one that lets everything in is enough."""
    rules = [rule for d in documents if d["kind"] == "NetworkPolicy" for rule in d["spec"].get("ingress", [])]
    opened = [port["port"] for rule in rules for port in rule.get("ports", [{"port": "any"}])]
    ports = [port["containerPort"] for port in _ports(deployment)]
    if sorted(map(str, opened)) != sorted(map(str, ports)):
        yield f"{deployment.where}: its policies let in requests for ports {opened}, and its container has {ports}"


def _monitor(deployment: Workload, documents: list[Document]) -> Iterator[str]:
    """There is no schema for an operator's kinds."""
    services = [d for d in documents if d["kind"] == "Service"]
    for monitor in (d for d in documents if d["kind"] == "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        chosen = [d for d in services if wanted <= d["metadata"].get("labels", {}).items()]
        if not chosen:
            yield f"{where(monitor)}: selects no Service"
        names = {port.get("name") for service in chosen for port in service["spec"]["ports"]}
        for endpoint in monitor["spec"]["endpoints"]:
            if chosen and endpoint["port"] not in names:
                yield f"{where(monitor)}: the Service has no port {endpoint['port']}"
            if endpoint.get("path", "/metrics") not in ROUTES:
                yield f"{where(monitor)}: the service does not answer {endpoint['path']}"


def _ports(deployment: Workload) -> list[Document]:
    return [port for container in deployment.containers for port in container.get("ports", [])]


def _port_names(deployment: Workload) -> set[object]:
    """What a container's ports may be called: by name or number."""
    return {port[key] for port in _ports(deployment) for key in ("name", "containerPort") if key in port}
