"""The proof at the end of a conversion: it passes good ones and finds a bias, a channel order or a clip gone wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

from birdlite import Classifier, FetchSettings, Settings  # noqa: E402
from birdlite.convert import tflite_to_onnx as converter  # noqa: E402
from birdlite.convert.pictures import drawn_pictures  # noqa: E402
from birdlite.convert.proven import convert_tflite as convert  # noqa: E402
from birdlite.convert.tflite_to_onnx import Quantize  # noqa: E402
from birdlite.images.picture import decode  # noqa: E402
from birdlite.models.bundle import Model  # noqa: E402
from birdlite.models.catalog import DEMO_MODEL  # noqa: E402
from birdlite.settings import DEFAULT_MODEL  # noqa: E402
from tests.convert.test_tflite_to_onnx import with_red_and_blue_swapped, without_bias, without_one_clip  # noqa: E402
from tests.origin import Origin  # noqa: E402

Fault = Callable[[Any], None]
Subject = tuple[Model, list[bytes]]


@pytest.fixture
def demo(warm_cache: Path) -> Subject:
    """The demo's model and its drawings."""
    with Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))) as classifier:
        return classifier.model, list(drawn_pictures(224))


@pytest.fixture
def official(birds: Path, origin: Origin, tmp_path: Path) -> Subject:
    """The real model and the six photographs."""
    for host in (birds / "mirror").iterdir():
        origin.serve_folder(f"/{host.name}", host)
    settings = Settings(model=DEFAULT_MODEL, cache_dir=str(tmp_path), fetch=FetchSettings(mirror=origin.base))
    with Classifier(settings) as classifier:
        photographs = sorted((birds / "mirror").rglob("*.jpg"))
        return classifier.model, [decode(path.read_bytes()).pixels for path in photographs]


@pytest.fixture(params=["demo", pytest.param("official", marks=pytest.mark.birds)])
def subject(request: pytest.FixtureRequest) -> Subject:
    """Both of them in turn."""
    found: Subject = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_a_good_conversion_passes(subject: Subject, quantize: Quantize) -> None:
    model, pictures = subject

    conversion = convert(model, quantize, pictures)

    assert conversion.problem is None
    assert conversion.distance.top1 == 1.0
    assert conversion.card.distance["max_difference"] == round(conversion.distance.max_difference, 6)
    assert (conversion.float_distance is None) == (quantize == "int8")


def inject(monkeypatch: pytest.MonkeyPatch, fault: Fault, into: Quantize) -> None:
    """Let the converter make this fault in one of its two ways."""
    good = converter.tflite_to_onnx

    def faulty(model: bytes, *, quantize: Quantize) -> bytes:
        made = good(model, quantize=quantize)
        if quantize != into:
            return made
        graph = onnx.load_from_string(made)
        fault(graph)
        return bytes(graph.SerializeToString())

    monkeypatch.setattr(converter, "tflite_to_onnx", faulty)


@pytest.mark.birds
@pytest.mark.parametrize(
    ("fault", "quantize"),
    [
        (without_bias, "none"),
        (without_bias, "int8"),
        (with_red_and_blue_swapped, "none"),
        (with_red_and_blue_swapped, "int8"),
        (without_one_clip, "none"),
    ],
)
def test_a_fault_in_the_real_model_is_found(
    official: Subject, monkeypatch: pytest.MonkeyPatch, fault: Fault, quantize: Quantize
) -> None:
    inject(monkeypatch, fault, quantize)

    assert convert(official[0], quantize, official[1]).problem is not None


@pytest.mark.parametrize(
    ("fault", "quantize"),
    [(with_red_and_blue_swapped, "none"), (with_red_and_blue_swapped, "int8"), (without_one_clip, "none")],
)
def test_a_fault_in_the_demos_model_is_found(
    demo: Subject, monkeypatch: pytest.MonkeyPatch, fault: Fault, quantize: Quantize
) -> None:
    inject(monkeypatch, fault, quantize)

    assert convert(demo[0], quantize, demo[1]).problem is not None
