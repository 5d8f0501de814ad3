"""Small files that ask for much memory or time are refused by their header, or take no more than it says."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from birdlite.errors import PictureError, installing
from birdlite.images import av1, picture
from scripts.picture_kinds import KINDS, heic, made
from tests.pictures import chunk, photograph, png, saved, tiff, without_strip_sizes

REPO = Path(__file__).parents[2]
RGB_8 = ((258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 2), (277, 3, 1, 3))


def failure(data: bytes) -> tuple[str, str]:
    """Kind and message of the error that the header already gives."""
    with pytest.raises(PictureError) as caught:
        picture.plan(data)
    return caught.value.kind, str(caught.value)


def tiled(side: int, *, size: int = 16) -> bytes:
    """A TIFF of `size` x `size` px in one tile."""
    pixels = zlib.compress(bytes(64), 9)
    where = ((322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, len(pixels)))
    return tiff((256, 4, 1, size), (257, 4, 1, size), *RGB_8, *where, pixels=pixels)


def test_a_tile_much_larger_than_its_picture_is_too_large() -> None:
    assert failure(tiled(26_700)) == ("too_large", "TIFF with tiles of 26700x26700 px, larger than the picture")


def test_a_tile_a_little_larger_than_its_picture_is_counted() -> None:
    assert picture.plan(tiled(4096)).memory > 4096 * 4096 * 3


def test_a_tile_without_pixels_is_a_decode_error() -> None:
    assert failure(tiled(0)) == ("decode", "damaged TIFF: strips or tiles of 0x0 px")


def test_too_many_tiles_are_too_large() -> None:
    assert failure(tiled(1, size=1000)) == (
        "too_large", "TIFF with 1,000,000 strips or tiles is over the limit of 262,144",
    )  # fmt: skip


def test_strips_that_are_all_the_same_bytes_are_refused() -> None:
    """Each would be unpacked anew."""
    pixels = zlib.compress(random.Random(1).randbytes(3000))
    lists = struct.pack("<100I", *(8,) * 100) + struct.pack("<100I", *(len(pixels),) * 100)
    at = 8 + len(pixels)
    where = ((273, 4, 100, at), (278, 4, 1, 1), (279, 4, 100, at + 400))
    entries = sorted(((256, 4, 1, 10), (257, 4, 1, 100), *RGB_8, *where))

    assert failure(tiff(*entries, pixels=pixels + lists)) == (
        "decode", "damaged TIFF: strips or tiles of no or of the same bytes",
    )  # fmt: skip


def test_fewer_strips_than_the_picture_needs_are_a_decode_error() -> None:
    entries = ((256, 4, 1, 10), (257, 4, 1, 100), *RGB_8, (273, 4, 1, 8), (278, 4, 1, 1), (279, 4, 1, 8))

    assert failure(tiff(*sorted(entries), pixels=bytes(8))) == ("decode", "damaged TIFF: strips or tiles are missing")


def test_a_tiff_of_progressive_jpegs_with_many_scans_is_too_large() -> None:
    jpeg = saved(photograph(64, 48), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    scans = jpeg[:-2] + jpeg[last:-2] * 30 + b"\xff\xd9"
    entries = (
        (256, 4, 1, 64), (257, 4, 1, 48), (258, 3, 1, 8), (259, 3, 1, 7), (262, 3, 1, 6), (273, 4, 1, 8),
        (277, 3, 1, 3), (278, 4, 1, 48), (279, 4, 1, len(scans)),
    )  # fmt: skip

    assert failure(tiff(*entries, pixels=scans)) == ("too_large", "TIFF with over 4 scans a strip or tile")


@pytest.mark.parametrize("missing", [1, 60, 114, 200])
def test_a_tiff_without_lengths_of_strips_must_still_be_whole(missing: int) -> None:
    """The lengths are known by the size of the picture. Bytes of the directory must not stand for pixels."""
    entries = ((256, 4, 1, 40), (257, 4, 1, 30), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 0))
    directory = tiff(*entries)[8:]
    start = 8 + len(directory)
    data = struct.pack("<2sHI", b"II", 42, 8) + directory[:-8] + struct.pack("<II", start, 0) + bytes(1200)

    assert picture.decode(data).width == 40
    assert failure(data[:-missing]) == ("decode", "truncated TIFF: the file ends before the picture does")


def test_a_packed_tiff_without_lengths_of_strips_must_still_be_whole() -> None:
    data = without_strip_sizes(saved(photograph(64, 48), "TIFF", compression="tiff_lzw"))
    whole = picture.decode(data)

    assert (whole.width, whole.height) == (64, 48)


def test_what_follows_the_pixels_of_a_png_is_not_unpacked() -> None:
    packer = zlib.compressobj(9)
    surplus = packer.compress(bytes(3)) + b"".join(packer.compress(bytes(1 << 24)) for _ in range(16)) + packer.flush()
    data = png(1, 1, 8, 2, b"")[:33] + chunk(b"IDAT", surplus) + chunk(b"IEND", b"")
    program = (
        "import sys; from birdlite.bench import peak_memory_bytes; from birdlite.images import picture;"
        "data = sys.stdin.buffer.read(); before = peak_memory_bytes(); picture.decode(data);"
        "print(peak_memory_bytes() - before)"
    )
    run = subprocess.run([sys.executable, "-c", program], input=data, cwd=REPO, check=True, capture_output=True)

    assert int(run.stdout) < 40_000_000  # bytes; all of it is 268 MB


def test_a_gif_of_tiny_blocks_is_refused() -> None:
    gif = saved(Image.new("P", (300, 200)), "GIF")
    start = gif.index(b",", 13) + 11

    with pytest.raises(PictureError, match="over 262,144 blocks"):
        picture.decode(gif[:start] + b"\1\0" * 300_000 + b"\0;")


def test_a_long_run_length_coding_is_too_large() -> None:
    bitmap = made("BMP run lengths", 30, 20)

    assert failure(bitmap + bytes(1 << 23)) == ("too_large", "BMP with over 8,388,608 bytes of run-length coding")


@pytest.mark.parametrize("colour", [0, 2])
def test_a_large_png_of_16_bits_with_a_transparent_colour_is_too_large(colour: int) -> None:
    """It is decoded twice, which takes long."""
    key = chunk(b"tRNS", bytes(2 if colour == 0 else 6))

    def starts(width: int) -> bytes:
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 6_000, 16, colour, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + header + key + chunk(b"IDAT", b"") + chunk(b"IEND", b"")

    picture.plan(starts(10_000))
    assert failure(starts(10_001)) == (
        "too_large",
        "10001x6000 px of 16 bits with a transparent colour is over the limit of 60,000,000 pixels for such a PNG",
    )


def test_a_webp_of_many_pixels_in_many_bytes_is_too_large() -> None:
    head = struct.pack("<4sI4s4sI", b"RIFF", 22, b"WEBP", b"VP8X", 10) + bytes(4)
    head += (11_999).to_bytes(3, "little") + (9_999).to_bytes(3, "little")

    picture.plan(head + bytes(55_000_000 - len(head)))
    assert failure(head + bytes(55_000_001 - len(head))) == (
        "too_large", "WebP of 12000x10000 px in 55,000,001 bytes takes too long to decode",
    )  # fmt: skip


def test_avif_and_heic_of_many_items_are_too_large() -> None:
    entries = struct.pack(">I4s4x", 12, b"infe") * 5000
    items = struct.pack(">I4sIH", 14 + len(entries), b"iinf", 0, 5000) + entries
    size = struct.pack(">I4sIII", 20, b"ispe", 0, 64, 64)
    properties = struct.pack(">I4sI4s", 16 + len(size), b"iprp", 8 + len(size), b"ipco") + size
    meta = struct.pack(">I4sI", 12 + len(items) + len(properties), b"meta", 0) + items + properties
    data = struct.pack(">I4s4sI", 16, b"ftyp", b"avif", 0) + meta

    assert failure(data) == ("too_large", "AVIF of over 4,096 pictures and tiles")


@pytest.mark.parametrize("name", ["AVIF", "HEIC"])
def test_the_size_of_avif_and_heic_is_checked_before_they_are_decoded(name: str) -> None:
    data = bytearray(made(name, 64, 48))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 20_000, 20_000)

    assert failure(bytes(data)) == ("too_large", "20000x20000 px is over the limit of 120,000,000 pixels")


@pytest.mark.parametrize("name", ["AVIF", "AVIF alpha"])
def test_an_avif_that_says_it_is_smaller_than_its_pixels_are_is_damaged(name: str) -> None:
    data = made(name, 640, 480).replace(struct.pack(">II", 640, 480), struct.pack(">II", 16, 16))

    assert failure(data) == ("decode", "damaged AVIF: a picture of 640x480 px that says it is smaller")


def test_the_first_picture_of_a_moving_avif_is_looked_at_as_well() -> None:
    frames = [photograph(640, 480), photograph(640, 480).rotate(180)]
    data = saved(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    picture.plan(data)
    smaller = data.replace(struct.pack(">II", 640, 480), struct.pack(">II", 16, 16))
    smaller = smaller.replace(struct.pack(">HH", 640, 480), struct.pack(">HH", 16, 16))
    smaller = smaller.replace(b"iloc", b"free")  # only the track is left

    assert failure(smaller) == ("decode", "damaged AVIF: a picture of 640x480 px that says it is smaller")


def test_an_avif_whose_pixels_lie_outside_the_file_is_damaged() -> None:
    assert failure(made("AVIF", 64, 48)[:-1])[0] == "decode"


def block(kind: int, bits: str) -> bytes:
    """A block of AV1."""
    body = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    return bytes((kind << 3 | 2, len(body))) + body


# No still picture; one operating point; sizes of 16 bits, 16x16 px at most; screen content as each frame says.
SEQUENCE = block(1, "000" + "00" + "00" + "00000" + "0" * 17 + "1" * 8 + f"{15:016b}" * 2 + "0" + "0" * 7 + "0" + "11")


@pytest.mark.parametrize(("own", "size"), [("0", (16, 16)), ("1", (65536, 65536))])
def test_a_frame_of_av1_may_have_a_larger_size_of_its_own(own: str, size: tuple[int, int]) -> None:
    frame = block(6, "0" + "00" + "1" + "00" + own)  # a key frame, which is shown

    assert av1.size(memoryview(SEQUENCE + frame)) == size


def test_av1_with_very_many_frames_that_are_not_shown_is_refused() -> None:
    hidden = block(6, "0" + "00" + "0" + "0" * 5)

    av1.size(memoryview(SEQUENCE + hidden * 8))
    with pytest.raises(av1.TooManyFrames):
        av1.size(memoryview(SEQUENCE + hidden * 9))


@pytest.mark.parametrize("cut", range(1, len(SEQUENCE)))
def test_av1_that_is_cut_in_its_header_is_refused(cut: int) -> None:
    with pytest.raises(av1.BadAv1):
        av1.size(memoryview(SEQUENCE[:cut]))


def test_a_heic_of_many_pixels_in_many_bytes_is_too_large() -> None:
    data = made("HEIC", 640, 480).replace(struct.pack(">II", 640, 480), struct.pack(">II", 12_000, 10_000))
    free = 42_000_000 - len(data)

    picture.plan(data + struct.pack(">I4s", free, b"free") + bytes(free - 8))
    assert failure(data + struct.pack(">I4s", free + 1, b"free") + bytes(free - 7)) == (
        "too_large", "HEIC of 12000x10000 px in 42,000,001 bytes takes too long to decode",
    )  # fmt: skip


def test_heic_without_its_extra_says_so_and_the_log_says_once_what_to_install(
    monkeypatch: pytest.MonkeyPatch, warnings_said: list[str]
) -> None:
    data = made("HEIC", 64, 48)
    monkeypatch.setitem(sys.modules, "pi_heif", None)

    for _ in range(2):
        assert failure(data) == ("unsupported", "HEIC needs the extra heif, which is not installed")
    assert warnings_said == [f"to read HEIC: {installing('heif')}"]


def test_reading_a_header_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {kind: made(kind, 300, 200) for kind in KINDS}
    monkeypatch.setattr(Image, "new", None)
    monkeypatch.setattr(Image, "frombytes", None)

    for data in files.values():
        plan = picture.plan(data)
        assert plan.memory >= 300 * 200
        assert plan.memory == picture.memory_needed(data)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the peak of a process")
@pytest.mark.parametrize(
    "kind",
    ["JPEG progressive 4-4-4", "PNG with a clear colour", "PNG 16 bits with a clear colour", "GIF", "BMP run lengths",
     "WEBP", "WEBP lossless alpha", "TIFF one strip 16 bits", "TIFF YCbCr LZW", "TIFF tiles", "AVIF alpha"],
)  # fmt: skip
def test_decoding_takes_no_more_than_the_header_promised(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    path.write_bytes(made(kind, 1800, 1200))
    command = [sys.executable, "-m", "scripts.measure_memory", "--child", str(path), "crop"]
    run = subprocess.run(command, cwd=REPO, check=True, capture_output=True)
    found = json.loads(run.stdout)

    assert "error" not in found
    assert 1800 * 1200 <= found["took"] <= found["promised"] + (4 << 20)


def test_libtiff_prints_nothing_about_damaged_files(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(saved(photograph(64, 48), "TIFF", compression="tiff_lzw"))
    data[100:140] = b"\xff" * 40

    with pytest.raises(PictureError, match="damaged TIFF"):
        picture.decode(bytes(data))
    assert capfd.readouterr() == ("", "")


def test_heic_in_deep_grey_is_refused_before_it_is_decoded() -> None:
    """pi-heif decodes it to 16 bits, which would be white, and damaged ones write behind the memory of their pixels."""
    data = heic(Image.new("I;16", (96, 64), 30_000))

    with pytest.raises(PictureError, match="HEIC in grey with more than 8 bits a sample") as caught:
        picture.decode(data)
    assert caught.value.kind == "unsupported"
