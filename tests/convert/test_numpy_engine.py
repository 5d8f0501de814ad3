"""A graph run in NumPy: the reference, so its own answers are held against TensorFlow where that is installed."""

from __future__ import annotations

import os
import tarfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from birdlite.convert.saved_model.fold import fold
from birdlite.convert.saved_model.graph import Graph, graph_of
from birdlite.convert.saved_model.kernels import UnknownOperation
from birdlite.convert.saved_model.numpy_engine import NumpyEngine
from birdlite.convert.saved_model.pixels import take_pixels
from birdlite.convert.saved_model.read import read
from birdlite.errors import EngineError, InvalidModel
from birdlite.images.picture import decode
from tests.tiny_graphs import CLASSES, INPUT, OUTPUT, SIDE, Builder, graph, photographs

TENSORFLOW = pytest.mark.skipif(find_spec("tensorflow") is None, reason="the extra `convert` is not installed")


@pytest.fixture
def engine() -> NumpyEngine:
    """On the tiny network."""
    return NumpyEngine(take_pixels(graph(), SIDE))


def test_several_pictures_at_once_get_the_answers_that_each_gets_alone(engine: NumpyEngine) -> None:
    pictures = photographs(3)

    together = engine.run(b"".join(pictures), 3)

    assert np.allclose(together, [engine.run(picture)[0] for picture in pictures], atol=1e-6)
    assert [len(scores) for scores in together] == [CLASSES] * 3
    assert np.sum(together, axis=1) == pytest.approx(1.0)


def test_pixels_of_another_size_are_refused(engine: NumpyEngine) -> None:
    with pytest.raises(EngineError, match="1 pictures of 16x16 RGB are 768 contiguous bytes, not 12"):
        engine.run(bytes(12))


def test_a_closed_engine_says_so(engine: NumpyEngine) -> None:
    engine.close()
    engine.close()

    with pytest.raises(EngineError, match="closed"):
        engine.run(photographs(1)[0])


def test_an_operation_that_is_not_known_is_told_at_once() -> None:
    build = Builder()
    build.add("Strange", [build.input()], "prediction")

    with pytest.raises(UnknownOperation, match="`Strange`"):
        NumpyEngine(take_pixels(graph_of(build.graph_def, INPUT, OUTPUT), SIDE))


def test_a_network_may_take_a_shape_from_a_value_of_its_own() -> None:
    build = Builder()
    logits = build.add("Mean", [build.input(), build.constant("sides", [1, 2], "int32")], "logits")
    flat = build.add("Reshape", [logits, build.constant("shape", [-1, 3], "int32")], "flat")
    softmax = build.add("Softmax", [flat], "softmax")
    build.add("Reshape", [softmax, build.add("Shape", [logits], "logits/shape")], "prediction")  # slim's softmax

    found = NumpyEngine(take_pixels(graph_of(build.graph_def, INPUT, OUTPUT), SIDE)).run(b"".join(photographs(2)), 2)

    assert np.sum(found, axis=1) == pytest.approx([1.0, 1.0])


def test_a_graph_that_gives_something_else_is_no_classifier() -> None:
    build = Builder()
    build.add("Relu", [build.input()], "prediction")

    with pytest.raises(InvalidModel, match=r"gives \[1, 16, 16, 3\]; a classifier gives \[n, classes\]"):
        NumpyEngine(take_pixels(graph_of(build.graph_def, INPUT, OUTPUT), SIDE)).run(photographs(1)[0])


@TENSORFLOW
@pytest.mark.parametrize(("rounds", "near"), [(True, 0.05), (False, 1e-5)])
def test_tensorflow_answers_the_same_on_the_tiny_network(rounds: bool, near: float) -> None:
    from birdlite.convert.with_tensorflow.tensorflow_engine import TensorFlowEngine

    taking = take_pixels(graph(rounds=rounds), SIDE)
    reference = TensorFlowEngine(taking)
    for picture in photographs():
        assert NumpyEngine(taking).run(picture)[0] == pytest.approx(reference.run(picture)[0], abs=near)
    reference.close()


@pytest.fixture(scope="module")
def published(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The stand-in for the Hub's birds_V1/1."""
    folder = tmp_path_factory.mktemp("hub")
    archive = birds / "mirror/www.kaggle.com/api/v1/models/google/aiy/tensorFlow1/vision-classifier-birds-v1/1/download"
    with tarfile.open(archive) as tar:
        member = tar.getmember("./saved_model.pb")
        file = tar.extractfile(member)
        assert file is not None
        (folder / "saved_model.pb").write_bytes(file.read())
    saved = read(os.fspath(folder))
    return take_pixels(graph_of(saved.graph_def, saved.input.tensor, saved.output.tensor), saved.side)


@pytest.fixture(scope="module")
def pictures(birds: Path) -> list[bytes]:
    """The six photographs."""
    return [decode(path.read_bytes(), resize="exact").pixels for path in sorted((birds / "mirror").rglob("*.jpg"))]


@TENSORFLOW
@pytest.mark.birds
def test_tensorflow_answers_the_same_on_the_real_network_in_floats(published: Graph, pictures: list[bytes]) -> None:
    from birdlite.convert.with_tensorflow.tensorflow_engine import TensorFlowEngine

    floats = fold(published).graph
    engine, reference = NumpyEngine(floats), TensorFlowEngine(floats)
    for picture in pictures:
        assert engine.run(picture)[0] == pytest.approx(reference.run(picture)[0], abs=1e-5)
    reference.close()


@TENSORFLOW
@pytest.mark.birds
def test_tensorflow_names_the_same_birds_by_the_real_network_as_published(
    published: Graph, pictures: list[bytes]
) -> None:
    from birdlite.convert.with_tensorflow.tensorflow_engine import TensorFlowEngine

    engine, reference = NumpyEngine(published), TensorFlowEngine(published)
    for picture in pictures:
        found, expected = engine.run(picture)[0], reference.run(picture)[0]
        assert int(np.argmax(found)) == int(np.argmax(expected))
        assert found == pytest.approx(expected, abs=0.04)  # it rounds 63 times; an ulp on the way moves a score so far
    reference.close()
