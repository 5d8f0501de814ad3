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


def test_grids_are_two_also_if_only_one_end_differs() -> None:
    build = Builder()
    value = build.add("Relu", [build.input()], "value")
    few = build.add("FakeQuantWithMinMaxArgs", [value], "few", min=0.0, max=15.0, num_bits=4)
    many = build.add("FakeQuantWithMinMaxArgs", [value], "many", min=0.0, max=255.0)
    build.add("AddV2", [few, many], "prediction")

    with pytest.raises(InvalidModel, match="two different grids"):
        fold(graph_of(build.graph_def, INPUT, OUTPUT))


def test_of_two_roundings_in_a_row_the_last_counts() -> None:
    build = Builder()
    value = build.fake_quant(build.add("Relu", [build.input()], "value"), 0.0, 1.0)
    build.fake_quant(build.add("Identity", [value], "copy"), 0.0, 2.0)
    build.add("Neg", ["copy/quant"], "prediction")

    found = fold(graph_of(build.graph_def, INPUT, OUTPUT))

    assert found.activations == {"value": grid(0, 2, 8, narrow=False)}


def test_two_roundings_in_a_row_that_are_both_read_are_refused() -> None:
    build = Builder()
    first = build.fake_quant(build.add("Relu", [build.input()], "value"), 0.0, 1.0)
    build.add("AddV2", [first, build.fake_quant(first, 0.0, 2.0)], "prediction")

    with pytest.raises(InvalidModel, match="what value gives is rounded to two different grids"):
        fold(graph_of(build.graph_def, INPUT, OUTPUT))


def test_of_two_roundings_of_a_constant_in_a_row_the_last_counts() -> None:
    build = Builder()
    inner = build.fake_quant(build.constant("weights", [0.3, 1.7]), 0.0, 2.0)
    build.add("Mul", [build.input(), build.fake_quant(inner, 0.0, 1.0)], "prediction")

    found = fold(graph_of(build.graph_def, INPUT, OUTPUT))

    assert found.weights == {"weights/quant/quant": grid(0, 1, 8, narrow=False)}


def test_weights_are_on_their_grid_also_behind_an_identity() -> None:
    build = Builder()
    weights = build.add("Identity", [build.fake_quant(build.constant("weights", [0.3]), 0.0, 1.0)], "read")
    build.add("Mul", [build.input(), weights], "prediction")

    assert fold(graph_of(build.graph_def, INPUT, OUTPUT)).weights == {"read": grid(0, 1, 8, narrow=False)}


def test_a_dead_channel_gets_a_scale_that_can_be_divided_by() -> None:
    build = Builder()
    ends = [build.constant("low", [-1.0, 0.0, -4.0]), build.constant("high", [1.0, 0.0, 4.0])]
    weights = build.constant("weights", [[0.5, 0.5, 0.5]])
    build.add(
        "Mul", [build.input(), build.add("FakeQuantWithMinMaxVarsPerChannel", [weights, *ends], "q")], "prediction"
    )

    found = fold(graph_of(build.graph_def, INPUT, OUTPUT))

    assert found.weights["q"].scale == pytest.approx([2 / 255, 8 / 255, 8 / 255])
    assert constant_of(found.graph.nodes["q"])[0, 1] == 0


def test_weights_that_are_all_dead_get_a_scale_too() -> None:
    build = Builder()
    weights = build.fake_quant(build.constant("weights", [0.5]), 0.0, 0.0)
    build.add("Mul", [build.input(), weights], "prediction")

    assert fold(graph_of(build.graph_def, INPUT, OUTPUT)).weights[weights].scale == 1.0


def test_pictures_that_are_rounded_to_nothing_are_refused() -> None:
    build = Builder()
    build.add("Neg", [build.fake_quant(build.add("Relu", [build.input()], "value"), 0.0, 0.0)], "prediction")

    with pytest.raises(InvalidModel, match="value/quant rounds all that it reads to 0"):
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
