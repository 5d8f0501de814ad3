"""List files as users have them: from editors, spreadsheets and scripts, in several encodings, with broken lines."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from birdlite.errors import UsageError
from birdlite.results import Failure
from birdlite.targets.list_file import check, read, read_file
from tests.demo_world import PICTURES


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
            ("a.txt", b'{"url": "x"}', "x"),  # what is in it counts more than its name
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

    def test_a_header_without_a_known_column_names_those_it_has(self) -> None:
        with pytest.raises(UsageError, match=r"^my\.csv: no column url, path or target; found: id, where "):
            list(read(io.BytesIO(b"id,where\n1,a.jpg\n"), "my.csv"))

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("a.csv", "id,wh\u202eere\x9b2J\n".encode()),
            ("a.csv", b'id,"wh\nere"\n'),
            ("a.json", b'[{"id": 1, "wh\\n\\u001bere": 2}]'),
        ],
    )
    def test_the_names_that_a_list_has_are_told_in_one_plain_line(self, name: str, data: bytes) -> None:
        with pytest.raises(UsageError, match=r"found: id, wh .*ere") as caught:
            list(read(io.BytesIO(data), name))
        assert str(caught.value).isprintable()

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


class TestQuotes:
    """A quote that is not closed would swallow the rows after it."""

    NOT_CLOSED = "a quote in this row is not closed"

    @pytest.mark.parametrize(
        ("lines", "at"),
        [
            (["path,note", 'a.jpg,"14 cm', *["b.jpg,ok"] * 500], 2),  # never closed
            (["path,note", 'a.jpg,"14 cm', *["b.jpg,ok"] * 5], 2),
            (["path,note", 'a.jpg,"14 cm', "b.jpg,x", 'b.jpg,"a, b"', "b.jpg,x"], 2),  # ends in the middle of a cell
            (["path,note", 'a.jpg,"14 cm', "b.jpg,x", 'b.jpg,5.5"', "b.jpg,x"], 2),  # pairs with another stray one
            (["path", '"a.jpg', *["b.jpg"] * 100_000], 2),
            (["id;path;note", "1;b.jpg;ok", '2;a.jpg;"14 cm', *["3;b.jpg;ok"] * 40], 3),
        ],
    )
    def test_a_quote_that_is_not_closed_costs_its_own_row_and_no_other(self, lines: list[str], at: int) -> None:
        found = list(read(io.BytesIO("\r\n".join(lines).encode()), "my.csv"))
        place = f"my.csv:{at}"
        assert found[at - 2] == (place, Failure("unsupported", f"{place}: {self.NOT_CLOSED}"))
        assert [text for text, _ in found[: at - 2] + found[at - 1 :]] == ["b.jpg"] * (len(lines) - 2)

    def test_several_of_them_cost_a_row_each(self) -> None:
        rows = ['a.jpg,"x', "b.jpg,y"] * 1000
        found = list(read(io.BytesIO("\n".join(["path,note", *rows]).encode()), "my.csv"))
        assert [text for text, failure in found if failure is None] == ["b.jpg"] * 1000
        assert sum(failure is not None for _, failure in found) == 1000

    def test_a_stray_quote_inside_a_cell_is_a_part_of_it(self) -> None:
        assert listed(b'path,note\na.jpg,5.5" long\nb.jpg,"5.5"" long"\n', "my.csv") == ["a.jpg", "b.jpg"]

    def test_a_note_of_many_lines_with_delimiters_and_quotes_is_one_cell(self) -> None:
        note = '"Seen at dawn, near the lake.\nHe said ""a robin"", and left.\n\nb; c"'
        assert listed(f"path,note\na.jpg,{note}\nb.jpg,\n".encode(), "my.csv") == ["a.jpg", "b.jpg"]

    def test_a_header_with_line_ends_is_fine_and_one_with_an_open_quote_is_wrong_usage(self) -> None:
        assert listed(b'path,"date\n(UTC)"\na.jpg,1\n', "my.csv") == ["a.jpg"]
        with pytest.raises(UsageError, match=rf"^my\.csv: the header is broken: {self.NOT_CLOSED}$"):
            list(read(io.BytesIO(b'path,"note\na.jpg,1\nb.jpg,2\n'), "my.csv"))


PEOPLE = ["pics/a.jpg", "pics/Zürich 1.jpg"]


class TestSpreadsheets:
    @pytest.mark.parametrize(
        "text",
        [
            "sep=;\r\npath;species\r\n{};robin\r\n{};robin\r\n",
            "sep=,\npath,species\n{},robin\n{},robin\n",
            '"sep=|"\npath|species\n{}|a,b,c\n{}|a;b;c\n',
            "sep=\t\npath\tspecies, sex, age, site\n{}\trobin\n{}\trobin\n",
            "SEP=\\t\npath\tspecies, sex\n{}\trobin\n{}\trobin\n",
            '#TYPE Selected.System.IO.FileInfo\r\n"path","Length"\r\n"{}","1"\r\n"{}","1"\r\n',
            "# exported on 1 June\n\npath,species\n{},robin\n{},robin\n",
            "path|species\n{}|robin\n{}|robin\n",
            "path,species\r{},robin\r{},robin\r",
            '\npath,note\r{},"two\nlines"\r{},robin\r',
        ],
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_what_excel_numbers_and_powershell_write_is_read(self, text: str, encoding: str) -> None:
        assert listed(text.format(*PEOPLE).encode(encoding), "my.csv") == PEOPLE

    @pytest.mark.parametrize("name", ["my.txt", "my.csv", "stdin", "my"])
    def test_unicode_text_of_excel_is_a_table_although_it_is_called_txt(self, name: str) -> None:
        assert listed("path\tspecies\r\n{}\trobin\r\n{}\t\r\n".format(*PEOPLE).encode("utf-16"), name) == PEOPLE

    @pytest.mark.parametrize(
        ("header", "row", "target"),
        [
            ("filepath,species", "a/b.jpg,robin", "a/b.jpg"),
            ("id,image_path", "1,a/b.jpg", "a/b.jpg"),
            ("mediaID,filePath,fileName", "1,https://e.org/b.jpg,b.jpg", "https://e.org/b.jpg"),  # Camtrap DP
            ("SourceFile,FileName,Directory", "./a/b.jpg,b.jpg,./a", "./a/b.jpg"),  # exiftool
            ("Station,Directory,FileName", "7,/data/a,b.jpg", "/data/a/b.jpg"),  # camtrapR
            ("RootFolder,File,RelativePath", "x,b.jpg,a", "a/b.jpg"),  # Timelapse
            ("File,Folder", "b.jpg,a/", "a/b.jpg"),
            ("File,RelativePath", "b.jpg,", "b.jpg"),
            ('"PSPath","FullName","Name"', '"x","/a/b.jpg","b.jpg"', "/a/b.jpg"),  # Get-ChildItem
            ("file name,when", "b.jpg,now", "b.jpg"),
            ("url,filepath", "https://e.org/b.jpg,a/b.jpg", "https://e.org/b.jpg"),  # our own names come first
        ],
    )
    def test_the_columns_of_other_programs_are_known(self, header: str, row: str, target: str) -> None:
        for name in ("my.csv", "stdin", "my.txt"):
            assert listed(f"{header}\n{row}\n".encode(), name) == [target]

    @pytest.mark.parametrize("name", ["my.txt", "stdin", "my"])
    @pytest.mark.parametrize(
        "first",
        [
            "Image, 1.jpg",
            "photo, 1.JPG",
            "File;1.jpeg",
            "URL|x.png",
            "path,url.jpg",
            "File, Folder/image.jpg",
            "image\t2.tif",
            "Image, 1.CR2",
            "target, 1.heic",
            "link,https://example.org/a?b",
        ],
    )
    def test_a_name_that_begins_with_the_word_of_a_column_is_no_header(self, first: str, name: str) -> None:
        assert listed(f"{first}\nmotmot.jpg\n".encode(), name) == [first, "motmot.jpg"]

    @pytest.mark.parametrize(
        "header", ["Image, 1", "path,url", "File;jpg", "URL|x.y", "file,image.id", "link,photo.date"]
    )
    def test_a_header_may_have_any_other_column(self, header: str) -> None:
        delimiter = next(sign for sign in ",;|" if sign in header)
        assert listed(f"{header}\nmotmot.jpg{delimiter}\n".encode(), "my.txt") == ["motmot.jpg"]

    def test_a_word_in_a_text_list_is_no_header_because_a_program_uses_it(self) -> None:
        assert listed(b"photo\nimage\n", "stdin") == ["photo", "image"]


class TestTextOfPeople:
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\0"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_every_line_end_in_every_encoding(self, end: str, encoding: str) -> None:
        assert listed((end.join(PEOPLE) + end).encode(encoding), "my.txt") == PEOPLE

    @pytest.mark.parametrize("quotes", ['""', "''", "“”", "«»"])
    def test_quotes_of_copy_as_path_are_removed(self, quotes: str) -> None:
        lines = [f"{quotes[0]}{name}{quotes[1]}" for name in PEOPLE]
        assert listed("\r\n".join(lines).encode(), "my.txt") == PEOPLE

    def test_paths_of_windows_in_quotes_are_no_strings_of_json(self) -> None:
        assert listed(b'"birds\\new\\tit.jpg"\r\n"birds\\a.jpg"\r\n') == ["birds\\new\\tit.jpg", "birds\\a.jpg"]

    def test_names_divided_by_nul_keep_everything(self) -> None:
        names = ["./# no comment.jpg", './"quoted"', "./two\nlines.jpg", " spaces "]
        assert listed("\0".join(names).encode() + b"\0") == names

    def test_a_nul_in_a_line_does_not_divide_the_list(self) -> None:
        assert listed(b"a\0.jpg\nb.jpg\n") == ["a\0.jpg", "b.jpg"]

    def test_a_carriage_return_in_a_name_stays(self) -> None:
        assert listed(b"a\r.jpg\nb.jpg\n") == ["a\r.jpg", "b.jpg"]

    def test_byte_order_marks_of_joined_files_are_removed(self) -> None:
        assert listed("\ufeffa.jpg\n\ufeffb.jpg\n".encode()) == ["a.jpg", "b.jpg"]

    def test_patterns_with_brackets_are_no_json(self) -> None:
        assert listed(b"[ab]*.jpg\n{a}.jpg\n", "my.txt") == ["[ab]*.jpg", "{a}.jpg"]

    def test_a_line_from_a_pipe_is_a_target_before_the_next_one_comes(self) -> None:
        read_end, write_end = os.pipe()
        with open(read_end, "rb") as stream, open(write_end, "wb", buffering=0) as producer:
            producer.write(b"a\n")
            found = read(stream, "stdin")
            assert next(found) == ("a", None)
            producer.write(b"b\n")
            assert next(found) == ("b", None)


class TestPacked:
    def test_gzip_is_unpacked_on_the_way_and_its_suffix_set_aside(self) -> None:
        assert listed(gzip.compress(b"path;x\na.jpg;1\n"), "my.csv.gz") == ["a.jpg"]
        joined = gzip.compress(b"a.jpg\n") + gzip.compress(b"b.jpg\n")
        assert listed(joined, "my.txt.gz") == ["a.jpg", "b.jpg"]

    def test_a_packed_list_that_is_cut_off_says_so_after_its_first_lines(self) -> None:
        packed = gzip.compress("".join(f"{at}.jpg\n" for at in range(50_000)).encode())
        found = read(io.BytesIO(packed[: len(packed) // 2]), "my.gz")
        assert next(found) == ("0.jpg", None)
        with pytest.raises(UsageError, match=r"^my\.gz: the list cannot be read: damaged or cut off: "):
            list(found)

    BOMB = r"^my\.gz: it grows to more than 100 times its size; unpack it first$"

    def test_a_bomb_is_refused_in_bounded_memory(self) -> None:
        bomb = gzip.compress(b"x" * 40_000_000)
        list(read(io.BytesIO(gzip.compress(b"a.jpg\n")), "my.gz"))  # imports
        tracemalloc.start()
        try:
            with pytest.raises(UsageError, match=self.BOMB):
                next(read(io.BytesIO(bomb), "my.gz"))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2_000_000, f"{peak} bytes"

    def test_a_bomb_of_blank_lines_is_refused(self) -> None:
        with pytest.raises(UsageError, match=self.BOMB):
            next(read(io.BytesIO(gzip.compress(b"\n" * 40_000_000)), "my.gz"))


def archive(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return stream.getvalue()


def tape(name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        file.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


class TestNoList:
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (
                archive("[Content_Types].xml", "xl/workbook.xml"),
                "a spreadsheet or document, not a list; save it as CSV",
            ),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "a spreadsheet or document, not a list"),
            (b"{\\rtf1\\ansi a.jpg}", "a spreadsheet or document, not a list"),
            (archive("list.txt"), "this is a ZIP archive, not a list of pictures"),
            (bz2.compress(b"a.jpg\n"), "packed by bzip2; unpack it first: bzip2 -dc LIST | birdlite classify --from -"),
            (lzma.compress(b"a.jpg\n"), "packed by xz; unpack it first"),
            (b"\x28\xb5\x2f\xfd\x04\x58", "packed by zstd; unpack it first"),
            (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "this is a PDF document, not a list of pictures"),
            (b"<!DOCTYPE html>\n<html>sign in</html>", "this is an HTML page, not a list of pictures"),
            (b"\n<?xml version='1.0'?>\n<a/>", "this is an XML document, not a list of pictures"),
            (PICTURES[0].read_bytes(), "this is a JPEG picture, not a list of pictures"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "this is a HEIC picture, not a list of pictures"),
            (bytes(range(256)) * 8, "this is binary data, not a list of pictures"),
            (bytes(5000), "this is binary data, not a list of pictures"),
            (b"\x7fELF\2\1\1" + bytes(9) + b"\3\0>\0\1\0\0\0\xd0\x38" + bytes(6) + b"a.jpg\n", "this is binary data"),
            (tape("list.txt"), "this is binary data, not a list of pictures"),
            (gzip.compress(bytes(range(256)) * 8), "this is binary data, not a list of pictures"),
        ],
    )
    def test_what_is_no_list_is_refused_in_one_line(self, data: bytes, message: str) -> None:
        with pytest.raises(UsageError) as caught:
            list(read(io.BytesIO(data), "my.txt"))
        assert str(caught.value).startswith(f"my.txt: {message}")
        assert "\n" not in str(caught.value)


class TestHugeNumbers:
    """Python reads no whole number of more than 4,300 digits."""

    @pytest.mark.parametrize("huge", ["9" * 5000, "-" + "9" * 5000])
    @pytest.mark.parametrize(
        "list_",
        [
            '[{"path": "a.jpg", "size": %s}, "b.jpg"]',
            '["a.jpg", {"path": "b.jpg", "size": [%s]}]',
            '{"info": %s, "images": [{"file": "a.jpg"}, {"file": "b.jpg"}]}',
            '{"path": "a.jpg", "size": %s}\n"b.jpg"\n',
        ],
    )
    def test_beside_a_target_do_not_matter(self, list_: str, huge: str) -> None:
        assert listed((list_ % huge).encode(), "my.json") == ["a.jpg", "b.jpg"]

    def test_in_place_of_a_target_are_the_fault_of_that_entry_alone(self) -> None:
        found = list(read(io.BytesIO(b'["a.jpg", {"path": %s}, "b.jpg"]' % (b"9" * 5000)), "my.json"))

        assert [name for name, _ in found] == ["a.jpg", "my.json:2", "b.jpg"]
        assert found[1][1] is not None
        assert found[1][1].message.startswith("my.json:2: neither a string nor an object")


class TestJsonDocuments:
    @pytest.mark.parametrize(
        "document",
        [
            {"instances": [{"filepath": "a.jpg", "country": "CHE"}, {"filepath": "b.jpg"}]},  # SpeciesNet
            {"predictions": [{"filepath": "a.jpg", "prediction": "x"}, {"filepath": "b.jpg"}]},
            {
                "info": {"detector": "md_v5a", "format_version": "1.4"},
                "detection_categories": {"1": "animal"},
                "images": [{"file": "a.jpg", "detections": [{"bbox": [0.1, 0.2]}]}, {"file": "b.jpg", "failure": None}],
            },
            {
                "annotations": [{"id": 1}, [2]],
                "images": [{"id": 1, "file_name": "a.jpg"}, {"file_name": "b.jpg"}],
            },  # COCO
            {"results": [{"index": 0, "target": "a.jpg", "predictions": []}, {"target": "b.jpg"}], "model": None},
            ["a.jpg", "b.jpg"],
            [{"path": "a.jpg"}, {"url": "b.jpg"}],
        ],
    )
    @pytest.mark.parametrize("indent", [None, 0, 1])
    @pytest.mark.parametrize("name", ["my.json", "my.txt", "stdin"])
    def test_documents_of_other_programs_are_read(self, document: object, indent: int | None, name: str) -> None:
        assert listed(json.dumps(document, indent=indent).encode(), name) == ["a.jpg", "b.jpg"]

    @pytest.mark.parametrize("name", ["my.json", "my.jsonl", "my.txt", "stdin"])
    @pytest.mark.parametrize("between", ["", "\n", " \r\n\n", "\n\ufeff"])
    @pytest.mark.parametrize("indent", [None, 1])
    def test_joined_documents_are_one_list(self, indent: int | None, between: str, name: str) -> None:
        documents: list[object] = [
            ["a.jpg"],
            {"results": [{"target": "b.jpg"}], "summary": {}},
            [],
            {"images": ["c.jpg"]},
        ]
        text = between.join(json.dumps(document, indent=indent) for document in documents)
        assert listed(text.encode() + b"\n", name) == ["a.jpg", "b.jpg", "c.jpg"]

    @pytest.mark.parametrize("first", ['["a.jpg"]', '{"results": [{"target": "a.jpg"}]}'])
    def test_records_behind_a_document_are_entries(self, first: str) -> None:
        record = '\n{"index": 0, "target": "b.jpg", "predictions": [{"rank": 1}, {"rank": 2}]}'
        assert listed((first + record + '\n{"url": "c.jpg"}').encode(), "my.json") == ["a.jpg", "b.jpg", "c.jpg"]

    def test_an_object_without_a_list_behind_a_document_is_a_fault_and_the_next_one_is_read(self) -> None:
        found = list(read(io.BytesIO(b'["a.jpg"]\n{"summary": {}}\n["c.jpg"]'), "my.json"))
        assert [name for name, _ in found] == ["a.jpg", "my.json:2", "c.jpg"]

    def test_entries_of_joined_documents_are_counted_through(self) -> None:
        found = list(read(io.BytesIO(b'["a.jpg"]\n["b.jpg", {"id": 5}, "c.jpg"]'), "my.json"))
        assert [name for name, _ in found] == ["a.jpg", "b.jpg", "my.json:3", "c.jpg"]

    @pytest.mark.parametrize("document", ['["a.jpg"]', '{"images": ["a.jpg"]}'])
    @pytest.mark.parametrize("behind", ["\nb.jpg\ngarbage {{{\n", ',\n["b.jpg"]', "]", "}", ";", "\x1a", '\n"b.jpg"'])
    def test_what_is_no_document_behind_one_is_a_fault(self, document: str, behind: str) -> None:
        message = "my.json:2: not JSON; this and all behind it is not read"
        assert list(read(io.BytesIO((document + behind).encode()), "my.json")) == [
            ("a.jpg", None),
            ("my.json:2", Failure("unsupported", message)),
        ]

    @pytest.mark.parametrize("indent", [None, 1])
    def test_a_document_of_any_length_costs_no_memory(self, indent: int | None) -> None:
        images = [{"file": f"{at}.jpg", "detections": [{"conf": 0.5}] * 5} for at in range(20_000)]
        data = io.BytesIO(json.dumps({"images": images}, indent=indent).encode())
        list(read(io.BytesIO(json.dumps({"images": images[:1]}, indent=indent).encode()), "my.json"))  # imports
        tracemalloc.start()
        try:
            count = sum(failure is None for _, failure in read(data, "my.json"))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert count == 20_000
        assert peak < 1_500_000, f"{peak} bytes"  # the text has over 2,000,000

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b'{"instances": [', "my.json: the list is damaged or cut off: not JSON"),
            (b'["a.jpg", "b.jpg"', "my.json: the list is damaged or cut off after entry 1: not JSON"),
            (b'["a.jpg" "b.jpg"]', "my.json: the list is damaged or cut off after entry 1: not JSON"),
            (b'["a.jpg",]', "my.json: the list is damaged or cut off after entry 1: not JSON"),
            (b'["a.jpg", {"path"]]', "my.json: the list is damaged or cut off after entry 1: not JSON"),
            (b'["a.jpg", ' + b"[" * 100_000, "my.json: the list is damaged or cut off after entry 1: not JSON"),
            (b'["a.jpg", "' + b"x" * 3_000_000, "my.json: the list is damaged or cut off after entry 1: not JSON"),
            (b'{\n"photos": []}', "my.json: JSON without a list of pictures: instances, predictions, images, results"),
            (b'[{"id": 1}]', "my.json: no url, path, filepath or file in its first entry; found: id"),
            (b"[\n5]", "my.json: no url, path, filepath or file in its first entry"),
            (b'["a.jpg"]\n["b.jpg"', "my.json: the list is damaged or cut off after entry 1: not JSON"),
        ],
    )
    def test_a_document_that_is_no_list_is_one_error(self, data: bytes, message: str) -> None:
        with pytest.raises(UsageError) as caught:
            list(read(io.BytesIO(data), "my.json"))
        assert str(caught.value).startswith(message)

    def test_an_empty_first_entry_is_an_error_that_shows_no_fields(self) -> None:
        with pytest.raises(UsageError, match=r"no url, path, filepath or file in its first entry$"):
            list(read(io.BytesIO(b"[{}]"), "my.json"))

    def test_an_entry_without_a_target_fails_alone(self) -> None:
        found = list(read(io.BytesIO(b'["a.jpg", {"id": 5}, "b.jpg"]'), "my.json"))
        assert [text for text, _ in found] == ["a.jpg", "my.json:2", "b.jpg"]
        assert found[1][1] is not None


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
    list(read(cast("BinaryIO", Lines(template, 2)), name))  # imports
    lines = Lines(template, 100_000)  # 3 MB of text, over 8 MB as a list of strings
    tracemalloc.start()
    try:
        count = sum(1 for _ in read(cast("BinaryIO", lines), name))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == targets
    assert peak < 1_000_000, f"{peak} bytes"
