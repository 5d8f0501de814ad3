"""What every pod of k8s/ must keep to, whether a Job or a Deployment makes it. `k8s_rules` calls these rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

Document = dict[str, Any]

QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
FACTORS = {"": Decimal(1), "m": Decimal("0.001")}
FACTORS |= {letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)}
FACTORS |= {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)}
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


class Workload(NamedTuple):
    """The specification of a Job, wherever it stands, or of a Deployment, and the pods it makes."""

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

    @property
    def labels(self) -> dict[str, str]:
        """The pods' labels."""
        labels: dict[str, str] = self.spec["template"].get("metadata", {}).get("labels", {})
        return labels


def faults_of(workload: Workload, documents: list[Document]) -> list[str]:
    """What is wrong with its pods; what they refer to must be among the documents."""
    rules = (_security, _resources, _mounts)
    faults = [f"{workload.where}: {fault}" for rule in rules for fault in rule(workload)]
    faults += [f"{workload.where}: {fault}" for fault in _references(workload, documents)]
    return faults + list(_selectors(workload, documents))


def where(document: Document) -> str:
    """Kind and name."""
    return f"{document['kind']}/{document['metadata']['name']}"


def as_number(quantity: object) -> Decimal | None:
    """What `250m` or `1Gi` stands for; None if it is no quantity."""
    match = QUANTITY.fullmatch(str(quantity))
    return Decimal(match[1]) * FACTORS[match[2] or ""] if match else None


def _security(workload: Workload) -> Iterator[str]:
    pod, context = workload.pod, workload.pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "gets a token for the API"
    if pod.get("enableServiceLinks") is not False:
        yield "gets variables of Services, some of which may look like birdlite's options"
    yield from (f"{field} is set" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field))
    for container in workload.containers:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"{container['name']} may gain privileges"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{container['name']} may write to its image"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{container['name']} keeps capabilities"


def _resources(workload: Workload) -> Iterator[str]:
    for container in workload.containers:
        resources = container.get("resources", {})
        for what in ("cpu", "memory", "ephemeral-storage"):
            asked, most = (as_number(resources.get(side, {}).get(what)) for side in ("requests", "limits"))
            if asked is None or most is None:
                yield f"{container['name']}: {what} is not both requested and limited"
            elif asked > most:
                yield f"{container['name']} requests more {what} than its limit"


def _mounts(workload: Workload) -> Iterator[str]:
    volumes = {volume["name"]: set(volume) - {"name"} for volume in workload.pod.get("volumes", [])}
    for name, kinds in volumes.items():
        if not kinds <= RESTRICTED_VOLUMES:
            yield f"volume {name} is a {', '.join(kinds)}"
    mounted = {mount["name"] for container in workload.containers for mount in container.get("volumeMounts", [])}
    if mounted != set(volumes):
        yield f"mounts {sorted(mounted)} of volumes {sorted(volumes)}"


def _references(workload: Workload, documents: list[Document]) -> Iterator[str]:
    """Names of what must be there. A Secret is nobody's to write down: it may be missing if it is optional."""
    there = {where(document) for document in documents}
    wanted = [f"ServiceAccount/{workload.pod.get('serviceAccountName')}"]
    for volume in workload.pod.get("volumes", []):
        wanted += [f"ConfigMap/{volume['configMap']['name']}"] if "configMap" in volume else []
        claim = volume.get("persistentVolumeClaim")
        wanted += [f"PersistentVolumeClaim/{claim['claimName']}"] if claim else []
    for source in (source for container in workload.containers for source in container.get("envFrom", [])):
        wanted += [f"ConfigMap/{source['configMapRef']['name']}"] if "configMapRef" in source else []
        if "secretRef" in source and not source["secretRef"].get("optional"):
            yield f"Secret/{source['secretRef']['name']} is not optional"
    yield from (f"{name} is not there" for name in wanted if name not in there)


def _selectors(workload: Workload, documents: list[Document]) -> Iterator[str]:
    """Whatever selects pods by labels must select these."""
    selectors = [(workload.where, c["labelSelector"]) for c in workload.pod.get("topologySpreadConstraints", [])]
    selectors += [(where(d), d["spec"]["podSelector"]) for d in documents if d["kind"] == "NetworkPolicy"]
    for source, selector in selectors:
        if not selector["matchLabels"].items() <= workload.labels.items():
            yield f"{source} does not select the pods of {workload.where}"
