"""Where an answer's head and body end, and heads that a strict parser can read. `client` passes answers through here.

httpx reads heads with h11, which refuses lines that browsers and curl skip, and which would take bytes behind a body
for the beginning of the next answer. So `mend_head` writes each head anew, and a `BodyEnd` says which bytes belong to
the body. What could make half a picture pass as whole is left for h11 to refuse: two lengths, or a length that is not a
number.
"""

from __future__ import annotations

import math
import re

from birdlite.namedtuple import NamedTuple

_STATUS_LINE = re.compile(rb"HTTP/(\d(?:\.\d)?)[ \t]+([1-9]\d\d)(?:[ \t].*)?", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_SPACES = bytes.maketrans(b"\r\v\f", b"   ")
_FRAMING = (b"content-length", b"transfer-encoding")

_Fields = list[tuple[bytes, bytes]]  # name in lower case, value


class BodyEnd:
    """Finds the end of a body while it comes. What is malformed has no end here; h11 says what is wrong with it."""

    def __init__(self, length: float, *, chunked: bool = False) -> None:
        """A body of `length` bytes, `math.inf` if it ends with the connection; or one in chunks."""
        self._left = length  # bytes of the body, or of the current chunk, its line break included
        self._chunked = chunked
        self._line = b""  # the beginning of a line between chunks that has not ended yet
        self._in_trailers = False

    def take(self, data: bytes) -> int:
        """Count how many bytes of `data`, which is what came next, still belong to the answer."""
        at = 0
        while at < len(data):
            if self._left:
                taken = int(min(self._left, len(data) - at))
                self._left -= taken
            elif self._chunked:
                taken = (data.find(b"\n", at) + 1 or len(data)) - at
                self._line += data[at : at + taken]
                if self._line.endswith(b"\n"):
                    self._end_line()
            else:
                break
            at += taken
        return at

    def _end_line(self) -> None:
        line, self._line = self._line.rstrip(b"\r\n"), b""
        if self._in_trailers:
            self._chunked = bool(line)
            return
        size = _CHUNK_SIZE.match(line)
        length = int(size[0], 16) if size else math.inf
        self._left = length + 2 if length else 0
        self._in_trailers = not length


class Head(NamedTuple):
    """The beginning of an answer."""

    status: int
    text: bytes  # as it is passed on, the empty line included
    body: BodyEnd


def mend_head(block: bytes) -> Head:
    """Read a head, without the empty line that ends it.

    Lines that are not header fields are skipped, folded ones joined. Any version becomes HTTP/1.1, but for HTTP/1.0
    whose connection does not stay open. `identity` is taken out of `Transfer-Encoding`.

    Raises:
        ValueError: it is not HTTP.
    """
    first, _, rest = block.partition(b"\n")
    line = _STATUS_LINE.fullmatch(first.rstrip(b"\r"))
    if line is None:
        raise ValueError("malformed status line")
    status, fields = int(line[2]), _fields(rest)
    codings = [word for word in _words(fields, b"transfer-encoding") if word != b"identity"]
    lengths = _words(fields, b"content-length")
    kept = [(name, value) for name, value in fields if name not in _FRAMING]
    if codings:
        kept.append((b"transfer-encoding", b", ".join(codings)))
        if lengths:  # an error, says the standard: trust the chunks, but not the connection
            kept.append((b"connection", b"close"))
    elif lengths:
        kept.append((b"content-length", b", ".join(lengths)))
    ends = line[1] == b"1.0" and b"keep-alive" not in _words(fields, b"connection")
    lines = [b"HTTP/1.%d %d " % (not ends, status), *(b"%b: %b" % field for field in kept), b"", b""]
    if status in (204, 304):
        end = BodyEnd(0)
    elif codings:
        end = BodyEnd(0, chunked=True)
    else:
        end = BodyEnd(int(lengths[0]) if lengths and re.fullmatch(rb"\d{1,20}", lengths[0]) else math.inf)
    return Head(status, b"\r\n".join(lines), end)


def _fields(block: bytes) -> _Fields:
    """Read header lines, and skip lines that are malformed."""
    found: _Fields = []
    for line in _FOLD.sub(b" ", block).split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon and _NAME.fullmatch(name.rstrip()):
            found.append((name.rstrip().lower(), value.translate(_SPACES).strip()))
    return found


def _words(fields: _Fields, name: bytes) -> list[bytes]:
    """Give the values of a field that is a list, from all fields of that name, in lower case."""
    values = b",".join(value for found, value in fields if found == name)
    return [word for part in values.split(b",") if (word := part.strip().lower())]
