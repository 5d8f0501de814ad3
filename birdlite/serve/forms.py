"""A form (multipart/form-data) into files and fields, in memory and within bounds. `intake` reads it as it arrives.

Starlette's own parser writes large files to the disk, which may be read-only, and takes a form that breaks off.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from birdlite import log
from birdlite.errors import one_line
from birdlite.serve.problems import Problem

MAX_FIELD = 4096
"""Bytes of a field that is no file. (The parser itself bounds the headers of a part: 8, of 4 KiB each.)"""

MAX_PARAMETERS = 100
"""Semicolons in the header of the form or of a part."""

_QUOTED = re.compile(rb'"(?:\\.|[^"\\])*"?')
_PARAMETER = re.compile(rb";\s*([^\s;=]+)\s*=")

_EXTENDED_NAME = re.compile(rb";\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]*)", re.IGNORECASE)
"""A name of a file as RFC 5987 has it: not for forms, but older clients send names so that are not ASCII."""


class File:
    """A file of the form."""

    def __init__(self, name: str) -> None:
        self.name = name  # may be empty
        self.data = b""


class Form:
    """What came of a form until now. `read` fills it."""

    def __init__(self, max_files: int, max_fields: int) -> None:
        """More than that are refused."""
        self.files: list[File] = []
        self.fields: list[tuple[str, str]] = []
        self._most = max_files, max_fields
        self._ended = False
        self._header = bytearray(), bytearray()  # name and value, of the part that comes
        self._disposition: bytes | None = None
        self._field = ""  # its name, if the part is a field
        self._file: File | None = None  # if it is a file
        self._pieces: list[bytes] = []

    async def read(self, content_type: str, body: AsyncIterable[bytes]) -> None:
        """Read all of it.

        Raises:
            Problem: it cannot be read, or is too large.
        """
        boundary = _parameters(content_type.encode("latin-1")).get(b"boundary")
        if not boundary:
            raise Problem(400, "the form cannot be read: its content type names no boundary")
        try:
            parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._take,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
            async for piece in body:
                parser.write(piece)
        except FormParserError as error:
            raise Problem(400, f"the form cannot be read: {one_line(error)}") from None
        if not self._ended:
            raise Problem(400, "the form cannot be read: it breaks off")

    def _begin_part(self) -> None:
        self._disposition, self._pieces = None, []

    def _end_header(self) -> None:
        name, value = map(bytes, self._header)
        if name.lower() == b"content-disposition":
            if self._disposition is not None:
                raise Problem(400, "the form cannot be read: a part has Content-Disposition twice")
            self._disposition = value
        for part in self._header:
            part.clear()

    def _end_headers(self) -> None:
        disposition = self._disposition or b""
        options = _parameters(disposition)
        if b"name" not in options:
            raise Problem(400, "the form cannot be read: a part has no name")
        self._field, self._file = _text(options[b"name"]), None
        filename = options.get(b"filename", _extended_name(disposition))
        if filename is not None:
            self._file = File(_text(filename))
            self.files.append(self._file)
        files, fields = self._most
        if len(self.files) > files:
            raise Problem(413, f"more than {log.counted(files, 'file')} in a request", kind="too_large")
        if self._file is None and len(self.fields) == fields:
            raise Problem(413, f"more than {fields} fields in a form", kind="too_large")

    def _take(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])
        if self._file is None and sum(map(len, self._pieces)) > MAX_FIELD:
            raise Problem(413, f"a field of more than {MAX_FIELD} bytes", kind="too_large")

    def _end_part(self) -> None:
        data, self._pieces = b"".join(self._pieces), []
        if self._file is None:
            self.fields.append((self._field, _text(data)))
        else:
            self._file.data = data

    def _end(self) -> None:
        self._ended = True


def _parameters(header: bytes) -> dict[bytes, bytes]:
    """What stands behind the semicolons of a header. Very many of them would take the parser long."""
    if header.count(b";") > MAX_PARAMETERS:
        raise Problem(400, f"the form cannot be read: a header with over {MAX_PARAMETERS} semicolons")
    names = [name.lower() for name in _PARAMETER.findall(_QUOTED.sub(b"", header))]
    if twice := [name for name in (b"boundary", b"name", b"filename") if names.count(name) > 1]:
        raise Problem(400, f"the form cannot be read: a header has {twice[0].decode()} twice")
    return parse_options_header(header)[1]


def _extended_name(disposition: bytes) -> bytes | None:
    found = _EXTENDED_NAME.search(_QUOTED.sub(b"", disposition))
    return unquote_to_bytes(found[1]) if found else None


def _text(data: bytes) -> str:
    """Names and fields are UTF-8, in all browsers of today."""
    return data.decode("utf-8", "replace")
