"""One place makes texts harmless: for a line, for a terminal, for a row, for a page."""

from __future__ import annotations

import ast
import sys
import unicodedata
from pathlib import Path

import pytest

from birdlite.printable import encodable, inert, one_row, printable

ROOT = Path(__file__).parents[1]

ALL = [chr(code) for code in range(sys.maxunicode + 1)]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain.jpg", "plain.jpg"),
        ("Möwe × 写真\u3000\u00a0", "Möwe × 写真\u3000\u00a0"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("two\nlines\r\ttab\0", "two\\x0alines\\x0d\\x09tab\\x00"),
        ("\x7f\x85\x9b31m", "\\x7f\\x85\\x9b31m"),
        ("gpj.\u202eexe\u2066\u200f\u061c", "gpj.\\u202eexe\\u2066\\u200f\\u061c"),
        ("\u2028\u2029\u200b\ufeff", "\\u2028\\u2029\\u200b\\ufeff"),
        ("\u115f\u3164\ufe0f\U000e0100", "\\u115f\\u3164\\ufe0f\\U000e0100"),
        ("m\udcf6we", "m\\udcf6we"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_control_characters_and_unseen_ones_are_escaped(text: str, escaped: str) -> None:
    assert printable(text) == escaped


def test_no_character_of_a_dangerous_kind_stays() -> None:
    stays = {character for character in ALL if printable(character) == character}

    assert {unicodedata.category(one) for one in stays} & {"Cc", "Cf", "Cs", "Zl", "Zp"} == set()
    assert {" ", "a", "ß", "写", "é", "\u0301", "\u00a0", "×", "🐦"} <= stays
    assert not any(one.isspace() for one in stays - {" ", "\u00a0", "\u3000"})


def test_lone_surrogates_become_what_json_reads_as_the_same() -> None:
    assert encodable("m\udcf6we×") == "m\\udcf6we×"


class TestTheLastStep:
    @pytest.mark.parametrize(
        "text", ["", "\n", "a\nb\n", "a,b\r\nc\r\n", "Möwe ×\n", "  1  Ara macao  0.410  ████░░\n"]
    )
    def test_lines_pass_as_they_are(self, text: str) -> None:
        assert inert(text) == inert(text, styles=True) == inert(text, as_json=True) == text

    def test_all_else_is_escaped_even_if_a_writer_forgot(self) -> None:
        assert inert("a\rb\x1b[31m\u202e\n\x9b\r\n") == "a\\x0db\\x1b[31m\\u202e\n\\x9b\r\n"
        assert inert("\r\r\n\r") == "\\x0d\r\n\r"

    def test_our_own_styles_pass_where_there_are_styles_and_no_other_sequence_does(self) -> None:
        assert inert("\x1b[1ma\x1b[0m\x1b[5mb\x1b\x1b[32mc\x1b", styles=True) == (
            "\x1b[1ma\x1b[0m\\x1b[5mb\\x1b\x1b[32mc\\x1b"
        )

    def test_in_json_the_escapes_are_those_of_json(self) -> None:
        assert inert("\x7f\x9b\u202e\U000e0041\udc80", as_json=True) == "\\u007f\\u009b\\u202e\\udb40\\udc41\\udc80"


class TestRows:
    @pytest.mark.parametrize("end", [c for c in ALL if len(f"a{c}b".splitlines()) > 1] + ["\0"])
    def test_no_text_ends_a_row(self, end: str) -> None:
        assert one_row(f"a{end}b") == f"a{printable(end)}b"

    @pytest.mark.parametrize("text", ["plain", "Möwe\x1b\t\u202e", "C:\\users\\x.jpg", "\\n", "\\x0", "\\XFF"])
    def test_all_else_stays(self, text: str) -> None:
        assert one_row(text) == text

    def test_what_looks_like_an_escape_is_escaped_itself(self) -> None:
        assert one_row("\\x0a\\\\u2028\n") == "\\x5cx0a\\\\x5cu2028\\x0a"


def test_nothing_writes_to_a_terminal_past_the_last_step() -> None:
    """`print`, `sys.stdout.write` and click's `echo` are used in no module but the two that apply `inert`."""
    past = set()
    for path in (ROOT / "birdlite").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"):
                    past.add((path.relative_to(ROOT).as_posix(), called))

    assert past == {
        ("birdlite/cli/__init__.py", "sys.stdout.write"),  # `--version`, before anything is imported
        ("birdlite/cli/console.py", "sys.stderr.write"),
    }
