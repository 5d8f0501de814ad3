"""What `scripts.try_newest` asks pip for, and what it says of what it got."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement

from scripts.lock import ROOT
from scripts.try_newest import TESTS, beyond, without_upper_bound


@pytest.mark.parametrize(
    ("allowed", "tried"),
    [
        ("pillow>=11.3,<14", "pillow>=11.3"),
        ("click>=8.1,!=8.2.0", "click!=8.2.0,>=8.1"),
        ("moto[s3]~=5.1; python_version < '4'", 'moto[s3]; python_version < "4"'),
        ("certifi", "certifi"),
    ],
)
def test_only_upper_bounds_are_lifted(allowed: str, tried: str) -> None:
    assert str(without_upper_bound(Requirement(allowed))) == tried


def test_what_pyproject_does_not_allow_is_said() -> None:
    allowed = [Requirement(line) for line in ("pillow<14", "httpx<1", "idna", "tomli<1; python_version < '3'")]

    assert beyond(allowed, {"pillow": "14.0.0", "httpx": "0.28.1", "idna": "3.20", "tomli": "2"}) == [
        "pillow 14.0.0 is tried; pyproject.toml allows <14"
    ]
    assert beyond(allowed, {"pillow": "13.0.0"}) == ["pillow 13.0.0 is the newest, and allowed: <14"]


def test_the_tests_that_it_runs_are_there() -> None:
    assert [path for path in TESTS if not (ROOT / path).exists()] == []
