"""The table for people: its form, its width, and that no name can control the terminal."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import termios
from collections.abc import Callable, Iterator
from typing import TextIO

import pytest

from birdlite.results import Failure, Prediction, Result
from birdlite.writers import open_writer
from birdlite.writers.base import Names, WriterOptions
from birdlite.writers.terminal import Terminal, columns, look
from birdlite.writers.text import picture_lines

MACAW = Prediction(1, 5, "Ara macao", 0.41, "Scarlet Macaw")
CORMORANT = Prediction(2, 6, "Phalacrocorax varius varius", 0.117, "New Zealand Pied Cormorant")
BACKGROUND = Prediction(3, 964, "background", 0.004)
PARROT = Result(0, "https://upload.wikimedia.org/wikipedia/commons/8/81/parrot.jpg", (MACAW, CORMORANT, BACKGROUND))
MISSING = Result(1, "missing.jpg", Failure("not_found", "missing.jpg: no such file"))


def shown(result: Result, terminal: Terminal | None = None, names: Names = "both", min_score: float = 0.0) -> list[str]:
    return picture_lines(result, WriterOptions(names=names, min_score=min_score), terminal or Terminal())


class TestLayout:
    def test_in_a_file_the_names_have_their_columns_and_nothing_is_cut(self) -> None:
        assert shown(PARROT) == [
            "https://upload.wikimedia.org/wikipedia/commons/8/81/parrot.jpg",
            "  1  Ara macao                     Scarlet Macaw               0.410  ████░░░░░░",
            "  2  Phalacrocorax varius varius   New Zealand Pied Cormorant  0.117  █░░░░░░░░░",
            "  3  background                                                0.004  ░░░░░░░░░░",
        ]

    def test_the_whole_table_fits_into_eighty_columns(self) -> None:
        assert shown(PARROT, Terminal(80)) == shown(PARROT)

    def test_a_narrower_terminal_loses_the_bars(self) -> None:
        assert shown(PARROT, Terminal(70))[1:] == [
            "  1  Ara macao                     Scarlet Macaw               0.410",
            "  2  Phalacrocorax varius varius   New Zealand Pied Cormorant  0.117",
            "  3  background                                                0.004",
        ]

    def test_a_still_narrower_terminal_puts_common_names_on_their_own_lines(self) -> None:
        assert shown(PARROT, Terminal(40)) == [
            "https://upload.wiki…mons/8/81/parrot.jpg",
            "  1  Ara macao                    0.410",
            "     Scarlet Macaw",
            "  2  Phalacrocorax varius varius  0.117",
            "     New Zealand Pied Cormorant",
            "  3  background                   0.004",
        ]

    def test_the_narrowest_terminals_cut_names(self) -> None:
        assert shown(PARROT, Terminal(20)) == [
            "https://u…parrot.jpg",
            "  1  Ara mac…  0.410",
            "     Scarlet Macaw",
            "  2  Phalacr…  0.117",
            "     New Zealand Pi…",
            "  3  backgro…  0.004",
        ]

    @pytest.mark.parametrize("names", ["scientific", "common", "both"])
    @pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
    def test_no_line_of_a_table_is_wider_than_the_terminal(self, names: Names, encoding: str) -> None:
        many = tuple(prediction._replace(rank=rank) for rank, prediction in enumerate([MACAW, CORMORANT] * 60, start=1))
        wide = Prediction(1, 1, "写真" * 20, 0.5, "鳥" * 80)
        results = [PARROT, PARROT._replace(outcome=many), Result(0, "写" * 90, (wide, BACKGROUND)), MISSING]
        for width in range(20, 120):
            for result in results[: 3 if width < 32 else 4]:  # the message of the last is 32 columns, and may wrap
                lines = shown(result, Terminal(width, encoding=encoding), names)
                assert max(columns(line) for line in lines) <= width

    def test_more_than_nine_candidates_keep_the_columns_straight(self) -> None:
        ten = tuple(MACAW._replace(rank=rank) for rank in range(1, 11))
        lines = shown(Result(0, "a.jpg", ten), names="scientific")
        assert lines[1] == "   1  Ara macao                     0.410  ████░░░░░░"
        assert lines[10] == "  10  Ara macao                     0.410  ████░░░░░░"

    def test_wide_characters_take_two_columns_and_combining_ones_none(self) -> None:
        names = ("写真", "e\u0301e\u0301e\u0301", "abc")
        lines = shown(Result(0, "a.jpg", tuple(Prediction(1, 1, name, 0.5) for name in names)))
        assert lines[1:] == [
            "  1  写真                          0.500  █████░░░░░",
            "  1  e\u0301e\u0301e\u0301                           0.500  █████░░░░░",
            "  1  abc                           0.500  █████░░░░░",
        ]
        assert shown(Result(0, "写真写真写真写真写真写真", ()), Terminal(20))[0] == "写真写真…真写真写真"


class TestNames:
    @pytest.mark.parametrize(
        ("names", "first", "last"),
        [
            ("scientific", "Ara macao", "background"),
            ("common", "Scarlet Macaw", "background"),
            ("both", "Ara macao                     Scarlet Macaw", "background"),
        ],
    )
    def test_the_names_that_were_asked_for_are_shown(self, names: Names, first: str, last: str) -> None:
        lines = shown(PARROT, names=names)
        assert lines[1].split("0.410")[0].strip() == f"1  {first}"
        assert lines[3].split("0.004")[0].strip() == f"3  {last}"

    def test_a_model_without_common_names_has_no_column_for_them(self) -> None:
        assert shown(Result(0, "a.jpg", (BACKGROUND,)))[1] == "  3  background                    0.004  ░░░░░░░░░░"


class TestWithoutPredictions:
    def test_a_failure_says_its_kind_and_does_not_repeat_the_name(self) -> None:
        assert shown(MISSING) == ["missing.jpg", "  error: not_found: no such file"]

    def test_a_message_that_does_not_begin_with_the_target_is_shown_whole(self) -> None:
        failure = Failure("http_status", "other.jpg: 404 Not Found")
        assert shown(Result(0, "a.jpg", failure))[1] == "  error: http_status: other.jpg: 404 Not Found"

    def test_a_message_is_never_cut(self) -> None:
        message = "the certificate of example.org is not to be trusted"
        lines = shown(Result(0, "a.jpg", Failure("network", message)), Terminal(20))
        assert lines[1] == f"  error: network: {message}"

    @pytest.mark.parametrize(("min_score", "line"), [(0.5, "nothing above 0.5"), (0.125, "nothing above 0.125")])
    def test_a_picture_below_the_threshold_says_so(self, min_score: float, line: str) -> None:
        assert shown(Result(0, "a.jpg", ()), min_score=min_score) == ["a.jpg", "  " + line]

    def test_a_picture_without_candidates_says_so(self) -> None:
        assert shown(Result(0, "a.jpg", ())) == ["a.jpg", "  no predictions"]


class TestEscaping:
    def test_every_text_from_outside_is_escaped(self) -> None:
        bad = "\x1b[31m\n"
        ok = Result(0, bad, (Prediction(1, 1, bad, 0.5, bad),))
        failed = Result(0, bad, Failure("network", bad))
        for line in shown(ok) + shown(failed):
            assert line.isprintable()
            assert "\\x1b[31m\\x0a" in line


class TestEncoding:
    def test_a_stream_that_has_no_blocks_gets_bars_of_ascii(self) -> None:
        assert shown(PARROT, Terminal(encoding="ascii"))[1].endswith("  0.410  ####......")

    def test_a_target_is_shortened_with_dots_where_there_is_no_ellipsis(self) -> None:
        assert shown(Result(0, "0123456789" * 3, ()), Terminal(20, encoding="ascii"))[0] == "01234567...123456789"

    @pytest.mark.parametrize(
        ("encoding", "text"),
        [("ascii", "Anas x M\\xf6we \\u5199"), ("latin-1", "Anas x Möwe \\u5199"), ("utf-8", "Anas × Möwe 写")],
    )
    def test_a_name_uses_only_characters_that_the_stream_can_encode(self, encoding: str, text: str) -> None:
        assert shown(Result(0, "Anas × Möwe 写", ()), Terminal(encoding=encoding))[0] == text

    def test_everything_written_can_be_encoded(self) -> None:
        buffer = io.BytesIO()
        stream = io.TextIOWrapper(buffer, encoding="ascii", errors="strict")
        writer = open_writer("text", stream, WriterOptions())
        writer.write(Result(0, "写\udcf6", (Prediction(1, 1, "×", 0.5, "é"),)))
        assert buffer.getvalue().decode("ascii").startswith("\\u5199\\udcf6\n  1  x ")


class TestColour:
    def test_colour_marks_the_target_the_best_name_the_bars_and_errors(self) -> None:
        terminal = Terminal(60, colour=True)
        assert shown(Result(0, "a.jpg", (MACAW, BACKGROUND)), terminal, "scientific") == [
            "\x1b[1ma.jpg\x1b[0m",
            "  1  \x1b[1mAra macao                   \x1b[0m  0.410  \x1b[32m████░░░░░░\x1b[0m",
            "  3  background                    0.004  \x1b[32m░░░░░░░░░░\x1b[0m",
        ]
        assert shown(MISSING, terminal)[1] == "  \x1b[31merror\x1b[0m: not_found: no such file"


@pytest.fixture
def screen() -> Iterator[TextIO]:
    """A real terminal of 33 columns."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 33, 0, 0))
    with open(slave, "w", encoding="utf-8") as stream:
        yield stream
    os.close(master)


SetOnly = Callable[..., None]


@pytest.fixture
def set_only(monkeypatch: pytest.MonkeyPatch) -> SetOnly:
    """Set these variables and no other that tells of a terminal."""

    def set_only(**variables: str) -> None:
        for name in ("TERM", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_only


class TestLook:
    @pytest.mark.parametrize(
        ("environment", "width", "colour"),
        [
            ({"TERM": "xterm"}, 33, True),
            ({"TERM": "dumb"}, 33, False),
            ({}, 33, False),
            ({"TERM": "xterm", "NO_COLOR": "1"}, 33, False),
            ({"TERM": "xterm", "NO_COLOR": ""}, 33, True),
            ({"TERM": "dumb", "FORCE_COLOR": "1"}, 33, True),
            ({"TERM": "xterm", "FORCE_COLOR": "1", "NO_COLOR": "1"}, 33, False),
            ({"COLUMNS": "50"}, 50, False),
            ({"COLUMNS": "5"}, 20, False),
            ({"COLUMNS": "0"}, 33, False),
            ({"COLUMNS": "wide"}, 33, False),
            ({"COLUMNS": "9" * 5000}, 33, False),
        ],
    )
    def test_a_terminal_has_a_width_and_perhaps_colour(
        self, screen: TextIO, set_only: SetOnly, environment: dict[str, str], width: int, colour: bool
    ) -> None:
        set_only(**environment)

        assert look(screen) == Terminal(width, colour, "utf-8")

    def test_a_terminal_that_does_not_know_its_width_has_eighty_columns(
        self, screen: TextIO, set_only: SetOnly
    ) -> None:
        set_only()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        assert look(screen).width == 80

    def test_a_pipe_has_no_width_and_no_colour(self, set_only: SetOnly) -> None:
        read_end, write_end = os.pipe()
        with open(read_end), open(write_end, "w", encoding="latin-1") as stream:
            set_only(TERM="xterm", COLUMNS="40")
            assert look(stream) == Terminal(None, False, "latin-1")
            set_only(FORCE_COLOR="1")
            assert look(stream).colour

    def test_a_stream_in_memory_is_like_a_file(self, set_only: SetOnly) -> None:
        set_only(TERM="xterm")
        assert look(io.StringIO()) == Terminal(None, False, "utf-8")


def test_each_picture_reaches_the_reader_at_once() -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb", buffering=0) as reader, open(write_end, "w", encoding="utf-8") as stream:
        writer = open_writer("text", stream, WriterOptions())
        writer.write(MISSING)
        assert reader.read(1000) == b"missing.jpg\n  error: not_found: no such file\n"
