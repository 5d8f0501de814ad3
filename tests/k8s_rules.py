"""What a Kubernetes API server refuses, or a careful operator would, and schemas let pass.

`faults_in` reads the documents of one rendering, as a whole: what they refer to must be among them. The rules follow
the validation of Kubernetes (names, quantities, cron fields, Jobs) and the Pod Security Standard "restricted", and
what makes the second `kubectl apply` of the same files a change. `python -m scripts.check_manifests` runs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests import k8s_pods, k8s_serve_rules
from tests.k8s_pods import Document, Workload, as_number, where

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")  # RFC 1123
NAME_LENGTH = {"CronJob": 52, "Job": 63, "Namespace": 63}  # a CronJob's Jobs get 11 characters more
LONGEST_NAME = 253
CRON_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
CONFIG_MAP_BYTES = 1 << 20
"""What a ConfigMap may weigh, keys and values together. Kubernetes refuses more."""

# Structures that belong to one applier as a whole, and the field in them that the API server fills in. If a manifest
# leaves it out, each apply takes it away again and the server puts it back.
DEFAULTED = {"fieldRef": "apiVersion", "resourceFieldRef": "divisor"}


def jobs_in(documents: list[Document]) -> list[Workload]:
    """Every Job, also those that a CronJob makes."""
    jobs = [Workload(where(d), d["spec"]) for d in documents if d["kind"] == "Job"]
    return jobs + [Workload(where(d), d["spec"]["jobTemplate"]["spec"]) for d in documents if d["kind"] == "CronJob"]


def faults_in(documents: list[Document]) -> list[str]:
    """What is wrong, each in one line that says where."""
    faults = [
        f"{where(d)}: {fault}"
        for d in documents
        for rule in (_names, _quantities, _stable, _weight)
        for fault in rule(d)
    ]
    faults += [f"{where(d)}: {fault}" for d in documents if d["kind"] == "CronJob" for fault in _schedule(d["spec"])]
    for job in jobs_in(documents):
        faults += [f"{job.where}: {fault}" for rule in (_indexes, _failure_policy) for fault in rule(job)]
    deployments = [Workload(where(d), d["spec"]) for d in documents if d["kind"] == "Deployment"]
    for workload in (*jobs_in(documents), *deployments):
        faults += k8s_pods.faults_of(workload, documents)
    for deployment in deployments:
        faults += k8s_serve_rules.faults_of(deployment, documents)
    return faults + list(_budgets(documents, deployments))


def _names(document: Document) -> Iterator[str]:
    name = document["metadata"]["name"]
    if len(name) > NAME_LENGTH.get(document["kind"], LONGEST_NAME):
        yield f"the name has {len(name)} characters"
    if not all(NAME.fullmatch(part) for part in name.split(".")):
        yield f"{name!r} is no name"


def _quantities(node: object, key: str = "") -> Iterator[str]:
    """Find quantities by what they stand under, whatever the kind."""
    if isinstance(node, list):
        for item in node:
            yield from _quantities(item)
    elif isinstance(node, dict):
        for name, value in node.items():
            below = value if name in ("requests", "limits", "capacity", "hard") else None
            amounts = list(below.values()) if isinstance(below, dict) else [value] if name == "sizeLimit" else []
            yield from (f"{amount!r} is no quantity" for amount in amounts if as_number(amount) is None)
            yield from _quantities(value, name)


def _stable(node: object, key: str = "") -> Iterator[str]:
    """Find what makes every apply a change: empty values that the API drops, defaults that it adds."""
    if isinstance(node, list):
        for item in node:
            yield from _stable(item, key)
    elif isinstance(node, dict):
        if key in DEFAULTED and DEFAULTED[key] not in node:
            yield f"{key} without {DEFAULTED[key]}: every apply is a change"
        for name, value in node.items():
            if value in ([], {}, None) and name != "emptyDir":
                yield f"{name} is empty, and the API drops it: every apply is a change"
            yield from _stable(value, name)


def _weight(document: Document) -> Iterator[str]:
    data = document.get("data", {}) if document["kind"] == "ConfigMap" else {}
    size = sum(len(f"{name}{text}".encode()) for name, text in data.items())
    if size > CONFIG_MAP_BYTES:
        yield f"it holds {size:,} bytes of at most {CONFIG_MAP_BYTES:,}: put the list in object storage"


def _budgets(documents: list[Document], deployments: list[Workload]) -> Iterator[str]:
    """A Job has no scale, so only a number of pods can be kept for it: fewer run near its end, and no drain goes on."""
    selectors = [deployment.spec["selector"] for deployment in deployments]
    for document in documents:
        if document["kind"] == "PodDisruptionBudget" and document["spec"].get("selector") not in selectors:
            if "minAvailable" in document["spec"]:
                yield f"{where(document)}: minAvailable blocks every drain when fewer pods run"
            elif selectors:
                yield f"{where(document)}: selects the pods of no Deployment"


def _schedule(spec: Document) -> Iterator[str]:
    fields = spec["schedule"].split()
    if len(fields) != len(CRON_FIELDS):
        yield f"schedule {spec['schedule']!r} has {len(fields)} fields, not 5"
        return
    for field, (name, low, high) in zip(fields, CRON_FIELDS, strict=True):
        for part in field.split(","):
            match = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/([1-9]\d*))?", part)
            numbers = [int(number) for number in match.groups()[:2] if number] if match else [-1]
            if not all(low <= number <= high for number in numbers) or numbers != sorted(numbers):
                yield f"schedule {spec['schedule']!r}: {name} cannot be {part!r}"


def _indexes(job: Workload) -> Iterator[str]:
    spec = job.spec
    if spec.get("completionMode") != "Indexed":
        yield f"completionMode {spec.get('completionMode')!r}: without Indexed there is no JOB_COMPLETION_INDEX"
    if not 0 < spec.get("parallelism", 0) <= spec.get("completions", 0):
        yield "parallelism is not between 1 and completions"
    if "backoffLimitPerIndex" not in spec:
        yield from (f"{field} needs backoffLimitPerIndex" for field in ("maxFailedIndexes",) if field in spec)
    if spec.get("maxFailedIndexes", 0) > spec.get("completions", 0):
        yield "maxFailedIndexes is more than completions"
    if "activeDeadlineSeconds" not in spec:
        yield "it may run for ever"
    shards = [e.get("value") for c in job.containers for e in c.get("env", []) if e["name"] == "BIRDLITE_SHARDS"]
    if shards != [str(spec.get("completions"))]:
        yield f"BIRDLITE_SHARDS is {shards}, completions {spec.get('completions')}"


def _failure_policy(job: Workload) -> Iterator[str]:
    if job.pod.get("restartPolicy") != "Never":
        yield f"restartPolicy {job.pod.get('restartPolicy')}: a pod failure policy wants Never"
    if job.spec.get("podReplacementPolicy", "Failed") != "Failed":
        yield "a pod failure policy goes with podReplacementPolicy Failed only"
    names = {container["name"] for container in job.containers}
    for rule in job.spec.get("podFailurePolicy", {}).get("rules", []):
        codes = rule.get("onExitCodes")
        if rule["action"] not in ("Ignore", "Count", "FailIndex", "FailJob"):
            yield f"action {rule['action']!r}"
        if rule["action"] == "FailIndex" and "backoffLimitPerIndex" not in job.spec:
            yield "FailIndex needs backoffLimitPerIndex"
        if codes and codes.get("containerName", next(iter(names))) not in names:
            yield f"onExitCodes of {codes['containerName']!r}, which is no container"
        if codes and (codes["values"] != sorted(set(codes["values"])) or 0 in codes["values"]):
            yield f"exit codes {codes['values']} must be ascending and not hold 0"
