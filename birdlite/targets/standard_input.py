"""What `-` means: a list on standard input, or a picture. `expand` reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from birdlite.results import Failure
from birdlite.targets import Found

if TYPE_CHECKING:
    from birdlite.targets.list_text import Ahead


_NOTHING = "nothing came on standard input (a list that may be empty is --from -)"


class StandardInput:
    """Standard input, which can be read once."""

    def __init__(self, stream: BinaryIO | None, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes

    def read(self, *, may_be_picture: bool) -> Iterator[Found | bytes]:
        """The names of the list there, or the bytes of the picture."""
        stream, self._stream = self._stream, None
        if stream is None:
            yield "-", Failure("unsupported", "-: there is no standard input, or it was read before")
            return
        from birdlite.images.formats import is_picture
        from birdlite.targets.list_file import read
        from birdlite.targets.list_text import Ahead, reader, unreadable

        if not may_be_picture:
            yield from read(stream, "stdin")
            return
        try:
            ahead = Ahead(reader(stream))
            if not ahead.head:  # most likely the command before it has failed, as curl -f does
                yield "-", Failure("not_an_image", f"-: {_NOTHING}")
                return
            data = _read_whole(ahead, self._max_bytes) if is_picture(ahead.head) else b""
        except (OSError, ValueError) as error:
            raise unreadable("stdin", error) from error
        if not data:
            yield from read(ahead, "stdin")
        elif len(data) <= self._max_bytes:
            yield data
        else:
            yield "-", Failure("too_large", f"-: more than {self._max_bytes} bytes")


def _read_whole(stream: Ahead, max_bytes: int) -> bytes:
    """At most `max_bytes` and what the last read gave."""
    data = bytearray()
    while len(data) <= max_bytes and (part := stream.read(1 << 16)):
        data += part
    return bytes(data)
