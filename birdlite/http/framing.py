"""Where an answer's head and body end, in a form that a strict parser can read. `connection` passes them through here.

httpx reads answers with h11, which refuses lines that browsers and curl skip, and which would take bytes behind a body
for the beginning of the next answer. So `mend_head` writes each head anew, and a `BodyEnd` says which bytes belong to
the body, and writes the lines between chunks anew. What could make half a picture pass as whole is left for h11 to
refuse: two lengths, a length that is not a number, an unknown transfer coding, chunks without an end.
"""

from __future__ import annotations

import math
import re

from birdlite.namedtuple import NamedTuple

_STATUS_LINE = re.compile(rb"HTTP/(\d(?:\.\d)?)[ \t]+([1-9]\d\d)(?:\D.*)?", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FOLD = re.compile(rb"\r*\n[ \t]+")
_LENGTH = re.compile(rb"\+?0*(\d+)(?:\.0*|[; ]\D*)?")  # also `+12`, `12 bytes`, `12;`, `12.0`
_LONGEST_LENGTH = 18  # digits; curl does not believe a longer one either, and reads to the end of the connection
_CHUNK_SIZE = re.compile(rb"0*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_LONGEST_LINE = 64 * 1024  # bytes of a line between chunks, and of all fields after the body
_SPACES = bytes.maketrans(b"\r\v\f", b"   ")
_FRAMING = (b"content-length", b"transfer-encoding")
_COMPRESSIONS = frozenset({b"gzip", b"x-gzip", b"deflate"})

_Fields = list[tuple[bytes, bytes]]  # name in lower case, value


class BodyEnd:
    """Finds the end of a body while it comes. What is malformed has no end here; h11 says what is wrong with it."""

    def __init__(self, length: float, *, chunked: bool = False) -> None:
        """A body of `length` bytes, `math.inf` if it ends with the connection; or one in chunks."""
        self._left = length  # bytes of the body, or of the current chunk
        self._end_line = self._end_size if chunked else None  # what becomes of the next line between chunks
        self._line = b""  # the beginning of a line that has not ended yet
        self._trailers = 0  # bytes of fields after the body

    def take(self, data: bytes) -> tuple[int, bytes]:
        """Count how many bytes of `data`, which is what came next, belong to the answer; give what to pass on."""
        at, passed = 0, []
        while at < len(data):
            if self._left:
                taken = int(min(self._left, len(data) - at))
                self._left -= taken
                passed.append(data[at : at + taken])
            elif self._end_line is not None:
                taken = (data.find(b"\n", at) + 1 or len(data)) - at
                self._line += data[at : at + taken]
                if self._line.endswith(b"\n") or len(self._line) > _LONGEST_LINE:
                    line, self._line = self._line, b""
                    passed.append(self._end_line(line))
            else:
                break
            at += taken
        return at, b"".join(passed)

    def _end_size(self, line: bytes) -> bytes:
        size = _CHUNK_SIZE.fullmatch(line.rstrip(b"\r\n"))
        if size is None:
            return self._malformed(line)
        self._left = int(size[1], 16)
        self._end_line = self._end_chunk if self._left else self._end_trailer
        return b"%x\r\n" % self._left

    def _end_chunk(self, line: bytes) -> bytes:
        if line.rstrip(b"\r\n"):
            return self._malformed(line)
        self._end_line = self._end_size
        return b"\r\n"

    def _end_trailer(self, line: bytes) -> bytes:
        if line.rstrip(b"\r\n"):  # a header field after the body
            self._trailers += len(line)
            return b"" if self._trailers <= _LONGEST_LINE else self._malformed(line)
        self._end_line = None
        return b"\r\n"

    def _malformed(self, line: bytes) -> bytes:
        self._left = math.inf
        return line


class Head(NamedTuple):
    """The beginning of an answer."""

    status: int
    text: bytes  # as it is passed on, the empty line included
    body: BodyEnd


def mend_head(block: bytes) -> Head:
    """Read a head, without the empty line that ends it.

    Lines that are not header fields are skipped, folded ones joined. Any version becomes HTTP/1.1, but for HTTP/1.0
    whose connection does not stay open. `Transfer-Encoding` keeps `chunked`; compressions move to `Content-Encoding`.

    Raises:
        ValueError: it is not HTTP, or another protocol is to follow.
    """
    first, _, rest = block.partition(b"\n")
    line = _STATUS_LINE.fullmatch(first.rstrip(b"\r"))
    if line is None:
        raise ValueError("malformed status line")
    status, fields = int(line[2]), _fields(rest)
    if status == 101:
        raise ValueError("it switches to another protocol")
    codings = dict.fromkeys(word for word in _words(fields, b"transfer-encoding") if word != b"identity")
    lengths = _lengths(fields)
    kept = [(name, value) for name, value in fields if name not in _FRAMING]
    if codings:
        kept += [(b"content-encoding", word) for word in codings if word in _COMPRESSIONS]
        if framing := [word for word in codings if word not in _COMPRESSIONS]:
            kept.append((b"transfer-encoding", b", ".join(framing)))
        if lengths or len(codings) > 1:  # an error, says the standard: trust the chunks, but not the connection
            kept.append((b"connection", b"close"))
    elif lengths:
        kept.append((b"content-length", b", ".join(lengths)))
    ends = line[1] == b"1.0" and b"keep-alive" not in _words(fields, b"connection")
    lines = [b"HTTP/1.%d %d " % (not ends, status), *(b"%b: %b" % field for field in kept), b"", b""]
    if status in (204, 304):
        end = BodyEnd(0)
    elif codings:
        end = BodyEnd(0, chunked=True) if b"chunked" in codings else BodyEnd(math.inf)
    else:
        end = BodyEnd(int(lengths[0]) if lengths and lengths[0].isdigit() else math.inf)
    return Head(status, b"\r\n".join(lines), end)


def _lengths(fields: _Fields) -> list[bytes]:
    """Give the different values of Content-Length as plain numbers; what is not a number stays as it is."""
    words = (_LENGTH.sub(rb"\1", word) if _LENGTH.fullmatch(word) else word for word in _words(fields, _FRAMING[0]))
    lengths = list(dict.fromkeys(words))
    too_long = len(lengths) == 1 and lengths[0].isdigit() and len(lengths[0]) > _LONGEST_LENGTH
    return [] if too_long else lengths


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
