"""A list of what is shipped (SBOM, CycloneDX 1.6): packages with versions, hashes and licences, and bundled libraries.

    python sbom.py packages --site SITE-PACKAGES --report REPORT... [--system] -o sbom.cdx.json [--notices FILE]
    python sbom.py model --sbom sbom.cdx.json --model BUNDLE -o FILE

The Dockerfile runs it while it builds, and `scripts.release` for the wheel. It needs the standard library only. A
report is what `pip install --report` writes: it has the hash of the very file that was installed, which pip checked
against requirements/*.txt. A package that is in no report is an error. With `--system` Debian's packages and Python
itself are listed too. `scripts.image_scan` reads a finished image in another way, and compares.
"""

from __future__ import annotations

import argparse
import base64
import email.parser
import hashlib
import json
import os
import platform
import re
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]
NAMESPACE = uuid.UUID("6f0cbb6c-8f7e-5ef1-9a11-8b2b3a2f5f0e")  # of serial numbers: the same list has the same one
DPKG = Path("/var/lib/dpkg/status")
COPYRIGHT = "/usr/share/doc/{}/copyright"
OWN_LIST = re.compile(r"\.dist-info/sboms/[^/]+$")  # what a package says of itself, PEP 770
LIBRARY = re.compile(r"(^|/)lib[^/]*\.so[^/]*$")  # a shared library; extension modules are part of their package
LICENCES = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
}


def main(arguments: list[str] | None = None) -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(prog="sbom", description="List what is shipped, as CycloneDX.")
    commands = parser.add_subparsers(dest="command", required=True)
    packages = commands.add_parser("packages", help="of a folder site-packages, and of this system")
    packages.add_argument("--site", type=Path, required=True, help="the folder site-packages")
    packages.add_argument("--report", type=Path, action="append", required=True, help="of pip install --report")
    packages.add_argument("--system", action="store_true", help="Debian's packages and Python too: it is an image")
    packages.add_argument("--notices", type=Path, help="write names and licences to this file, for people")
    model = commands.add_parser("model", help="add a model's bundle to a list")
    model.add_argument("--sbom", type=Path, required=True)
    model.add_argument("--model", type=Path, required=True)
    for command in (packages, model):
        command.add_argument("-o", "--output", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    if chosen.command == "model":
        document = json.loads(chosen.sbom.read_text())
        document = _document(document["metadata"]["component"], [*document["components"], model_of(chosen.model)])
    else:
        place = chosen.site.resolve() if chosen.system else Path("site-packages")
        components = list(packages_of(chosen.site, hashes_of(chosen.report), place.as_posix()))
        (itself,) = [component for component in components if component["name"] == "birdlite"]
        about = {"type": "container" if chosen.system else "library", "bom-ref": "birdlite", "name": "birdlite"}
        about["version"] = itself["version"]
        document = _document(about, components + (list(_system()) if chosen.system else []))
        if chosen.notices:
            chosen.notices.write_text("".join(notices_of(document)))
    chosen.output.write_text(json.dumps(document, indent=1) + "\n")


def packages_of(site: Path, hashes: dict[str, tuple[str, str]], place: str) -> Iterator[Component]:
    """The packages of a folder, each with the file that pip installed and the libraries that it bundles.

    `place` is what the list calls the folder.

    Raises:
        SystemExit: a package is there that no report names.
    """
    for distribution in sorted(distributions(path=[str(site)]), key=_name):
        name = _name(distribution)
        if name not in hashes:
            sys.exit(f"sbom: {name} is in {site}, and pip did not report it")
        file, sha256 = hashes[name]
        component = _python_package(distribution, place)
        component["hashes"] = [{"alg": "SHA-256", "content": sha256}]
        component["properties"] += [{"name": "birdlite:file", "value": file}]
        bundled = [
            path for path in distribution.files or () if os.path.exists(path.locate())
        ]  # an image leaves some out
        libraries = [
            {
                "type": "file",
                "bom-ref": f"{place}/{path.as_posix()}",
                "name": f"{place}/{path.as_posix()}",
                "hashes": [{"alg": "SHA-256", "content": _hexadecimal(path.hash.value)}],
            }
            for path in bundled
            if path.hash is not None and LIBRARY.search(path.as_posix())
        ]
        own = [
            {"type": "bom", "url": f"{place}/{path.as_posix()}", "comment": "by the authors of the package"}
            for path in bundled
            if OWN_LIST.search(path.as_posix())
        ]
        yield (
            component | ({"components": libraries} if libraries else {}) | ({"externalReferences": own} if own else {})
        )


def hashes_of(reports: list[Path]) -> dict[str, tuple[str, str]]:
    """Name of a package -> name and sha256 of the file that pip installed."""
    found = {}
    for report in reports:
        for item in json.loads(report.read_text())["install"]:
            archive = item["download_info"]["archive_info"]
            sha256 = archive.get("hashes", {}).get("sha256") or archive["hash"].removeprefix("sha256=")
            found[_canonical(item["metadata"]["name"])] = (item["download_info"]["url"].rpartition("/")[2], sha256)
    return found


def model_of(bundle: Path) -> Component:
    """A model as a component, its files inside."""
    card = json.loads((bundle / "model.json").read_text())
    files = [
        {
            "type": "file",
            "bom-ref": f"model/{path.name}",
            "name": path.name,
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
        }
        for path in sorted(bundle.iterdir())
    ]
    return {"type": "machine-learning-model", "bom-ref": "model", "name": card["name"], "components": files}


def notices_of(document: dict[str, Any]) -> Iterator[str]:
    """Names and licences, for people."""
    yield "What birdlite is shipped with, and under which licences. Made from the SBOM beside this file.\n"
    yield "The texts: NAME-VERSION.dist-info in site-packages; Debian's in /usr/share/doc/NAME/copyright.\n\n"
    for component in document["components"]:
        licences = " AND ".join(_words(licence) for licence in component.get("licenses", ()))
        yield f"{component['name']} {component.get('version', '')}: {licences or 'see its text'}\n"


def _document(about: Component, components: list[Component]) -> dict[str, Any]:
    body = {
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "birdlite scripts/sbom.py"}]},
            "component": about,
        },
        "components": components,
    }
    serial = uuid.uuid5(NAMESPACE, json.dumps(body, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", **head, **body}


def _python_package(distribution: Distribution, place: str) -> Component:
    name, version = _name(distribution), distribution.version
    purl = f"pkg:pypi/{name}@{quote(version, safe='.')}"
    return {
        "type": "library",
        "bom-ref": f"{place}/{name}",
        "name": name,
        "version": version,
        "purl": purl,
        "licenses": _licences(distribution),
        "properties": [{"name": "birdlite:site", "value": place}],
    }


def _licences(distribution: Distribution) -> list[Component]:
    told = distribution.metadata
    if "License-Expression" in told:
        return [{"expression": told["License-Expression"]}]
    classifiers = [line for line in told.get_all("Classifier") or () if line.startswith("License ::")]
    if known := [LICENCES[line] for line in classifiers if line in LICENCES]:
        return [{"license": {"id": licence}} for licence in known]
    names = [line.rpartition(" :: ")[2] for line in classifiers] or (told.get_all("License") or [""])[0].splitlines()[
        :1
    ]
    return [{"license": {"name": name}} for name in names if name]


def _system() -> Iterator[Component]:
    """What the base image holds: Debian's packages, its Python's own packages, and Python if it is not Debian's."""
    debian = list(debian_packages_of(DPKG.read_text(), _release())) if DPKG.exists() else []
    yield from debian
    for distribution in sorted(distributions(), key=_name):
        yield _python_package(distribution, Path(str(distribution.locate_file(""))).resolve().as_posix())
    if not any(package["name"] == f"python3.{sys.version_info[1]}-minimal" for package in debian):
        version = platform.python_version()
        purl = f"pkg:generic/python@{version}"
        licences = [{"license": {"id": "PSF-2.0"}}]
        yield {
            "type": "platform",
            "bom-ref": purl,
            "name": "python",
            "version": version,
            "purl": purl,
            "licenses": licences,
        }


def debian_packages_of(status: str, release: str) -> Iterator[Component]:
    """The installed packages that dpkg's file `status` names."""
    for paragraph in status.split("\n\n"):
        told = email.parser.Parser().parsestr(paragraph.lstrip("\n"), headersonly=True)
        if told["Status"] == "install ok installed":
            name, version = told["Package"], told["Version"]
            purl = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='.~')}?arch={told['Architecture']}"
            purl += f"&distro=debian-{release}"
            component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
            yield component | {"licenses": _debian_licences(Path(COPYRIGHT.format(name)))}


def _debian_licences(copyright_file: Path) -> list[Component]:
    """What a machine-readable copyright file names; the others are for people only."""
    if not copyright_file.exists():
        return []
    names = re.findall(r"^License:[ \t]*(\S.*)$", copyright_file.read_text(errors="replace"), re.MULTILINE)
    return [{"license": {"name": name}} for name in sorted({name.strip() for name in names})]


def _release() -> str:
    return platform.freedesktop_os_release().get("VERSION_ID", "unstable")


def _words(licence: Component) -> str:
    return str(licence.get("expression") or licence["license"].get("id") or licence["license"]["name"])


def _name(distribution: Distribution) -> str:
    return _canonical(distribution.metadata["Name"])


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _hexadecimal(value: str) -> str:
    """A hash as RECORD has it, as everybody else has it."""
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()


if __name__ == "__main__":
    main()
