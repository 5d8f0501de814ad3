"""Where results go: files that appear complete, lines that stay, and full disks."""

from __future__ import annotations

import codecs
import errno
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from birdlite import log
from birdlite.errors import OutputError, UsageError
from birdlite.writers import named_pipe
from birdlite.writers.base import Format
from birdlite.writers.output import open_output
from tests.demo_world import PICTURES

REPO = Path(__file__).parents[2]

WHOLE: tuple[Format, ...] = ("text", "json", "csv")
full_disk = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")


def run(code: str, stdout: int | IO[str] = subprocess.DEVNULL, encoding: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program of its own, because there is one standard output and one user for each."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    environment.pop("PYTHONUNBUFFERED", None)  # it would hide what is in the buffers at the end
    return subprocess.run(
        [sys.executable, "-c", f"import sys\nfrom birdlite.writers.output import open_output\n{code}"],
        cwd=REPO,
        env=environment,
        text=True,
        encoding="utf-8",
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize("url", ["https://example.org/a.csv", "HTTP://h", "ftp://h/a", "file:///a.csv", "hdfs://h/a"])
@pytest.mark.parametrize("whole", [False, True])
def test_no_output_is_a_url_of_the_web(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, *, whole: bool
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=f"^{url}: results go into a file or object storage, not to a URL$"):
        open_output(url, "csv", whole=whole)

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a://b", "://b", "./ftp://h/a", "a b://c"])
def test_a_name_that_only_looks_like_a_url_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)

    with open_output(name, "csv"):
        pass

    assert os.path.isfile(name)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestWholeFiles:
    @pytest.mark.parametrize("chosen", WHOLE)
    def test_the_file_appears_when_it_is_complete(self, tmp_path: Path, chosen: Format) -> None:
        path = tmp_path / "out"
        path.write_text("old")
        with open_output(str(path), chosen) as output:
            output.stream.write("new × \udcf6\r\n")
            output.stream.flush()
            assert path.read_text() == "old"
        assert path.read_bytes() == "new × \\udcf6\r\n".encode()
        assert os.listdir(tmp_path) == ["out"]

    @pytest.mark.parametrize("chosen", WHOLE)
    def test_a_failed_run_leaves_what_was_there(self, tmp_path: Path, chosen: Format) -> None:
        path = tmp_path / "out"
        path.write_text("old")
        with pytest.raises(RuntimeError, match="no model"), open_output(str(path), chosen) as output:  # noqa: PT012
            output.stream.write("new")
            raise RuntimeError("no model")
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["out"]

    def test_a_new_file_has_the_permissions_that_the_umask_leaves(self, tmp_path: Path) -> None:
        with open_output(str(tmp_path / "out"), "json"):
            pass
        assert mode_of(tmp_path / "out") == 0o644

    def test_a_replaced_file_keeps_its_permissions(self, tmp_path: Path) -> None:
        (tmp_path / "out").touch(mode=0o600)
        with open_output(str(tmp_path / "out"), "json"):
            pass
        assert mode_of(tmp_path / "out") == 0o600

    def test_the_file_behind_a_link_is_replaced_and_the_link_stays(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "out").write_text("old")
        (tmp_path / "link").symlink_to("real/out")
        with open_output(str(tmp_path / "link"), "json") as output:
            output.stream.write("new")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real" / "out").read_text() == "new"

    def test_a_name_without_a_folder_is_in_the_current_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with open_output("out.json", "json") as output:
            output.stream.write("new")
        assert (tmp_path / "out.json").read_text() == "new"

    def test_a_file_without_a_name_is_refused_before_the_run(self) -> None:
        with pytest.raises(OutputError, match="without a name"):
            open_output("", "json")

    def test_a_folder_that_vanishes_is_an_error_at_the_end(self, tmp_path: Path) -> None:
        (tmp_path / "gone").mkdir()
        output = open_output(str(tmp_path / "gone" / "out"), "json")
        for name in os.listdir(tmp_path / "gone"):
            os.unlink(tmp_path / "gone" / name)
        (tmp_path / "gone").rmdir()
        with pytest.raises(OutputError, match=r"out: the results cannot be written: no such file$"):
            output.commit()

    def test_a_file_that_cannot_be_put_in_its_place_leaves_nothing_behind(self, tmp_path: Path) -> None:
        output = open_output(str(tmp_path / "out"), "json")
        (tmp_path / "out").mkdir()
        with pytest.raises(OutputError, match=r"out: the results cannot be written: it is a folder$"):
            output.commit()
        assert os.listdir(tmp_path) == ["out"]


class TestLines:
    def test_lines_are_there_as_soon_as_they_are_flushed(self, tmp_path: Path) -> None:
        path = tmp_path / "out.jsonl"
        path.write_text("old\n" * 100)
        with open_output(str(path), "jsonl") as output:
            output.stream.write("new\n")
            output.stream.flush()
            assert path.read_text() == "new\n"

    def test_a_failed_run_leaves_its_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "out.jsonl"
        output = open_output(str(path), "jsonl")
        output.stream.write("new\n")
        output.discard()
        assert path.read_text() == "new\n"

    def test_a_second_run_is_kept_out_before_it_clears_the_lines_of_the_first(self, tmp_path: Path) -> None:
        path = tmp_path / "out.jsonl"
        with open_output(str(path), "jsonl") as output:
            output.stream.write("first\n")
            output.stream.flush()
            with pytest.raises(OutputError, match=r"out.jsonl: another run is writing this output$") as caught:
                open_output(str(path), "jsonl")

        assert caught.value.temporary
        assert path.read_text() == "first\n"
        with open_output(str(path), "jsonl") as output:
            output.stream.write("third\n")
        assert path.read_text() == "third\n"

    @pytest.mark.parametrize("chosen", WHOLE)
    def test_of_two_that_appear_complete_the_last_one_stays(self, tmp_path: Path, chosen: Format) -> None:
        with open_output(str(tmp_path / "out"), chosen) as first:
            with open_output(str(tmp_path / "out"), chosen) as second:
                second.stream.write("second\n")
            first.stream.write("first\n")

        assert (tmp_path / "out").read_text() == "first\n"

    def test_a_file_system_without_locks_is_written_to(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_locks(_descriptor: int, _operation: int) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr("fcntl.flock", no_locks)
        path = tmp_path / "out.jsonl"
        path.write_text("old\n" * 100)

        with open_output(str(path), "jsonl") as output:
            output.stream.write("new\n")

        assert path.read_text() == "new\n"


class TestWhatIsNoFile:
    @pytest.mark.parametrize("chosen", [*WHOLE, "jsonl"])
    def test_a_named_pipe_is_written_to_and_not_replaced(self, tmp_path: Path, chosen: Format) -> None:
        path = tmp_path / "pipe"  # stands for /dev/null too, which no test may risk
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with open_output(str(path), chosen) as output:
                output.stream.write("through\n")
            assert os.read(reader, 100) == b"through\n"
        finally:
            os.close(reader)
        assert stat.S_ISFIFO(path.stat().st_mode)
        assert os.listdir(tmp_path) == ["pipe"]

    def test_a_named_pipe_without_a_reader_is_waited_for_with_a_word(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        said: list[str] = []
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.append(path.read_bytes()))

        def hear(level: int, message: str, fields: dict[str, object]) -> None:
            said.append(message)
            reader.start()

        log.to(hear, log.WARNING)
        with open_output(str(path), "jsonl") as output:
            output.stream.write("{}\n")
        reader.join()

        assert said == [f"{path} is a pipe; waiting for something to read it"]
        assert read == [b"{}\n"]

    def test_a_named_pipe_that_nothing_reads_is_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        monkeypatch.setattr(named_pipe, "READER_S", 0.0)

        with pytest.raises(OutputError, match="nothing reads this pipe"):
            open_output(str(path), "jsonl")

    @pytest.mark.parametrize("chosen", [*WHOLE, "jsonl"])
    def test_a_pipe_without_a_name_is_written_to(self, chosen: Format) -> None:
        read_end, write_end = os.pipe()
        with open(read_end, "rb", buffering=0) as reader:
            with open_output(f"/dev/fd/{write_end}", chosen) as output:
                output.stream.write("through\n")
            os.close(write_end)
            assert reader.read(100) == b"through\n"


class TestFolders:
    @pytest.mark.parametrize("chosen", [*WHOLE, "jsonl"])
    def test_a_missing_folder_is_made(self, tmp_path: Path, chosen: Format) -> None:
        path = tmp_path / "2025" / "June" / "out"
        with open_output(str(path), chosen) as output:
            output.stream.write("x")
        assert path.read_text() == "x"


class TestRefusals:
    @pytest.mark.parametrize("chosen", [*WHOLE, "jsonl"])
    @pytest.mark.parametrize("picture", [PICTURES[0].read_bytes(), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"])
    def test_a_picture_is_never_replaced(self, tmp_path: Path, picture: bytes, chosen: Format) -> None:
        path = tmp_path / "bird.csv"  # whatever it is called
        path.write_bytes(picture)
        with pytest.raises(OutputError, match=r"bird\.csv: a picture is there, and the results would replace it$"):
            open_output(str(path), chosen)
        assert path.read_bytes() == picture

    @pytest.mark.parametrize("chosen", [*WHOLE, "jsonl"])
    @pytest.mark.parametrize(
        ("data", "what"),
        [
            (b"FUJIFILMCCD-RAW 0201FF383501X-T1", "a picture is there"),
            (b"FUJIFILMCCD-RAW 0201FF383501X-T1\0\0\0\0" + bytes(range(256)), "a picture is there"),
            (b"P3\n2 2\n255\n" + b"9 9 9 " * 4, "a picture is there"),
            (b"P6 40 9 255\n" + b"sky " * 270, "a picture is there"),
            (b"P6\n# by GIMP\n40 9 255\n" + b"sky " * 270, "a picture is there"),
            (b"P7\nWIDTH 4\nHEIGHT 1\n", "a picture is there"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a picture is there"),
            (b"/* XPM */\nstatic char *bird[] = {", "a picture is there"),
            (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "this file is not text"),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\xf7\x81\1", "this file is not text"),
            (b"\n" + PICTURES[0].read_bytes(), "this file is not text"),
            (b"\x1f\x8b\x08\0\xc3\x28\xa0\x6b\2\xff", "this file is not text"),
            (b"%PDF-1.7\n1 0 obj\n", "this file is not text"),
            (bytes(1 << 12), "this file is not text"),
        ],
    )
    def test_neither_is_anything_that_is_not_text(self, tmp_path: Path, data: bytes, what: str, chosen: Format) -> None:
        path = tmp_path / "bird"
        path.write_bytes(data)
        with pytest.raises(OutputError, match=rf"bird: {what}, and the results would replace it(; move it away)?$"):
            open_output(str(path), chosen)
        assert path.read_bytes() == data

    @pytest.mark.parametrize(
        "before",
        [
            *(
                b"",
                b"RIFF notes",
                b"BMW.jpg\n" * 9,
                b"<html><svg>",
                b"\n",
                b"Z\xfcrich;B\xe4r\n",
                b"\x1b[1mbirds\x1b[0m\n",
            ),
            *(b"P1 2025 garden.jpg\n", b"P3\n", b"P6 #3.jpg\n", b"P3 12 34.jpg\n", "Zürich\n".encode() * 200),
        ],
    )
    def test_a_text_is_replaced_even_if_it_begins_like_a_picture(self, tmp_path: Path, before: bytes) -> None:
        (tmp_path / "out").write_bytes(before)
        with open_output(str(tmp_path / "out"), "json") as output:
            output.stream.write("x")
        assert (tmp_path / "out").read_text() == "x"

    @pytest.mark.parametrize("chosen", [*WHOLE, "jsonl"])
    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("folder", "folder: the results cannot be written: it is a folder"),
            ("new/", "new/: the results cannot be written: it is a folder"),
            ("file/out", "file/out: the results cannot be written: a part of the path is not a folder"),
            ("x" * 300, "x" * 300 + ": the results cannot be written: the name is too long"),
            ("a\0b", "a\0b: the results cannot be written: no file can have this name"),
        ],
    )
    def test_an_impossible_path_is_refused_before_the_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str, chosen: Format
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        with pytest.raises(OutputError) as caught:
            open_output(path, chosen)
        assert str(caught.value) == message
        assert sorted(os.listdir(tmp_path)) == ["file", "folder"]

    @pytest.mark.parametrize("chosen", [*WHOLE, "jsonl"])
    def test_a_file_or_folder_without_write_permission_is_refused(self, tmp_path: Path, chosen: Format) -> None:
        tmp_path.chmod(0o777)
        (tmp_path / "out").touch(mode=0o444)
        (tmp_path / "folder").mkdir(mode=0o555)
        ran = run(
            "import os\n"
            "from birdlite.errors import OutputError\n"
            f"os.chdir({str(tmp_path)!r})\n"
            "if os.getuid() == 0: os.setuid(65534)  # root may write everything\n"
            "for path in ('out', 'folder/out'):\n"
            f"    try: open_output(path, {chosen!r})\n"
            "    except OutputError as error: print(error)\n"
            f"with open_output('new', {chosen!r}): print('written')\n",
            stdout=subprocess.PIPE,
        )
        assert ran.stderr == ""
        assert ran.stdout.splitlines() == [
            "out: the results cannot be written: permission denied",
            "folder/out: the results cannot be written: permission denied",
            "written",
        ]

    @full_disk
    def test_a_full_disk_is_one_clear_error_when_a_line_is_written(self) -> None:
        with (  # noqa: PT012
            pytest.raises(OutputError, match=r"^/dev/full: the results cannot be written: No space left on device$"),
            open_output("/dev/full", "jsonl") as output,
        ):
            output.stream.write("x\n")
            output.stream.flush()

    @pytest.mark.parametrize("chosen", [*WHOLE, "jsonl"])
    @pytest.mark.parametrize("size", [5_000, 100_000])  # too much for the file: found out at the end, or in the middle
    def test_a_file_at_its_size_limit_is_one_clear_error(self, tmp_path: Path, chosen: Format, size: int) -> None:
        (tmp_path / "out").write_text("old")
        ran = run(
            "import os, resource\n"
            "from birdlite.errors import OutputError\n"
            f"os.chdir({str(tmp_path)!r})\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "try:\n"
            f"    with open_output('out', {chosen!r}) as output: output.stream.write('y\\n' + 'x' * {size})\n"
            "except OutputError as error: sys.exit(str(error))"
        )
        assert ran.stderr == "out: the results cannot be written: File too large\n"
        assert os.listdir(tmp_path) == ["out"]
        assert (tmp_path / "out").read_text() == ("y\n" if chosen == "jsonl" else "old")


class TestStandardOutput:
    @pytest.mark.parametrize("path", [None, "-"])
    def test_data_is_utf_8_whatever_the_locale_says(self, path: str | None) -> None:
        ran = run(
            f"with open_output({path!r}, 'json') as output: output.stream.write('\\xd7\\udcf6\\r\\n')",
            stdout=subprocess.PIPE,
            encoding="ascii:strict",
        )
        assert (ran.stdout, ran.stderr, ran.returncode) == ("×\\udcf6\n", "", 0)  # text=True has read CR LF as LF

    def test_text_keeps_the_encoding_of_the_terminal(self) -> None:
        ran = run(
            "with open_output(None, 'text') as output: output.stream.write(output.stream.encoding)",
            stdout=subprocess.PIPE,
            encoding="iso-8859-1",
        )
        assert codecs.lookup(ran.stdout).name == "iso8859-1"

    def test_standard_output_stays_open(self) -> None:
        ran = run(
            "with open_output(None, 'json') as output: output.stream.write('x')\nprint('y')", stdout=subprocess.PIPE
        )
        assert ran.stdout == "xy\n"

    @full_disk
    def test_a_full_disk_is_reported_once(self) -> None:
        with open("/dev/full", "w") as full:
            ran = run(
                "from birdlite.errors import OutputError\n"
                "try:\n"
                "    with open_output(None, 'json') as output: output.stream.write('x')\n"
                "except OutputError as error: sys.exit(str(error))",
                stdout=full,
            )
        assert ran.stderr == "standard output: the results cannot be written: No space left on device\n"
        assert ran.returncode == 1

    def test_a_closed_pipe_is_not_an_output_error(self) -> None:
        read_end, write_end = os.pipe()
        os.close(read_end)
        try:
            ran = run(
                "try:\n"
                "    with open_output(None, 'jsonl') as output: output.stream.write('x')\n"
                "except BrokenPipeError: sys.exit('the reader left')",
                stdout=write_end,
            )
        finally:
            os.close(write_end)
        assert (ran.stderr, ran.returncode) == ("the reader left\n", 1)

    def test_a_closed_standard_output_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdout", None)
        with pytest.raises(OutputError, match=r"^standard output is closed$"):
            open_output(None, "text")


@pytest.mark.parametrize(
    ("chosen", "spared"),
    [
        ("text", ["json", "csv", "unicodedata", "shutil", "birdlite.writers.breakdown"]),
        ("jsonl", ["csv", "unicodedata", "shutil", "birdlite.writers.text"]),
        ("json", ["csv", "birdlite.writers.text"]),
        ("csv", ["birdlite.writers.text"]),
    ],
)
def test_a_format_imports_nothing_that_only_others_need(tmp_path: Path, chosen: Format, spared: list[str]) -> None:
    ran = run(
        "from birdlite.results import Prediction, Result, RunSummary\n"
        "from birdlite.writers import open_writer\n"
        "from birdlite.writers.base import RunFacts, WriterOptions\n"
        f"with open_output({str(tmp_path / 'out')!r}, {chosen!r}) as output:\n"
        f"    writer = open_writer({chosen!r}, output.stream, WriterOptions())\n"
        "    writer.write(Result(0, 'a.jpg', (Prediction(1, 1, 'x', 0.5),)))\n"
        "    writer.finish(RunFacts(RunSummary(1, 1, 0, 1.0, 1.0)))\n"
        "print(sorted(sys.modules))",
        stdout=subprocess.PIPE,
    )
    loaded = json.loads(ran.stdout.replace("'", '"'))
    never = ["dataclasses", "pathlib", "tempfile", "logging", "shutil", "inspect"]
    assert [name for name in [*spared, *never] if name in loaded] == []
