"""`birdlite convert MODEL --to onnx --output DIR`: a model in another format, proven equal to its source."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from birdlite import log
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
from birdlite.convert.bundle_writer import check_place, write_bundle
from birdlite.convert.compare import spell
from birdlite.convert.conversion import convert
from birdlite.convert.pictures import choose
from birdlite.errors import UsageError
from birdlite.models.catalog import DEFAULT_MODEL
from birdlite.settings import Settings


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
        pictures = choose(model, values.pictures, settings.fetch)
        conversion = convert(model, values.quantize, pictures)
    card = conversion.card
    log.info(f"{card.name}: {card.files['model.onnx'].bytes / 1e6:.1f} MB; {spell(conversion.distance)}")
    if conversion.problem and not values.force:
        log.error(f"not written: {conversion.problem}; --force writes it all the same")
        return EXIT_CANNOT_RUN
    write_bundle(values.output, card, conversion.files)
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
