"""HTTP/1.1 on one connection: a request out, the head of its answer in, and its body part by part.

Strict where being lenient could mix up two answers or take half a picture for a whole one: two lengths, a length and
chunks, a body that ends early, bytes after the end. Lenient where servers are known to be odd: bare line feeds, missing
reasons, folded headers. Everything a server can send is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from birdlite.http.network_backend import Patience, Wire
from birdlite.http.retry import Setback
from birdlite.namedtuple import NamedTuple

_LONGEST_HEAD = 100 * 1024  # bytes; servers that send 8 KiB of cookies and policies are known
_LONGEST_CHUNK_LINE = 4096  # bytes: a size, and extensions that nobody uses
_MOST_INTERIM = 20  # answers such as 103 Early Hints before the real one

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01])[ \t]+([1-9]\d\d)(?:[ \t][^\r\n]*)?")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00]*)")
_FOLD = re.compile(rb"\r?\n[ \t]+")


class Headers:
    """An answer's header fields. Names are found in any case; of several alike, the first."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = [(name.lower(), value) for name, value in fields]

    def get(self, name: str) -> str | None:
        """The first value of a field, or None."""
        return next((value for found, value in self._fields if found == name.lower()), None)

    def words(self, name: str) -> list[str]:
        """The values of a field that is a list, from all the fields of that name, in lower case."""
        values = ",".join(value for found, value in self._fields if found == name.lower())
        return [word for part in values.split(",") if (word := part.strip().lower())]


class Head(NamedTuple):
    """The first part of an answer."""

    status: int
    headers: Headers
    keeps_alive: bool  # the server will take another request on this connection


class Response:
    """An answer whose body is still to come. Close it: the connection is used again only then, if at all."""

    def __init__(self, head: Head, parts: Iterator[bytes], connection: Connection | None = None) -> None:
        self.status = head.status
        self.headers = head.headers
        self._parts = parts
        self._connection = connection

    def parts(self) -> Iterator[bytes]:
        """The body as it was sent, without the chunks of the transfer.

        Raises:
            PictureError: it does not come, or ends early; see `Wire.receive`.
        """
        return self._parts

    def close(self) -> None:
        """Be done with it, read or not."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.release()


class Connection:
    """A wire, and the requests that go over it one after the other."""

    def __init__(self, wire: Wire, release: Callable[[Connection], None]) -> None:
        self._wire = wire
        self._release = release
        self._buffer = b""  # came, and is not taken yet
        self._clean = False  # the last answer was taken to its end, and the server keeps the connection
        self.answered = False  # something came on it since the last request was sent

    def ask(self, request: bytes, patience: Patience) -> Response:
        """Send a request and read the head of its answer.

        Raises:
            PictureError: see `Wire`; or a `Setback` when what comes is no HTTP.
        """
        self._clean = self.answered = False
        self._wire.send(request, patience)
        for _ in range(_MOST_INTERIM):
            head = self._head(patience)
            if head.status >= 200 or head.status == 101:
                break
        else:
            raise self._garbled("no end of interim answers")
        return Response(head, self._body(head, patience), self)

    def is_usable(self) -> bool:
        """Whether another request may be sent: the last answer is complete, and nothing came after it."""
        return self._clean and not self._buffer and self._wire.is_quiet()

    def release(self) -> None:
        """Give it back, after an answer."""
        self._release(self)

    def close(self) -> None:
        """Hang up."""
        self._wire.close()

    def _head(self, patience: Patience) -> Head:
        looked_at = 0
        while not (end := _END_OF_HEAD.search(self._buffer, max(0, looked_at - 3))):
            looked_at = len(self._buffer)
            if looked_at > _LONGEST_HEAD:
                raise self._garbled("an endless head")
            if not self._more(patience):
                raise self._garbled("half an answer" if self._buffer else "no answer")
        block, self._buffer = self._buffer[: end.start()], self._buffer[end.end() :]
        try:
            return parse_head(block)
        except ValueError as error:
            raise self._garbled(str(error)) from error

    def _body(self, head: Head, patience: Patience) -> Iterator[bytes]:
        """Give the body's parts. What the head says of its length is looked at before the first is asked for."""
        codings, lengths = head.headers.words("Transfer-Encoding"), set(head.headers.words("Content-Length"))
        if head.status in (204, 304):
            return self._of_length(0, head, patience)
        if codings:
            if codings != ["chunked"]:
                raise self._garbled(f"a transfer that is not understood ({', '.join(codings)[:40]!a})")
            return self._chunks(head._replace(keeps_alive=head.keeps_alive and not lengths), patience)
        if not lengths:
            return self._to_the_end(patience)
        length = lengths.pop()
        if lengths or not re.fullmatch(r"[0-9]{1,18}", length):
            raise self._garbled("a length that is none")
        return self._of_length(int(length), head, patience)

    def _of_length(self, length: int, head: Head, patience: Patience) -> Iterator[bytes]:
        left = length
        while left:
            part = self._some(left, patience)
            if not part:
                raise self._garbled(f"received {length - left} bytes, expected {length}")
            left -= len(part)
            if not left:
                self._clean = head.keeps_alive
            yield part
        self._clean = head.keeps_alive

    def _chunks(self, head: Head, patience: Patience) -> Iterator[bytes]:
        while size := self._chunk_size(patience):
            while size:
                part = self._some(size, patience)
                if not part:
                    raise self._garbled("half a chunk")
                size -= len(part)
                yield part
            if self._line(patience):
                raise self._garbled("a chunk longer than it should be")
        for _ in range(_LONGEST_CHUNK_LINE):
            if not self._line(patience):  # after the trailers, if any
                self._clean = head.keeps_alive
                return
        raise self._garbled("no end of trailers")

    def _to_the_end(self, patience: Patience) -> Iterator[bytes]:
        while self._buffer or self._more(patience):
            part, self._buffer = self._buffer, b""
            yield part

    def _chunk_size(self, patience: Patience) -> int:
        line = self._line(patience).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", line):
            raise self._garbled("a chunk without a size")
        return int(line, 16)

    def _line(self, patience: Patience) -> bytes:
        while b"\n" not in self._buffer:
            if len(self._buffer) > _LONGEST_CHUNK_LINE:
                raise self._garbled("an endless line")
            if not self._more(patience):
                raise self._garbled("half a chunk")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.removesuffix(b"\r")

    def _some(self, most: int, patience: Patience) -> bytes:
        """Take up to `most` bytes of what is here or comes next; none at the end."""
        if not self._buffer:
            self._more(patience)
        if len(self._buffer) <= most:
            part, self._buffer = self._buffer, b""
        else:
            part, self._buffer = self._buffer[:most], self._buffer[most:]
        return part

    def _more(self, patience: Patience) -> bool:
        data = self._wire.receive(patience)
        self.answered = self.answered or bool(data)
        self._buffer = self._buffer + data if self._buffer else data
        return bool(data)

    def _garbled(self, what: str) -> Setback:
        return Setback("network", f"{self._wire.host} broke off, or does not speak HTTP: {what}")


def phrase(status: int) -> str:
    """Name a status, as in `404 Not Found`: in our own words, for a server's may be anything."""
    from http import HTTPStatus  # only a failure needs it

    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def parse_head(block: bytes) -> Head:
    """Read a status line and header fields, without the empty line that ends them.

    Raises:
        ValueError: it is no head of HTTP/1; in a few words of ours.
    """
    first, _, rest = block.lstrip(b"\r\n").partition(b"\n")
    status_line = _STATUS_LINE.fullmatch(first.removesuffix(b"\r"))
    if status_line is None:
        raise ValueError("no status line")
    fields: list[tuple[str, str]] = []
    for line in _FOLD.sub(b" ", rest).split(b"\n"):
        line = line.removesuffix(b"\r")
        field = _HEADER.fullmatch(line)
        if field:
            fields.append((field[1].decode("ascii"), _text(field[2].strip())))
        elif line:
            raise ValueError("a header that is none")
    headers = Headers(fields)
    wishes = headers.words("Connection")
    keeps_alive = "keep-alive" in wishes if status_line[1] == b"0" else "close" not in wishes
    return Head(int(status_line[2]), headers, keeps_alive)


def _text(value: bytes) -> str:
    """Decode a value: by the standard it is ASCII, but servers write names of files into Location as they are."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
