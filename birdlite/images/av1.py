"""The size of a picture in AV1, from its own headers. `birdlite.images.iso_media` calls `size` for each one in an AVIF.

An AVIF says its sizes twice. The decoder reserves memory by these ones, and then scales the picture to those of the
boxes. A number in the headers is of a few bits, so only the first bytes of each block are read.
"""

from __future__ import annotations

from birdlite.namedtuple import NamedTuple

_SEQUENCE, _FRAMES = 1, frozenset({3, 6})  # kinds of blocks
_MAX_BLOCKS = 256  # of one picture, which has about 3
_MAX_FRAMES = 8  # of one picture, in up to 4 qualities: the decoder decodes all of them, also what is not shown
_HEADER = 512  # bytes: the longest header, of 32 operating points, has less
_KEY_FRAME, _SWITCH_FRAME = 0, 3
_EITHER = 2  # each frame says it for itself


class BadAv1(Exception):
    """The headers cannot be read."""


class TooManyFrames(Exception):
    """One picture of very many frames."""


class _Sequence(NamedTuple):
    """What a sequence header says."""

    largest: tuple[int, int]  # px
    bits: tuple[int, int] = (0, 0)  # of the width and height of a frame that has its own; 0: none has
    time_bits: int = 0
    id_bits: int = 0
    screen_tools: int = 0
    whole_vectors: int = 0


class _Bits:
    """A block's bits, from the first one."""

    def __init__(self, block: memoryview) -> None:
        start = bytes(block[:_HEADER])
        self._left = len(start) * 8
        self._value = int.from_bytes(start, "big")

    def take(self, bits: int) -> int:
        """The next bits, as a number."""
        self._left -= bits
        if self._left < 0:
            raise BadAv1("a header is cut off")
        return self._value >> self._left & (1 << bits) - 1


def size(data: memoryview) -> tuple[int, int]:
    """Width and height, px, that the frames of a picture have at most.

    Raises:
        BadAv1, TooManyFrames: see there.
    """
    width = height = frames = at = 0
    sequence: _Sequence | None = None
    for _ in range(_MAX_BLOCKS):
        if at >= len(data):
            break
        kind, start, at = _block(data, at)
        if kind == _SEQUENCE:
            sequence = _sequence(_Bits(data[start:at]))
            width, height = max(width, sequence.largest[0]), max(height, sequence.largest[1])
        elif kind in _FRAMES:
            frames += 1
            if frames > _MAX_FRAMES:
                raise TooManyFrames
            if sequence and _has_own_size(_Bits(data[start:at]), sequence):
                width, height = max(width, 1 << sequence.bits[0]), max(height, 1 << sequence.bits[1])
    else:
        raise TooManyFrames
    if sequence is None:
        raise BadAv1("no header of a sequence")
    return width, height


def _block(data: memoryview, at: int) -> tuple[int, int, int]:
    """The kind of the block here, and where its body begins and ends."""
    head = data[at]
    at += 2 if head & 4 else 1
    if not head & 2:
        return head >> 3 & 15, at, len(data)
    length = 0
    for shift in range(0, 56, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        length |= (byte & 127) << shift
        if byte < 128:
            if at + length > len(data):
                break
            return head >> 3 & 15, at, at + length
    raise BadAv1("a block is longer than its picture")


def _sequence(bits: _Bits) -> _Sequence:
    take = bits.take
    take(4)  # profile, still picture
    reduced = take(1)
    time_bits = 0
    if reduced:
        take(5)  # level
    else:
        time_bits = _timing(bits)
    wide, high = 1 + take(4), 1 + take(4)
    largest = (1 + take(wide), 1 + take(high))
    if reduced:
        return _Sequence(largest)
    id_bits = 0
    if take(1):
        id_bits = 3 + take(4) + take(3)
    take(7)  # tools
    if take(1):  # the order of frames
        take(2)
    screen_tools = _EITHER if take(1) else take(1)
    whole_vectors = _EITHER
    if screen_tools:
        whole_vectors = _EITHER if take(1) else take(1)
    return _Sequence(largest, (wide, high), time_bits, id_bits, screen_tools, whole_vectors)


def _timing(bits: _Bits) -> int:
    """Pass the times and operating points; how many bits the time of a frame has."""
    take = bits.take
    delay_bits = time_bits = 0
    if take(1):
        take(64)
        equal = take(1)
        if equal:
            zeros = 0
            while not take(1):
                zeros += 1
            take(zeros)
        if take(1):
            delay_bits = 1 + take(5)
            take(37)
            time_bits = 0 if equal else 1 + take(5)
            if equal:
                take(5)
    delays = take(1)
    for _ in range(1 + take(5)):
        take(12)
        if take(5) > 7:
            take(1)
        if delay_bits and take(1):
            take(2 * delay_bits + 1)
        if delays and take(1):
            take(4)
    return time_bits


def _has_own_size(bits: _Bits, sequence: _Sequence) -> bool:
    """Whether a frame says a size of its own, which may be larger than the largest of the sequence."""
    take = bits.take
    if not sequence.bits[0] or take(1):  # or it shows an earlier frame
        return False
    kind, shown = take(2), take(1)
    if shown:
        take(sequence.time_bits)
    else:
        take(1)
    if kind == _SWITCH_FRAME:
        return True
    if not (kind == _KEY_FRAME and shown):
        take(1)
    take(1)
    screen_tools = take(1) if sequence.screen_tools == _EITHER else sequence.screen_tools
    if screen_tools and sequence.whole_vectors == _EITHER:
        take(1)
    take(sequence.id_bits)
    return bool(take(1))
