"""The models that birdlite knows: their cards with checksums, and the addresses of their files.

The store downloads or makes them, the CLI lists them. Sources are tried in the order given; every byte is checked
against the sha256, so it does not matter which of them answers.
"""

from __future__ import annotations

import os

from birdlite._version import __version__
from birdlite.errors import UnknownModel
from birdlite.models.card import Card, FileFact, Tensor
from birdlite.namedtuple import NamedTuple

DEMO_MODEL = "birdlite-demo"

BIRDS_PAGE = "https://tfhub.dev/google/aiy/vision/classifier/birds_V1/1"
"""The page of the float model that the Lite deployment was made from."""


class Source(NamedTuple):
    """An address of a file."""

    url: str
    member: str | None = None  # the file's name inside the .tar.gz that the URL gives, or None for the plain file


class Entry(NamedTuple):
    """A published model: its card, and for each file of its bundle the sources, best first."""

    card: Card
    description: str
    sources: dict[str, tuple[Source, ...]]
    made_from: Entry | None = None  # the model that this int8 one is made from, instead of `sources`
    folder: str | None = None  # where it is in birdlite itself; it is on the Internet only if there is a mirror


# Published by Google as the Lite deployment of google/aiy/vision/classifier/birds_V1: Apache-2.0.
# The first address has answered 403 at times (tensorflow/hub#922, #931), hence the others.
_BIRDS_V1_LITE = Entry(
    card=Card(
        name="birds-v1-lite",
        format="tflite",
        input=Tensor((1, 224, 224, 3), "uint8", 0.0078125, 128),
        output=Tensor((1, 965), "uint8", 0.00390625, 0),
        files={
            "model.tflite": FileFact(3_561_598, "95f59df4cff9053355abcd0b6e5e7e740f6eae19ed8cded32e2c3e8068195093"),
            "labels.csv": FileFact(22_386, "26925be64bc1d10bfc0c23c8619cb71e0464e7ad3d4d446f805fc60edc8b59de"),
            "names.txt": FileFact(37_146, "a16108dfe3f8daff015b87a97ab6a17e717b9b1bccd719f6d8f747746d7b9277"),
        },
        source="https://tfhub.dev/google/lite-model/aiy/vision/classifier/birds_V1/3",
        licence="Apache-2.0",
        quantization="uint8",
    ),
    description="AIY Vision birds V1, Google's Lite deployment: MobileNetV2, 964 species and background",
    sources={
        "model.tflite": (
            Source(
                "https://storage.googleapis.com/tfhub-lite-models/google/lite-model/aiy/vision/classifier/birds_V1/3.tflite"
            ),
            Source(
                "https://www.kaggle.com/api/v1/models/google/aiy/tfLite/vision-classifier-birds-v1/3/download",
                member="3.tflite",
            ),
            Source("https://tfhub.dev/google/lite-model/aiy/vision/classifier/birds_V1/3?lite-format=tflite"),
            Source("https://raw.githubusercontent.com/mmcc-xx/WhosAtMyFeeder/master/model.tflite"),
        ),
        "labels.csv": (Source("https://www.gstatic.com/aihub/tfhub/labelmaps/aiy_birds_V1_labelmap.csv"),),
        "names.txt": (Source("https://raw.githubusercontent.com/google-coral/test_data/master/inat_bird_labels.txt"),),
    },
)

# What `birdlite convert birds-v1-lite --to tflite --quantize int8` makes, the same bytes on every machine. The store
# makes it on first use, and the checksum is its proof. The distance is what that command found, on the five samples.
_BIRDS_V1_LITE_INT8 = Entry(
    card=_BIRDS_V1_LITE.card._replace(
        name="birds-v1-lite-int8",
        files={
            **_BIRDS_V1_LITE.card.files,
            "model.tflite": FileFact(3_971_456, "c8632c49eba1f049300d060f20cad4903ab288c33c1d43344d64a071989482de"),
        },
        quantization="int8",
        made_with={
            "birdlite": __version__,
            "source_sha256": _BIRDS_V1_LITE.card.files["model.tflite"].sha256,
            "source_format": "tflite",
        },
        distance={
            "pictures": 5,
            "max_difference": 0.015625,
            "median_difference": 0.011719,
            "mean_difference": 1.8e-05,
            "top1": 1.0,
            "top3": 0.866667,
            "exact_channels": 0.995838,
        },
    ),
    description="birds-v1-lite re-quantised on this machine: same best names, scores within some hundredths, faster",
    sources={},
    made_from=_BIRDS_V1_LITE,
)

# Made by scripts/train_demo_model.py, in this package, and read from there. `birdlite demo` serves it at these URLs.
_DEMO = Entry(
    card=Card(
        name=DEMO_MODEL,
        format="tflite",
        input=Tensor((1, 224, 224, 3), "uint8", 0.0078125, 128),
        output=Tensor((1, 7), "uint8", 0.00390625, 0),
        files={
            "model.tflite": FileFact(70_504, "02574a654cd8339672cfcb42a7e5a3607cd785550a97da90b43b22559acc572a"),
            "labels.csv": FileFact(151, "5cd4c144146f530588c5546ebefff81e6daed579f99cf9bfb6620f3abcb7a4b7"),
            "names.txt": FileFact(248, "5daa3a3e510d4c56dcbcbbd43df061491b18ff6da50fba39282686f204f98fb1"),
        },
        source="https://demo.birdlite.invalid",
        licence="Apache-2.0",
        quantization="uint8",
    ),
    description="invented birds, to try birdlite without a network; no real bird is among them",
    sources={
        name: (Source(f"https://demo.birdlite.invalid/{name}"),) for name in ("model.tflite", "labels.csv", "names.txt")
    },
    folder=os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "demo"),
)

BIRDS_SOURCES = frozenset({BIRDS_PAGE, _BIRDS_V1_LITE.card.source})

CATALOG: dict[str, Entry] = {entry.card.name: entry for entry in (_BIRDS_V1_LITE, _BIRDS_V1_LITE_INT8, _DEMO)}


def find(name: str) -> Entry:
    """The entry of that name.

    Raises:
        UnknownModel: there is no such entry; the message lists all.
    """
    try:
        return CATALOG[name]
    except KeyError:
        from difflib import get_close_matches

        close = get_close_matches(name, CATALOG, 1)
        known = ", ".join(CATALOG) + (f"; did you mean {close[0]}?" if close else "")
        raise UnknownModel(f"no model {name!r}: neither a file, nor a folder, nor one of: {known}") from None


def is_known(sha256: str) -> bool:
    """Whether a model file is one of the catalogue."""
    return any(fact.sha256 == sha256 for entry in CATALOG.values() for fact in entry.card.files.values())


def vouches_for(card: Card) -> bool:
    """Whether every file of a model is that of one entry."""
    return any(card.files.items() <= entry.card.files.items() for entry in CATALOG.values())


def is_birds(card: Card) -> bool:
    """Whether a model is Google's birds V1, in whatever form."""
    return card.source in BIRDS_SOURCES
