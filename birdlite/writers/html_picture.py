"""One picture's row in the report: its name as a link, what it is, and its best candidates or why there are none."""

from __future__ import annotations

from collections.abc import Iterator

from birdlite.results import Failure, ImageInfo, Prediction, Result
from birdlite.writers import WriterOptions
from birdlite.writers.markup import address, last_part, text
from birdlite.writers.page import bar

CANDIDATES = 5  # shown of a picture, should --top ask for more
LONGEST_NAME = 100  # characters of a species' name, and of a file's

_READ = {"too_large", "not_an_image", "decode"}  # failures of files that are there, so that a link leads somewhere


def row(result: Result, options: WriterOptions) -> str:
    """A row of the table of pictures, with a line end."""
    failure = result.failure
    if failure is not None:
        said = f'<span class="bad">{text(failure.kind)}</span>: {text(reason(result, failure))}'
    elif result.predictions:
        said = f"<ol>{''.join(map(_candidate, result.predictions[:CANDIDATES]))}</ol>"
    else:
        said = f'<span class="soft">{nothing(options)}</span>'
    details = [*_image(result.image)]
    if options.times and result.times is not None:
        details.append(f"{result.times.total:,.1f} ms")
    small = f"<small>{' · '.join(details)}</small>" if details else ""
    name = _name(result, options.folder)
    return f'<tr><td class="n">{result.index}</td><td>{name}{small}</td><td class="t">{said}</td></tr>\n'


def nothing(options: WriterOptions) -> str:
    """What a picture without candidates has."""
    return f"nothing above {options.min_score:g}" if options.min_score > 0 else "no predictions"


def reason(result: Result, failure: Failure) -> str:
    """The message of a failure without the target, which stands beside it."""
    return failure.message.removeprefix(f"{result.target}: ")


def named(name: str, common_name: str | None, tag: str) -> str:
    """A species: the common name in front if there is one."""
    first = f"<{tag}>{text(common_name or name, LONGEST_NAME)}</{tag}>"
    return f"{first} <em>{text(name, LONGEST_NAME)}</em>" if common_name else first


def _name(result: Result, folder: str | None) -> str:
    """The last part of a target in front, for that is what tells it from its neighbours; below it the whole."""
    target, failure = result.target, result.failure
    is_there = failure is None or failure.kind in _READ or target[:4].lower() == "http"
    href = address(target, folder) if is_there else None
    last = last_part(target)
    name = text(last, LONGEST_NAME)
    shown = f'<a href="{href}" rel="noreferrer nofollow">{name}</a>' if href else name
    whole = "" if last == target else f'<small class="t">{text(target)}</small>'
    return f'<span class="t">{shown}</span>{whole}'


def _candidate(prediction: Prediction) -> str:
    species = named(prediction.name, prediction.common_name, "b")
    return f'<li>{bar(prediction.score)}<span>{species}</span><span class="n">{prediction.score:.3f}</span></li>'


def _image(image: ImageInfo | None) -> Iterator[str]:
    if image is not None:
        yield f"{image.width} × {image.height}"
        yield text(image.format)
        yield f"{image.bytes / 1e6:,.1f} MB" if image.bytes >= 1e6 else f"{image.bytes / 1e3:,.1f} kB"
