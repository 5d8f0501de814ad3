"""Where an answer's head and body end, and heads that a strict parser can read. `client` passes answers through here.

httpx reads heads with h11, which refuses lines that browsers and curl skip, and which would take bytes behind a body
for the beginning of the next answer. So `mend_head` writes each head anew, and a `BodyEnd` says which bytes belong to
the body. What could make half a picture pass as whole stays an error: two lengths, or a length that is not a number.
"""

from __future__ import annotations

import re
from typing import Protocol

from birdlite.namedtuple import NamedTuple

_STATUS_LINE = re.compile(rb"HTTP/(\d)(?:\.(\d))?[ \t]+([1-9]\d\d)(?:[ \t].*)?", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_SPACES = bytes.maketrans(b"\r\v\f", b"   ")
_FRAMING = (b"connection", b"content-length", b"transfer-encoding")

_Fields = list[tuple[bytes, bytes]]  # name in lower case, value


class BodyEnd(Protocol):
    """Finds the end of a body while it comes."""

    def take(self, data: bytes) -> int:
        """Count how many bytes of `data`, which is what came next, still belong to the answer."""


class Head(NamedTuple):
    """The beginning of an answer."""

    status: int
    text: bytes  # as it is passed on, the empty line included
    body: BodyEnd


class OfLength:
    """A body of so many bytes."""

    def __init__(self, length: int) -> None:
        self._left = length

    def take(self, data: bytes) -> int:
        """See `BodyEnd`."""
        taken = min(self._left, len(data))
        self._left -= taken
        return taken


class ToTheEnd:
    """A body that ends with the connection."""

    def take(self, data: bytes) -> int:
        """See `BodyEnd`."""
        return len(data)


class Chunks:
    """A body in chunks. A malformed one has no end here; the parser that gets it says what is wrong with it."""

    def __init__(self) -> None:
        self._line = b""  # the beginning of a line that has not ended yet
        self._left = 0  # bytes of the current chunk, its line break included
        self._in_trailers = False
        self._ended = False

    def take(self, data: bytes) -> int:
        """See `BodyEnd`."""
        at = 0
        while at < len(data) and not self._ended:
            if self._left:
                taken = min(self._left, len(data) - at)
                self._left -= taken
            else:
                taken = (data.find(b"\n", at) + 1 or len(data)) - at
                self._line += data[at : at + taken]
                if self._line.endswith(b"\n"):
                    self._end_line()
            at += taken
        return at

    def _end_line(self) -> None:
        line, self._line = self._line.strip(), b""
        if self._in_trailers:
            self._ended = not line
        else:
            size = _CHUNK_SIZE.match(line)
            length = int(size[0], 16) if size else 0
            self._left = length + 2 if length else 0
            self._in_trailers = size is not None and not length


def mend_head(block: bytes, *, connects: bool = False) -> Head:
    """Read a head, without the empty line that ends it. `connects`: it answers a request for a tunnel.

    Lines that are no header fields are skipped, folded ones joined, any version becomes HTTP/1.1, and of
    `Transfer-Encoding` only `chunked` is left.

    Raises:
        ValueError: it is not HTTP, or does not say clearly where its body ends. The message says what is wrong.
    """
    first, _, rest = block.partition(b"\n")
    line = _STATUS_LINE.fullmatch(first.rstrip(b"\r"))
    if line is None:
        raise ValueError("malformed status line")
    status, fields = int(line[3]), _fields(rest)
    codings = [word for word in _words(fields, b"transfer-encoding") if word != b"identity"]
    lengths = {*_words(fields, b"content-length")}
    stays = b"close" not in _words(fields, b"connection")
    if line[1] == b"1" and line[2] == b"0":
        stays = b"keep-alive" in _words(fields, b"connection")
    kept = [(name, value) for name, value in fields if name not in _FRAMING]
    if codings:
        if codings != [b"chunked"]:
            raise ValueError(f"unsupported Transfer-Encoding {b', '.join(codings)[:40].decode('latin-1')!a}")
        stays = stays and not lengths  # a length beside chunks is an error: trust the chunks, but not the connection
        kept.append((b"transfer-encoding", b"chunked"))
    elif lengths:
        length = lengths.pop()
        if lengths or not re.fullmatch(rb"[0-9]{1,18}", length):
            raise ValueError("invalid Content-Length")
        kept.append((b"content-length", length))
    kept.append((b"connection", b"keep-alive" if stays else b"close"))
    lines = [b"HTTP/1.1 %d " % status, *(b"%b: %b" % field for field in kept), b"", b""]
    return Head(status, b"\r\n".join(lines), _body_end(status, dict(kept), connects=connects))


def _body_end(status: int, fields: dict[bytes, bytes], *, connects: bool) -> BodyEnd:
    if connects and 200 <= status < 300:
        return ToTheEnd()  # not a body but the tunnel
    if status in (204, 304):
        return OfLength(0)
    if b"transfer-encoding" in fields:
        return Chunks()
    if b"content-length" in fields:
        return OfLength(int(fields[b"content-length"]))
    return ToTheEnd()


def _fields(block: bytes) -> _Fields:
    """Read header lines, and skip what is none."""
    found: _Fields = []
    for line in _FOLD.sub(b" ", block).split(b"\n"):
        if b"\0" in line:
            raise ValueError("a zero byte in a header")
        name, colon, value = line.partition(b":")
        if colon and _NAME.fullmatch(name.rstrip()):
            found.append((name.rstrip().lower(), value.translate(_SPACES).strip()))
    return found


def _words(fields: _Fields, name: bytes) -> list[bytes]:
    """Give the values of a field that is a list, from all fields of that name, in lower case."""
    values = b",".join(value for found, value in fields if found == name)
    return [word for part in values.split(b",") if (word := part.strip().lower())]
