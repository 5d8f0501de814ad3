"""Weights and biases of a uint8 `.tflite` model as int8, channel by channel, without NumPy. `requantize` calls it.

A channel is all the weights for one channel of an operator's result. `requantize` explains how it is converted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from birdlite.errors import InvalidModel
from birdlite.tflite.graph import GraphTensor, Quantization

LARGEST = 127  # of an int8 weight either way: kernels count on a symmetric range


class Channel(NamedTuple):
    """The weights for one channel of the results."""

    weights: bytes  # int8
    scale: float
    factor: float  # by how much the scale grew: 1 for one that is as it was


def channels_of(weights: GraphTensor, axis: int) -> Iterator[Channel]:
    """The weights, channel by channel, along the first or the last axis.

    Raises:
        InvalidModel: they are no constant of uint8, or their scales lie along another axis.
    """
    stored, quantization = bytes(weights.constant()), weights.quantization
    if weights.dtype == "int8":
        raise InvalidModel("its weights are int8 already")
    if weights.dtype != "uint8" or quantization is None:
        raise InvalidModel(f"its weights are {weights.dtype}; only uint8 with a scale can be made int8")
    if not stored:
        raise InvalidModel("it has no weights")
    one = len(quantization.scales) == 1
    if not one and quantization.axis != axis:
        raise InvalidModel(f"its weights have a scale for each index along {quantization.axis} instead of {axis}")
    count = weights.shape[axis]
    size = len(stored) // count
    for number in range(count):
        part = stored[number * size : (number + 1) * size] if axis == 0 else stored[number::count]
        which = 0 if one else number
        yield _channel(part, quantization.scales[which], quantization.zero_points[which])


def _channel(stored: bytes, scale: float, zero_point: int) -> Channel:
    largest = max(max(stored) - zero_point, zero_point - min(stored))
    if largest <= LARGEST:
        return Channel(stored.translate(_table(zero_point, LARGEST)), scale, 1)
    coarser = _float32(scale * largest / LARGEST)
    return Channel(stored.translate(_table(zero_point, largest)), coarser, coarser / scale)


@cache
def _table(zero_point: int, largest: int) -> bytes:
    """What each stored byte becomes where `largest` is to become 127, as a byte; halves are rounded away from 0."""
    new = (_rounded((stored - zero_point) * LARGEST, largest) for stored in range(256))
    return bytes(max(-LARGEST, min(LARGEST, value)) & 0xFF for value in new)


def _rounded(numerator: int, denominator: int) -> int:
    size = (abs(numerator) * 2 + denominator) // (denominator * 2)
    return size if numerator > 0 else -size


def joined(weights: GraphTensor, axis: int, channels: Sequence[Channel]) -> GraphTensor:
    """The tensor of these channels, with a scale for each."""
    if axis == 0:
        data = b"".join(channel.weights for channel in channels)
    else:
        whole = bytearray(len(weights.constant()))
        for number, channel in enumerate(channels):
            whole[number :: len(channels)] = channel.weights
        data = bytes(whole)
    quantization = Quantization(tuple(channel.scale for channel in channels), (0,) * len(channels), axis)
    return weights._replace(dtype="int8", quantization=quantization, data=memoryview(data))


def rescaled_bias(bias: GraphTensor, input_scale: float, channels: Sequence[Channel]) -> GraphTensor:
    """The same real values. Runtimes ignore the bias's scale in the file and use that of input times weights.

    Raises:
        InvalidModel: it is no constant of int32, or does not fit.
    """
    if bias.dtype != "int32" or bias.shape != (len(channels),):
        raise InvalidModel(f"its bias is {bias.dtype} {list(bias.shape)} instead of int32 [{len(channels)}]")
    stored = bias.whole_numbers()
    values = [round(value / channel.factor) for value, channel in zip(stored, channels, strict=True)]
    scales = tuple(_float32(input_scale * channel.scale) for channel in channels)
    data = memoryview(struct.pack(f"<{len(values)}i", *values))
    return bias._replace(quantization=Quantization(scales, (0,) * len(scales), 0), data=data)


def _float32(number: float) -> float:
    """The nearest number that a file can hold."""
    rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return rounded
