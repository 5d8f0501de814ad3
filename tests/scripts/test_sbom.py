"""The list of what is shipped, and the scan of an image that it is compared with."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scripts import image_scan, sbom
from scripts.lock import FOLDER, pins_of

LIBRARY = b"\x7fELF of a library"
STATUS = """\
Package: libfeather1
Status: install ok installed
Architecture: amd64
Version: 1:2.0+b1
Description: a library
 of feathers

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


def write(path: Path, body: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def record(path: str, body: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode().rstrip("=")
    return f"{path},sha256={digest},{len(body)}\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder site-packages with birdlite, and the locked Pillow with one library."""
    folder = tmp_path / "opt" / "venv" / "lib" / "python3.11" / "site-packages"
    pillow = next(pin for pin in pins_of(FOLDER / "image.txt") if pin.name == "pillow")
    for name, version, licence in (("birdlite", "0.1.0", "Apache-2.0"), ("Pillow", str(pillow.version), "MIT-CMU")):
        head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: {licence}\n"
        write(folder / f"{name}-{version}.dist-info" / "METADATA", head.encode())
    info = folder / f"Pillow-{pillow.version}.dist-info"
    write(info / "sboms" / "pillow.cdx.json", b"{}")
    write(folder / "pillow.libs" / "libjpeg-1.so.62", LIBRARY)
    lines = record("pillow.libs/libjpeg-1.so.62", LIBRARY) + record("pillow.libs/libfreetype-1.so.6", b"left out")
    lines += record("PIL/_imaging.so", b"an extension") + record(f"{info.name}/sboms/pillow.cdx.json", b"{}")
    write(info / "RECORD", lines.encode())
    return folder


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """What pip said that it installed there."""
    pillow = next(pin for pin in pins_of(FOLDER / "image.txt") if pin.name == "pillow")
    digests = {"birdlite": "a" * 64, "pillow": pillow.hashes[0].removeprefix("sha256:")}
    items = [
        {
            "metadata": {"name": name, "version": "1"},
            "download_info": {"url": f"https://index.invalid/{name}.whl", "archive_info": {"hash": f"sha256={digest}"}},
        }
        for name, digest in digests.items()
    ]
    return write(tmp_path / "report.json", json.dumps({"install": items}).encode())


@pytest.fixture
def listed(site: Path, report: Path, tmp_path: Path) -> dict[str, Any]:
    """The list of that folder."""
    output = tmp_path / "sbom.cdx.json"
    sbom.main(["packages", f"--site={site}", f"--report={report}", f"--notices={tmp_path / 'N'}", f"--output={output}"])
    return dict(json.loads(output.read_text()))


def image_of(root: Path, document: dict[str, Any], **more: bytes) -> io.BytesIO:
    """An exported image: the folder /opt below `root`, the list, and more files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as files:
        files.add(root / "opt", "opt")
        for name, body in {image_scan.LIST: json.dumps(document).encode(), **more}.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            files.addfile(member, io.BytesIO(body))
        link = tarfile.TarInfo("usr/local/bin/python3.11-link")
        link.type, link.linkname = tarfile.SYMTYPE, "/nowhere"
        files.addfile(link)
    archive.seek(0)
    return archive


@pytest.fixture
def image_list(site: Path, report: Path, tmp_path: Path) -> dict[str, Any]:
    """The list of an image: /opt/venv, and one package of Debian."""
    place = "/" + site.relative_to(tmp_path).as_posix()
    packages = list(sbom.packages_of(site, sbom.hashes_of([report]), place))
    return {"components": [*packages, *sbom.debian_packages_of(STATUS, "12")]}


def test_it_is_cyclonedx(listed: dict[str, Any]) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(listed)) is None


def test_a_package_is_listed_with_version_licence_and_the_hash_of_the_installed_file(
    listed: dict[str, Any], report: Path, tmp_path: Path
) -> None:
    birdlite, pillow = listed["components"]

    assert birdlite["purl"] == "pkg:pypi/birdlite@0.1.0"
    assert birdlite["licenses"] == [{"expression": "Apache-2.0"}]
    assert birdlite["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert {"name": "birdlite:file", "value": "pillow.whl"} in pillow["properties"]
    assert "birdlite 0.1.0: Apache-2.0\n" in (tmp_path / "N").read_text()
    assert "index.invalid" not in json.dumps(listed)


def test_bundled_libraries_are_named_if_they_are_there(listed: dict[str, Any]) -> None:
    (library,) = listed["components"][1]["components"]

    assert library["name"] == "site-packages/pillow.libs/libjpeg-1.so.62"
    assert library["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(LIBRARY).hexdigest()}]


def test_the_same_packages_give_the_same_list(listed: dict[str, Any], site: Path, report: Path, tmp_path: Path) -> None:
    sbom.main(["packages", f"--site={site}", f"--report={report}", f"--output={tmp_path / 'again'}"])

    assert json.loads((tmp_path / "again").read_text()) == listed


def test_a_package_that_pip_did_not_install_is_an_error(site: Path, report: Path, tmp_path: Path) -> None:
    write(site / "stray-1.dist-info" / "METADATA", b"Metadata-Version: 2.1\nName: stray\nVersion: 1\n")

    with pytest.raises(SystemExit, match=r"^sbom: stray is in "):
        sbom.main(["packages", f"--site={site}", f"--report={report}", f"--output={tmp_path / 'x'}"])


def test_a_model_is_listed_with_its_files(listed: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path / "bundle" / "model.json", b'{"name": "demo"}')
    write(tmp_path / "bundle" / "model.tflite", b"weights")
    output = tmp_path / "with-model.json"
    sbom.main(["model", f"--sbom={tmp_path / 'sbom.cdx.json'}", f"--model={tmp_path / 'bundle'}", f"--output={output}"])

    document = json.loads(output.read_text())

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(output.read_text()) is None
    assert document["serialNumber"] != listed["serialNumber"]
    assert [file["name"] for file in document["components"][-1]["components"]] == ["model.json", "model.tflite"]


def test_an_image_that_holds_what_its_list_names_passes(image_list: dict[str, Any], tmp_path: Path) -> None:
    image = image_of(tmp_path, image_list, **{"var/lib/dpkg/status": STATUS.encode()})

    found, _ = image_scan.scan(image)

    assert found == set(image_scan.listed_in(image_list))
    assert {kind for kind, *_ in found} == {
        "debian packages",
        "libraries",
        "lists by the packages' authors",
        "python packages",
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("opt/venv/lib/python3.11/site-packages/stray-1.dist-info/METADATA", b"Name: stray\nVersion: 1\n"),
        ("opt/venv/lib/python3.11/site-packages/stray.libs/libstray.so.1", LIBRARY),
        ("opt/venv/lib/python3.11/site-packages/pillow.libs/libjpeg-1.so.62", b"another library"),
        ("usr/local/bin/python3.11", b"\x7fELF"),
    ],
    ids=["package", "library", "changed library", "python"],
)
def test_what_the_list_lacks_is_found(image_list: dict[str, Any], tmp_path: Path, path: str, body: bytes) -> None:
    image = image_of(tmp_path, image_list, **{"var/lib/dpkg/status": STATUS.encode(), path: body})

    with pytest.raises(AssertionError, match="in the image and not in its list"):
        image_scan.compare(image, ())


def test_what_the_image_lacks_is_found(image_list: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"in the list and not in the image: .*libfeather1"):
        image_scan.compare(image_of(tmp_path, image_list), ())


def test_a_file_that_is_not_locked_is_found(image_list: dict[str, Any], tmp_path: Path) -> None:
    image_list["components"][1]["hashes"][0]["content"] = "b" * 64
    image = image_of(tmp_path, image_list, **{"var/lib/dpkg/status": STATUS.encode()})

    with pytest.raises(AssertionError, match="pillow: a file that is not locked"):
        image_scan.compare(image, ())


def test_an_image_without_a_list_is_refused(tmp_path: Path) -> None:
    archive = io.BytesIO()
    tarfile.open(fileobj=archive, mode="w").close()
    archive.seek(0)

    with pytest.raises(AssertionError, match=r"sbom\.cdx\.json is not in the image"):
        image_scan.compare(archive, ())


def test_the_purl_of_a_debian_package_is_escaped() -> None:
    (package,) = sbom.debian_packages_of(STATUS, "12")

    assert package["purl"] == "pkg:deb/debian/libfeather1@1%3A2.0%2Bb1?arch=amd64&distro=debian-12"
