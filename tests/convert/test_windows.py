"""What moves a window over pictures, by hand; `test_convert_kernels` holds it against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from birdlite.convert.saved_model import windows as windows_room
from birdlite.convert.saved_model.graph import node
from birdlite.convert.saved_model.kernels import run
from birdlite.errors import InvalidModel


def compute(op: str, *inputs: Any, **attributes: Any) -> Any:
    return run(node("tested", op, [], **attributes), [np.asarray(value) for value in inputs])


ROW = np.array([[[[1.0], [2.0], [3.0], [4.0]]]], np.float32)  # one row of four pixels


def test_same_padding_puts_the_odd_pixel_behind() -> None:
    weights = np.array([1, 10, 100], np.float32).reshape(1, 3, 1, 1)

    found = compute("Conv2D", ROW, weights, padding="SAME", strides=[1, 2, 2, 1])

    assert found.reshape(-1).tolist() == [321.0, 43.0]  # pixels 1 2 3, then 3 4 and nothing


def test_valid_padding_is_none() -> None:
    weights = np.array([1, 10], np.float32).reshape(1, 2, 1, 1)

    found = compute("Conv2D", ROW, weights, padding="VALID", strides=[1, 1, 1, 1])

    assert found.reshape(-1).tolist() == [21.0, 32.0, 43.0]


def test_a_dilated_window_leaves_pixels_out() -> None:
    weights = np.array([1, 10], np.float32).reshape(1, 2, 1, 1)

    found = compute("Conv2D", ROW, weights, padding="VALID", strides=[1, 1, 1, 1], dilations=[1, 1, 2, 1])

    assert found.reshape(-1).tolist() == [31.0, 42.0]


def test_a_depthwise_convolution_keeps_the_results_of_a_channel_together() -> None:
    pixel = np.array([2.0, 3.0], np.float32).reshape(1, 1, 1, 2)
    weights = np.array([[1, 10], [100, 1000]], np.float32).reshape(1, 1, 2, 2)

    found = compute("DepthwiseConv2dNative", pixel, weights, padding="SAME", strides=[1, 1, 1, 1])

    assert found.reshape(-1).tolist() == [2.0, 20.0, 300.0, 3000.0]


def test_padding_does_not_count_in_an_average() -> None:
    found = compute("AvgPool", ROW, padding="SAME", ksize=[1, 1, 3, 1], strides=[1, 1, 2, 1])

    assert found.reshape(-1).tolist() == [2.0, 3.5]


def test_padding_is_never_the_largest() -> None:
    found = compute("MaxPool", -ROW, padding="SAME", ksize=[1, 1, 3, 1], strides=[1, 1, 2, 1])

    assert found.reshape(-1).tolist() == [-1.0, -3.0]


def test_groups_of_channels_have_results_of_their_own() -> None:
    pixel = np.array([1, 2, 3, 4], np.float32).reshape(1, 1, 1, 4)
    weights = np.array([[1, 10], [100, 1000]], np.float32).reshape(1, 1, 2, 2)

    found = compute("Conv2D", pixel, weights, padding="SAME", strides=[1, 1, 1, 1])

    assert found.reshape(-1).tolist() == [201.0, 4030.0]  # 1 + 2 * 100, and 3 * 10 + 4 * 1000


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


PICTURE = zeros(1, 4, 4, 3)
CELL: dict[str, Any] = {"padding": "SAME", "strides": [1, 1, 1, 1]}
POOL: dict[str, Any] = {**CELL, "ksize": [1, 2, 2, 1]}
EXPLICIT: dict[str, Any] = {**CELL, "padding": "EXPLICIT"}
WRONG: list[tuple[str, list[Any], dict[str, Any], str]] = [
    ("Conv2D", [PICTURE, zeros(3, 3, 2, 8)], CELL, "for 3 channels"),
    ("Conv2D", [PICTURE, zeros(3, 3, 4, 8)], CELL, "for 3 channels"),
    ("Conv2D", [PICTURE, zeros(3, 3, 0, 8)], CELL, "for 3 channels"),
    ("Conv2D", [PICTURE, zeros(3, 3, 1, 8)], CELL, "for 3 channels"),  # 3 groups, 8 results
    ("Conv2D", [zeros(1, 4, 4, 0), zeros(3, 3, 4, 8)], CELL, "for 0 channels"),
    ("Conv2D", [PICTURE, zeros(3, 3)], CELL, r"weights of shape \[3, 3\]"),
    ("Conv2D", [zeros(4, 3), zeros(1, 1, 3, 8)], CELL, r"on \[4, 3\]"),
    ("DepthwiseConv2dNative", [PICTURE, zeros(3, 3, 2, 1)], CELL, "for 3 channels"),
    ("DepthwiseConv2dNative", [PICTURE, zeros(3, 3, 3)], CELL, r"weights of shape \[3, 3, 3\]"),
    ("Conv2D", [PICTURE, zeros(0, 3, 3, 8)], CELL, r"a window of \[0, 3\]"),
    ("Conv2D", [PICTURE, zeros(1, 1, 3, 8)], {**CELL, "strides": [1, 0, 1, 1]}, "a window of"),
    ("Conv2D", [PICTURE, zeros(1, 1, 3, 8)], {**CELL, "dilations": [1, 1, 0, 1]}, "a window of"),
    ("MaxPool", [zeros(4, 3)], POOL, "a window of"),
    ("MaxPool", [PICTURE], {**POOL, "ksize": [1, 257, 257, 1]}, r"a window of \[257, 257\]"),
    ("Conv2D", [PICTURE, zeros(5, 5, 3, 8)], {**CELL, "padding": "VALID"}, "5 px on 4 px"),
    ("Conv2D", [PICTURE, zeros(3, 3, 3, 8)], {**CELL, "padding": "REFLECT"}, "padding 'REFLECT'"),
    ("MaxPool", [PICTURE], {**POOL, "padding": 3}, "padding 3"),
    ("AvgPool", [PICTURE], {"padding": "SAME", "ksize": [1, 2, 2, 1]}, "strides None"),
    ("AvgPool", [PICTURE], CELL, "ksize None"),
    ("AvgPool", [PICTURE], {**POOL, "strides": [1, 1, 1, 2]}, r"strides \[1, 1, 1, 2\]"),
    ("MaxPool", [PICTURE], {**POOL, "ksize": [2, 2, 2, 1]}, r"ksize \[2, 2, 2, 1\]"),
    ("MaxPool", [PICTURE], {**POOL, "ksize": [1, 2, 2]}, r"ksize \[1, 2, 2\]"),
    ("Conv2D", [PICTURE, zeros(3, 3, 3, 8)], {**CELL, "dilations": [1, 2, 2, 2]}, r"dilations \[1, 2, 2, 2\]"),
    ("MaxPool", [PICTURE], {**POOL, **EXPLICIT, "explicit_paddings": [0, 0, 1, 1]}, r"pads \[0, 0, 1, 1\]"),
    ("MaxPool", [PICTURE], {**POOL, **EXPLICIT, "explicit_paddings": [0, 1, 0, 0, 0, 0, 0, 0]}, r"pads \[0, 1,"),
    ("MaxPool", [PICTURE], {**POOL, **EXPLICIT, "explicit_paddings": [0, 0, -1, 0, 0, 0, 0, 0]}, "2 px on 4 px"),
    ("Conv2D", [zeros(1, 3, 4, 4), zeros(1, 1, 4, 8)], {**CELL, "data_format": "NCHW"}, "laid out as NCHW"),
]


@pytest.mark.parametrize(("op", "inputs", "attributes", "complaint"), WRONG)
def test_a_window_that_does_not_fit_is_said_with_the_nodes_name(
    op: str, inputs: list[Any], attributes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidModel, match=f"{op} tested: .*{complaint}"):
        compute(op, *inputs, **attributes)


FAR = [0, 0, 999, 0, 0, 999, 0, 0]
GIANTS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Conv2D", [zeros(1, 10, 10, 1), zeros(1, 1, 1, 10_000)], CELL),
    ("DepthwiseConv2dNative", [zeros(1, 10, 10, 1), zeros(1, 1, 1, 10_000)], CELL),
    ("MaxPool", [zeros(1, 1, 1, 1)], {**POOL, **EXPLICIT, "strides": [1, 999, 999, 1], "explicit_paddings": FAR}),
    ("AvgPool", [zeros(1, 1, 1, 8)], {**POOL, "ksize": [1, 256, 256, 1]}),
]


@pytest.mark.parametrize(("op", "inputs", "attributes"), GIANTS)
def test_a_small_picture_cannot_become_a_giant(
    op: str, inputs: list[Any], attributes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows_room, "MAX_CONSTANT_BYTES", 1 << 20)

    with pytest.raises(InvalidModel, match=f"{op} tested: makes .* more than 1 MiB"):
        compute(op, *inputs, **attributes)
