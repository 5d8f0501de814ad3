"""The tables of `bench_serve`, out of reports and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import NamedTuple

from scripts.balanced.deployment import Measured
from scripts.balanced.load import OK, SHED, Answer, outcomes
from scripts.scaleout.tables import row, table

THROUGHPUT = {4: 3.6}  # times one machine's, at least
TWO = 0.5  # of one machine's p95 at `BUSY`, with two, at most
BUSY = 0.8  # of one machine's saturation
OVERLOAD = 2.0
PATIENT = 3.0  # times the unloaded p95, at most, for the accepted at `OVERLOAD`
AT_ONCE_MS = 50.0  # for a refusal


class Summary(NamedTuple):
    """What became of the requests of some time. Times in ms."""

    asked: int
    answered: int
    p50: float
    p95: float
    p99: float
    refused: int
    refused_p95: float  # 0: there was none
    refused_max: float
    others: Counter[str]

    @property
    def part_refused(self) -> float:
        """In [0, 1]."""
        return self.refused / self.asked


class Point(NamedTuple):
    """A load on some machines; `share` is how much of one machine's saturation it is, 0: next to nothing."""

    way: str
    machines: int
    share: float


Rates = dict[tuple[str, int], list[tuple[float, Measured]]]
"""By way and number of machines, a throughput and its measurement for each round."""

Points = dict[Point, list[Summary]]
"""Of each round."""


def summary(answers: Iterable[Answer], first: float = 0.0, last: float = float("inf")) -> Summary:
    """Of the requests that were due between two times, in s."""
    counted = [answer for answer in answers if first <= answer.due < last]
    good, refused = ([a.took * 1e3 for a in counted if a.outcome == wanted] for wanted in (OK, SHED))
    others = outcomes(counted)
    del others[OK], others[SHED]
    return Summary(
        len(counted),
        len(good),
        percentile(good, 0.5),
        percentile(good, 0.95),
        percentile(good, 0.99),
        len(refused),
        percentile(refused, 0.95),
        max(refused, default=0.0),
        others,
    )


def percentile(values: Sequence[float], part: float) -> float:
    """The value that so many are not above; 0 without any."""
    ordered = sorted(values)
    return ordered[max(0, -int(-part * len(ordered)) - 1)] if ordered else 0.0


def throughput(answers: Iterable[Answer], first: float, last: float) -> float:
    """Pictures a second that were named between two times, in s."""
    return sum(answer.outcome == OK and first <= answer.due + answer.took < last for answer in answers) / (last - first)


def saturation(found: Rates) -> list[str]:
    """By way and number of machines: throughput, and what it cost."""
    lines = table("way", "machines", "pictures/s", "times one", "refused", "quotas used", *COSTS)
    for (way, machines), each in found.items():
        rate = rate_of(each)
        times = f"{times_one(each, found[way, 1]):.2f}" if (way, 1) in found else "-"
        (_, first), *_ = each
        refused = summary(first.report.answers).part_refused
        used = f"{first.costs.services:.2f}"
        lines.append(row(way, str(machines), f"{rate:.1f}", times, f"{refused:.0%}", used, *costs(first)))
    return lines


COSTS = ("balancer", "origin", "load", "late, ms", "connections", "processors busy")


def costs(measured: Measured) -> list[str]:
    """Processors that others took, how late requests were sent, and whether this machine was full."""
    parts, report = measured.costs, measured.report
    shares = [f"{part:.2f}" for part in (parts.balancer, parts.origin, parts.load)]
    return [*shares, f"{report.late * 1e3:.0f}", str(report.connections), f"{parts.busy:.0%}"]


def latency(found: Points, one: float) -> list[str]:
    """By load, way and number of machines; `one` is one machine's saturation, in pictures a second."""
    lines = table(
        *("of one machine's most", "offered/s", "way", "machines", "p50, ms", "p95, ms", "p99, ms"),
        *("refused", "refused after, p95, ms", "longest, ms", "anything else"),
    )
    for point, each in sorted(found.items(), key=lambda item: (item[0].share, item[0].way, item[0].machines)):
        others = sum((summary.others for summary in each), Counter[str]())
        refused = middle(each, lambda s: s.part_refused)
        lines.append(
            row(
                f"{point.share:g}" if point.share else "one at a time",
                f"{point.share * one:.1f}" if point.share else "-",
                *(point.way, str(point.machines)),
                *(f"{middle(each, pick):.0f}" for pick in (lambda s: s.p50, lambda s: s.p95, lambda s: s.p99)),
                f"{refused:.1%}" if refused else "-",
                f"{middle(each, lambda s: s.refused_p95):.0f}" if refused else "-",
                f"{max(s.refused_max for s in each):.0f}" if refused else "-",
                said(others),
            )
        )
    return lines


def verdicts(found: Points, rates: Rates) -> list[str]:
    """Whether birdlite's targets are met, as far as they were measured."""
    lines = []
    for machines, least in THROUGHPUT.items():
        if ("birdlite", 1) in rates and ("birdlite", machines) in rates:
            one, many = rate_of(rates["birdlite", 1]), rate_of(rates["birdlite", machines])
            lines.append(
                f"- {machines} machines: {many / one:.2f} times one's throughput; {_least(many / one, least)}."
            )
    one_busy, two_busy = (found.get(Point("birdlite", machines, BUSY)) for machines in (1, 2))
    if one_busy and two_busy:
        ratio = median(two.p95 / one.p95 for one, two in zip(one_busy, two_busy, strict=True))
        lines.append(f"- p95 at {BUSY:g} of one machine's most, with two: {ratio:.2f} of one's; {_most(ratio, TWO)}.")
    alone, flooded = (found.get(Point("birdlite", 1, share)) for share in (0.0, OVERLOAD))
    if alone and flooded:
        ratio = median(much.p95 / little.p95 for little, much in zip(alone, flooded, strict=True))
        lines.append(
            f"- p95 of the accepted at {OVERLOAD:g} times: {ratio:.1f} of the unloaded; {_most(ratio, PATIENT)}."
        )
        wait = middle(flooded, lambda s: s.refused_p95)
        lines.append(f"- … the rest: refused within {wait:.0f} ms (p95); {_most(wait, AT_ONCE_MS)}.")
    return lines


def windows(answers: Sequence[Answer], events: Sequence[tuple[float, str]], end: float) -> list[str]:
    """What clients saw from each event to the next; the first one is at 0."""
    lines = table(
        "from, s", "what happens", "asked", "answered", "p50, ms", "p95, ms", "longest, ms", "refused", "anything else"
    )
    for (first, what), (last, _) in zip(events, [*events[1:], (end, "")], strict=True):
        some = summary(answers, first, last)
        longest = max((a.took * 1e3 for a in answers if first <= a.due < last and a.outcome == OK), default=0.0)
        times = (f"{time:.0f}" for time in (some.p50, some.p95, longest))
        counts = (str(some.asked), str(some.answered), *times, str(some.refused), said(some.others))
        lines.append(row(f"{first:.1f}", what, *counts))
    return lines


def balance(answers: Sequence[Answer]) -> str:
    """How many requests had which outcome. Each has one."""
    counts = outcomes(answers)
    lost = sum(counts.values()) - counts[OK] - counts[SHED]
    verdict = "none is lost" if not lost else f"{lost} LOST"
    return f"{len(answers)} requests: {counts[OK]} answered, {counts[SHED]} refused, {verdict}."


def said(others: Counter[str]) -> str:
    """Outcomes other than an answer or a refusal, in words."""
    return ", ".join(f"{count} × {what}" for what, count in others.most_common()) or "-"


def rate_of(found: Sequence[tuple[float, Measured]]) -> float:
    """Pictures a second, the median over the rounds."""
    return median(rate for rate, _ in found)


def times_one(found: Sequence[tuple[float, Measured]], one: Sequence[tuple[float, Measured]]) -> float:
    """How many times one machine's throughput it is, by round: machines are not equally fast all day."""
    return median(many / few for (many, _), (few, _) in zip(found, one, strict=True))


def middle(found: Sequence[Summary], pick: Callable[[Summary], float]) -> float:
    """Median over the rounds."""
    return median(map(pick, found))


def _most(value: float, target: float) -> str:
    return f"at most {target:g} wanted: {'met' if round(value, 2) <= target else 'NOT met'}"


def _least(value: float, target: float) -> str:
    return f"at least {target:g} wanted: {'met' if round(value, 2) >= target else 'NOT met'}"
