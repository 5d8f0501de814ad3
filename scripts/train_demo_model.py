"""Train birdlite's demo model on drawings of invented birds, and write everything that `birdlite demo` serves.

    python -m scripts.train_demo_model [FOLDER]      (from the root of the project; needs the extra `convert`)
    python -m scripts.train_demo_model --card        writes only `model.json`, after a change of the catalogue

Writes `model.tflite`, `labels.csv`, `names.txt`, `model.json` and `pictures/` into FOLDER (birdlite/demo), and prints
the accuracy of the trained and of the quantised network on drawings that neither has seen. If the catalogue has other
checksums than the new files, it says so. The tensors are those of the real model: uint8 pixels in (real value =
(pixel - 128) / 128), uint8 probabilities in steps of 1/256 out, `background` the last.

About ten minutes on two cores. Seeds are fixed, so the same machine makes the same file; another processor may round
a sum in another way, and then makes a model as good but not equal byte for byte.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birdlite.images.picture import decode
from birdlite.models.bundle import CARD_FILE, card_to_json
from birdlite.models.card import FileFact
from birdlite.models.catalog import DEMO_MODEL, find
from birdlite.settings import Resize
from scripts.demo_birds import BACKGROUND, SPECIES
from scripts.demo_pictures import HELD_OUT, PORTRAITS_SHIPPED, TRAINING, VALIDATION, photograph

SIDE = 224  # px, as the real model
CLASSES = BACKGROUND + 1
EPOCHS = 14
BATCH = 32
LEARNING_RATE = 4e-3  # at its peak; falls to nothing along a cosine
LABEL_SMOOTHING = 0.05  # keeps the scores of sure answers below 1, so that a table of them says something
CALIBRATION = 210  # training pictures that show the converter the ranges of the activations
THREADS = 2
SEED = 20_240

Pictures = npt.NDArray[np.uint8]  # [n, SIDE, SIDE, 3]
Labels = npt.NDArray[np.int64]  # [n]


def photographs(seeds: Sequence[int]) -> tuple[list[bytes], Labels]:
    """Take a picture of every species, and of the background, for every seed."""
    keys = [(species, seed) for seed in seeds for species in range(CLASSES)]
    return [photograph(species, seed) for species, seed in keys], np.array([species for species, _ in keys], np.int64)


def developed(files: list[bytes], *ways: Resize) -> Pictures:
    """Decode pictures as `birdlite classify` does, resized by the `ways` in turn."""
    pixels = np.empty((len(files), SIDE, SIDE, 3), np.uint8)
    for i, data in enumerate(files):
        picture = decode(data, resize=ways[i % len(ways)], side=SIDE)
        pixels[i] = np.frombuffer(picture.pixels, np.uint8).reshape(SIDE, SIDE, 3)
    return pixels


def as_real(pixels: Pictures) -> npt.NDArray[np.float32]:
    """Give the real values that the network sees: [-1, 127/128]."""
    real = pixels.astype(np.float32)
    real -= 128
    real /= 128
    return real


def network(batch: int | None = None) -> Any:
    """Build a small MobileNet: a strided convolution, then depthwise-separable ones; 14 million multiplications."""
    from tensorflow import keras

    def norm(x: Any) -> Any:
        return keras.layers.ReLU(6)(keras.layers.BatchNormalization(momentum=0.95)(x))

    image = keras.Input((SIDE, SIDE, 3), batch_size=batch, name="image")
    x = norm(keras.layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(image))
    for channels, stride in [(24, 2), (48, 2), (48, 1), (96, 2), (96, 1), (128, 2)]:
        x = norm(keras.layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x))
        x = norm(keras.layers.Conv2D(channels, 1, use_bias=False)(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(image, keras.layers.Dense(CLASSES, activation="softmax")(x))


def train(pixels: Pictures, labels: Labels, watch: tuple[Pictures, Labels]) -> Any:
    """Fit a network to the pictures, mirrored at random; `watch` only shows how it goes."""
    import tensorflow as tf

    def batches() -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        rng = np.random.default_rng(SEED)
        truth = np.eye(CLASSES, dtype=np.float32)
        while True:
            order = rng.permutation(len(pixels))
            for start in range(0, len(order) - BATCH + 1, BATCH):
                chosen = order[start : start + BATCH]
                batch = as_real(pixels[chosen])
                mirrored = rng.random(BATCH) < 0.5
                batch[mirrored] = batch[mirrored, :, ::-1]
                yield batch, truth[labels[chosen]]

    steps = len(pixels) // BATCH
    model = network()
    model.compile(
        optimizer=tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(LEARNING_RATE, EPOCHS * steps)),
        loss=tf.keras.losses.CategoricalCrossentropy(label_smoothing=LABEL_SMOOTHING),
        metrics=["accuracy"],
    )
    validation = (as_real(watch[0]), np.eye(CLASSES, dtype=np.float32)[watch[1]])
    model.fit(batches(), steps_per_epoch=steps, epochs=EPOCHS, validation_data=validation, verbose=2)
    return model


def quantised(model: Any, calibration: Pictures) -> bytes:
    """Convert to a TFLite file of integers throughout, its input stored as plain pixels."""
    import tensorflow as tf

    def examples() -> Iterator[list[npt.NDArray[np.float32]]]:
        # The input's scale comes from its range: one picture with a black and a white pixel makes it exactly 1/128.
        extremes = calibration[0].copy()
        extremes[0, 0], extremes[0, 1] = 0, 255
        for picture in [extremes, *calibration]:
            yield [as_real(picture[None])]

    single = network(batch=1)  # as the real model: one picture at a time, unless a caller resizes the input
    single.set_weights(model.get_weights())
    converter = tf.lite.TFLiteConverter.from_keras_model(single)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    with contextlib.redirect_stdout(io.StringIO()):  # Keras lists every variable
        return bytes(converter.convert())


def scores(model: bytes, pixels: Pictures) -> npt.NDArray[np.uint8]:
    """Run the converted model: [n, CLASSES] stored values."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    (entry,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    print(f"input  {entry['shape']} {entry['dtype'].__name__} scale, zero point {entry['quantization']}")
    print(f"output {answer['shape']} {answer['dtype'].__name__} scale, zero point {answer['quantization']}")
    rows = np.empty((len(pixels), CLASSES), np.uint8)
    begun = time.perf_counter()
    for i, picture in enumerate(pixels):
        interpreter.set_tensor(entry["index"], picture[None])
        interpreter.invoke()
        rows[i] = interpreter.get_tensor(answer["index"])[0]
    print(f"{(time.perf_counter() - begun) / len(pixels) * 1000:.2f} ms a picture, one thread")
    return rows


def report(title: str, rows: npt.NDArray[Any], labels: Labels) -> None:
    """Print the accuracy, over all and by class."""
    right = rows.argmax(axis=1) == labels
    classes = ", ".join(f"{right[labels == c].mean():.1%}" for c in range(CLASSES))
    print(f"{title}: {right.mean():.2%} of {len(labels)} held-out pictures right (by class: {classes})")


def write(folder: str, name: str, data: bytes) -> None:
    """Write one file of the demo and print what it is."""
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    print(f"{name}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def write_names(folder: str) -> None:
    """Write the label map, its rows in the odd order of the real one, and the list of common names."""
    rows = [f"{BACKGROUND},background", *(f"{i},{bird.scientific}" for i, bird in enumerate(SPECIES))]
    write(folder, "labels.csv", "\n".join(["id,name", *rows, ""]).encode())
    names = [f"{bird.scientific} ({bird.common})" for bird in SPECIES]
    write(folder, "names.txt", "\n".join([*names, "background", ""]).encode())


def write_card(folder: str) -> None:
    """Write the card of the catalogue, with the sizes and checksums of the files that are there now."""
    card = find(DEMO_MODEL).card
    data = {name: Path(folder, name).read_bytes() for name in card.files}
    files = {name: FileFact(len(content), hashlib.sha256(content).hexdigest()) for name, content in data.items()}
    write(folder, CARD_FILE, card_to_json(card._replace(files=files)).encode())
    if files != card.files:
        print(f"birdlite/models/catalog.py has other files of {DEMO_MODEL}; put these there: {files}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.path.join("birdlite", "demo"), metavar="FOLDER")
    parser.add_argument("--card", action="store_true", help="write only model.json, for the files that are there")
    values = parser.parse_args(arguments)
    if not values.card:
        make(values.folder)
    write_card(values.folder)


def make(folder: str) -> None:
    """Draw, train, convert, measure, write."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    begun = time.perf_counter()
    files, truth = photographs(TRAINING)
    pixels = developed(files, "crop", "squash")
    watched, watched_truth = photographs(VALIDATION)
    print(f"{len(files)} pictures drawn in {time.perf_counter() - begun:.0f} s")
    model = train(pixels, truth, (developed(watched, "crop", "squash"), watched_truth))
    converted = quantised(model, pixels[:CALIBRATION])
    unseen, unseen_truth = photographs(HELD_OUT)
    ways: list[Resize] = ["crop", "squash"]
    for way in ways:
        pictures = developed(unseen, way)
        report(f"float, {way}", model.predict(as_real(pictures), batch_size=BATCH, verbose=0), unseen_truth)
        report(f"quantised, {way}", scores(converted, pictures), unseen_truth)
    write(folder, "model.tflite", converted)
    write_names(folder)
    for portrait in PORTRAITS_SHIPPED:
        write(folder, f"pictures/{portrait.file_name}", portrait.save())
    print(f"{time.perf_counter() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
