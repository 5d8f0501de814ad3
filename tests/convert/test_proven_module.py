"""A SavedModel converted, and its proof: good ones pass, a bias, a channel order or a clip gone wrong is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="the extra `convert` is not installed")
pytest.importorskip("tf2onnx", reason="the extra `convert` is not installed")

from birdlite import FetchSettings, Settings, engines
from birdlite.convert import proven
from birdlite.convert.graph import Graph
from birdlite.convert.module import Module, Reading, open_module
from birdlite.convert.pictures import Calibration, calibration
from birdlite.convert.proof import Quantize
from birdlite.convert.proven import convert_module, distance_to
from birdlite.convert.tensorflow_package import imported
from birdlite.errors import InvalidModel, UsageError
from birdlite.models.bundle import Model, model_of
from birdlite.models.card import ModelFormat
from tests import tensorflow_models
from tests.tiny_graphs import CLASSES, network, photographs, source
from tests.tiny_saved_models import GIVES, TAKES, write

MEGABYTES = {"none": 13.8, "float16": 6.9, "int8": 4.0}  # of the real network's TensorFlow Lite
WAYS = [(to, quantize) for to in ("onnx", "tflite") for quantize in ("none", "float16", "int8")]
Subject = tuple[Module, list[bytes], Calibration]
Fault = Callable[[Graph], Graph]


def labels(folder: Path, classes: int = CLASSES) -> str:
    path = folder / "labels.csv"
    path.write_text("id,name\n" + "".join(f"{number},bird {number}\n" for number in range(classes)))
    return str(path)


def tiny_module(folder: Path, graph_def: Any = None, *, classes: int = CLASSES, **how: Any) -> Module:
    """A tiny module on disk, opened."""
    module = write(folder / "tiny", graph_def or network(), **how)
    return open_module(str(module), Reading(labels=labels(folder, classes)), Settings())


@pytest.fixture
def tiny(tmp_path: Path) -> Subject:
    """The tiny quantisation-aware network."""
    pictures = photographs(12)
    return tiny_module(tmp_path), pictures, Calibration(12, pictures)


@pytest.fixture(scope="module")
def real(birds: Path) -> Subject:
    """The stand-in for the Hub's birds_V1/1, and the six photographs."""
    mirror = birds / "mirror"
    archive = mirror / "www.kaggle.com/api/v1/models/google/aiy/tensorFlow1/vision-classifier-birds-v1/1/download"
    label_map = mirror / "www.gstatic.com/aihub/tfhub/labelmaps/aiy_birds_V1_labelmap.csv"
    module = open_module(str(archive), Reading(labels=str(label_map)), Settings())
    representative = calibration([str(mirror)], module.side, FetchSettings())
    return module, representative.middles, representative


@pytest.fixture(params=["tiny", pytest.param("real", marks=pytest.mark.birds)])
def subject(request: pytest.FixtureRequest) -> Subject:
    """Both of them in turn."""
    found: Subject = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(("to", "quantize"), WAYS)
def test_a_good_conversion_passes(subject: Subject, to: ModelFormat, quantize: Quantize) -> None:
    module, pictures, representative = subject

    conversion = convert_module(module, to, quantize, pictures, representative)

    assert conversion.problem is None
    card = conversion.card
    assert (card.format, card.quantization, card.side) == (to, quantize, module.side)
    assert card.input.dtype == "uint8"
    assert card.name == f"{module.subject.name}-{to}" + ("" if quantize == "none" else f"-{quantize}")
    assert card.distance["max_difference"] == round(conversion.distance.max_difference, 6)
    assert conversion.float_distance is not None
    assert card.distance["float_top1"] == round(conversion.float_distance.top1, 6)
    assert card.made_with["source_sha256"] == module.subject.sha256
    assert {"tensorflow", "numpy"} <= card.made_with.keys()
    assert ("tf2onnx" in card.made_with) == (to == "onnx")
    if to == "tflite" and module.side == 224:
        assert round(len(conversion.files["model.tflite"]) / 1e6, 1) == MEGABYTES[quantize]


def without_bias(graph: Graph) -> Graph:
    """The classifier's bias all zero."""
    definition, nodes = copied(graph)
    last = next(node for node in reversed(definition.node) if node.op == "BiasAdd")
    bias = nodes[last.input[1]].attr["value"].tensor
    store(bias, np.zeros_like(imported().make_ndarray(bias)))
    return graph._replace(definition=definition)


def with_red_and_blue_swapped(graph: Graph) -> Graph:
    definition, nodes = copied(graph)
    first = next(node for node in definition.node if node.op == "Conv2D")
    weights = nodes[first.input[1]].attr["value"].tensor
    store(weights, imported().make_ndarray(weights)[:, :, ::-1])
    return graph._replace(definition=definition)


def without_one_clip(graph: Graph) -> Graph:
    """The last Relu6 passes everything."""
    definition, _ = copied(graph)
    next(node for node in reversed(definition.node) if node.op == "Relu6").op = "Identity"
    return graph._replace(definition=definition)


def copied(graph: Graph) -> tuple[Any, dict[str, Any]]:
    """A copy of the graph's definition, and its nodes by name."""
    definition = type(graph.definition).FromString(graph.definition.SerializeToString())
    return definition, {node.name: node for node in definition.node}


def store(tensor: Any, values: Any) -> None:
    tensor.CopyFrom(imported().make_tensor_proto(np.ascontiguousarray(values)))


def inject(monkeypatch: pytest.MonkeyPatch, fault: Fault, to: ModelFormat) -> None:
    """Let the converter be given a faulty network."""
    convert = getattr(proven, f"to_{to}")
    monkeypatch.setattr(proven, f"to_{to}", lambda graph, *rest: convert(fault(graph), *rest))


FAULTS = [without_bias, with_red_and_blue_swapped, without_one_clip]


def is_none(fault: Fault, to: ModelFormat, quantize: Quantize) -> bool:
    """Whether a network with the fault gives the same: the grid of the source's own ranges ends where a Relu6 does."""
    return (fault, to, quantize) == (without_one_clip, "onnx", "int8")


CLOSEST = [(fault, to, "int8") for to in ("onnx", "tflite") for fault in FAULTS]
CLOSEST += [(without_one_clip, "onnx", "none"), (without_bias, "tflite", "float16")]
"""Where a fault is closest to its bound. The tiny network has every fault in every way."""


@pytest.mark.birds
@pytest.mark.parametrize(("fault", "to", "quantize"), CLOSEST)
def test_a_fault_in_the_real_network_is_found(
    real: Subject, monkeypatch: pytest.MonkeyPatch, fault: Fault, to: ModelFormat, quantize: Quantize
) -> None:
    module, pictures, representative = real
    inject(monkeypatch, fault, to)

    found = convert_module(module, to, quantize, pictures, representative).problem

    assert (found is None) == is_none(fault, to, quantize)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("to", "quantize"), WAYS)
def test_a_fault_in_the_tiny_network_is_found(
    tiny: Subject, monkeypatch: pytest.MonkeyPatch, fault: Fault, to: ModelFormat, quantize: Quantize
) -> None:
    module, pictures, representative = tiny
    inject(monkeypatch, fault, to)

    found = convert_module(module, to, quantize, pictures, representative).problem

    assert (found is None) == is_none(fault, to, quantize)


def result_of(module: Module, to: ModelFormat = "onnx", quantize: Quantize = "none") -> Model:
    conversion = convert_module(module, to, quantize, photographs(), None)
    return model_of(conversion.card, conversion.files, None)


def test_the_proof_can_be_repeated_against_the_source(tiny: Subject) -> None:
    module, pictures, _ = tiny

    assert distance_to(module, result_of(module), pictures).top1 == 1.0


def test_a_model_of_other_things_is_not_compared(tiny: Subject) -> None:
    module, pictures, _ = tiny
    other = result_of(module)
    strange = other._replace(labels=other.labels._replace(names=tuple("abcde")))

    with pytest.raises(InvalidModel, match="models of different things"):
        distance_to(module, strange, pictures)


def test_logits_become_probabilities(tmp_path: Path) -> None:
    result = result_of(tiny_module(tmp_path, network(end="identity")))

    engine = engines.load(result.data, result.card)
    for picture in photographs():
        assert sum(engine.run(picture)[0]) == pytest.approx(1.0, abs=1e-5)
    engine.close()


def test_int8_of_a_source_without_ranges_is_calibrated_on_pictures(tmp_path: Path) -> None:
    module, pictures = tiny_module(tmp_path, network(rounds=False)), photographs(12)

    with pytest.raises(UsageError, match="int8 takes ranges from pictures, since its source has none"):
        convert_module(module, "onnx", "int8", pictures, None)

    conversion = convert_module(module, "onnx", "int8", pictures, Calibration(12, pictures))
    assert conversion.problem is None
    assert len(conversion.files["model.onnx"]) > 0


def strange(tensorflow: Any, images: Any) -> Any:
    """A network with an operation that ONNX Runtime and TensorFlow Lite have under other names, or composed."""
    weights = tensorflow.constant(np.random.default_rng(0).normal(0, 3, (3, CLASSES)), "float32")
    return tensorflow.nn.softmax(tensorflow.nn.softsign(tensorflow.reduce_mean(images, [1, 2]) @ weights))


@pytest.mark.parametrize("quantize", ["none", "float16", "int8"])
def test_unusual_operations_are_converted_too(tmp_path: Path, quantize: Quantize) -> None:
    module, pictures = tiny_module(tmp_path, source(strange)), photographs(12)

    conversion = convert_module(module, "onnx", quantize, pictures, Calibration(12, pictures))

    assert conversion.problem is None


@pytest.mark.parametrize(("to", "complaint"), [("onnx", "tf2onnx does not know Betainc"), ("tflite", "Betainc$")])
def test_an_operation_that_cannot_be_converted_is_named(tmp_path: Path, to: ModelFormat, complaint: str) -> None:
    module = tiny_module(
        tmp_path,
        source(tensorflow_models.unknown),
        classes=3,
        signatures={"default": (TAKES, GIVES._replace(shape=(-1, 3)))},
    )

    with pytest.raises(InvalidModel, match=complaint) as caught:
        convert_module(module, to, "none", photographs(), None)
    assert "\n" not in str(caught.value)


def test_int8_for_tensorflow_lite_without_pictures_is_refused_before_the_download() -> None:
    with pytest.raises(UsageError, match="int8 for TensorFlow Lite takes its ranges from pictures"):
        proven.check_module("tflite", "int8", calibrated=False)
    proven.check_module("onnx", "int8", calibrated=False)


def test_a_signature_that_is_wrong_about_the_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"TensorFlow cannot read the SavedModel: .*5.*4") as caught:
        tiny_module(tmp_path, classes=4, signatures={"default": (TAKES, GIVES._replace(shape=(-1, 4)))})
    assert "\n" not in str(caught.value)
