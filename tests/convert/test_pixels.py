"""The contract baked into a graph: plain pixels in, probabilities out."""

from __future__ import annotations

import numpy as np
import pytest

from birdlite.convert.saved_model.graph import attribute, graph_of
from birdlite.convert.saved_model.numpy_engine import NumpyEngine
from birdlite.convert.saved_model.pixels import give_probabilities, side_of, take_pixels
from birdlite.errors import InvalidModel
from tests.tiny_graphs import INPUT, OUTPUT, SIDE, Builder, graph, photographs


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_a_graph_of_floats_gets_its_range_from_plain_pixels(low: float, high: float) -> None:
    build = Builder()
    build.add("Reshape", [build.input(side=1), build.constant("shape", [-1, 3], "int32")], "prediction")

    taking = take_pixels(graph_of(build.graph_def, INPUT, OUTPUT), 1, low, high)

    (found,) = NumpyEngine(taking).run(bytes((0, 51, 255)))
    assert found == pytest.approx([low, low + (high - low) / 5, high])
    assert attribute(taking.nodes[taking.input], "dtype") == "uint8"
    assert side_of(taking) == 1


def test_a_graph_may_begin_at_any_node_of_floats() -> None:
    build = Builder()
    begin = build.add("Neg", [build.input(side=1)], "begin")
    build.add("Reshape", [begin, build.constant("shape", [-1, 3], "int32")], "prediction")

    taking = take_pixels(graph_of(build.graph_def, "begin:0", OUTPUT), 1)

    assert NumpyEngine(taking).run(bytes((0, 51, 255))) == [pytest.approx([0.0, 0.2, 1.0])]


def test_a_graph_of_bytes_gets_them_as_they_are() -> None:
    build = Builder()
    cast = build.add("Cast", [build.input(side=1, dtype="uint8")], "cast", SrcT="uint8", DstT="float32")
    build.add("Reshape", [cast, build.constant("shape", [-1, 3], "int32")], "prediction")

    assert NumpyEngine(take_pixels(graph_of(build.graph_def, INPUT, OUTPUT), 1)).run(bytes((0, 51, 255))) == [
        [0, 51, 255]
    ]


def test_probabilities_are_left_alone_and_logits_become_some() -> None:
    for end in ("Softmax", "Sigmoid"):
        same, added = give_probabilities(graph(end=end))
        assert (same.output, added) == ("prediction", False)

    logits, added = give_probabilities(graph(end="logits"))
    assert added
    softmax = give_probabilities(graph(end="Softmax"))[0]
    for picture in photographs():
        one, other = (NumpyEngine(take_pixels(found, SIDE)).run(picture)[0] for found in (logits, softmax))
        assert one == pytest.approx(other)


def test_rounded_and_reshaped_probabilities_are_still_some() -> None:
    build = Builder()
    value = build.fake_quant(build.add("Softmax", [build.input()], "prediction"), 0.0, 1.0)
    build.add("Squeeze", [build.add("Identity", [value], "copy")], "row")

    assert give_probabilities(graph_of(build.graph_def, INPUT, "row:0"))[1] is False


def test_nodes_of_the_source_make_way() -> None:
    build = Builder()
    scaled = build.add("Mul", [build.input(side=1), build.constant("pixels", 2.0)], "probabilities")
    build.add("Reshape", [scaled, build.constant("shape", [-1, 3], "int32")], "pixels/scaled")

    taking = take_pixels(graph_of(build.graph_def, INPUT, "pixels/scaled:0"), 1)
    giving, _ = give_probabilities(taking)

    (found,) = NumpyEngine(taking).run(bytes((0, 51, 255)))
    assert found == pytest.approx([0.0, 0.4, 2.0])
    assert np.sum(NumpyEngine(giving).run(bytes(3))) == pytest.approx(1.0)


def test_nodes_that_make_way_take_no_names_of_others() -> None:
    build = Builder()
    scaled = build.add("Mul", [build.input(side=1), build.constant("pixels", 2.0)], "scaled")
    moved = build.add("AddV2", [scaled, build.constant("source/pixels", 5.0)], "moved")
    build.add("Reshape", [moved, build.constant("shape", [-1, 3], "int32")], "prediction")

    taking = take_pixels(graph_of(build.graph_def, INPUT, OUTPUT), 1)

    (found,) = NumpyEngine(taking).run(bytes((0, 51, 255)))
    assert found == pytest.approx([5.0, 5.4, 7.0])


def test_logits_may_be_called_probabilities() -> None:
    build = Builder()
    build.add("Reshape", [build.input(side=1), build.constant("shape", [-1, 3], "int32")], "probabilities")

    giving, added = give_probabilities(graph_of(build.graph_def, INPUT, "probabilities:0"))

    assert added
    assert np.sum(NumpyEngine(take_pixels(giving, 1)).run(bytes((0, 51, 255)))) == pytest.approx(1.0)


def test_pictures_of_another_type_are_refused() -> None:
    build = Builder()
    build.add("Neg", [build.input(dtype="int32")], "prediction")

    with pytest.raises(InvalidModel, match="the graph takes int32; pictures are float32 or uint8"):
        take_pixels(graph_of(build.graph_def, INPUT, OUTPUT), SIDE)


def test_a_graph_that_takes_no_plain_pixels_has_no_side() -> None:
    with pytest.raises(InvalidModel, match="the graph takes float32"):
        side_of(graph())
