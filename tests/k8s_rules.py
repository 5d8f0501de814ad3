"""What a Kubernetes API server refuses, or a careful operator would, and schemas let pass.

`faults_in` reads the documents of one rendering, as a whole: what they refer to must be among them. The rules follow
the validation of Kubernetes (names, quantities, cron fields, Jobs) and the Pod Security Standard "restricted", and
what makes the second `kubectl apply` of the same files a change. `python -m scripts.check_manifests` runs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

Document = dict[str, Any]

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")  # RFC 1123
NAME_LENGTH = {"CronJob": 52, "Job": 63, "Namespace": 63}  # a CronJob's Jobs get 11 characters more
LONGEST_NAME = 253
QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
FACTORS = {"": Decimal(1), "m": Decimal("0.001")}
FACTORS |= {letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)}
FACTORS |= {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)}
CRON_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
RESTRICTED_VOLUMES = {
    "configMap",
    "emptyDir",
    "persistentVolumeClaim",
    "projected",
    "secret",
    "downwardAPI",
    "csi",
    "ephemeral",
}
CONFIG_MAP_BYTES = 1 << 20
"""What a ConfigMap may weigh, keys and values together. Kubernetes refuses more."""

# Structures that belong to one applier as a whole, and the field in them that the API server fills in. If a manifest
# leaves it out, each apply takes it away again and the server puts it back.
DEFAULTED = {"fieldRef": "apiVersion", "resourceFieldRef": "divisor"}


class Indexed(NamedTuple):
    """The specification of a Job, wherever it stands, and the pods it makes."""

    where: str
    spec: Document

    @property
    def pod(self) -> Document:
        """The pods' specification."""
        pod: Document = self.spec["template"]["spec"]
        return pod

    @property
    def containers(self) -> list[Document]:
        """All containers, in the order they start."""
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]


def jobs_in(documents: list[Document]) -> list[Indexed]:
    """Every Job, also those that a CronJob makes."""
    jobs = [Indexed(_where(d), d["spec"]) for d in documents if d["kind"] == "Job"]
    return jobs + [Indexed(_where(d), d["spec"]["jobTemplate"]["spec"]) for d in documents if d["kind"] == "CronJob"]


def faults_in(documents: list[Document]) -> list[str]:
    """What is wrong, each in one line that says where."""
    faults = [
        f"{_where(d)}: {fault}"
        for d in documents
        for rule in (_names, _quantities, _stable, _weight)
        for fault in rule(d)
    ]
    faults += [f"{_where(d)}: {fault}" for d in documents if d["kind"] == "CronJob" for fault in _schedule(d["spec"])]
    for job in jobs_in(documents):
        rules = (_indexes, _failure_policy, _security, _resources, _mounts)
        faults += [f"{job.where}: {fault}" for rule in rules for fault in rule(job)]
        faults += [f"{job.where}: {fault}" for fault in _references(job, documents)]
    return faults + list(_selectors(documents)) + list(_budgets(documents))


def _where(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


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
            yield from (f"{amount!r} is no quantity" for amount in amounts if _amount(amount) is None)
            yield from _quantities(value, name)


def _amount(quantity: object) -> Decimal | None:
    match = QUANTITY.fullmatch(str(quantity))
    return Decimal(match[1]) * FACTORS[match[2] or ""] if match else None


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


def _budgets(documents: list[Document]) -> Iterator[str]:
    """A Job has no scale, so only a number of pods can be kept for it: fewer run near its end, and no drain goes on."""
    for document in documents:
        if document["kind"] == "PodDisruptionBudget" and "minAvailable" in document["spec"]:
            yield f"{_where(document)}: minAvailable blocks every drain when fewer pods run"


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


def _indexes(job: Indexed) -> Iterator[str]:
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


def _failure_policy(job: Indexed) -> Iterator[str]:
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


def _security(job: Indexed) -> Iterator[str]:
    pod, context = job.pod, job.pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "gets a token for the API"
    yield from (f"{field} is set" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field))
    for container in job.containers:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"{container['name']} may gain privileges"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{container['name']} may write to its image"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{container['name']} keeps capabilities"


def _resources(job: Indexed) -> Iterator[str]:
    for container in job.containers:
        resources = container.get("resources", {})
        for what in ("cpu", "memory", "ephemeral-storage"):
            asked, most = (_amount(resources.get(side, {}).get(what)) for side in ("requests", "limits"))
            if asked is None or most is None:
                yield f"{container['name']}: {what} is not both requested and limited"
            elif asked > most:
                yield f"{container['name']} requests more {what} than its limit"


def _mounts(job: Indexed) -> Iterator[str]:
    volumes = {volume["name"]: set(volume) - {"name"} for volume in job.pod.get("volumes", [])}
    for name, kinds in volumes.items():
        if not kinds <= RESTRICTED_VOLUMES:
            yield f"volume {name} is a {', '.join(kinds)}"
    mounted = {mount["name"] for container in job.containers for mount in container.get("volumeMounts", [])}
    if mounted != set(volumes):
        yield f"mounts {sorted(mounted)} of volumes {sorted(volumes)}"


def _references(job: Indexed, documents: list[Document]) -> Iterator[str]:
    """Names of what must be there. A Secret is nobody's to write down: it may be missing if it is optional."""
    there = {_where(document) for document in documents}
    wanted = [f"ServiceAccount/{job.pod.get('serviceAccountName')}"]
    for volume in job.pod.get("volumes", []):
        wanted += [f"ConfigMap/{volume['configMap']['name']}"] if "configMap" in volume else []
        claim = volume.get("persistentVolumeClaim")
        wanted += [f"PersistentVolumeClaim/{claim['claimName']}"] if claim else []
    for source in (source for container in job.containers for source in container.get("envFrom", [])):
        wanted += [f"ConfigMap/{source['configMapRef']['name']}"] if "configMapRef" in source else []
        if "secretRef" in source and not source["secretRef"].get("optional"):
            yield f"Secret/{source['secretRef']['name']} is not optional"
    yield from (f"{name} is not there" for name in wanted if name not in there)


def _selectors(documents: list[Document]) -> Iterator[str]:
    """Whatever selects pods by labels must select those of every Job."""
    for job in jobs_in(documents):
        labels = job.spec["template"].get("metadata", {}).get("labels", {}).items()
        selectors = [(job.where, c["labelSelector"]) for c in job.pod.get("topologySpreadConstraints", [])]
        selectors += [(_where(d), d["spec"]["podSelector"]) for d in documents if d["kind"] == "NetworkPolicy"]
        for where, selector in selectors:
            if not selector["matchLabels"].items() <= labels:
                yield f"{where} does not select the pods of {job.where}"
