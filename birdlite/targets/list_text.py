"""The text of a list: its bytes unpacked, decoded, and split where its lines end. `list_file` reads lists with it.

    packed    gzip is unpacked on the way, to at most `MOST_TIMES` times its size
    encoding  by the byte order mark (UTF-8, UTF-16, UTF-32), else UTF-16 where every second byte is zero, else UTF-8.
              Bytes that are not UTF-8 are kept, as in `os.fsdecode`
    lines     end with LF or CR LF, with CR, or with NUL (`find -print0`): with what the first 64 KB have most of

What is no text is refused in one line that says what it is. Memory is bounded, whatever the length of a line.
"""

from __future__ import annotations

import codecs
import io
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from birdlite.errors import PictureError, UsageError
from birdlite.images.formats import is_binary, is_picture, kind
from birdlite.local_file import reason

if TYPE_CHECKING:
    from birdlite.storage.stream import ObjectStream

LINE_LIMIT = 1 << 16  # characters; a path has at most 4096 bytes, and servers refuse URLs far shorter than this
TOO_LONG = f"longer than {LINE_LIMIT} characters"

MOST_TIMES = 100  # lists of paths grow to 30 times their size at most
_SPARE = 1 << 24  # bytes that every packed list may have

_CHUNK = 1 << 16  # bytes
_LOOKED_AT = 512  # bytes that tell what a list is, if no line ends before

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Three letters in a row that need one byte of two: in a list divided by NUL, they would be names of one letter each.
_WIDE = ((rb"(?:..){0,64}?(?:[^\0]\0){3}", "utf-16-le"), (rb"(?:..){0,64}?(?:\0[^\0]){3}", "utf-16-be"))

_PACKED = ((rb"BZh[1-9]1AY", "bzip2"), (rb"\xfd7zXZ\0", "xz"), (rb"\x28\xb5\x2f\xfd", "zstd"))
_DOCUMENT = rb"\xd0\xcf\x11\xe0|\{\\rtf|PK\x03\x04(?=.*(?:\[Content_Types\]|mimetypeapplication/vnd\.oasis|_rels/))"
_DOCUMENT_SUFFIXES = (".xlsx", ".xlsm", ".xls", ".ods", ".docx", ".numbers")
_NO_LIST = rb"%PDF|\s*<|PK\x03\x04|Rar!|7z\xbc\xaf|version https://git-lfs"

NumberedLines = Iterator[tuple[int, "str | None"]]
"""Line numbers from 1, and lines without their ends; None for one that is too long."""


class Ahead(io.RawIOBase):
    """A stream whose first bytes are known before it is read."""

    def __init__(self, read: Callable[[int], bytes], packed: Ahead | None = None) -> None:
        """Read what tells the kind of a list, and no more: a pipe may have only that for now.

        `packed` is what `read` unpacks.
        """
        self._more = read
        self._packed = packed
        self._count = 0  # bytes read
        self.head = b""
        while not _is_enough(self.head) and (data := self._next(_CHUNK)):
            self.head += data
        self._rest = self.head

    def readable(self) -> bool:
        """True: it is for reading."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` with what there is; 0 is the end."""
        data = self._rest or self._next(len(buffer))
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        self._rest = data[size:]
        return size

    def _next(self, size: int) -> bytes:
        data = self._more(size)
        self._count += len(data)
        if self._packed is not None and self._count > MOST_TIMES * self._packed._count + _SPARE:
            raise UsageError(f"it grows to more than {MOST_TIMES} times its size; unpack it first")
        return data


def reader(stream: BinaryIO | ObjectStream | Ahead) -> Callable[[int], bytes]:
    """How to read a stream: `read1` gives what a pipe has now, while `read` would wait for all that it is asked for."""
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
    return read


def _is_enough(head: bytes) -> bool:
    least = 8 if b"\0" in head else 12 if head.startswith(b"RIFF") else 4 if head[:1] in b"\xef\xff\xfe\x89" else 1
    return len(head) >= _LOOKED_AT or (len(head) >= least and re.search(rb"[\n\0]|\r.", head, re.DOTALL) is not None)


class ListText:
    """The text of an open list."""

    def __init__(self, stream: BinaryIO | ObjectStream | Ahead, name: str) -> None:
        """Read its beginning, up to the first line that is not blank.

        Raises:
            UsageError: it cannot be read, or is no text.
        """
        self._name = name
        self._decoded = self._decode(stream)
        self._head = ""
        while True:
            self._end = _line_end(self._head)
            beginning = self._head.lstrip("\ufeff\r\n\t ")
            if self._end in beginning or len(self._head) > LINE_LIMIT:
                break
            more = next(self._decoded, None)
            if more is None:
                break
            self._head += more
        self.first = beginning.partition(self._end)[0].rstrip()[: LINE_LIMIT + 1]  # empty if all is blank
        self.exact = self._end == "\0"  # a name has nothing around it

    def chunks(self) -> Iterator[str]:
        """The whole text, in pieces."""
        head, self._head = self._head, ""
        yield head.removeprefix("\ufeff")
        yield from self._decoded

    def lines(self) -> NumberedLines:
        """The whole text, line by line, without empty lines.

        A byte order mark before any line, from joined files, is removed.
        """
        number, line, too_long = 1, "", False
        for chunk in self.chunks():
            first, *others = chunk.split(self._end)
            line += first
            for other in others:
                if line or too_long:
                    yield number, None if too_long or len(line) > LINE_LIMIT else self._bare(line)
                number += 1
                line = other
                too_long = False
            if len(line) > LINE_LIMIT:
                line = ""
                too_long = True
        if too_long or line:
            yield number, None if too_long else self._bare(line)

    def _bare(self, line: str) -> str:
        return line if self.exact else line.removesuffix("\r").removeprefix("\n").removeprefix("\ufeff")

    def _decode(self, stream: BinaryIO | ObjectStream | Ahead) -> Iterator[str]:
        try:
            ahead = Ahead(reader(stream))
            if ahead.head.startswith(b"\x1f\x8b"):
                ahead = Ahead(_unpacking(ahead), ahead)
            decoder = _decoder(ahead.head, self._name)
            while data := ahead.read(_CHUNK):
                yield decoder.decode(data)
            yield decoder.decode(b"", final=True)
        except (OSError, ValueError) as error:
            raise unreadable(self._name, error) from error
        except UsageError as error:
            raise UsageError(f"{self._name}: {error}") from None


def _line_end(text: str) -> str:
    ends = {"\n": text.count("\n"), "\r": text.count("\r") - text.count("\r\n"), "\0": text.count("\0")}
    return max(ends, key=lambda end: ends[end])  # the first of equals


def _unpacking(packed: Ahead) -> Callable[[int], bytes]:
    import zlib
    from gzip import GzipFile

    file = GzipFile(fileobj=packed)

    def read(size: int) -> bytes:
        try:
            return file.read1(size)
        except (EOFError, zlib.error) as error:
            raise OSError(f"damaged or cut off: {error}") from error

    return read


def _decoder(head: bytes, name: str) -> codecs.IncrementalDecoder:
    """The decoder of a list that begins with `head`.

    Raises:
        UsageError: it is no text.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return codecs.getincrementaldecoder(encoding)("replace")
    _refuse_what_is_known(head, name)
    for pattern, encoding in _WIDE if b"\0" in head and not is_picture(head) else ():
        if re.match(pattern, head, re.DOTALL) and not _has_controls(head, encoding):
            return codecs.getincrementaldecoder(encoding)("replace")
    if is_binary(head):
        raise _not_a_list(head)
    return codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")


def _has_controls(head: bytes, encoding: str) -> bool:
    text = head[:_LOOKED_AT].decode(encoding, "ignore")
    return any(sign < " " and sign not in "\t\n\r\0" for sign in text)


def _refuse_what_is_known(head: bytes, name: str) -> None:
    for pattern, packer in _PACKED:
        if re.match(pattern, head):
            raise UsageError(f"packed by {packer}; unpack it first: {packer} -dc LIST | birdlite classify --from -")
    if re.match(_DOCUMENT, head, re.DOTALL) or os.path.splitext(name)[1].lower() in _DOCUMENT_SUFFIXES:
        raise UsageError("a spreadsheet or document, not a list; save it as CSV, or as text")
    if re.match(_NO_LIST, head):
        raise _not_a_list(head)


def _not_a_list(head: bytes) -> UsageError:
    try:
        what = f"a {kind(head)} picture"
    except PictureError as error:
        what = str(error).removeprefix("this is ").removesuffix(", not a picture")
        if what.startswith(("no picture", "text")):
            what = "binary data"
    return UsageError(f"this is {what}, not a list of pictures" if "not" not in what else f"not a list: {what}")


def unreadable(path: str, error: OSError | ValueError) -> UsageError:
    """The error for a list that the system does not let us read."""
    return UsageError(f"{path}: the list cannot be read: {reason(error)}")
