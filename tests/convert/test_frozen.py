"""SavedModels with variables and functions become graphs of constants that answer as TensorFlow does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("tensorflow", reason="the extra `convert` is not installed")

import numpy as np

from birdlite.convert.graph import TensorFlowEngine, published
from birdlite.convert.saved_model import Frozen, frozen, read
from birdlite.errors import InvalidModel
from tests import tensorflow_models as models


class Case(NamedTuple):
    folder: Path
    tags: tuple[str, ...]
    signature: str
    logits: bool = False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("saved-models")


@pytest.fixture(scope="module")
def hub_module(folder: Path) -> Path:
    return models.hub_module(folder / "hub")


@pytest.fixture(scope="module")
def module(folder: Path) -> Path:
    return models.module(folder / "module")


@pytest.fixture(
    params=["hub", "hub, logits", "hub, old variables", "TensorFlow 2", "TensorFlow 2, logits", "TensorFlow 2, bytes"],
    scope="module",
)
def case(request: pytest.FixtureRequest, folder: Path, hub_module: Path, module: Path) -> Case:
    """Every layout in turn."""
    make: dict[str, Callable[[], Case]] = {
        "hub": lambda: Case(hub_module, (), "default"),
        "hub, logits": lambda: Case(hub_module, (), "image_classifier", logits=True),
        "hub, old variables": lambda: Case(models.hub_module(folder / "old", resources=False), (), "default"),
        "TensorFlow 2": lambda: Case(module, ("serve",), "serving_default"),
        "TensorFlow 2, logits": lambda: Case(
            models.module(folder / "logits", gives="logits"), ("serve",), "serving_default", logits=True
        ),
        "TensorFlow 2, bytes": lambda: Case(
            models.module(folder / "bytes", takes="uint8"), ("serve",), "serving_default"
        ),
    }
    return make[request.param]()


def of_case(case: Case) -> Frozen:
    tags = ",".join(case.tags)
    return frozen(str(case.folder), read(str(case.folder), tags, case.signature))


def test_the_graph_answers_as_tensorflow_does(case: Case) -> None:
    source = of_case(case)
    graph, added = published(source.definition, source.input, source.output, models.SIDE, (0.0, 1.0))
    pictures = models.pictures()

    expected = models.answers(case.folder, list(case.tags), case.signature, pictures)
    if case.logits:
        expected = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    assert added == case.logits
    found = TensorFlowEngine(graph).run(b"".join(pictures), len(pictures))
    assert found == pytest.approx(expected, abs=1e-5)


def test_nothing_but_constants_is_left_of_variables(case: Case) -> None:
    nodes = {node.name: node for node in of_case(case).definition.node}

    operations = {node.op for node in nodes.values()}
    assert not {op for op in operations if "Variable" in op or "Handle" in op or "Call" in op}
    rounding = [node for node in nodes.values() if node.op == "FakeQuantWithMinMaxVars"]
    assert len(rounding) == 3
    for node in rounding:
        for end in node.input[1:]:
            while nodes[end].op == "Identity":
                end = nodes[end].input[0]
            assert nodes[end].op == "Const"


def test_the_number_of_pictures_stays_open(case: Case) -> None:
    result = of_case(case)

    (start,) = [node for node in result.definition.node if f"{node.name}:0" == result.input]
    assert start.op == "Placeholder"
    sizes = [dim.size for dim in start.attr["shape"].shape.dim]
    assert sizes == [-1, models.SIDE, models.SIDE, 3]


@pytest.mark.parametrize(
    ("tags", "signature", "complaint"),
    [
        ((), "serving_default", "tags"),
        (("serve", "gpu"), "serving_default", "tags"),
        (("serve",), "default", "default"),
    ],
)
def test_what_is_not_there_is_said(module: Path, tags: tuple[str, ...], signature: str, complaint: str) -> None:
    saved = read(str(module))._replace(tags=tags, signature=signature)

    with pytest.raises(InvalidModel, match=complaint):
        frozen(str(module), saved)


def test_a_signature_with_two_outputs_is_refused(folder: Path, module: Path) -> None:
    both = models.module(folder / "both", gives="both")

    with pytest.raises(InvalidModel, match="1 input and 2 outputs"):
        frozen(str(both), read(str(module)))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def zero(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:200] + bytes(100) + data[300:])


@pytest.mark.parametrize("layout", ["hub_module", "module"])
@pytest.mark.parametrize(
    ("pattern", "damage", "complaint"),
    [
        ("saved_model.pb", Path.unlink, "does not exist"),
        ("saved_model.pb", cut, "Cannot parse"),
        ("variables.index", Path.unlink, "Failed to find any matching files|variables"),
        ("variables.index", cut, "sstable|corrupt"),
        ("variables.data*", Path.unlink, "No such file"),
        ("variables.data*", cut, "less bytes"),
        ("variables.data*", zero, "[Cc]hecksum"),
    ],
)
def test_damage_is_said_in_a_line(
    layout: str,
    pattern: str,
    damage: Callable[[Path], None],
    complaint: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    folder = shutil.copytree(request.getfixturevalue(layout), tmp_path / "damaged")
    saved = read(str(folder))
    (file,) = folder.rglob(pattern)
    damage(file)

    with pytest.raises(InvalidModel, match=complaint) as caught:
        frozen(str(folder), saved)

    assert str(caught.value).startswith("TensorFlow cannot read the SavedModel: ")
    assert "\n" not in str(caught.value)
