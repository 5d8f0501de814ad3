"""The parts `lists`, `labels` and `bundles`: the texts that a user gets from others."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import zlib
from itertools import islice
from pathlib import Path

from birdlite.errors import InvalidModel, PictureError, UsageError
from scripts.fuzz.damage import damaged, inside, json_value, with_words
from scripts.fuzz.part import Attempt, Part

_MOST_TARGETS = 20_000  # of a list: a packed one may name millions, and each has its price

_PATHS = (
    "birds/a.jpg",
    "https://a.example/b%20c.jpg?d=e#f",
    "s3://bucket/möwe.png",
    "file:///tmp/a.jpg",
    "C:\\x\\a.jpg",
)

_LIST_WORDS = (
    *(b"\n", b"\r\n", b"\r", b"\0", b'"', b"'", b",", b";", b"\t", b"|", b"#", b"#TYPE x\n", b"sep=;\n", b"=", b" "),
    *(
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xff\xfe\0\0",
        b"\xe2\x80\x9c",
        b"\x1f\x8b",
        b"PK\x03\x04",
        b"\xff\xd8",
    ),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b":",
        b"[[",
        b'{"a":',
        b"null",
        b"\\ud800",
        b'"instances"',
        b'"results"',
        b'"birdlite_run"',
    ),
    *(b"url", b"path", b"target", b"label", b"filename,directory\n", b'"url": ""', b"1e999", b"-", b"9" * 5000),
    *(
        b"http://",
        b"https://[::1]:0/",
        b"http://\xe2\x98\x83/",
        b"http://user:pw@h:99999/",
        b"s3://",
        b"gs://a/*",
        b"az:",
    ),
    *(
        b"file://host/",
        b"file:///%00",
        b"data:image/png;base64,",
        b"~",
        b"~nobody/",
        b"*",
        b"**",
        b"[a-",
        b"../",
        b"%zz",
    ),
)


def _list_seeds() -> dict[str, bytes]:
    plain = "\n".join(("# birds", *_PATHS, ""))
    rows = "".join(f'{number};"{path}";robin\r\n' for number, path in enumerate(_PATHS))
    objects = [{"url": path, "label": "robin", "index": 1} for path in _PATHS]
    lines = "".join(f"{json.dumps(one)}\n" for one in (*objects, *_PATHS))
    document = {"info": {"a": [1, {"b": None}]}, "images": objects, "categories": [{"id": 1}]}
    return {
        "text": plain.encode(),
        "text of Windows": plain.replace("\n", "\r\n").encode("utf-16"),
        "names divided by NUL": "\0".join(_PATHS).encode(),
        "CSV": ("sep=;\r\nid;path;label\r\n" + rows).encode(),
        "CSV of a camera trap": b"File,RelativePath,Species\na.jpg,card 1\\dcim,robin\nb.jpg,,wren\n",
        "JSON lines": lines.encode(),
        "JSON": json.dumps(document, indent=1).encode(),
        "JSON array": json.dumps([*objects, *_PATHS]).encode(),
        "packed": gzip.compress(plain.encode() * 50),
    }


def _prepare_lists(folder: Path) -> Attempt:
    from birdlite.batch.shard import key_of, octets_of
    from birdlite.evaluate.labelled import open_source
    from birdlite.http.address import address
    from birdlite.targets import BadTarget
    from birdlite.targets.expand import single
    from birdlite.targets.list_file import read

    kept = folder / "labelled.csv"

    def read_targets(data: bytes, name: str) -> None:
        for found, failure in islice(read(io.BytesIO(data), name), _MOST_TARGETS):
            target = BadTarget(found, failure) if failure is not None else single(found)
            key_of(octets_of(target.name))
            if not isinstance(target, BadTarget) and target.kind == "url":
                try:
                    address(target.location)
                except PictureError:
                    continue

    def attempt(data: bytes) -> None:
        suffix = ("", ".txt", ".csv", ".jsonl", ".json", "labelled")[zlib.crc32(data) % 6]
        if suffix == "labelled":
            kept.write_bytes(data)
            for label in open_source(str(kept)).labels():
                octets_of(label.text)
        else:
            read_targets(data, f"list{suffix}")

    return attempt


_unpacked = inside(gzip.decompress, lambda data: gzip.compress(data, 1), with_words(_LIST_WORDS))
_list_changes = (damaged, *[with_words(_LIST_WORDS)] * 3, json_value, _unpacked)
LISTS = Part("lists", _list_seeds, _prepare_lists, _list_changes, (UsageError,))


_CUT = b"\n---\n"  # between the label map and the common names
_CLASSES = 5
_LABEL_WORDS = (
    *(
        b"\n",
        b"\r\n",
        b"\r",
        b"\x0b",
        b"\x1c",
        b"\xe2\x80\xa8",
        b'"',
        b'""',
        b",",
        b" ",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
    ),
    *(
        b"id,name\n",
        b"0",
        b"4",
        b"5",
        b"-1",
        b"007",
        b"\xd9\xa3",
        b"9" * 5000,
        b" (",
        b")",
        b"()",
        b"\\xd7",
        b"background",
    ),
)


def _label_seeds() -> dict[str, bytes]:
    rows = [f"{number},Avis {number}" for number in (4, 0, 1, 2, 3)]
    names = "".join(f"Avis {number} (Bird {number})\n" for number in range(_CLASSES))
    plain = "\n".join(["id,name", *rows, ""])
    return {
        "map": plain.encode(),
        "map and names": plain.encode() + _CUT + names.encode(),
        "map in quotes": plain.replace("Avis 2", '"Avis 2"').replace("\n", "\r\n").encode("utf-8-sig"),
    }


def _prepare_labels(_folder: Path) -> Attempt:
    from birdlite.models.labels import read_labels, top_k

    def attempt(data: bytes) -> None:
        label_map, cut, names = data.partition(_CUT)
        labels = read_labels(label_map, names if cut else None, _CLASSES)
        assert len(labels.names) == len(labels.common) == _CLASSES
        assert len(top_k([0.1] * _CLASSES, labels, _CLASSES, 0.0)) == _CLASSES

    return attempt


LABELS = Part("labels", _label_seeds, _prepare_labels, (damaged, *[with_words(_LABEL_WORDS)] * 3), (InvalidModel,))


def _bundle_seeds() -> dict[str, bytes]:
    from birdlite.models.bundle import card_to_json
    from birdlite.models.catalog import CATALOG, DEMO_MODEL

    card = CATALOG[DEMO_MODEL].card
    made = card._replace(made_with={"birdlite": "1.0", "tool": "2"}, distance={"top-1": 0.5, "scores": 1e-9})
    return {"card": card_to_json(card).encode(), "card of a conversion": card_to_json(made).encode()}


def _prepare_bundles(folder: Path) -> Attempt:
    from birdlite.demo import FOLDER
    from birdlite.models.bundle import CARD_FILE, card_to_json, faults_in, look_in, model_of, read_card

    for name in ("model.tflite", "labels.csv", "names.txt"):
        shutil.copyfile(f"{FOLDER}/{name}", folder / name)

    def attempt(data: bytes) -> None:
        (folder / CARD_FILE).write_bytes(data)
        card = read_card(str(folder))
        files, _ = look_in(str(folder), card)
        if not faults_in(str(folder), card):
            model_of(card, files, str(folder))
        (folder / CARD_FILE).write_text(card_to_json(card))
        assert read_card(str(folder)) == card

    return attempt


BUNDLES = Part("bundles", _bundle_seeds, _prepare_bundles, (damaged, *[json_value] * 4), (InvalidModel,))
