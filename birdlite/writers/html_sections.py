"""The sections of the report: species by the best candidate, failures by kind, and a row for each picture.

All of it is bounded. Species and failures are counted as results come. Rows wait for the end of the page, and the first
in the order of the list are kept: shards and `--unordered` runs give results as they finish, and their pages should not
depend on chance. Each row is compressed by itself, so that it can be dropped when an earlier one comes. The first row
is the dictionary for all others, because they hardly differ from it.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from heapq import heappush, heappushpop

from birdlite import log
from birdlite.results import Failure, Prediction, Result
from birdlite.writers.base import WriterOptions, nothing, short_message
from birdlite.writers.page import address, bar, last_part, section, table, text

CANDIDATES = 5  # shown of a picture, even if --top asks for more
LONGEST_NAME = 100  # characters of a species' name, and of a file's

_READ = {"too_large", "not_an_image", "decode"}  # failures of files that exist, so that a link to them works
SPECIES = 20_000  # different ones that are counted; the largest models have half as many, but records can hold anything
SPECIES_SHOWN = 1_000
SPECIES_FIRST = 12  # the others are folded
EXAMPLES = 20  # failures shown of each kind
MILLIONTHS = 1_000_000  # the digits of scores in records
BACKGROUND = "background"  # the class of pictures without a bird in Google's label maps

MEANINGS = {
    "not_found": "no such file, folder, host or object",
    "http_status": "the server answered, but not with the picture",
    "network": "no connection, or a broken one",
    "timeout": "the time limit was reached",
    "too_large": "more bytes or pixels than allowed",
    "not_an_image": "empty, or of no known format",
    "decode": "a picture, but damaged",
    "blocked": "forbidden, or not permitted",
    "unsupported": "of a kind that birdlite does not read",
    "cancelled": "under way when the run was interrupted",
}
_Species = tuple[int, str]  # id and name

# zlib's fastest settings that find a whole row again; a negative window: without header and checksum.
LEVEL, WINDOW, MEMORY = 1, -12, 5


class SpeciesCount:
    """How often each species was the best candidate, and with what score."""

    def __init__(self) -> None:
        self._common_names: dict[_Species, str | None] = {}
        self._counts: Counter[_Species] = Counter()
        self._scores: Counter[_Species] = Counter()  # sums in millionths, which do not depend on the order of results
        self._beyond = 0  # pictures of species beyond the first `SPECIES`
        self._unnamed = 0  # pictures without a candidate

    def add(self, predictions: tuple[Prediction, ...]) -> None:
        """Count a classified picture."""
        if not predictions:
            self._unnamed += 1
            return
        best = predictions[0]
        species = best.id, best.name
        if species not in self._counts and len(self._counts) >= SPECIES:
            self._beyond += 1
            return
        self._common_names.setdefault(species, best.common_name)
        self._counts[species] += 1
        self._scores[species] += round(best.score * MILLIONTHS)

    def number(self) -> str:
        """The number of species, without background."""
        count = sum(name != BACKGROUND for _, name in self._counts)
        return f"{count:,}{'+' if self._beyond else ''}"

    def section(self, options: WriterOptions) -> str:
        """The section of the page; empty if nothing was classified."""
        if not self._counts and not self._unnamed:
            return ""
        ranked = sorted(self._counts, key=lambda one: (-self._counts[one], one[1]))
        rows = [self._row(one, self._counts[ranked[0]]) for one in ranked[:SPECIES_SHOWN]]
        rest = [f"And {len(ranked) - len(rows):,} more species."] if len(ranked) > len(rows) else []
        if self._beyond:
            rest.append(f"And {log.counted(self._beyond, 'picture')} of species beyond the first {SPECIES:,}.")
        if self._unnamed:
            rest.append(f"{self._unnamed:,} with {nothing(options)}.")
        body = '<p class="soft">By the best candidate of each picture.</p>\n'
        cells = '<th>species</th><th class="n">pictures</th><th></th><th class="n">mean score</th>'
        if rows:
            body += table("species", cells, rows[:SPECIES_FIRST])
        if folded := rows[SPECIES_FIRST:]:
            body += f"<details>\n<summary>{len(folded):,} more</summary>\n{table('species', cells, folded)}</details>\n"
        return section("species", "Species", body + "".join(f"<p>{line}</p>\n" for line in rest))

    def _row(self, species: _Species, most: int) -> str:
        name, count = species[1], self._counts[species]
        common_name = self._common_names[species] or ("no bird" if name == BACKGROUND else None)
        mean = self._scores[species] / MILLIONTHS / count
        return (
            f'<tr><td class="t">{named(name, common_name, "span")}</td><td class="n">{count:,}</td>'
            f'<td>{bar(count / most)}</td><td class="n">{mean:.3f}</td></tr>\n'
        )


class FailureCount:
    """The number of failures of each kind, and the first of them."""

    def __init__(self, *, by_index: bool) -> None:
        self._by_index = by_index
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, KeptRows] = {}  # items of a list, in HTML

    def add(self, result: Result, failure: Failure) -> None:
        """Count a failed picture."""
        self._counts[failure.kind] += 1
        examples = self._examples.setdefault(failure.kind, KeptRows(EXAMPLES, by_index=self._by_index))
        if examples.wants(result.index):
            target, message = text(result.target), text(short_message(result, failure))
            example = f'<li><span class="t">{target}</span><br><small class="t">{message}</small></li>\n'
            examples.add(result.index, example)

    def section(self) -> str:
        """The section of the page; empty if nothing failed."""
        kinds = sorted(self._counts, key=lambda kind: (-self._counts[kind], kind))
        return section("failures", "Failures", "".join(map(self._kind, kinds))) if kinds else ""

    def _kind(self, kind: str) -> str:
        count, examples = self._counts[kind], self._examples[kind]
        more = f"<p><small>And {count - len(examples):,} more.</small></p>\n" if count > len(examples) else ""
        return (
            f"<h3>{count:,} × {text(kind)} <small>{MEANINGS.get(kind, '')}</small></h3>\n"
            f"<ul>\n{''.join(examples)}</ul>\n{more}"
        )


class KeptRows:
    """The first `limit` rows, by index or as they come."""

    def __init__(self, limit: int, *, by_index: bool) -> None:
        self._limit = limit
        self._by_index = by_index
        self._heap: list[tuple[int, int, bytes]] = []  # the last row on top; its key and its number are negative
        self._came = 0
        self._dictionary = b""

    def __len__(self) -> int:
        return len(self._heap)

    def wants(self, index: int) -> bool:
        """Whether a row with this index would be kept."""
        return len(self._heap) < self._limit or (self._by_index and index < -self._heap[0][0])

    def add(self, index: int, row: str) -> None:
        """Keep a row for which `wants` is true."""
        octets = row.encode()
        self._dictionary = self._dictionary or octets
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW, MEMORY, zlib.Z_DEFAULT_STRATEGY, self._dictionary)
        self._came += 1
        kept = (-(index if self._by_index else self._came), -self._came, packer.compress(octets) + packer.flush())
        (heappush if len(self._heap) < self._limit else heappushpop)(self._heap, kept)

    def __iter__(self) -> Iterator[str]:
        for _, _, packed in sorted(self._heap, reverse=True):
            unpacker = zlib.decompressobj(WINDOW, self._dictionary)
            yield (unpacker.decompress(packed) + unpacker.flush()).decode()


def row(result: Result, options: WriterOptions) -> str:
    """A row of the table of pictures, with a line end: name and link, size, and candidates or the failure."""
    failure = result.failure
    if failure is not None:
        outcome = f'<span class="bad">{text(failure.kind)}</span>: {text(short_message(result, failure))}'
    elif result.predictions:
        outcome = f"<ol>{''.join(map(_candidate, result.predictions[:CANDIDATES]))}</ol>"
    else:
        outcome = f'<span class="soft">{nothing(options)}</span>'
    details = []
    if result.image is not None:
        width, height, format_, size = result.image
        shown_size = f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"
        details = [f"{width} × {height}", text(format_), shown_size]
    if options.times and result.times is not None:
        details.append(f"{result.times.total:,.1f} ms")
    small = f"<small>{' · '.join(details)}</small>" if details else ""
    name = _name(result, options.folder)
    return f'<tr><td class="n">{result.index}</td><td>{name}{small}</td><td class="t">{outcome}</td></tr>\n'


def named(name: str, common_name: str | None, tag: str) -> str:
    """A species: first the common name, if there is one."""
    first = f"<{tag}>{text(common_name or name, LONGEST_NAME)}</{tag}>"
    return f"{first} <em>{text(name, LONGEST_NAME)}</em>" if common_name else first


def _name(result: Result, folder: str | None) -> str:
    """The file name of a target, which differs from row to row, and below it the whole target."""
    target, failure = result.target, result.failure
    exists = failure is None or failure.kind in _READ or target[:4].lower() == "http"
    href = address(target, folder) if exists else None
    last = last_part(target)
    name = text(last, LONGEST_NAME)
    shown = f'<a href="{href}" rel="noreferrer nofollow">{name}</a>' if href else name
    whole = "" if last == target else f'<small class="t">{text(target)}</small>'
    return f'<span class="t">{shown}</span>{whole}'


def _candidate(prediction: Prediction) -> str:
    species = named(prediction.name, prediction.common_name, "b")
    return f'<li>{bar(prediction.score)}<span>{species}</span><span class="n">{prediction.score:.3f}</span></li>'
