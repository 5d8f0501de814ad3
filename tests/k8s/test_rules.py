"""The rules that schemas do not know: every overlay keeps them, and each of them catches its fault."""

from __future__ import annotations

import copy
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from birdlite.cli import EXIT_CANNOT_RUN, EXIT_TRY_AGAIN, EXIT_USAGE
from birdlite.cli.options import COMMAND
from birdlite.http.public import REFUSED, Ip, why_not_public
from birdlite.targets.expand import SAMPLES
from tests.k8s_pods import Document
from tests.k8s_rules import faults_in, jobs_in
from tests.manifests import BASE, OVERLAYS, Render, documents_of

READ_WITHOUT_OPTION = {"BIRDLITE_SHARDS"}


@pytest.fixture
def base() -> list[Document]:
    """The base's documents as they are written, with what kustomize would add."""
    documents = [d for path in sorted(BASE.glob("*.yaml")) if path.stem != "kustomization" for d in documents_of(path)]
    labels = {"app.kubernetes.io/name": "birdlite"}
    for job in jobs_in(documents):
        job.spec["template"]["metadata"] = {"labels": labels}
    configs = [{"kind": "ConfigMap", "metadata": {"name": f"birdlite-{name}"}} for name in ("settings", "list")]
    return documents + configs


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_keeps_every_rule(render: Render, overlay: str) -> None:
    documents = render(overlay)

    assert len(jobs_in(documents)) == 2
    assert faults_in(documents) == []


def test_the_base_keeps_every_rule(base: list[Document]) -> None:
    assert faults_in(base) == []


def put(document: Document, path: str, value: Any) -> None:
    """Set the value at `a.b.0.c`; None deletes it."""
    *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    node: Any = document
    for step in way:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value


POD = "spec/template/spec"
CONTAINER = f"{POD}/containers/0"


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("metadata/name", "Birdlite_1", "is no name"),
        ("metadata/name", "b" * 64, "64 characters"),
        ("spec/completionMode", "indexed", "no JOB_COMPLETION_INDEX"),
        ("spec/completions", 9, "BIRDLITE_SHARDS is ['8'], completions 9"),
        ("spec/parallelism", 9, "parallelism is not between"),
        ("spec/maxFailedIndexes", 9, "more than completions"),
        ("spec/backoffLimitPerIndex", None, "maxFailedIndexes needs backoffLimitPerIndex"),
        ("spec/backoffLimitPerIndex", None, "FailIndex needs backoffLimitPerIndex"),
        ("spec/activeDeadlineSeconds", None, "for ever"),
        ("spec/podReplacementPolicy", "TerminatingOrFailed", "podReplacementPolicy Failed only"),
        ("spec/podFailurePolicy/rules/0/action", "ignore", "action 'ignore'"),
        ("spec/podFailurePolicy/rules/1/onExitCodes/containerName", "bird", "which is no container"),
        ("spec/podFailurePolicy/rules/1/onExitCodes/values", [3, 2], "must be ascending"),
        (f"{POD}/restartPolicy", "Always", "restartPolicy Always"),
        (f"{POD}/restartPolicy", "OnFailure", "restartPolicy OnFailure"),
        (f"{POD}/automountServiceAccountToken", None, "token"),
        (f"{POD}/hostNetwork", True, "hostNetwork is set"),
        (f"{POD}/securityContext/runAsNonRoot", None, "may run as root"),
        (f"{POD}/securityContext/runAsUser", 0, "may run as root"),
        (f"{POD}/securityContext/seccompProfile", None, "seccomp"),
        (f"{POD}/serviceAccountName", "bird", "ServiceAccount/bird is not there"),
        (f"{POD}/volumes/0", {"name": "cache", "hostPath": {"path": "/"}}, "volume cache is a hostPath"),
        (f"{POD}/volumes/0/emptyDir/sizeLimit", "128MB", "'128MB' is no quantity"),
        (f"{POD}/volumes/2/configMap/name", "lists", "ConfigMap/lists is not there"),
        (f"{POD}/volumes/2", {"name": "l", "persistentVolumeClaim": {"claimName": "x"}}, "PersistentVolumeClaim/x"),
        (f"{POD}/topologySpreadConstraints/0/labelSelector/matchLabels", {"app": "x"}, "does not select"),
        (f"{CONTAINER}/resources/requests/cpu", "250mm", "'250mm' is no quantity"),
        (f"{CONTAINER}/resources/requests/memory", "2Gi", "requests more memory"),
        (f"{CONTAINER}/resources/limits/memory", None, "memory is not both"),
        (f"{CONTAINER}/securityContext/allowPrivilegeEscalation", True, "may gain privileges"),
        (f"{CONTAINER}/securityContext/readOnlyRootFilesystem", False, "may write to its image"),
        (f"{CONTAINER}/securityContext/capabilities", None, "keeps capabilities"),
        (f"{CONTAINER}/envFrom/1/secretRef/optional", None, "Secret/birdlite-storage is not optional"),
        (f"{CONTAINER}/envFrom/0/configMapRef/name", "setting", "ConfigMap/setting is not there"),
        (f"{CONTAINER}/volumeMounts/0/name", "cash", "mounts"),
    ],
)
def test_a_fault_in_the_job_is_found(base: list[Document], path: str, value: object, complaint: str) -> None:
    (job,) = (document for document in base if document["kind"] == "Job")

    put(job, path, value)

    assert complaint in "\n".join(faults_in(base))


def test_the_same_fault_is_found_in_a_cronjobs_template(base: list[Document]) -> None:
    (nightly,) = (document for document in base if document["kind"] == "CronJob")

    put(nightly, "spec/jobTemplate/spec/template/spec/restartPolicy", "Always")

    assert faults_in(base) == ["CronJob/birdlite-nightly: restartPolicy Always: a pod failure policy wants Never"]


@pytest.mark.parametrize(
    "schedule",
    ["17 2 *", "60 2 * * *", "17 24 * * *", "17 2 0 * *", "17 2 * 13 *", "@dayly", "5-1 * * * *", "*/0 * * * *"],
)
def test_a_schedule_that_no_clock_has_is_found(base: list[Document], schedule: str) -> None:
    (nightly,) = (document for document in base if document["kind"] == "CronJob")

    put(nightly, "spec/schedule", schedule)

    (fault,) = faults_in(base)
    assert f"schedule {schedule!r}" in fault


@pytest.mark.parametrize("schedule", ["17 2 * * *", "*/15 0-6 1,15 * 7", "0 0 31 12 0"])
def test_a_schedule_may_have_lists_ranges_and_steps(base: list[Document], schedule: str) -> None:
    (nightly,) = (document for document in base if document["kind"] == "CronJob")

    put(nightly, "spec/schedule", schedule)

    assert faults_in(base) == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_nightly_run_is_the_job_but_for_its_list_of_what_is_done(render: Render, overlay: str) -> None:
    once, nightly = copy.deepcopy(jobs_in(render(overlay)))
    own = [entry for job in (once, nightly) for entry in job.containers[0].pop("env")]

    assert once.spec == nightly.spec
    assert [entry["name"] for entry in own] == [
        *("BIRDLITE_SHARDS", "BIRDLITE_OUTPUT"),
        *("BIRDLITE_SHARDS", "RUN", "BIRDLITE_OUTPUT", "BIRDLITE_SINCE_OUTPUT", "BIRDLITE_KEEP_INDEX"),
    ]


def test_the_number_of_indexes_is_said_once_and_reaches_every_place(render: Render) -> None:
    jobs = jobs_in(render("cluster"))

    assert [job.spec["completions"] for job in jobs] == [64, 64]
    assert [job.spec["parallelism"] for job in jobs] == [16, 16]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_drain_is_never_blocked(render: Render, overlay: str) -> None:
    assert "PodDisruptionBudget" not in {document["kind"] for document in render(overlay)}


def test_a_disruption_budget_that_blocks_drains_is_found(base: list[Document]) -> None:
    base.append({"kind": "PodDisruptionBudget", "metadata": {"name": "b"}, "spec": {"minAvailable": 8}})

    assert faults_in(base) == ["PodDisruptionBudget/b: minAvailable blocks every drain when fewer pods run"]


def test_a_list_that_is_too_large_for_a_configmap_is_found(base: list[Document]) -> None:
    line = "https://example.com/0123456789.jpg\n"
    base.append({"kind": "ConfigMap", "metadata": {"name": "l"}, "data": {"list.txt": line * 30_000}})

    (fault,) = faults_in(base)
    assert fault == "ConfigMap/l: it holds 1,050,008 bytes of at most 1,048,576: put the list in object storage"


def test_what_makes_every_apply_a_change_is_found(base: list[Document]) -> None:
    (policy,) = (document for document in base if document["kind"] == "NetworkPolicy")
    (nightly,) = (document for document in base if document["kind"] == "CronJob")
    (run,) = (e for e in jobs_in([nightly])[0].containers[0]["env"] if e["name"] == "RUN")

    policy["spec"]["ingress"] = []
    del run["valueFrom"]["fieldRef"]["apiVersion"]

    assert faults_in(base) == [
        "NetworkPolicy/birdlite: ingress is empty, and the API drops it: every apply is a change",
        "CronJob/birdlite-nightly: fieldRef without apiVersion: every apply is a change",
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_one_that_birdlite_reads(render: Render, overlay: str) -> None:
    documents = render(overlay)
    settings = [name for d in documents if d["kind"] == "ConfigMap" for name in d["data"]]
    names = {entry["name"] for job in jobs_in(documents) for c in job.containers for entry in c["env"]} | set(settings)

    wanted = {name for name in names if name.startswith("BIRDLITE_")} - READ_WITHOUT_OPTION
    assert wanted <= {option.envvar for option in COMMAND.params}


def test_what_leaves_a_pod_goes_to_names_and_https_only(base: list[Document]) -> None:
    (policy,) = (document for document in base if document["kind"] == "NetworkPolicy")

    ports = [{(port["protocol"], port["port"]) for port in rule["ports"]} for rule in policy["spec"]["egress"]]
    assert ports == [{("UDP", 53), ("TCP", 53)}, {("TCP", 443)}]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy["spec"]  # nothing comes in


def test_the_network_policy_closes_what_the_guard_refuses_and_nothing_else(base: list[Document]) -> None:
    (policy,) = (document for document in base if document["kind"] == "NetworkPolicy")
    (rule,) = (rule for rule in policy["spec"]["egress"] if rule["ports"][0]["port"] == 443)
    blocks = [peer["ipBlock"] for peer in rule["to"]]
    opened = [ip_network(block["cidr"]) for block in blocks]
    closed = [ip_network(cut) for block in blocks for cut in block["except"]]

    def is_open(address: Ip) -> bool:
        return any(address in network for network in opened) and not any(address in network for network in closed)

    for network in (*opened, *closed, *REFUSED):
        first, last = network[0], network[-1]
        numbers = (int(first) - 1, int(first), int(last), int(last) + 1)
        for address in (type(first)(number) for number in numbers if 0 <= number < 2**first.max_prefixlen):
            assert is_open(address) is (why_not_public(address) is None), address


def test_the_exit_codes_that_fail_an_index_are_those_that_starting_again_does_not_mend(base: list[Document]) -> None:
    for job in jobs_in(base):
        rules = {rule["action"]: rule for rule in job.spec["podFailurePolicy"]["rules"]}
        assert rules["FailIndex"]["onExitCodes"]["values"] == [EXIT_USAGE, EXIT_CANNOT_RUN]
        assert rules["Ignore"]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_an_outage_of_minutes_ends_no_job(base: list[Document]) -> None:
    lines = Path(BASE / "settings.env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    assert float(settings["BIRDLITE_STARTUP_TIMEOUT"]) >= 120
    assert settings["BIRDLITE_MAX_FAILURES"].endswith("%")
    assert settings["BIRDLITE_RESUME"] == settings["BIRDLITE_RETRY_FAILED"] == "1"
    for job in jobs_in(base):
        assert EXIT_TRY_AGAIN not in job.spec["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"]
        pauses = [min(10 * 2**failure, 360) for failure in range(job.spec["backoffLimitPerIndex"])]  # s
        assert sum(pauses) > float(settings["BIRDLITE_STARTUP_TIMEOUT"])


def test_a_list_reaches_public_addresses_only(base: list[Document]) -> None:
    lines = Path(BASE / "settings.env").read_text().splitlines()

    assert "BIRDLITE_PUBLIC_ONLY=1" in lines


def test_the_list_of_the_base_holds_the_samples() -> None:
    lines = Path(BASE / "list.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == list(SAMPLES)
