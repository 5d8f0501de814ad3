"""Figures for people, or as JSON. Called by `birdlite bench`."""

from __future__ import annotations

from birdlite import log
from birdlite.bench import Figures
from birdlite.printable import BOLD
from birdlite.writers.record import to_json
from birdlite.writers.terminal import Terminal

_MIB = 1 << 20


def as_json(figures: Figures) -> str:
    """One object; its fields are those of `Figures`, times rounded to a microsecond."""
    record = figures._asdict()
    record["machine"] = figures.machine._asdict()
    record["inference"] = [_rounded(one._asdict()) for one in figures.inference]
    return to_json(_rounded(record), indent=2) + "\n"


def as_text(figures: Figures, terminal: Terminal) -> str:
    """A line for each figure."""
    machine = figures.machine
    rows = [
        ("load", f"{figures.load_ms:.1f} ms"),
        ("first inference", f"{figures.first_inference_ms:.2f} ms"),
        *((f"inference, {log.counted(one.threads, 'thread')}", f"{one.ms:.2f} ms") for one in figures.inference),
        ("decode", f"{figures.decode_ms:.2f} ms a picture"),
        ("whole run", f"{figures.images_per_second:.0f} pictures a second, {log.counted(figures.workers, 'worker')}"),
        ("peak memory", f"{figures.peak_memory_bytes / _MIB:.0f} MiB"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [
        terminal.paint(terminal.text(f"{figures.model} on {figures.engine}"), BOLD),
        terminal.text(
            f"{machine.processor}, {machine.processors} usable; {machine.system}; Python {machine.python}; "
            f"birdlite {machine.birdlite}"
        ),
        (
            f"{log.counted(figures.pictures, 'picture')} of {figures.bytes / figures.pictures / 2**10:.0f} KiB"
            f" on average, --resize {figures.resize}; medians of {log.counted(figures.rounds, 'round')}"
        ),
        "",
        *(f"  {name:{width}}  {value}" for name, value in rows),
    ]
    return "\n".join(lines) + "\n"


def _rounded(record: dict[str, object]) -> dict[str, object]:
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in record.items()}
