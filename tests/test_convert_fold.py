"""Folding: the constants computed, the rounding gone, its grids known, the answers those of the floats."""

from __future__ import annotations

import numpy as np
import pytest

from birdlite.convert.saved_model.fake_quant import fake_quantized, grid
from birdlite.convert.saved_model.fold import fold
from birdlite.convert.saved_model.graph import Graph, constant_of, graph_of
from birdlite.convert.saved_model.kernels import UnknownOperation
from birdlite.convert.saved_model.numpy_engine import NumpyEngine
from birdlite.convert.saved_model.pixels import take_pixels
from birdlite.errors import InvalidModel
from tests.tiny_graphs import INPUT, OUTPUT, SIDE, Builder, graph, photographs


def operations(found: Graph) -> set[str]:
    return {node.op for node in found.nodes.values()}


def test_no_rounding_and_no_arithmetic_on_constants_is_left() -> None:
    found = fold(graph()).graph

    assert operations(found) == {
        "Placeholder", "Const", "Mul", "Sub", "Conv2D", "AddV2", "Relu6", "DepthwiseConv2dNative", "AvgPool",
        "Squeeze", "MatMul", "BiasAdd", "Softmax",
    }  # fmt: skip
    readers = [node for node in found.nodes.values() if node.op != "Const"]
    assert len(found.nodes) - len(readers) == len({read for node in readers for read in node.input} & {
        name for name, node in found.nodes.items() if node.op == "Const"
    })  # fmt: skip


def test_the_grids_of_weights_and_activations_are_kept() -> None:
    found = fold(graph())

    assert sorted(found.weights) == [
        f"{name}/quant" for name in ("first/folded", "logits/weights", "narrow/folded", "wide/folded")
    ]
    assert sorted(found.activations) == ["first/relu6", "logits", "narrow", "total", "wide/relu6"]
    assert found.activations["total"] == grid(-8, 12, 8, narrow=False)
    weights = constant_of(found.graph.nodes["narrow/folded/quant"])
    assert np.array_equal(weights, fake_quantized(weights, found.weights["narrow/folded/quant"]))


def test_a_graph_without_rounding_has_no_grids() -> None:
    found = fold(graph(rounds=False))

    assert (found.weights, found.activations) == ({}, {})


def test_folding_changes_no_answer_but_by_the_rounding_of_activations() -> None:
    floats, rounding = take_pixels(graph(rounds=False), SIDE), take_pixels(graph(), SIDE)
    for picture in photographs():
        same, expected = (NumpyEngine(one).run(picture)[0] for one in (fold(floats).graph, floats))
        assert same == pytest.approx(expected, abs=1e-6)
        near, rounded = (NumpyEngine(one).run(picture)[0] for one in (fold(rounding).graph, rounding))
        assert near != rounded
        assert near == pytest.approx(rounded, abs=0.1)


def test_an_output_that_is_only_rounded_is_what_it_rounds() -> None:
    build = Builder()
    build.fake_quant(build.add("Softmax", [build.input()], "prediction"), 0.0, 1.0)

    found = fold(graph_of(build.graph_def, INPUT, "prediction/quant:0"))

    assert found.graph.output == "prediction"
    assert list(found.activations) == ["prediction"]


def test_identities_are_passed_by() -> None:
    build = Builder()
    copy = build.add("Identity", [build.input()], "copy")
    weights = build.add("Identity", [build.constant("two", 2.0)], "two/read")
    build.add("Mul", [copy, weights], "prediction")

    found = fold(graph_of(build.graph_def, INPUT, OUTPUT)).graph

    assert list(found.nodes["prediction"].input) == ["images", "two/read"]
    assert operations(found) == {"Placeholder", "Const", "Mul"}


def test_one_value_on_two_grids_is_refused() -> None:
    build = Builder()
    value = build.add("Relu", [build.input()], "value")
    one = build.fake_quant(value, 0.0, 1.0)
    ends = [build.constant("low", 0.0), build.constant("high", 2.0)]
    other = build.add("FakeQuantWithMinMaxVars", [value, *ends], "other")
    build.add("AddV2", [one, other], "prediction")

    with pytest.raises(InvalidModel, match="what value gives is rounded to two different grids"):
        fold(graph_of(build.graph_def, INPUT, OUTPUT))


def test_a_range_that_depends_on_the_picture_is_refused() -> None:
    build = Builder()
    value = build.add("Relu", [build.input()], "value")
    build.add("FakeQuantWithMinMaxVars", [value, build.constant("low", 0.0), value], "prediction")

    with pytest.raises(InvalidModel, match="the range of prediction depends on the picture"):
        fold(graph_of(build.graph_def, INPUT, OUTPUT))


def test_only_constants_have_to_be_computed_here() -> None:
    build = Builder()
    build.add("Strange", [build.input()], "prediction")
    assert "Strange" in operations(fold(graph_of(build.graph_def, INPUT, OUTPUT)).graph)

    build = Builder()
    strange = build.add("Strange", [build.constant("two", 2.0)], "strange")
    build.add("Mul", [build.input(), strange], "prediction")
    with pytest.raises(UnknownOperation, match="`Strange`"):
        fold(graph_of(build.graph_def, INPUT, OUTPUT))
