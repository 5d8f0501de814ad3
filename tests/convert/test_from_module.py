"""A SavedModel converted, and its proof: good ones pass, a bias, a channel order or a clip gone wrong is found."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

from birdlite import FetchSettings, Settings, engines
from birdlite.convert import from_module
from birdlite.convert.conversion import Quantize
from birdlite.convert.from_module import convert_module, distance_to
from birdlite.convert.module import Module, Reading, open_module
from birdlite.convert.pictures import Calibration, calibration
from birdlite.convert.saved_model.fold import Folded
from birdlite.convert.saved_model.graph import Graph, constant_node, constant_of, inputs_of, reading
from birdlite.convert.saved_model.kernels import UnknownOperation
from birdlite.convert.saved_model.to_onnx import graph_to_onnx
from birdlite.errors import EngineMissing, InvalidModel, UsageError
from birdlite.models.card import ModelFormat
from birdlite.models.model import Model, model_of
from tests.origin import Origin
from tests.tiny_graphs import CLASSES, Builder, network, photographs
from tests.tiny_saved_models import GIVES, TAKES, write

TENSORFLOW = pytest.mark.skipif(find_spec("tensorflow") is None, reason="the extra `convert` is not installed")
WAYS = [
    *(pytest.param("onnx", quantize, id=f"onnx-{quantize}") for quantize in ("none", "float16", "int8")),
    *(
        pytest.param("tflite", quantize, id=f"tflite-{quantize}", marks=TENSORFLOW)
        for quantize in ("none", "float16", "int8")
    ),
]
Subject = tuple[Module, list[bytes], Calibration]
Fault = Callable[[Graph], Graph]


def labels(folder: Path, classes: int = CLASSES) -> str:
    path = folder / "labels.csv"
    path.write_text("id,name\n" + "".join(f"{number},bird {number}\n" for number in range(classes)))
    return str(path)


def tiny_module(folder: Path, graph_def: Any = None, **how: Any) -> Module:
    """A tiny module on disk, opened."""
    module = write(folder / "tiny", graph_def, **how)
    return open_module(str(module), Reading(labels=labels(folder)), Settings())


@pytest.fixture
def tiny(tmp_path: Path) -> Subject:
    """The tiny quantisation-aware network."""
    pictures = photographs(12)
    return tiny_module(tmp_path), pictures, Calibration(12, pictures)


@pytest.fixture
def real(birds: Path, origin: Origin, tmp_path: Path) -> Subject:
    """The stand-in for the Hub's birds_V1/1, fetched from a mirror of the Internet."""
    for host in (birds / "mirror").iterdir():
        origin.serve_folder(f"/{host.name}", host)
    settings = Settings(cache_dir=str(tmp_path), fetch=FetchSettings(mirror=origin.base))
    module = open_module("google/aiy/vision/classifier/birds_V1/1", Reading(), settings)
    representative = calibration([str(birds / "mirror")], module.side, settings.fetch)
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
    assert ("tensorflow" in card.made_with) == (to == "tflite")


def without_bias(graph: Graph) -> Graph:
    """The classifier's bias all zero."""
    last = next(node for node in reversed(graph.nodes.values()) if node.op == "BiasAdd")
    name = inputs_of(last)[1]
    return replaced(graph, name, constant_node(name, np.zeros_like(constant_of(graph.nodes[name]))))


def with_red_and_blue_swapped(graph: Graph) -> Graph:
    first = next(node for node in graph.nodes.values() if node.op == "Conv2D")
    name = inputs_of(first)[1]
    swapped = constant_of(graph.nodes[name])[:, :, ::-1]
    return replaced(graph, name, constant_node(name, np.ascontiguousarray(swapped)))


def without_one_clip(graph: Graph) -> Graph:
    """The last Relu6 passes everything."""
    last = next(node for node in reversed(graph.nodes.values()) if node.op == "Relu6")
    passing = reading(last, inputs_of(last))
    passing.op = "Identity"
    return replaced(graph, last.name, passing)


def replaced(graph: Graph, name: str, node: Any) -> Graph:
    return graph._replace(nodes={**graph.nodes, name: node})


def inject(monkeypatch: pytest.MonkeyPatch, fault: Fault, to: ModelFormat) -> None:
    """Let the converter be given a faulty network."""
    if to == "onnx":

        def to_onnx(folded: Folded, *, quantize: Any) -> bytes:
            return graph_to_onnx(folded._replace(graph=fault(folded.graph)), quantize=quantize)

        monkeypatch.setattr(from_module, "graph_to_onnx", to_onnx)
    else:
        from birdlite.convert.with_tensorflow import to_tflite as room

        convert = room.to_tflite
        monkeypatch.setattr(room, "to_tflite", lambda graph, *rest: convert(fault(graph), *rest))


FAULTS = [without_bias, with_red_and_blue_swapped, without_one_clip]


def is_none(fault: Fault, to: ModelFormat, quantize: Quantize) -> bool:
    """Whether a network with the fault gives the same: the grid of the source's own ranges ends where a Relu6 does."""
    return (fault, to, quantize) == (without_one_clip, "onnx", "int8")


@pytest.mark.birds
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("to", "quantize"), WAYS)
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
    result = result_of(tiny_module(tmp_path, network(end="logits")))

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


def strange_network() -> Any:
    """A network with an operation that only TensorFlow knows."""
    build = Builder()
    pooled = build.add("Mean", [build.input(), build.constant("axes", [1, 2], "int32")], "pooled")
    powered = build.add("Softsign", [build.add("MatMul", [pooled, weights(build)], "product")], "softsign")
    build.add("Softmax", [powered], "prediction")
    return build.graph_def


def weights(build: Builder) -> str:
    return build.constant("weights", build.chance.normal(0, 3, (3, CLASSES)))


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="the extra `convert` is installed")
def test_without_tensorflow_an_operation_that_is_not_known_names_itself_and_the_way_out(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, strange_network())

    with pytest.raises(UnknownOperation, match=r"`Softsign` \(node softsign\).*pip install 'birdlite\[convert\]'"):
        convert_module(module, "onnx", "none", photographs(), None)


@TENSORFLOW
@pytest.mark.parametrize("quantize", ["none", "float16", "int8"])
def test_with_tensorflow_an_operation_that_is_not_known_is_converted_by_tf2onnx(
    tmp_path: Path, quantize: Quantize
) -> None:
    module, pictures = tiny_module(tmp_path, strange_network()), photographs(12)

    conversion = convert_module(module, "onnx", quantize, pictures, Calibration(12, pictures))

    assert conversion.problem is None
    assert {"tf2onnx", "tensorflow"} <= conversion.card.made_with.keys()


def test_what_is_missing_is_found_out_before_the_download() -> None:
    with pytest.raises(UsageError, match="int8 for TensorFlow Lite takes its ranges from pictures"):
        from_module.check("tflite", "int8", calibrated=False)
    from_module.check("onnx", "int8", calibrated=False)


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="the extra `convert` is installed")
def test_without_tensorflow_there_is_no_tensorflow_lite() -> None:
    with pytest.raises(EngineMissing, match=r"tensorflow is needed: pip install 'birdlite\[convert\]'"):
        from_module.check("tflite", "none", calibrated=False)


def test_a_signature_that_is_wrong_about_the_classes_is_found_out(tmp_path: Path) -> None:
    module = write(tmp_path / "tiny", signatures={"default": (TAKES, GIVES._replace(shape=(-1, 4)))})
    opened = open_module(str(module), Reading(labels=labels(tmp_path, 4)), Settings())

    with pytest.raises(InvalidModel, match="4 labels for a model with 5 outputs"):
        convert_module(opened, "onnx", "none", photographs(), None)
