"""The two ways to read a command line of `classify` give the same: `plain_line` where it is plain, click always."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import SimpleNamespace

import click
import pytest

from birdlite.cli import plain_line
from birdlite.cli.declare import Option, Value
from birdlite.cli.options import COMMAND

OPTIONS = [param for param in COMMAND.params if isinstance(param, Option)]
TAKING_VALUES = [option for option in OPTIONS if not option.is_flag]
FLAGS = [option for option in OPTIONS if option.is_flag]

GOOD = {
    "text": ["a", "a b", "é", "a=b.txt", "a,b", "-"],
    "folder": ["a", "a b", "é", "/a=b:c"],
    "whole": ["7", " 7 "],
    "size": ["500000", "64M", "1g"],
    "seconds": ["2.5", "10"],
    "patience": ["0", "300"],
    "most": ["5", "20%", "0.5%"],
    "fraction": ["0.25", "1"],
    "shard": ["0/4"],
    "digest": ["0a" * 32, "sha256:" + "B" * 64],
}
BAD = {
    "folder": ["https://example.org/a", "s3://bucket/a"],
    "whole": ["-1", "200000", "many", "1.5", "٣"],
    "size": ["0", "1.5M", "lots"],
    "seconds": ["0", "nan", "soon"],
    "patience": ["-1", "nan", "soon"],
    "most": ["-1", "101%", "few"],
    "fraction": ["1.5", "nan", "half"],
    "shard": ["4/4", "first"],
    "digest": ["0a", "x" * 64],
    "choice": ["", "nonsense"],
}

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
FOR_CLICK = [
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
    "--help",
    "-h",
    "-x y",
]


@pytest.fixture(autouse=True)
def _defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIRDLITE_STARTUP_TIMEOUT")


def by_click(argv: Sequence[str]) -> SimpleNamespace:
    with COMMAND.make_context("birdlite classify", list(argv)) as context:
        return SimpleNamespace(**context.params)


def by_itself(argv: Sequence[str]) -> SimpleNamespace | None:
    return plain_line.read(argv, os.environ)


def values_for(option: Option, values: dict[str, list[str]]) -> list[str]:
    assert isinstance(option.type, Value)
    if values is GOOD and option.type.choices:
        return option.type.choices
    return values.get(option.type.name, [])


def every(values: dict[str, list[str]]) -> list[tuple[Option, str]]:
    return [(option, value) for option in TAKING_VALUES for value in values_for(option, values)]


def test_every_option_has_a_variable_and_a_value_to_try() -> None:
    assert len({option.envvar for option in OPTIONS}) == len(OPTIONS)
    assert {option for option, _ in every(GOOD)} == set(TAKING_VALUES)


@pytest.mark.parametrize(("option", "value"), every(GOOD), ids=str)
def test_a_value_is_read_alike_from_the_command_line_and_from_the_environment(
    option: Option, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in option.opts:
        lines = [[name, value, "a.jpg"]] + ([[f"{name}={value}"]] if name.startswith("--") else [])
        for line in lines:
            assert by_itself(line) == by_click(line)
    given = by_itself([option.opts[-1], value])
    assert isinstance(option.envvar, str)
    monkeypatch.setenv(option.envvar, value)

    assert by_itself([]) == by_click([])
    assert "," in value or by_itself([]) == given


@pytest.mark.parametrize(("option", "value"), every(BAD), ids=str)
def test_a_value_that_makes_no_sense_is_left_to_click_which_refuses_it(
    option: Option, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(option.envvar, str)
    line = [option.opts[-1], value]
    assert by_itself(line) is None
    with pytest.raises(click.BadParameter):
        by_click(line)
    if value:
        monkeypatch.setenv(option.envvar, value)

        assert by_itself([]) is None
        with pytest.raises(click.BadParameter):
            by_click([])


@pytest.mark.parametrize("option", FLAGS, ids=str)
def test_a_flag_is_read_alike_from_the_command_line_and_from_the_environment(
    option: Option, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert option.name is not None
    for name in (*option.opts, *option.secondary_opts):
        assert by_itself([name]) == by_click([name])
        assert getattr(by_itself([name]), option.name) is (name in option.opts)
    assert isinstance(option.envvar, str)
    for value, expected in {"1": True, "0": False, "true": True, "False": False, " YES ": True, "off": False}.items():
        monkeypatch.setenv(option.envvar, value)
        assert by_itself([]) == by_click([])
        assert getattr(by_itself([]), option.name) is expected
    monkeypatch.setenv(option.envvar, "maybe")
    assert by_itself([]) is None
    with pytest.raises(click.BadParameter):
        by_click([])


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_an_empty_variable_counts_as_unset(option: Option, monkeypatch: pytest.MonkeyPatch) -> None:
    unset = by_itself([])
    assert isinstance(option.envvar, str)

    monkeypatch.setenv(option.envvar, "")

    assert by_itself([]) == by_click([]) == unset


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"BIRDLITE_NO_TIMING": "1"}, False),
        ({"BIRDLITE_NO_TIMING": "0"}, None),
        ({"BIRDLITE_NO_TIMING": ""}, None),
        ({"BIRDLITE_NO_TIMING": "1", "BIRDLITE_TIMING": "1"}, True),
    ],
)
def test_a_switch_can_be_switched_off_by_a_variable_of_its_own(
    variables: dict[str, str], expected: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert by_itself([]) == by_click([])
    assert by_click([]).timing is expected
    assert by_itself(["--timing"]) == by_click(["--timing"])
    assert by_click(["--timing"]).timing is True


def test_the_opposite_variable_of_a_switch_takes_1_or_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIRDLITE_NO_TIMING", "maybe")

    assert by_itself([]) is None
    with pytest.raises(click.UsageError, match="BIRDLITE_NO_TIMING=maybe: must be 1 or 0"):
        by_click([])


@pytest.mark.parametrize("line", PLAIN)
def test_a_plain_line_is_read_as_click_would_read_it(line: str) -> None:
    values = by_itself(line.split())

    assert values is not None
    assert values == by_click(line.split())


@pytest.mark.parametrize("line", FOR_CLICK)
def test_whatever_else_is_left_to_click(line: str) -> None:
    assert by_itself(line.split()) is None


def test_click_reads_the_rarer_ways_to_write_an_option() -> None:
    assert by_click(["-oout.csv", "-vq"]) == by_itself(["-o", "out.csv", "-v", "-q"])
    assert by_click(["-o=out.csv"]).output == "out.csv"
    assert by_click(["--output="]).output == by_click(["--output", ""]).output == ""
    assert by_click(["--top", "5", "--", "-o", "--top"]).targets == ("-o", "--top")


@pytest.mark.parametrize("line", ["--top 2", "--top=2", "-vq --top 2"])
def test_the_command_line_wins_over_the_environment_however_it_is_read(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIRDLITE_TOP", "4")
    monkeypatch.setenv("BIRDLITE_FROM", "a.txt,b.txt")

    values = by_itself(line.split()) or by_click(line.split())

    assert values.top == 2
    assert values.lists == ("a.txt", "b.txt")
    assert by_click([]).top == 4
