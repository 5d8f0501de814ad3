"""What the first picture of a run imports: Pillow's core, more of Pillow if it is needed, and at most one plugin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.pictures import COLOURS, fields, interlaced_rows, photograph, png, saved

REPO = Path(__file__).parents[2]
RGB = fields(COLOURS)
UPSIDE_DOWN = Image.Exif()
UPSIDE_DOWN[0x0112] = 3

FILES = {
    "JPEG": saved(RGB, "JPEG"),
    "JPEG grey": saved(RGB[..., 0], "JPEG"),
    "JPEG with EXIF": saved(RGB, "JPEG", exif=UPSIDE_DOWN),
    "JPEG at reduced scale": saved(photograph(1000, 900), "JPEG"),
    "PNG": saved(RGB, "PNG"),
    "PNG interlaced": png(400, 300, 8, 2, interlaced_rows(RGB), interlaced=True),
    "GIF": saved(RGB, "GIF"),
    "BMP": saved(RGB, "BMP"),
    "AVIF": saved(RGB, "AVIF"),
    "WEBP": saved(RGB, "WEBP"),
    "TIFF": saved(RGB, "TIFF"),
}


def modules_after(program: str) -> set[str]:
    """Run a program in a fresh interpreter; the modules that it has imported in the end."""
    whole = f"import sys; sys.path.insert(0, {str(REPO)!r}); {program}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-I", "-c", whole], check=True, capture_output=True, text=True).stdout.split()
    )


def decoding(name: str, folder: Path) -> str:
    """Write a picture to a file, and a program that decodes it."""
    file = folder / "picture"
    file.write_bytes(FILES[name])
    return f"from birdlite.images import picture; picture.decode(open({str(file)!r}, 'rb').read())"


def test_the_module_is_imported_without_pillow() -> None:
    assert not any(name.split(".")[0] == "PIL" for name in modules_after("import birdlite.images.picture"))


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(("JPEG", "PNG"))])
def test_a_first_jpeg_or_png_imports_no_plugin(name: str, tmp_path: Path) -> None:
    more = modules_after(decoding(name, tmp_path)) - modules_after("import PIL.Image")

    assert {module for module in more if not module.startswith("birdlite")} <= {"zlib"}


@pytest.mark.parametrize("name", ["JPEG", "JPEG with EXIF", "JPEG at reduced scale"])
def test_a_first_rgb_jpeg_imports_pillow_s_core_only(name: str, tmp_path: Path) -> None:
    modules = modules_after(decoding(name, tmp_path))

    assert {module for module in modules if module.startswith("PIL")} == {"PIL", "PIL._version", "PIL._imaging"}


def test_after_preload_a_jpeg_imports_nothing(tmp_path: Path) -> None:
    preloaded = modules_after("from birdlite.images import picture; picture.preload()")

    assert (
        modules_after(f"from birdlite.images import picture; picture.preload(); {decoding('JPEG', tmp_path)}")
        == preloaded
    )


@pytest.mark.parametrize(
    ("name", "plugin"), [("GIF", None), ("BMP", None), ("WEBP", "WebP"), ("TIFF", "Tiff"), ("AVIF", "Avif")]
)
def test_each_other_format_imports_only_its_own_plugin_or_none(name: str, plugin: str | None, tmp_path: Path) -> None:
    modules = modules_after(decoding(name, tmp_path))

    plugins = {module for module in modules if module.endswith("ImagePlugin")}
    assert plugins == ({f"PIL.{plugin}ImagePlugin"} if plugin else set())
    assert "numpy" not in modules
