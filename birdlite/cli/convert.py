"""`birdlite convert [SOURCE] --to tflite|onnx --output DIR`: a model in another format, proven equal to its source."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from birdlite import log
from birdlite.cli import EXIT_CANNOT_RUN, EXIT_OK
from birdlite.cli.options import (
    add_cache_options,
    add_log_options,
    add_network_options,
    fetch_settings,
    open_console,
)
from birdlite.cli.parser import Parser
from birdlite.cli.values import pair
from birdlite.convert import from_tflite
from birdlite.convert.bundle_writer import check_place, write_bundle
from birdlite.convert.compare import spell
from birdlite.convert.conversion import Conversion
from birdlite.convert.from_tflite import convert_tflite, requantise
from birdlite.convert.module import WHOLE_RANGE, Reading, is_module, open_module
from birdlite.convert.pictures import COMPARED, calibration, choose
from birdlite.convert.saved_model.hub import DEFAULT_HANDLE
from birdlite.errors import UsageError
from birdlite.models.bundle import MODEL_FILES
from birdlite.models.catalog import is_birds
from birdlite.run.classifier import Classifier
from birdlite.settings import Settings


def main(argv: Sequence[str], started: float) -> int:  # noqa: ARG001 - every command has this shape
    """Run the command."""
    values = _parser().parse(argv)
    open_console(values)
    if values.output is None:
        raise UsageError("say with --output where the bundle goes")
    check_place(values.output, replace=values.force)
    conversion = _from_module(values) if is_module(values.source) else _from_tflite(values)
    card = conversion.card
    size = card.files[MODEL_FILES[card.format]].bytes / 1e6
    log.info(f"{card.name}: {size:.1f} MB; to its source, {spell(conversion.distance)}")
    if conversion.float_distance is not None:
        log.info(f"to its source in floats, {spell(conversion.float_distance)}")
    if conversion.problem:
        if not values.force:
            log.error(f"not written: {conversion.problem}; --force writes it all the same")
            return EXIT_CANNOT_RUN
        log.warning(f"written all the same: {conversion.problem}")
    write_bundle(values.output, card, conversion.files)
    sys.stdout.write(f"{values.output}: {card.name}\n")
    return EXIT_OK


def _from_module(values: argparse.Namespace) -> Conversion:
    from birdlite.convert.from_module import check, convert_module

    check(values.to, values.quantize, calibrated=bool(values.calibrate))
    settings = _settings(values)
    reading = Reading(values.tags, values.signature, values.input_range or WHOLE_RANGE, values.labels)
    module = open_module(values.source, reading, settings)
    representative = calibration(values.calibrate, module.side, settings.fetch) if values.calibrate else None
    if representative is not None and not values.pictures:
        pictures = representative.middles[:COMPARED]
    else:
        pictures = choose(values.pictures, module.side, settings.fetch, birds=module.birds)
    return convert_module(module, values.to, values.quantize, pictures, representative)


def _from_tflite(values: argparse.Namespace) -> Conversion:
    if (values.tags, values.signature, values.input_range) != (None, None, None):
        raise UsageError(f"--tags, --signature and --input-range are for SavedModels; {values.source} is none")
    if values.to == "onnx":
        from_tflite.check()
    elif values.quantize != "int8":
        raise UsageError(
            f"{values.source} is no SavedModel: to TensorFlow Lite it can only be made int8 (--quantize int8)"
        )
    settings = _settings(values)._replace(model=values.source, labels=values.labels)
    with Classifier(settings) as classifier:
        model = classifier.model
    if values.calibrate:
        log.info("int8 takes the ranges of the source; the pictures are compared on, not calibrated on")
    shown = values.pictures or values.calibrate
    pictures = choose(shown, model.card.side, settings.fetch, birds=is_birds(model.card))
    return requantise(model, pictures) if values.to == "tflite" else convert_tflite(model, values.quantize, pictures)


def _settings(values: argparse.Namespace) -> Settings:
    return Settings(cache_dir=values.cache_dir, no_cache=values.no_cache, fetch=fetch_settings(values))


def _parser() -> Parser:
    parser = Parser(
        "birdlite convert",
        "Convert a classifier to ONNX or TensorFlow Lite and prove that both give the same answers.",
        "To ONNX needs the extra `onnx` (pip install 'birdlite[onnx]'). From a SavedModel to TensorFlow Lite needs the "
        "extra `convert`, which is TensorFlow; from a uint8 .tflite to an int8 one, which is faster, needs nothing. "
        "Then: birdlite classify --model DIR.",
    )
    parser.add_argument(
        "source",
        nargs="?",
        default=DEFAULT_HANDLE,
        metavar="SOURCE",
        help="a TensorFlow Hub handle or URL, a .tar.gz or folder of a SavedModel, a .tflite file, a bundle's folder, "
        f"or a model's name (default: {DEFAULT_HANDLE})",
    )
    group = parser.add_argument_group("conversion")
    parser.option("--to", choices=("onnx", "tflite"), default="onnx", group=group, help="the format")
    parser.option(
        "--quantize",
        choices=("none", "float16", "int8"),
        default="none",
        group=group,
        help="32-bit floats; weights of half the size; or 8 bits throughout",
    )
    parser.options(
        "--calibrate",
        metavar="PATH",
        group=group,
        help="pictures for the ranges of int8, where the source does not say them itself: files, folders, lists; may "
        "be repeated",
    )
    parser.option("-o", "--output", metavar="DIR", group=group, help="the bundle's folder")
    parser.options(
        "--pictures",
        metavar="PATH",
        group=group,
        help="compare on these; may be repeated (default: those to calibrate on, or the five samples for the birds "
        "models, for others the demo's drawings)",
    )
    parser.flag("--force", group=group, help="write it beyond the bounds too, and over a bundle that is there")
    group = parser.add_argument_group("source")
    parser.option(
        "--labels", metavar="FILE", group=group, help="the label map (csv: id,name) of a source that brings none"
    )
    parser.option(
        "--tags", metavar="TAGS", group=group, help="of the SavedModel's graph, with commas; '' is the empty set"
    )
    parser.option("--signature", metavar="NAME", group=group, help="of the SavedModel (default: default)")
    parser.option(
        "--input-range",
        type=pair,
        metavar="BLACK,WHITE",
        group=group,
        help="what a SavedModel of floats takes for black and white, such as --input-range=-1,1 (default: 0,1)",
    )
    add_cache_options(parser)
    add_network_options(parser)
    add_log_options(parser)
    return parser
