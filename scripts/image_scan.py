"""Compare an image with the list of its contents: what a scan of all files finds, against sbom.cdx.json inside.

`scripts.image_check` calls it for both images. The scan knows nothing of how the list was made: it reads the image as
`podman export` gives it, and finds Debian's packages in dpkg's file, Python's by their metadata, Python itself by its
program, and shared libraries and the files of models below /opt by their bytes.
"""

from __future__ import annotations

import email.parser
import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from scripts.lock import FOLDER, pins_of

LIST = "usr/share/birdlite/sbom.cdx.json"
NOTICES = "usr/share/birdlite/THIRD_PARTY.txt"
METADATA = re.compile(r"^(?P<site>.+)/[^/]+\.(dist-info/METADATA|egg-info/PKG-INFO|egg-info)$")
OWN_LIST = re.compile(r"\.dist-info/sboms/[^/]+$")
LIBRARY = re.compile(r"^opt/.*/lib[^/]*\.so[^/]*$")
PYTHON = re.compile(r"^usr/local/bin/python(?P<version>3\.\d+)$")
MODEL = "opt/birdlite/model/"
Found = set[tuple[str, ...]]


def compare(image: IO[bytes], extras: tuple[str, ...]) -> str:
    """Raise AssertionError if list and image differ, or the list and requirements/*.txt; else say what was compared."""
    found, document = scan(image)
    assert document is not None, f"/{LIST} is not in the image"
    listed = set(listed_in(document))
    assert found - listed == set(), f"in the image and not in its list: {sorted(found - listed)}"
    assert listed - found == set(), f"in the list and not in the image: {sorted(listed - found)}"
    locked = {(pin.name, str(pin.version)): pin for extra in ("image", *extras) for pin in _pins(extra)}
    for component in document["components"]:
        if _site(component).startswith("/opt/venv") and component["name"] != "birdlite":
            (digest,) = component["hashes"]
            pin = locked.pop((component["name"], component["version"]), None)
            assert pin is not None, f"{component['name']} {component['version']} is not locked"
            assert f"sha256:{digest['content']}" in pin.hashes, f"{component['name']}: a file that is not locked"
    assert not [pin for pin in locked.values() if pin.marker is None], f"locked and not installed: {sorted(locked)}"
    kinds = sorted({kind for kind, *_ in found})
    return ", ".join(f"{sum(kind == item[0] for item in found)} {kind}" for kind in kinds)


def scan(image: IO[bytes]) -> tuple[Found, dict[str, Any] | None]:
    """What is in an exported image, and the list that it holds."""
    found: Found = set()
    document = None
    with tarfile.open(fileobj=image, mode="r|") as files:
        for member in files:
            name = member.name.removeprefix("./")
            body = files.extractfile(member) if member.isfile() else None
            if body is None:
                continue
            if name == LIST:
                document = json.load(body)
            elif name == "var/lib/dpkg/status":
                found |= set(_debian(body.read().decode()))
            elif match := METADATA.match(name):
                told = email.parser.BytesParser().parsebytes(body.read(), headersonly=True)
                found.add(("python packages", _canonical(told["Name"]), told["Version"], f"/{match['site']}"))
            elif OWN_LIST.search(name):
                found.add(("lists by the packages' authors", f"/{name}"))
            elif LIBRARY.match(name):
                found.add(("libraries", f"/{name}", hashlib.sha256(body.read()).hexdigest()))
            elif name.startswith(MODEL):
                found.add(("files of a model", name.removeprefix(MODEL), hashlib.sha256(body.read()).hexdigest()))
            elif match := PYTHON.match(name):
                found.add(("python", match["version"]))
    return found, document


def listed_in(document: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """What a list names, in the words of a scan."""
    for component in document["components"]:
        purl = component.get("purl", "")
        if purl.startswith("pkg:deb/"):
            architecture = re.search(r"[?&]arch=([^&]+)", purl)
            yield "debian packages", component["name"], component["version"], architecture[1] if architecture else ""
        elif purl.startswith("pkg:pypi/"):
            yield "python packages", component["name"], component["version"], _site(component)
        elif component["type"] == "platform":
            yield "python", ".".join(component["version"].split(".")[:2])
        kind = "files of a model" if component["type"] == "machine-learning-model" else "libraries"
        for file in component.get("components", ()):
            yield kind, file["name"], file["hashes"][0]["content"]
        for reference in component.get("externalReferences", ()):
            yield "lists by the packages' authors", reference["url"]


def _debian(status: str) -> Iterator[tuple[str, ...]]:
    for paragraph in filter(str.strip, status.split("\n\n")):
        told = dict(re.findall(r"^(Package|Version|Architecture|Status): (.*)$", paragraph, re.MULTILINE))
        if told["Status"].endswith(" installed"):
            yield "debian packages", told["Package"], told["Version"], told["Architecture"]


def _pins(extra: str) -> Iterator[Any]:
    return pins_of(Path(FOLDER) / f"{extra}.txt")


def _site(component: dict[str, Any]) -> str:
    sites = [entry["value"] for entry in component.get("properties", ()) if entry["name"] == "birdlite:site"]
    return str(sites[0]) if sites else ""


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
