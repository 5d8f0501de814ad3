"""`birdlite convert MODEL --to onnx --output DIR`: a model in another format, proven equal to its source."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from birdlite import disk, log, picture
from birdlite.classifier import Classifier
from birdlite.cli import EXIT_CANNOT_RUN, EXIT_OK
from birdlite.cli.options import (
    add_cache_options,
    add_log_options,
    add_network_options,
    fetch_settings,
    open_console,
)
from birdlite.cli.parser import Parser
from birdlite.convert.bundle_writer import check_place
from birdlite.convert.compare import drawn_pictures
from birdlite.convert.conversion import Conversion, convert, write
from birdlite.errors import ModelUnavailable, PictureError, UsageError
from birdlite.fetch import Fetcher, FetchSettings
from birdlite.models.catalog import DEFAULT_MODEL
from birdlite.settings import Settings
from birdlite.targets import SAMPLES, BadTarget, expand


def main(argv: Sequence[str], started: float) -> int:  # noqa: ARG001 - every command has this shape
    """Run the command."""
    values = _parser().parse(argv)
    open_console(values)
    if values.output is None:
        raise UsageError("say with --output where the bundle goes")
    check_place(values.output, replace=values.force)
    settings = Settings(
        model=values.model,
        labels=values.labels,
        cache_dir=values.cache_dir,
        no_cache=values.no_cache,
        fetch=fetch_settings(values),
    )
    with Classifier(settings) as classifier:
        model = classifier.model
        side = model.card.side
        if values.pictures:
            pictures = _pictures(values.pictures, side, values.max_bytes)
        elif values.model == DEFAULT_MODEL:
            pictures = _samples(settings.fetch, side)
        else:
            pictures = drawn_pictures(side)
        conversion = convert(model, values.quantize, pictures)
    _report(conversion)
    if conversion.problem and not values.force:
        log.error(f"not written: {conversion.problem}; --force writes it all the same")
        return EXIT_CANNOT_RUN
    write(conversion, values.output)
    sys.stdout.write(f"{values.output}: {conversion.card.name}\n")
    return EXIT_OK


def _parser() -> Parser:
    parser = Parser(
        "birdlite convert",
        "Convert a TensorFlow Lite model to ONNX, without TensorFlow, and prove that both give the same answers.",
        "Needs the extra `onnx`: pip install 'birdlite[onnx]'. Then: birdlite classify --model DIR.",
    )
    parser.add_argument(
        "model",
        nargs="?",
        default=DEFAULT_MODEL,
        metavar="MODEL",
        help=f"a name, a bundle's folder, or a .tflite file (default: {DEFAULT_MODEL})",
    )
    group = parser.add_argument_group("conversion")
    parser.option("--to", choices=("onnx",), default="onnx", group=group, help="the format")
    parser.option(
        "--quantize", choices=("none", "int8"), default="none", group=group, help="floating point, or as the source is"
    )
    parser.option("-o", "--output", metavar="DIR", group=group, help="the bundle's folder")
    parser.option("--labels", metavar="FILE", group=group, help="the label map (csv: id,name) of a bare .tflite file")
    parser.options(
        "--pictures",
        metavar="PATH",
        group=group,
        help="compare on these files and folders; may be repeated (default: the five samples for birds-v1-lite, for "
        "other models the demo's drawings)",
    )
    parser.flag("--force", group=group, help="write it beyond the bounds too, and over a bundle that is there")
    add_cache_options(parser)
    add_network_options(parser)
    add_log_options(parser)
    return parser


def _pictures(paths: Sequence[str], side: int, max_bytes: int) -> Iterator[bytes]:
    """The middles of the user's pictures."""
    for target in expand(paths):
        if isinstance(target, BadTarget):
            raise UsageError(target.failure.message)
        if target.kind == "url":
            raise UsageError(f"{target.name}: pictures to compare on are files")
        try:
            yield picture.decode(disk.read(target.location, max_bytes), side=side).pixels
        except PictureError as error:
            raise UsageError(f"{target.name}: {error}") from None


def _samples(settings: FetchSettings, side: int) -> Iterator[bytes]:
    """The middles of the sample photographs, fetched all at once.

    Drawings will not do for this model: where it has nothing to recognise, rounding alone moves its scores by 0.2.
    """
    from concurrent.futures import ThreadPoolExecutor

    fetcher = Fetcher(settings)
    try:
        with ThreadPoolExecutor(len(SAMPLES)) as pool:
            for data in pool.map(fetcher.get, SAMPLES):
                yield picture.decode(data, side=side).pixels
    except PictureError as error:
        raise ModelUnavailable(
            f"the sample photographs to compare on cannot be had ({error}); name your own with --pictures"
        ) from None
    finally:
        fetcher.close()


def _report(conversion: Conversion) -> None:
    distance, card = conversion.distance, conversion.card
    model = card.files["model.onnx"]
    log.info(
        f"{card.name}: {model.bytes / 1e6:.1f} MB; on {distance.pictures} pictures: largest difference of a score "
        f"{distance.max_difference:.4f}, on half of them {distance.median_difference:.4f}, same best class "
        f"{distance.top1:.0%}, three best in common {distance.top3:.0%}"
    )
