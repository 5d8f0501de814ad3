"""Run the Deployment of k8s/serve/overlays/local as its pod, and be its kubelet: probe it, ask it, end it.

    .venv/bin/python -m scripts.service_check

There is no cluster here: kubectl renders the overlay, and `podman kube play` runs the pod of the Deployment, hardened
as it says. What differs from what is rendered:

- The image is the one that was just built, with the model inside.
- The pod has no network but its own loopback, and so no port to publish.
- The probes are played here. podman would run them with a shell and curl, which the image lacks.
- When it has ended, it is not started again. A cluster would not do that either, with a pod that it has told to end.

What must come out: the startup probe succeeds in its time, all probes are answered, pictures that are sent are named,
and the process is as confined as the manifest says. After SIGTERM it is not ready, goes on answering, and exits with 0
within terminationGracePeriodSeconds. Exit codes as of image_check.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from birdlite.demo import FOLDER, HOST
from birdlite.models.catalog import DEMO_MODEL
from scripts.podman import SKIPPED, Podman, guarded
from scripts.served import Served
from tests import manifests
from tests.demo_world import PICTURES, species_of
from tests.k8s_pods import Document, Workload, as_number
from tests.k8s_serve_rules import PROBES, settings_of
from tests.origin import Origin

OVERLAY = "serve/local"
BIRDS = {picture: species_of(picture) for picture in PICTURES}
CONFINED = {"Uid": "\t".join(4 * ["10001"]), "CapEff": 16 * "0", "CapBnd": 16 * "0", "NoNewPrivs": "1", "Seccomp": "2"}
MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # one of them is there


def check(podman: Podman) -> None:
    """Play the Deployment, and end it."""
    with Origin() as mirror:
        mirror.serve_folder(f"/{HOST}", Path(FOLDER))
        image = podman.build("baked", MODEL=DEMO_MODEL, BIRDLITE_MIRROR=mirror.base)
    documents = manifests.render(OVERLAY)
    (deployment,) = (document for document in documents if document["kind"] == "Deployment")
    workload = Workload("", deployment["spec"])
    values = settings_of(workload, documents)
    (container,) = workload.containers
    probes = {name: container.pop(name) for name in PROBES}
    container |= {"image": image, "imagePullPolicy": "Never"}
    del container["ports"]
    workload.pod["restartPolicy"] = "Never"
    configs = [document for document in documents if document["kind"] == "ConfigMap"]
    begun = time.monotonic()
    pod, name = _play(podman, [*configs, deployment])
    service = Served(podman, name, values["port"])
    try:
        _check_start(service, probes, begun)
        _check_answers(service, probes)
        _check_confinement(service, container)
        _check_end(service, probes, workload.pod["terminationGracePeriodSeconds"])
    finally:
        podman.call("pod", "rm", "--force", "--ignore", pod)
        podman.call("volume", "prune", "--force")


def _play(podman: Podman, documents: list[Document]) -> tuple[str, str]:
    """Start the pod, and give its id and that of its container."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump_all(documents, file)
        file.flush()
        told = podman.call("kube", "play", "--replace", "--network=none", file.name).stdout
    pod, container = re.findall(r"^[0-9a-f]{64}$", told, re.MULTILINE)
    return pod, container


def _check_start(service: Served, probes: dict[str, Document], begun: float) -> None:
    service.wait_until_ready(probes["startupProbe"]["httpGet"]["path"])
    print(f"ready {time.monotonic() - begun:.1f} s after `podman kube play` began")


def _check_answers(service: Served, probes: dict[str, Document]) -> None:
    for name, probe in probes.items():
        answer = service.ask(probe["httpGet"]["path"])
        assert answer.status == 200, f"{name}: {answer}"
    service.name_birds(BIRDS)
    print(f"{', '.join(probes)} are answered; {len(BIRDS)} uploads named")


def _check_confinement(service: Served, container: Document) -> None:
    """As the kernel tells it of the process, and not as podman was told."""
    status = service.read("/proc/1/status")
    told = dict(line.split(":\t", 1) for line in status.splitlines())
    found = {name: told[name].strip() for name in CONFINED}
    assert found == CONFINED, found
    mounts = {words[1]: words[3].split(",") for words in map(str.split, service.read("/proc/1/mounts").splitlines())}
    assert "ro" in mounts["/"], f"the root is mounted {mounts['/']}"
    limits = container["resources"]["limits"]
    memory = service.read(*MEMORY_LIMITS).strip()
    assert memory == str(as_number(limits["memory"])), f"memory is limited to {memory}, not {limits['memory']}"
    threads = json.loads(service.ask("/v1/model").text)["threads"]
    assert threads == as_number(limits["cpu"]), (
        f"{threads} pictures at once, with a limit of {limits['cpu']} processors"
    )
    print("user 10001, no capability, no new privileges, seccomp, a read-only root; memory and processors as limited")


def _check_end(service: Served, probes: dict[str, Document], seconds: float) -> None:
    """Send SIGTERM as the kubelet does, which sends SIGKILL after so many seconds."""
    until = (begun := time.monotonic()) + seconds
    service.podman.call("kill", "--signal=TERM", service.container)
    while service.ask(probes["readinessProbe"]["httpGet"]["path"]).status == 200:
        assert time.monotonic() < until, "ready in spite of SIGTERM"
    service.name_birds({PICTURES[0]: species_of(PICTURES[0])})
    while (state := _state(service))["Running"]:
        assert time.monotonic() < until, f"still running after {seconds} s"
        time.sleep(0.2)
    log = service.podman.call("logs", service.container, check=False).stderr
    assert state["ExitCode"] == 0, f"exit {state['ExitCode']}\n{log}"
    took = time.monotonic() - begun
    print(f"SIGTERM: not ready, an upload named meanwhile, exit 0 after {took:.1f} s of {seconds}")


def _state(service: Served) -> dict[str, Any]:
    """What podman knows of the container."""
    state: dict[str, Any] = json.loads(service.podman.call("container", "inspect", service.container).stdout)[0][
        "State"
    ]
    return state


if __name__ == "__main__":
    if manifests.kubectl() is None:
        print("skipped: no kubectl to render the manifests with; pip install '.[k8s]' brings one")
        sys.exit(SKIPPED)
    os.umask(0o022)
    sys.exit(guarded(check))
