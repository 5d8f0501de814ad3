"""The task's original way: TensorFlow, the model from the Hub, one thing after the other. `bench_cold` times it.

    python original.py MODEL LABELS PICTURE...

MODEL is the folder of the unpacked SavedModel, or the URL of its archive, which is downloaded and unpacked first.
LABELS and the PICTUREs are paths or URLs. Prints a line a picture: three times name and score. The picture is decoded
whole and resized without antialiasing, as by birdlite's `exact`.

tensorflow_hub, which the original imports, does not import beside current TensorFlow; what its KerasLayer does with
this model (load it, call its signature) is done here directly.
"""

import csv
import io
import os
import sys
import tarfile
import tempfile
from urllib.request import urlopen

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf

SIDE = 224


def read(source: str) -> bytes:
    """The bytes of a file or a URL."""
    if "://" not in source:
        with open(source, "rb") as file:
            return file.read()
    with urlopen(source) as response:
        return bytes(response.read())


with tempfile.TemporaryDirectory() as unpacked:
    folder = sys.argv[1]
    if "://" in folder:
        with tarfile.open(fileobj=io.BytesIO(read(folder))) as archive:
            archive.extractall(unpacked)
        folder = unpacked
    model = tf.saved_model.load(folder, tags=[])
    classify = model.signatures["image_classifier"]

names = {int(row["id"]): row["name"] for row in csv.DictReader(io.StringIO(read(sys.argv[2]).decode()))}
for source in sys.argv[3:]:
    image = tf.image.decode_jpeg(read(source), channels=3)
    image = tf.image.resize(image, (SIDE, SIDE)) / 255
    scores = classify(tf.expand_dims(image, 0))["logits"][0].numpy()
    best = sorted(range(len(scores)), key=lambda key: -scores[key])[:3]
    print(source, *(f"{names[key]}\t{scores[key]:.6f}" for key in best), sep="\t")
