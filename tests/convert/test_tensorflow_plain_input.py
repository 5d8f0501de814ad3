"""Where an int8 model may begin: behind every step that a quantised tensor can stand for, and behind no other."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("google.protobuf", reason="protobuf is not installed")

from birdlite.convert.saved_model.graph import Graph, constant_node, node  # noqa: E402
from birdlite.convert.with_tensorflow.plain_input import Line, plain_input  # noqa: E402
from birdlite.errors import InvalidModel  # noqa: E402

PIXEL = ...  # in the steps below: what the step before gives


def graph(*steps: tuple[str, Any, Any], cast: str = "Cast", to: str = "float32") -> Graph:
    """Pixels, their cast, and one step after the other, called 0, 1, 2; constants are numbers or lists of them."""
    nodes = [
        node("pixels", "Placeholder", [], dtype="uint8", shape=(-1, 4, 4, 3)),
        node("cast", cast, ["pixels"], SrcT="uint8", DstT=to),
    ]
    for number, (op, *operands) in enumerate(steps):
        before = nodes[-1].name
        reads = []
        for place, operand in enumerate(operands):
            if operand is PIXEL:
                reads.append(before)
            elif operand is not None:
                nodes.append(constant_node(f"{number} constant {place}", np.array(operand, np.float32)))
                reads.append(nodes[-1].name)
        nodes.append(node(str(number), op, reads, T="float32"))
    return Graph({node.name: node for node in nodes}, "pixels", nodes[-1].name, 1)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], ("cast", 1, 0)),
        ([("Mul", PIXEL, 1 / 255)], ("0", 1 / 255, 0)),
        ([("Mul", 1 / 255, PIXEL)], ("0", 1 / 255, 0)),
        ([("Mul", PIXEL, 1 / 255), ("Mul", PIXEL, 2), ("Sub", PIXEL, 1)], ("2", 2 / 255, -1)),
        ([("RealDiv", PIXEL, 127.5), ("AddV2", PIXEL, -1)], ("1", 1 / 127.5, -1)),
        ([("Sub", PIXEL, 128), ("Div", PIXEL, 128)], ("1", 1 / 128, -1)),
        ([("Sub", PIXEL, 127.5), ("Mul", PIXEL, 2)], ("1", 2, -255)),
        ([("Sub", PIXEL, [127.5, 127.5, 127.5])], ("0", 1, -127.5)),
        ([("Add", -255, PIXEL)], ("0", 1, -255)),
        ([("Mul", PIXEL, 2), ("Relu6", PIXEL, None), ("Mul", PIXEL, 2)], ("0", 2, 0)),
    ],
)
def test_steps_on_a_line_are_left_out(steps: list[tuple[str, Any, Any]], expected: tuple[str, float, float]) -> None:
    line = plain_input(graph(*steps))

    assert line.node == expected[0]
    assert line[1:] == pytest.approx(expected[1:], rel=1e-6)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (("Sub", 255, PIXEL), "a negative"),
        (("Mul", PIXEL, -1), "a negative"),
        (("Mul", PIXEL, 0), "nothing is left"),
        (("RealDiv", 1, PIXEL), "no line"),
        (("RealDiv", PIXEL, 0), "no number"),
        (("Mul", PIXEL, PIXEL), "no line"),
        (("Add", PIXEL, 1), "the zero point would be below 0"),
        (("Sub", PIXEL, 256), "the zero point would be above 255"),
        (("Sub", PIXEL, [123, 117, 104]), "a scale for each colour"),
        (("Mul", PIXEL, [[1], [2], [3], [4]]), "one for each row"),
        (("Mul", PIXEL, []), "no number"),
        (("Mul", PIXEL, [[[2]]]), "might change the rank"),
        (("Maximum", PIXEL, 1), "no line"),
    ],
)
def test_other_steps_are_not(step: tuple[str, Any, Any], why: str) -> None:
    assert plain_input(graph(step)) == Line("cast", 1, 0)


def test_a_step_off_the_grid_does_not_stop_one_that_leads_back() -> None:
    there_and_back = graph(("Add", PIXEL, 10), ("Sub", PIXEL, 20))

    assert plain_input(there_and_back) == Line("1", 1, -10)


def test_the_line_ends_where_a_value_is_read_twice() -> None:
    branching = graph(("Mul", PIXEL, 2), ("Sub", PIXEL, 2))
    branching.nodes["also"] = node("also", "Relu", ["0"], T="float32")

    assert plain_input(branching) == Line("0", 2, 0)


@pytest.mark.parametrize(("cast", "to"), [("Relu", "float32"), ("Cast", "float64")])
def test_a_graph_that_does_not_begin_with_floats_is_refused(cast: str, to: str) -> None:
    with pytest.raises(InvalidModel, match="makes floats of its pixels"):
        plain_input(graph(("Mul", PIXEL, 2), cast=cast, to=to))


def test_a_graph_that_reads_its_pixels_twice_is_refused() -> None:
    branching = graph(("Mul", PIXEL, 2))
    branching.nodes["also"] = node("also", "Cast", ["pixels"], SrcT="uint8", DstT="float32")

    with pytest.raises(InvalidModel, match="makes floats of its pixels"):
        plain_input(branching)


def test_values_of_pixels_are_on_the_line() -> None:
    values = Line("any", 2 / 255, -1).of(np.array([0, 51, 255], np.uint8))

    assert values.dtype == np.float32
    assert values.tolist() == pytest.approx([-1, -0.6, 1], abs=1e-6)


@pytest.mark.parametrize(
    ("scale", "zero_point", "same"),
    [
        (2 / 255, 127, True),
        (2 / 255, 128, True),
        (2 / 255, 126, False),
        (2 / 255, 129, False),
        (2 / 254, 127, False),  # at white a whole step away
        (1 / 128, 128, False),
        (1.0, 0, False),
    ],
)
def test_a_grid_is_the_line_to_half_a_step(scale: float, zero_point: int, same: bool) -> None:
    assert Line("any", 2 / 255, -1).is_grid(scale, zero_point) == same
