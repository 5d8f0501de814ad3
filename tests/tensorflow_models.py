"""Tiny SavedModels, made by TensorFlow itself: a network with rounding, in the layouts of TensorFlow 1 and 2.

All have the same weights. They classify pictures of 16x16 px as one of seven classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from birdlite.convert.tensorflow_package import imported, quiet

SIDE, CLASSES = 16, 7

Takes = Literal["float32", "uint8"]
Gives = Literal["probabilities", "logits", "both"]


def pictures(count: int = 8) -> list[bytes]:
    """Blots of colour, uint8 RGB [16, 16, 3]; none is all black or white."""
    dice = np.random.RandomState(1)
    blots = [np.kron(dice.randint(20, 230, (4, 4, 3)), np.ones((4, 4, 1))) for _ in range(count)]
    return [blot.astype(np.uint8).tobytes() for blot in blots]


def hub_module(folder: Path, *, resources: bool = True) -> Path:
    """TensorFlow 1, as on TensorFlow Hub: no tags; `default` gives probabilities and `image_classifier` logits.

    Without `resources` the variables are of the kind that TensorFlow had first.
    """
    tensorflow = imported()
    v1 = tensorflow.compat.v1
    with quiet(), tensorflow.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        images = v1.placeholder("float32", [None, SIDE, SIDE, 3], name="images")
        weights = {
            name: v1.get_variable(name, initializer=array, use_resource=resources) for name, array in _weights().items()
        }
        logits = network(tensorflow, images, weights)
        probabilities = tensorflow.nn.softmax(logits)
        session.run(v1.global_variables_initializer())
        saver = v1.saved_model.builder.SavedModelBuilder(str(folder))
        signatures = {
            "default": _signature(v1, images, "default", probabilities),
            "image_classifier": _signature(v1, images, "logits", logits),
        }
        saver.add_meta_graph_and_variables(session, [], signature_def_map=signatures, strip_default_attrs=True)
        saver.save()
    return folder


def module(folder: Path, *, takes: Takes = "float32", gives: Gives = "probabilities") -> Path:
    """TensorFlow 2: variables, a function that calls another, the tag `serve`, the signature `serving_default`."""
    tensorflow = imported()
    with quiet():
        holder = tensorflow.Module()
        holder.weights = {name: tensorflow.Variable(array) for name, array in _weights().items()}

        @tensorflow.function  # type: ignore[untyped-decorator]
        def logits(images: Any) -> Any:
            return network(tensorflow, images, holder.weights)

        @tensorflow.function(  # type: ignore[untyped-decorator]
            input_signature=[tensorflow.TensorSpec([None, SIDE, SIDE, 3], takes, "images")]
        )
        def serve(images: Any) -> Any:
            scores = logits(images if takes == "float32" else tensorflow.cast(images, "float32") / 255)
            found = {"logits": scores, "probabilities": tensorflow.nn.softmax(scores)}
            return found if gives == "both" else {gives: found[gives]}

        tensorflow.saved_model.save(holder, str(folder), signatures={"serving_default": serve})
    return folder


def answers(folder: Path, tags: list[str], signature: str, pictures: list[bytes]) -> Any:
    """What TensorFlow says of the pictures when it runs the SavedModel itself: [n, classes]."""
    tensorflow = imported()
    pixels = np.stack([np.frombuffer(picture, np.uint8).reshape(SIDE, SIDE, 3) for picture in pictures])
    with quiet():
        loaded = tensorflow.saved_model.load(str(folder), tags=tags)
        function = loaded.signatures[signature]
        takes = function.structured_input_signature[1]["images"].dtype
        images = tensorflow.constant(pixels if takes == tensorflow.uint8 else pixels.astype(np.float32) / 255)
        (scores,) = function(images=images).values()
        return scores.numpy()


def classifier(tensorflow: Any, pixels: Any) -> Any:
    """The network without rounding, from pixels to probabilities."""
    images = tensorflow.cast(pixels, "float32") * np.float32(1 / 255)
    return tensorflow.nn.softmax(network(tensorflow, images, _weights(), rounding=False))


def unknown(tensorflow: Any, pixels: Any) -> Any:
    """An operation that neither TensorFlow Lite nor ONNX has."""
    values = tensorflow.cast(pixels, "float32") / 256
    values = tensorflow.raw_ops.Betainc(a=values, b=values, x=values)
    return tensorflow.nn.softmax(tensorflow.reduce_mean(values, [1, 2]))


def network(tensorflow: Any, images: Any, weights: Any, *, rounding: bool = True) -> Any:
    """From images in [0, 1] to logits."""

    def rounded(values: Any, name: str, *, narrow: bool = False) -> Any:
        if not rounding:
            return values
        ends = weights[f"{name}_from"], weights[f"{name}_to"]
        return tensorflow.quantization.fake_quant_with_min_max_vars(values, *ends, narrow_range=narrow)

    value = images * 2.0 - 1.0
    value = tensorflow.nn.conv2d(value, rounded(weights["first"], "first", narrow=True), 2, "SAME")
    value = tensorflow.nn.relu6(value + weights["first_bias"])
    value = rounded(value, "clipped")
    value = tensorflow.nn.relu6(tensorflow.nn.conv2d(value, weights["second"], 1, "SAME"))
    value = tensorflow.reduce_mean(rounded(value, "clipped"), [1, 2])
    return tensorflow.nn.bias_add(tensorflow.matmul(value, weights["last"]), weights["last_bias"])


def _weights() -> dict[str, Any]:
    dice = np.random.RandomState(0)

    def normal(deviation: float, *shape: int) -> Any:
        return dice.normal(0, deviation, shape).astype(np.float32)

    first = normal(0.8, 3, 3, 3, 8)
    return {
        "first": first,
        "first_from": -abs(first).max(),
        "first_to": abs(first).max(),
        "first_bias": normal(1.0, 8),
        "clipped_from": np.float32(0),
        "clipped_to": np.float32(6),
        "second": normal(0.2, 3, 3, 8, 32),
        "last": normal(0.4, 32, CLASSES),
        "last_bias": normal(1.0, CLASSES),
    }


def _signature(v1: Any, images: Any, key: str, scores: Any) -> Any:
    put_down = v1.saved_model.utils.build_tensor_info
    return v1.saved_model.signature_def_utils.build_signature_def({"images": put_down(images)}, {key: put_down(scores)})
