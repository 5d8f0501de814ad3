"""What the report counts while results come: species by the best candidate, failures by kind. All of it is bounded."""

from __future__ import annotations

from birdlite.results import Failure, Prediction, Result
from birdlite.writers import WriterOptions
from birdlite.writers.html_picture import named, nothing, reason
from birdlite.writers.html_rows import KeptRows
from birdlite.writers.markup import text
from birdlite.writers.page import bar

SPECIES = 20_000  # different ones to count: the largest models know half as many, and other people's records anything
SPECIES_SHOWN = 1_000
SPECIES_FIRST = 12  # the others are folded away
EXAMPLES = 20  # failures shown of each kind
MILLIONTHS = 1_000_000  # as records have them
BACKGROUND = "background"  # the class of pictures without a bird, in Google's label maps

MEANINGS = {
    "not_found": "no such file, folder, host or object",
    "http_status": "the server answered, but not with the picture",
    "network": "no connection, or it broke",
    "timeout": "the time for the picture was up",
    "too_large": "more bytes or pixels than allowed",
    "not_an_image": "empty, or of no known format",
    "decode": "a picture, but damaged",
    "blocked": "forbidden, or not permitted",
    "unsupported": "of a kind that is not read",
    "cancelled": "under way when the run was interrupted",
}


class SpeciesCount:
    """How often each species was the best candidate, and how sure of it the model was."""

    def __init__(self) -> None:
        self._species: dict[tuple[int, str], _Species] = {}
        self._beyond = 0  # pictures of species that there was no more room for
        self._unnamed = 0  # pictures without a candidate

    def add(self, predictions: tuple[Prediction, ...]) -> None:
        """Count a picture that was classified."""
        if not predictions:
            self._unnamed += 1
            return
        best = predictions[0]
        species = self._species.get((best.id, best.name))
        if species is None:
            if len(self._species) >= SPECIES:
                self._beyond += 1
                return
            species = self._species[best.id, best.name] = _Species(best)
        species.count += 1
        species.scores += round(best.score * MILLIONTHS)

    def __bool__(self) -> bool:
        return bool(self._species or self._unnamed)

    def number(self) -> str:
        """How many species; background is none."""
        count = sum(name != BACKGROUND for _, name in self._species)
        return f"{count:,}{'+' if self._beyond else ''}"

    def section(self, options: WriterOptions) -> str:
        """The section of the page; nothing if nothing was classified."""
        if not self:
            return ""
        ranked = sorted(self._species.values(), key=lambda one: (-one.count, one.name))
        most = max((one.count for one in ranked), default=0)
        rows = [one.row(most) for one in ranked[:SPECIES_SHOWN]]
        rest = [f"And {len(ranked) - len(rows):,} more species."] if len(ranked) > len(rows) else []
        if self._beyond:
            rest.append(f"And {self._beyond:,} pictures of species beyond the first {SPECIES:,}.")
        if self._unnamed:
            rest.append(f"{self._unnamed:,} with {nothing(options)}.")
        return (
            '<section id="species">\n<h2>Species</h2>\n<p class="soft">By the best candidate of each picture.</p>\n'
            f"{_table(rows[:SPECIES_FIRST])}{_folded(rows[SPECIES_FIRST:])}"
            f"{''.join(f'<p>{line}</p>{chr(10)}' for line in rest)}</section>\n"
        )


class _Species:
    __slots__ = ("common_name", "count", "name", "scores")

    def __init__(self, best: Prediction) -> None:
        self.name = best.name
        self.common_name = best.common_name
        self.count = 0
        self.scores = 0  # their sum, in millionths: the same in whatever order they come

    def row(self, most: int) -> str:
        common_name = "no bird" if self.name == BACKGROUND and not self.common_name else self.common_name
        return (
            f'<tr><td class="t">{named(self.name, common_name, "span")}</td><td class="n">{self.count:,}</td>'
            f'<td>{bar(self.count / most)}</td><td class="n">{self.scores / MILLIONTHS / self.count:.3f}</td></tr>\n'
        )


def _table(rows: list[str]) -> str:
    if not rows:
        return ""
    return (
        '<table class="species">\n<thead><tr><th>species</th><th class="n">pictures</th><th></th>'
        f'<th class="n">mean score</th></tr></thead>\n<tbody>\n{"".join(rows)}</tbody>\n</table>\n'
    )


def _folded(rows: list[str]) -> str:
    return f"<details>\n<summary>{len(rows):,} more</summary>\n{_table(rows)}</details>\n" if rows else ""


class FailureCount:
    """How many failures there were of each kind, and the first of them."""

    def __init__(self, *, by_index: bool) -> None:
        self._by_index = by_index
        self._counts: dict[str, int] = {}
        self._examples: dict[str, KeptRows] = {}  # items of a list, in HTML

    def add(self, result: Result, failure: Failure) -> None:
        """Count a picture that failed."""
        self._counts[failure.kind] = self._counts.get(failure.kind, 0) + 1
        if failure.kind not in self._examples:
            self._examples[failure.kind] = KeptRows(EXAMPLES, by_index=self._by_index)
        examples = self._examples[failure.kind]
        if examples.wants(result.index):
            target, said = text(result.target), text(reason(result, failure))
            example = f'<li><span class="t">{target}</span><br><small class="t">{said}</small></li>\n'
            examples.add(result.index, example)

    def __bool__(self) -> bool:
        return bool(self._counts)

    def section(self) -> str:
        """The section of the page; nothing if nothing failed."""
        if not self:
            return ""
        kinds = sorted(self._counts, key=lambda kind: (-self._counts[kind], kind))
        return f'<section id="failures">\n<h2>Failures</h2>\n{"".join(map(self._kind, kinds))}</section>\n'

    def _kind(self, kind: str) -> str:
        count, examples = self._counts[kind], self._examples[kind]
        more = f"<p><small>And {count - len(examples):,} more.</small></p>\n" if count > len(examples) else ""
        return (
            f"<h3>{count:,} × {text(kind)} <small>{MEANINGS.get(kind, '')}</small></h3>\n"
            f"<ul>\n{''.join(examples)}</ul>\n{more}"
        )
