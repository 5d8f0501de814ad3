"""Whether the output of a soak has exactly one record of each target, and the right one. For `scripts.soak`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.soak.hostile import HOST, fault_of


def target_of(number: int) -> str:
    """The URL of a target."""
    return f"https://{HOST}/{number:07}.jpg"


class Balance(NamedTuple):
    """What the output says."""

    records: int
    outcomes: dict[str, int]  # how many records are `ok` or of each kind of failure
    complaints: list[str]


def balance(output: Path, targets: int, birds: Sequence[str]) -> Balance:
    """Compare the output with what must be in it. `birds` are the names of those shown in turn."""
    outcomes = Counter[str]()
    complaints: list[str] = []
    with open(output) as lines:
        header = json.loads(next(lines))["birdlite_run"]
        for number, line in enumerate(lines):
            record = json.loads(line)
            outcomes[_outcome(record)] += 1
            complaints += _complaints(number, record, birds)
    records, ok = outcomes.total(), outcomes["ok"]
    counted = {"targets": targets, "mine": targets, "ok": ok, "failed": records - ok}
    if records != targets or {name: header[name] for name in counted} != counted:
        complaints.insert(0, f"{records:,} records of {targets:,} targets; the header says {header}")
    return Balance(records, dict(outcomes.most_common()), complaints)


def _complaints(number: int, record: dict[str, Any], birds: Sequence[str]) -> Iterator[str]:
    if (record["index"], record["target"]) != (number, target_of(number)):
        yield f"record {number} is of target {record['index']}, {record['target']}"
        return
    fault = fault_of(number)
    expected = "ok" if fault is None else fault.expected
    outcome = _outcome(record)
    if outcome != expected:
        name = "a good one" if fault is None else fault.name
        said = record.get("error", {}).get("message", "")
        yield f"target {number}, {name}: {outcome} instead of {expected}: {said}"
    elif outcome == "ok":
        found, bird = record["predictions"][0]["name"], birds[number % len(birds)]
        if found != bird:
            yield f"target {number}: {found} instead of {bird}"


def _outcome(record: dict[str, Any]) -> str:
    return "ok" if record["status"] == "ok" else str(record["error"]["kind"])
