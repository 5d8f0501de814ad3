"""Where an int8 model may begin: behind every step that a quantised tensor can stand for, and behind no other."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="the extra `convert` is not installed")

import numpy as np

from birdlite.convert.graph import Graph
from birdlite.convert.to_tflite import Line, plain_input
from birdlite.errors import InvalidModel
from tests.tiny_graphs import drawn

PIXEL = ...  # in the steps below: what the step before gives


def graph(*steps: tuple[str, Any, Any], to: str = "float32", branches: bool = False) -> Graph:
    """Pixels, their cast, and one step after the other, called 0, 1, 2; constants are numbers or lists of them."""

    def of(tensorflow: Any, pixels: Any) -> Any:
        value = tensorflow.cast(pixels, to, name="cast")
        for number, (op, *operands) in enumerate(steps):
            read = [
                value if operand is PIXEL else tensorflow.constant(np.array(operand, np.float32))
                for operand in operands
                if operand is not None
            ]
            keys = {1: ("features",), 2: ("x", "y")}[len(read)]
            value = getattr(tensorflow.raw_ops, op)(**dict(zip(keys, read, strict=True)), name=str(number))
            if number == 0 and branches:
                tensorflow.nn.relu(value)
        return tensorflow.tanh(value)  # no line

    return drawn(of, side=4)


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
        ([("Mul", PIXEL, [[[2]]])], ("0", 2, 0)),
        ([("Mul", PIXEL, 2), ("Relu6", PIXEL, None), ("Mul", PIXEL, 2)], ("0", 2, 0)),
    ],
)
def test_steps_on_a_line_are_left_out(steps: list[tuple[str, Any, Any]], expected: tuple[str, float, float]) -> None:
    line = plain_input(graph(*steps))

    assert line.tensor == f"{expected[0]}:0"
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
        (("Maximum", PIXEL, 1), "no line"),
    ],
)
def test_other_steps_are_not(step: tuple[str, Any, Any], why: str) -> None:
    assert plain_input(graph(step)) == Line("cast:0", 1, 0)


def test_a_step_off_the_grid_does_not_stop_one_that_leads_back() -> None:
    there_and_back = graph(("Add", PIXEL, 10), ("Sub", PIXEL, 20))

    assert plain_input(there_and_back) == Line("1:0", 1, -10)


def test_the_line_ends_where_a_value_is_read_twice() -> None:
    branching = graph(("Mul", PIXEL, 2), ("Sub", PIXEL, 2), branches=True)

    assert plain_input(branching) == Line("0:0", 2, 0)


def test_an_identity_of_the_pixels_is_passed_by() -> None:
    def identical(tensorflow: Any, pixels: Any) -> Any:
        return tensorflow.tanh(tensorflow.cast(tensorflow.identity(pixels), "float32", name="cast"))

    assert plain_input(drawn(identical)) == Line("cast:0", 1, 0)


def in_halves(tensorflow: Any, pixels: Any) -> Any:
    return tensorflow.cast(tensorflow.cast(pixels, "float16"), "float32")


def twice(tensorflow: Any, pixels: Any) -> Any:
    return tensorflow.cast(pixels, "float32") + tensorflow.cast(pixels, "float32")


def of_bytes(tensorflow: Any, pixels: Any) -> Any:
    return tensorflow.cast(tensorflow.minimum(pixels, 200), "float32")


@pytest.mark.parametrize("step", [in_halves, twice, of_bytes])
def test_a_graph_that_does_not_begin_with_floats_is_refused(step: Any) -> None:
    with pytest.raises(InvalidModel, match="first casts its pixels to float32"):
        plain_input(drawn(step))


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
