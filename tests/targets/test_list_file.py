"""List files as users have them: from editors, spreadsheets and scripts, in several encodings, with broken lines."""

from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from birdlite.errors import UsageError
from birdlite.results import Failure
from birdlite.targets.list_file import check, read, read_file


def listed(data: bytes, name: str = "stdin") -> list[str]:
    """The targets of a list without bad lines."""
    found = list(read(io.BytesIO(data), name))
    assert [failure for _, failure in found if failure] == []
    return [text for text, _ in found]


class TestText:
    def test_blank_lines_and_comments_are_skipped_and_lines_stripped(self) -> None:
        assert listed(b"\n# my birds\na.jpg\n   \n  b c.jpg  \n\t# more\nd.jpg#not-a-comment\n") == [
            "a.jpg",
            "b c.jpg",
            "d.jpg#not-a-comment",
        ]

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("last_end", [True, False])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_line_ends_and_byte_order_marks_are_removed(self, end: str, last_end: bool, encoding: str) -> None:
        text = end.join(["Möwe.jpg", "Ā.jpg"]) + end * last_end  # Ā has the byte of a line end in UTF-16
        assert listed(text.encode(encoding)) == ["Möwe.jpg", "Ā.jpg"]

    def test_big_endian_utf_16_is_read_too(self) -> None:
        assert listed("\ufeffMöwe.jpg\n".encode("utf-16-be")) == ["Möwe.jpg"]

    def test_bytes_that_are_not_utf_8_still_name_their_file(self) -> None:
        (name,) = listed(b"m\xf6we.jpg\n")
        assert os.fsencode(name) == b"m\xf6we.jpg"

    @pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf", b"\xff\xfe", b" \r\n\n", b"# nothing\n"])
    def test_an_empty_list_names_nothing(self, data: bytes) -> None:
        assert listed(data) == []

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_a_list_in_small_pieces_is_the_same_list(self, encoding: str) -> None:
        class Trickle(io.BytesIO):
            def read1(self, size: int | None = -1, /) -> bytes:
                return super().read1(1)

        found = list(read(Trickle("Möwe.jpg\r\nb.jpg".encode(encoding)), "stdin"))
        assert found == [("Möwe.jpg", None), ("b.jpg", None)]

    def test_a_line_that_is_too_long_fails_alone(self) -> None:
        fits = b"x" * 65536
        data = b"a.jpg\n" + fits + b"x\n" + fits + b"\n" + fits * 3 + b"\nb.jpg\n" + fits * 2
        found = list(read(io.BytesIO(data), "my.txt"))
        assert found == [
            ("a.jpg", None),
            ("my.txt:2", Failure("unsupported", "my.txt:2: longer than 65536 characters")),
            (fits.decode(), None),
            ("my.txt:4", Failure("unsupported", "my.txt:4: longer than 65536 characters")),
            ("b.jpg", None),
            ("my.txt:6", Failure("unsupported", "my.txt:6: longer than 65536 characters")),
        ]


class TestKind:
    @pytest.mark.parametrize(
        ("name", "first_line", "found"),
        [
            ("a.txt", b'{"url": "x"}', '{"url": "x"}'),
            ("a.TXT", b"url", "url"),
            ("a.jsonl", b'"x"', "x"),
            ("a.ndjson", b'{"path": "x"}', "x"),
            ("a.csv", b"path\nx", "x"),
            ("a.TSV", b"id\tpath\n1\tx", "x"),
            ("stdin", b'{"target": "x"}', "x"),
            ("stdin", b'"x"', "x"),
            ("stdin", b'"url","id"\nx,1', "x"),
            ("stdin", b"id;URL\n1;x", "x"),
            ("stdin", b"\n\n url \nx", "x"),
            ("stdin", b"x", "x"),
            ("stdin", b'"', '"'),
            ("list.dat", b"url.jpg", "url.jpg"),
        ],
    )
    def test_the_format_follows_from_the_suffix_or_the_first_line(
        self, name: str, first_line: bytes, found: str
    ) -> None:
        assert listed(first_line, name) == [found]


class TestCsv:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("column", ["url", "Path", "TARGET"])
    def test_the_column_is_found_by_its_name_with_any_delimiter(self, delimiter: str, column: str) -> None:
        rows = [["id", "note", column, "by"], ["1", "", "a.jpg", "me"], ["2", "x", " b.jpg ", ""]]
        data = "\r\n".join(delimiter.join(row) for row in rows)
        assert listed(data.encode("utf-8-sig"), "my.csv") == ["a.jpg", "b.jpg"]

    def test_quotes_hold_delimiters_quotes_and_line_ends(self) -> None:
        data = b'note,path\n"two\nlines, and a comma","a ""b"",\nc.jpg"\nplain,d.jpg\n'
        assert listed(data, "my.csv") == ['a "b",\nc.jpg', "d.jpg"]

    def test_the_first_of_url_path_and_target_that_is_not_empty_counts(self) -> None:
        data = b"target,path,url\nt1,p1,u1\nt2,p2,\nt3,,\n"
        assert listed(data, "my.csv") == ["u1", "p2", "t3"]

    def test_blank_rows_are_skipped_and_rows_without_a_target_fail_alone(self) -> None:
        data = b"id,path\n1,a.jpg\n\n,\n4,\n5\n6,b.jpg\n"
        assert list(read(io.BytesIO(data), "my.csv")) == [
            ("a.jpg", None),
            ("my.csv:5", Failure("unsupported", "my.csv:5: no url, path or target in this row")),
            ("my.csv:6", Failure("unsupported", "my.csv:6: no url, path or target in this row")),
            ("b.jpg", None),
        ]

    def test_a_row_that_is_too_long_fails_alone(self) -> None:
        data = b"path\na.jpg\n" + b"x" * 65537 + b"\nb.jpg\n"
        assert list(read(io.BytesIO(data), "my.csv")) == [
            ("a.jpg", None),
            ("my.csv:3", Failure("unsupported", "my.csv:3: longer than 65536 characters")),
            ("b.jpg", None),
        ]

    def test_a_quote_that_is_never_closed_costs_a_bounded_number_of_rows(self) -> None:
        data = b'path\n"a.jpg\n' + b"b.jpg\n" * 100_000
        found = list(read(io.BytesIO(data), "my.csv"))
        failures = [(text, failure) for text, failure in found if failure]
        assert len(failures) == 1
        assert "field larger than field limit" in failures[0][1].message
        assert len(found) > 70_000

    def test_a_header_without_a_known_column_names_those_it_has(self) -> None:
        with pytest.raises(UsageError, match=r"^my\.csv: no column url, path or target; found: id, file name$"):
            list(read(io.BytesIO(b"id,file name\n1,a.jpg\n"), "my.csv"))

    def test_a_header_that_is_too_long_is_wrong_usage(self) -> None:
        with pytest.raises(UsageError, match=r"^my\.csv: the header is broken: longer than 65536 characters$"):
            list(read(io.BytesIO(b"x" * 70_000), "my.csv"))


class TestJsonLines:
    def test_objects_and_plain_strings_name_targets(self) -> None:
        data = b'{"id": 1, "url": "u"}\n{"path": "p"}\n\n"s"\n{"url": null, "target": "M\\u00f6we"}\n'
        assert listed(data, "my.jsonl") == ["u", "p", "s", "Möwe"]

    def test_birdlite_s_own_output_is_a_list(self) -> None:
        data = (
            b'{"index": 0, "target": "a.jpg", "status": "ok", "predictions": []}\n'
            b'{"index": 1, "target": "b.jpg", "status": "error", "error": {"kind": "timeout", "message": "m"}}\n'
        )
        assert listed(data) == ["a.jpg", "b.jpg"]

    @pytest.mark.parametrize(
        ("line", "fault"),
        [
            (b'{"url": "cut', "not JSON"),
            (b"a.jpg", "not JSON"),
            (b"[" * 60_000, "not JSON"),
            (b"1" * 10_000, None),
            (b'{"id": 1}', "neither a string nor an object with a string as url, path or target"),
            (b'{"url": 5}', "neither a string nor an object with a string as url, path or target"),
            (b'["a.jpg"]', "neither a string nor an object with a string as url, path or target"),
            (b'""', "neither a string nor an object with a string as url, path or target"),
            (b"x" * 65537, "longer than 65536 characters"),
        ],
    )
    def test_a_broken_line_fails_alone(self, line: bytes, fault: str | None) -> None:
        data = b'"a.jpg"\n' + line + b'\n"b.jpg"\n'
        first, (name, failure), last = read(io.BytesIO(data), "my.jsonl")
        assert (first, last) == (("a.jpg", None), ("b.jpg", None))
        assert name == "my.jsonl:2"
        assert failure is not None
        assert failure.kind == "unsupported"
        if fault:  # how a number of ten thousand digits fails depends on the version of Python
            assert failure.message == f"my.jsonl:2: {fault}"


class TestUnreadable:
    def test_a_folder_is_refused_as_a_list(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"the list cannot be read: it is a folder$"):
            next(read_file(str(tmp_path)))

    def test_a_name_with_a_nul_is_refused_as_a_list(self) -> None:
        with pytest.raises(UsageError, match="the list cannot be read: no file can have this name"):
            check("a\0b")

    def test_an_error_in_the_middle_of_a_list_is_wrong_usage_after_the_lines_before_it(self) -> None:
        class Failing(io.RawIOBase):
            pieces: tuple[bytes, ...] = (b"a.jpg\nb.j",)

            def readable(self) -> bool:
                return True

            def read(self, size: int = -1, /) -> bytes:
                if not self.pieces:
                    raise OSError(5, "Input/output error")
                (piece,), self.pieces = self.pieces, ()
                return piece

        found = read(cast("BinaryIO", Failing()), "stdin")
        assert next(found) == ("a.jpg", None)
        with pytest.raises(UsageError, match=r"^stdin: the list cannot be read: Input/output error$"):
            next(found)


class Lines(io.RawIOBase):
    """Numbered lines, made only as they are read."""

    def __init__(self, template: str, count: int) -> None:
        self.template, self.left = template, count

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        count = min(self.left, 1000)
        self.left -= count
        return "".join(self.template.format(self.left + at) for at in range(count)).encode()


@pytest.mark.parametrize(
    ("name", "template", "targets"),
    [
        ("a.txt", "https://example.org/{}.jpg\n", 100_000),
        ("a.jsonl", '"https://example.org/{}.jpg"\n', 100_000),
        ("a.csv", "path,https://example.org/{}.jpg\n", 99_999),  # the first line is the header
        ("a.txt", "one line that never ends {}", 1),
    ],
)
def test_a_list_of_many_lines_costs_no_memory(name: str, template: str, targets: int) -> None:
    lines = Lines(template, 100_000)  # 3 MB of text, over 8 MB as a list of strings
    tracemalloc.start()
    try:
        count = sum(1 for _ in read(cast("BinaryIO", lines), name))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == targets
    assert peak < 1_000_000, f"{peak} bytes"
