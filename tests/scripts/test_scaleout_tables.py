"""The tables of `scripts/bench_scaleout.py`: what they say of outcomes that are known."""

from __future__ import annotations

from scripts.scaleout.batch import Outcome
from scripts.scaleout.cost import Cost
from scripts.scaleout.shared import IMAGE, demand, seconds, seconds_of_pods
from scripts.scaleout.tables import curve, efficiency, far, met, one_place, ratio_of, starts, stragglers, verdicts

QUIET = Outcome(
    wall=10.0,
    merge=0.1,
    shards=[9.0],
    machines=[9.5],
    starts=[0.3],
    used=0.95,
    helping=0.1,
    busy=0.5,
    digest="0",
)


def took(*walls: float, busy: float = 0.5) -> list[Outcome]:
    """An outcome for each round."""
    return [QUIET._replace(wall=wall, busy=busy) for wall in walls]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    """A round in which the machine was slow for both must not count as a slow one."""
    assert ratio_of(took(6, 60, 6), took(10, 100, 10)) == 0.6


def test_efficiency_is_one_where_the_time_is_the_machines_share() -> None:
    assert efficiency(ratio=0.5, machines=2) == 1
    assert efficiency(ratio=1.0, machines=4) == 0.25


def test_a_target_is_met_by_what_is_printed() -> None:
    assert met(0.584, 0.58) == "met"
    assert met(0.586, 0.58) == "NOT met"


def test_two_and_four_machines_have_targets() -> None:
    lines = verdicts({1: took(10), 2: took(5.5), 3: took(9), 4: took(4)})

    assert [line.split(":")[0] for line in lines] == ["- 2 machines", "- 4 machines"]
    assert lines[0].endswith("wanted: met.")
    assert lines[1].endswith("wanted: NOT met.")


def test_a_machine_that_was_full_is_told_of() -> None:
    (line,) = verdicts({1: took(10), 3: took(4, busy=0.97)})

    assert line.startswith("- With 3 machines this machine was full")


def test_a_row_of_the_curve() -> None:
    rows = curve({1: took(10), 2: took(6)}, {1: 1.0, 2: 0.55}, Cost(0.0, 0.1), pictures=100)

    head, two = cells(rows[0]), cells(rows[-1])
    found = dict(zip(head, two, strict=True))
    assert (found["machines"], found["of one"], found["ideal"], found["efficiency"]) == ("2", "0.60", "0.50", "83%")
    assert (found["largest index"], found["quota used"], found["server and cables"]) == ("55%", "95%", "0.10")


def test_what_is_idle_is_between_the_first_and_the_last_machine_that_ends() -> None:
    uneven = [QUIET._replace(machines=[4.0, 9.0])]

    assert cells(stragglers({2: uneven}, {2: 0.5})[-1])[4] == "5.0"


def test_the_way_to_the_server_is_no_part_of_the_start() -> None:
    cached, fetched = starts({("a", "cached"): [0.34, 0.36, 0.35], ("a", "fetched"): [2.0]}, round_trip_ms=40.0)[2:]

    assert cells(cached)[2:] == ["0.35", "0.36", "0.29", "met"]
    assert cells(fetched)[-1] == "with its fetch"


def test_the_far_table_has_a_row_for_each_number_of_machines_and_of_indexes() -> None:
    rows = [cells(line) for line in far(Cost(0.5, 0.02), (1, 1000), 1_000_000, (1, 4))[2:]]

    assert [(row[0], row[1]) for row in rows] == [("1", "1"), ("1", "4"), ("1,000", "1,000"), ("1,000", "4,000")]
    assert rows[0][3] == "100%"


def test_images_grow_with_machines_lists_with_indexes_and_pictures_with_neither() -> None:
    few, many = demand(10, 10, 1000, 5), demand(10, 40, 1000, 5)

    assert few.images == many.images == 10 * IMAGE
    assert many.models == 4 * few.models
    assert (few.lists, many.lists) == (10_000, 40_000)
    assert few.pictures == many.pictures == 5


def test_a_line_takes_eight_bits_for_a_byte() -> None:
    assert seconds(125_000_000, mbit=1000) == 1


def test_pods_are_made_one_after_the_other() -> None:
    assert seconds_of_pods(4000) == 200


def test_a_polite_client_takes_the_same_time_with_any_number_of_machines() -> None:
    ends = [one_place(machines, (1,), 1, 11_250_000_000)[-2:] for machines in ((1,), (1000,))]

    assert ends[0] == ends[1]
    assert "1.0 hours" in " ".join(ends[0])
