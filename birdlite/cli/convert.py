"""`birdlite convert [SOURCE] --to tflite|onnx --output DIR`: convert a model, and compare it with its source."""

from __future__ import annotations

from types import SimpleNamespace

from birdlite import log
from birdlite.cli.console import open_console, say
from birdlite.cli.declare import Argument, Command, Option, Value
from birdlite.cli.exit_codes import EXIT_CANNOT_RUN, EXIT_OK
from birdlite.cli.options import CACHE, FILE, FOLDER, MESSAGES, MODEL, NETWORK
from birdlite.cli.values import classifier_settings, pair
from birdlite.convert.conversion import Conversion, check_place, write_bundle
from birdlite.convert.hub import DEFAULT_HANDLE
from birdlite.convert.module import WHOLE_RANGE, Reading, check_source, is_module, open_module
from birdlite.convert.onnx_graph import require_onnx
from birdlite.convert.pictures import COMPARED, calibration, choose
from birdlite.convert.proof import spell
from birdlite.convert.proven import check_module, check_tflite, convert_module, convert_tflite, requantise
from birdlite.errors import EngineMissing, UsageError
from birdlite.models.bundle import MODEL_FILES
from birdlite.models.catalog import CATALOG, is_birds
from birdlite.run.classifier import Classifier

EPILOG = """\
A SavedModel needs the extra `convert`, which is TensorFlow. A .tflite needs the extra `onnx` to become ONNX. What is
missing is named, with the command that installs it. A uint8 .tflite needs nothing to become an int8 one, which is
faster.

Use the result with `birdlite classify --model DIR`.
"""


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command."""
    open_console(values)
    if values.output is None:
        raise UsageError("--output DIR is missing: the folder for the converted model")
    check_place(values.output, replace=values.force)
    conversion = _from_module(values) if is_module(values.source) else _from_tflite(values)
    card = conversion.card
    size = card.files[MODEL_FILES[card.format]].bytes / 1e6
    log.info(f"{card.name}: {size:.1f} MB; to its source, {spell(conversion.distance)}")
    if conversion.float_distance is not None:
        log.info(f"to its source in floats, {spell(conversion.float_distance)}")
    if conversion.problem:
        if not values.force:
            log.error(f"not written: {conversion.problem}; use --force to write it anyway")
            return EXIT_CANNOT_RUN
        log.warning(f"written anyway: {conversion.problem}")
    write_bundle(values.output, card, conversion.files, replace=values.force)
    say(f"{values.output}: {card.name}")
    return EXIT_OK


def _from_module(values: SimpleNamespace) -> Conversion:
    try:
        check_module(values.to, values.quantize, calibrated=bool(values.calibrate))
    except EngineMissing:
        check_source(values.source)  # what is wrong with it is told before a package that is missing
        raise
    settings = classifier_settings(values)
    reading = Reading(values.tags, values.signature, values.input_range or WHOLE_RANGE, values.labels)
    module = open_module(values.source, reading, settings)
    representative = calibration(values.calibrate, module.side, settings.fetch) if values.calibrate else None
    if representative is not None and not values.pictures:
        pictures = representative.middles[:COMPARED]
    else:
        pictures = choose(values.pictures, module.side, settings.fetch, birds=module.birds)
    return convert_module(module, values.to, values.quantize, pictures, representative)


def _from_tflite(values: SimpleNamespace) -> Conversion:
    if (values.tags, values.signature, values.input_range) != (None, None, None):
        raise UsageError(
            f"--tags, --signature and --input-range are for SavedModels only, and {values.source} is not one"
        )
    check_tflite(values.source)
    settings = classifier_settings(values)._replace(model=values.source)
    with Classifier(settings) as classifier:
        if values.source not in CATALOG:
            _ = classifier.model  # a wrong name, or a file that is no model, is told before a package that is missing
        if values.to == "onnx":
            require_onnx()
        elif values.quantize != "int8":
            raise UsageError(f"{values.source} is not a SavedModel: --to tflite needs --quantize int8 for it")
        model = classifier.model
    if values.calibrate:
        log.info("--calibrate: the source states its ranges, so the pictures are used for comparing only")
    shown = values.pictures or values.calibrate
    pictures = choose(shown, model.card.side, settings.fetch, birds=is_birds(model.card))
    return requantise(model, pictures) if values.to == "tflite" else convert_tflite(model, values.quantize, pictures)


COMMAND = Command(
    "convert",
    "Convert a model to ONNX or TensorFlow Lite and check that both give the same answers.",
    EPILOG,
    arguments=[
        Argument(
            "source",
            "[SOURCE]",
            "A TensorFlow Hub handle or URL, a .tar.gz or folder of a SavedModel, a .tflite file, a model folder,"
            f" or a model's name. Without one: {DEFAULT_HANDLE}.",
            type=MODEL,
            default=DEFAULT_HANDLE,
        )
    ],
    options={
        "Conversion": [
            Option("--to", "Format to convert to.", choices=("onnx", "tflite"), default="onnx"),
            Option(
                "--quantize",
                "Numbers in the result: none keeps 32-bit floats, float16 halves the weights, int8 uses 8 bits"
                " everywhere.",
                choices=("none", "float16", "int8"),
                default="none",
            ),
            Option(
                "--calibrate PATH",
                "For int8: find the ranges of values with these pictures (files, folders, lists) if the source does not"
                " state them. May be repeated.",
                type=FILE,
                multiple=True,
            ),
            Option("-o, --output DIR", "Write the model folder DIR. Always needed.", type=FOLDER),
            Option(
                "--pictures PATH",
                "Compare source and result on these pictures. May be repeated.",
                type=FILE,
                multiple=True,
                shown="those of --calibrate, else the five samples (birds models) or the demo's drawings",
            ),
            Option(
                "--force",
                "Write the result even if it differs too much from the source, and replace a model that is there.",
            ),
        ],
        "Source": [
            Option(
                "--labels FILE", "Label map (a csv with the columns id and name) of a source without labels.", type=FILE
            ),
            Option(
                "--tags TAGS",
                "Tags of the graph in a SavedModel, with commas between them. '' means no tags.",
                shown="the only ones there are",
            ),
            Option("--signature NAME", "Signature of a SavedModel.", shown="default"),
            Option(
                "--input-range BLACK,WHITE",
                "Numbers for black and white that a SavedModel of floats expects, such as --input-range=-1,1.",
                type=Value(pair),
                shown="0,1",
            ),
        ],
        **CACHE,
        **NETWORK,
        **MESSAGES,
    },
)
