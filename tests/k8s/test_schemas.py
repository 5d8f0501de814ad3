"""What every overlay renders to fits the schemas of three versions of Kubernetes, strictly: no field that they lack."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.manifests import OVERLAYS, SERVE_OVERLAYS, Render

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install '.[k8s]' brings the schemas")

# The first with backoffLimitPerIndex switched on, one in the middle, and the newest.
VERSIONS = ("1.29", "1.33", "1.37")
KINDS = {
    **{name: {"Namespace", "ServiceAccount", "NetworkPolicy", "ConfigMap", "Job", "CronJob"} for name in OVERLAYS},
    **{name: {"Namespace", "NetworkPolicy", "Deployment", "Service", "PodDisruptionBudget"} for name in SERVE_OVERLAYS},
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", KINDS)
def test_every_document_fits_its_schema(render: Render, overlay: str, version: str) -> None:
    documents = render(overlay)

    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)  # raises; also for a kind that has no schema
    assert KINDS[overlay] <= {document["kind"] for document in documents}


def test_a_kind_without_a_schema_is_a_failure(render: Render) -> None:
    document = {"apiVersion": "example.com/v1", "kind": "Aviary", "metadata": {"name": "a"}}

    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("field", ["completion", "backoffLimitPerindex"])
def test_a_misspelt_field_is_a_failure(render: Render, field: str) -> None:
    job: dict[str, Any] = next(copy.deepcopy(d) for d in render("local") if d["kind"] == "Job")
    job["spec"][field] = 1

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, VERSIONS[0], strict=True)
