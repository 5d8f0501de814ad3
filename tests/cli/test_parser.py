"""The two ways to read a command line give the same: at a glance where it is plain, by argparse where it is not."""

from __future__ import annotations

import pytest

from birdlite.cli.argparse_parser import read
from birdlite.cli.parser import Parser
from birdlite.cli.values import whole
from birdlite.errors import UsageError

PLAIN = [
    "",
    "a.jpg b.jpg",
    "-",
    "a.jpg --top 5 b.jpg",
    "--top=5 a.jpg",
    "--top 5 --top 7",
    "--from - --from list.txt",
    "--from=a=b.txt",
    "-o out.csv -v",
    "--output - x",
    "--timing --no-cache",
    "--timing --no-timing",
    "--no-timing --timing x",
    "--format json",
]
NOT_PLAIN = [
    "-oout.csv",
    "-o=out.csv",
    "-vq",
    "--output=",
    "--output --",
    "-- -o",
    "--verbose=1",
    "--no-timing=1",
    "--no-verbose",
    "--nonsense",
    "--to 5",
    "--top",
    "--top five",
    "--top -5",
    "--top 0",
    "--top --format json",
    "--format yaml",
    "-5",
    "-x y",
]


@pytest.fixture
def parser() -> Parser:
    """A small command with an option of every kind."""
    parser = Parser("birdlite try", "Try it.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="what")
    group = parser.add_argument_group("all")
    parser.options("--from", dest="lists", metavar="LIST", group=group, help="lists")
    parser.option("--top", metavar="N", type=whole(1, 9), default=3, group=group, help="how many")
    parser.option("--format", choices=("text", "json"), group=group, help="how")
    parser.option("-o", "--output", metavar="FILE", group=group, help="where")
    parser.flag("-v", "--verbose", group=group, help="more")
    parser.flag("-q", "--quiet", group=group, help="less")
    parser.flag("--no-cache", group=group, help="none")
    parser.flag("--timing", negatable=True, group=group, help="times")
    return parser


@pytest.mark.parametrize("line", PLAIN)
def test_a_plain_line_is_read_at_a_glance_as_argparse_would_read_it(parser: Parser, line: str) -> None:
    values = parser.read_plainly(line.split())

    assert values is not None
    assert vars(values) == vars(read(parser.command, line.split()))


@pytest.mark.parametrize("line", NOT_PLAIN)
def test_whatever_else_is_left_to_argparse(parser: Parser, line: str) -> None:
    assert parser.read_plainly(line.split()) is None


@pytest.mark.parametrize("argv", [["a b", ""], ["--output", "a b"], ["--output", "é"], ["--from", "a,b"]])
def test_spaces_commas_and_empty_names_are_read_as_they_are(parser: Parser, argv: list[str]) -> None:
    values = parser.read_plainly(argv)

    assert values is not None
    assert vars(values) == vars(read(parser.command, argv))


def test_an_empty_value_is_left_to_argparse(parser: Parser) -> None:
    assert parser.read_plainly(["--output", ""]) is None
    assert parser.parse(["--output", ""]).output == ""


def test_a_command_with_other_arguments_than_targets_is_argparses_affair() -> None:
    parser = Parser("birdlite try", "Try it.")
    parser.add_argument("model", nargs="?", default="best", help="which")

    assert parser.read_plainly(["x"]) is None
    assert parser.parse(["x"]).model == "x"
    assert parser.parse([]).model == "best"


@pytest.mark.parametrize("line", ["--top 2", "--top=2", "-vq --top 2"])
def test_the_command_line_wins_over_the_environment_however_it_is_read(
    parser: Parser, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIRDLITE_TOP", "4")
    monkeypatch.setenv("BIRDLITE_FROM", "a.txt,b.txt")

    values = parser.parse(line.split())

    assert values.top == 2
    assert values.lists == ["a.txt", "b.txt"]
    assert parser.parse([]).top == 4


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--top five", "argument --top: five: not a whole number (see birdlite try --help)"),
        ("--top", "argument --top: expected one argument (see birdlite try --help)"),
        ("--nonsense", "unrecognized arguments: --nonsense (see birdlite try --help)"),
    ],
)
def test_mistakes_are_explained_by_argparse(parser: Parser, line: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parser.parse(line.split())

    assert str(caught.value) == complaint
