"""The tables of `bench_scaleout`, out of outcomes and nothing else. Medians are over rounds; ratios are by round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from scripts.scaleout.batch import Outcome
from scripts.scaleout.cost import Cost, wall
from scripts.scaleout.shared import POLITE_MBIT, demand, seconds, seconds_of_pods

TARGETS = {2: 0.58, 4: 0.35}  # of the time of one machine, at most
START_TARGET = 0.3  # s until the first picture is under way, the model's fetch apart
FULL = 0.9  # of the real processors: above, machines wait for each other and not for their quotas
GBIT = 10_000.0  # Mbit/s: a storage host, or a registry, with a good line


def curve(
    outcomes: Mapping[int, Sequence[Outcome]], shares: Mapping[int, float], cost: Cost, pictures: int
) -> list[str]:
    """Machines of one kind, one index each; `shares` is how much of the list the largest index has."""
    lines = table(
        *("machines", "s", "of one", "ideal", "efficiency", "by the model", "largest index", "first to last done, s"),
        *("start, s", "merge, s", "quota used", "server and cables", "processors busy"),
    )
    one = wall(cost, 1, 1, pictures).whole
    for count, found in outcomes.items():
        ratio = ratio_of(found, outcomes[1])
        lines.append(
            row(
                str(count),
                f"{middle(found, lambda o: o.wall):.1f}",
                f"{ratio:.2f}",
                f"{1 / count:.2f}",
                f"{efficiency(ratio, count):.0%}",
                f"{wall(cost, count, count, pictures).whole / one:.2f}",
                f"{shares[count]:.0%}",
                f"{middle(found, lambda o: min(o.shards)):.1f} to {middle(found, lambda o: max(o.shards)):.1f}",
                f"{median(start for o in found for start in o.starts):.2f}",
                f"{middle(found, lambda o: o.merge):.2f}",
                f"{middle(found, lambda o: o.used):.0%}",
                f"{middle(found, lambda o: o.helping):.2f}",
                f"{middle(found, lambda o: o.busy):.0%}",
            )
        )
    return lines


def verdicts(outcomes: Mapping[int, Sequence[Outcome]]) -> list[str]:
    """Whether the targets are met, and what disturbed the measurement."""
    lines = []
    for count, target in TARGETS.items():
        if count in outcomes:
            ratio = ratio_of(outcomes[count], outcomes[1])
            lines.append(f"- {count} machines: {ratio:.2f} of one; at most {target} wanted: {met(ratio, target)}.")
    full = [count for count, found in outcomes.items() if middle(found, lambda o: o.busy) > FULL]
    if full:
        which = ", ".join(map(str, full))
        lines.append(f"- With {which} machines this machine was full: it is not birdlite that is measured there.")
    return lines


def stragglers(outcomes: Mapping[int, Sequence[Outcome]], shares: Mapping[int, float]) -> list[str]:
    """One fleet, by the number of indexes."""
    lines = table("indexes", "s", "of the first", "largest index", "idle at the end, s", "all starts, s")
    first = next(iter(outcomes.values()))
    for indexes, found in outcomes.items():
        lines.append(
            row(
                str(indexes),
                f"{middle(found, lambda o: o.wall):.1f}",
                f"{ratio_of(found, first):.2f}",
                f"{shares[indexes]:.0%}",
                f"{middle(found, lambda o: max(o.machines) - min(o.machines)):.1f}",
                f"{middle(found, lambda o: sum(o.starts)):.1f}",
            )
        )
    return lines


def starts(found: Mapping[tuple[str, str], Sequence[float]], round_trip_ms: float) -> list[str]:
    """By kind of machine and cache: until the server had the first request, and without the way there."""
    way = 1.5 * round_trip_ms / 1e3  # a connection, and half a round trip for the request
    lines = table("machine", "model", "at the server after, s", "slowest, s", "under way after, s", f"{START_TARGET} s")
    for (machine, model), times in found.items():
        own = median(times) - way
        verdict = met(own, START_TARGET) if model == "cached" else "with its fetch"
        lines.append(row(machine, model, f"{median(times):.2f}", f"{max(times):.2f}", f"{own:.2f}", verdict))
    return lines


def far(cost: Cost, machines: Sequence[int], pictures: int, indexes_each: Sequence[int]) -> list[str]:
    """The model, carried on; with one machine at half the speed of the others, too."""
    lines = table(
        *("machines", "indexes", "all, s", "efficiency", "starts, s", "list, s", "waiting, s", "merge, s"),
        *("one machine at half speed, s",),
    )
    for count in machines:
        for each in indexes_each:
            time = wall(cost, count, each * count, pictures)
            slow = wall(cost, count, each * count, pictures, slowest=0.5)
            parts = (time.starts, time.reading, time.waiting, time.merging)
            lines.append(
                row(
                    f"{count:,}",
                    f"{each * count:,}",
                    f"{time.whole:,.0f}",
                    f"{pictures * cost.picture / count / time.whole:.0%}",
                    *(f"{part:,.1f}" for part in parts),
                    f"{slow.whole:,.0f}",
                )
            )
    return lines


def one_place(machines: Sequence[int], indexes_each: Sequence[int], list_bytes: int, picture_bytes: int) -> list[str]:
    """What comes together at one registry, one mirror, one storage host and one controller."""
    lines = table("machines", "indexes", "images", "models (`lean`)", "lists", "pictures", "pods made")
    for count in machines:
        for each in indexes_each:
            wanted = demand(count, each * count, list_bytes, picture_bytes)
            sizes = (f"{size / 1e9:,.1f} GB, {seconds(size, GBIT):,.0f} s" for size in wanted)
            lines.append(row(f"{count:,}", f"{each * count:,}", *sizes, f"{seconds_of_pods(each * count):,.0f} s"))
    polite = seconds(picture_bytes, POLITE_MBIT) / 3600
    lines.append("")
    lines.append(
        f"Seconds are those of one line of {GBIT / 1e3:g} Gbit/s that does nothing else. From a host that allows"
    )
    lines.append(
        f"one client {POLITE_MBIT:g} Mbit/s, the pictures take {polite:,.1f} hours, with any number of machines."
    )
    return lines


def ratio_of(found: Sequence[Outcome], first: Sequence[Outcome]) -> float:
    """Median of the ratios round by round."""
    return median(a.wall / b.wall for a, b in zip(found, first, strict=True))


def efficiency(ratio: float, machines: int) -> float:
    """How much of what was paid for did something: 1 is ideal."""
    return 1 / (machines * ratio)


def met(value: float, target: float) -> str:
    """In words. As many digits count as are printed."""
    return "met" if round(value, 2) <= target else "NOT met"


def middle(found: Sequence[Outcome], pick: Callable[[Outcome], float]) -> float:
    """Median over the rounds."""
    return median(map(pick, found))


def table(*columns: str) -> list[str]:
    """The head of a table."""
    return [row(*columns), "|" + "---|" * len(columns)]


def row(*cells: str) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"
