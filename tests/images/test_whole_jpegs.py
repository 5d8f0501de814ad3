"""A JPEG is whole if its compressed pixels are, whatever stands behind them; half of one is never taken for it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import pytest
from PIL import Image

from birdlite.errors import PictureError
from birdlite.images import picture
from scripts.try_cuts import main as try_cuts
from tests.pictures import photograph, saved, separate_scans

PHOTO = photograph(320, 240)
END = b"\xff\xd9"
RESTARTS = saved(PHOTO, "JPEG", restart_marker_rows=1)  # 15 pieces
FILES = {
    "baseline": saved(PHOTO, "JPEG"),
    "own tables": saved(PHOTO, "JPEG", optimize=True, subsampling=0),
    "restarts": RESTARTS,
    "a restart each block": saved(photograph(90, 70), "JPEG", restart_marker_blocks=1),
    "a scan a colour": separate_scans(photograph(120, 100)),
    "a scan a colour, restarts": separate_scans(photograph(120, 100), restart_marker_rows=2),
    "progressive": saved(PHOTO, "JPEG", progressive=True),
    "progressive, restarts": saved(PHOTO, "JPEG", progressive=True, restart_marker_rows=3),
    "grey": saved(PHOTO.convert("L"), "JPEG"),
    "progressive, grey": saved(PHOTO.convert("L"), "JPEG", progressive=True),
    "CMYK": saved(PHOTO.convert("CMYK"), "JPEG"),
    "progressive, CMYK": saved(PHOTO.convert("CMYK"), "JPEG", progressive=True),
}
MISSING = "damaged JPEG: part of the picture is missing"
TRUNCATED = "truncated JPEG: the file ends before the picture does"
MISFIT = "damaged JPEG: the parts of the picture do not fit together"
NO_END = "damaged JPEG: its pixels do not end where they should"


def message(data: bytes) -> str:
    with pytest.raises(PictureError) as caught:
        picture.decode(data)
    assert caught.value.kind == "decode"
    return str(caught.value)


def restart(data: bytes, n: int) -> int:
    """Say where the n-th restart marker stands, from 0."""
    return list(re.compile(rb"\xff[\xd0-\xd7]").finditer(data, data.index(b"\xff\xda")))[n].start()


def scans(data: bytes) -> list[int]:
    return [found.start() for found in re.finditer(rb"\xff\xda", data)]


@pytest.mark.parametrize(
    "end",
    [
        lambda data: data[:-2],
        lambda data: data[:-1],
        lambda data: data[:-2] + bytes(4096),
        lambda data: data[:-2] + b"\xff" * 300,
        lambda data: data[:-2] + b"\r\n--frame\r\n",
        lambda data: data[:-2] + b"\xff\xff\xff" + END,
        lambda data: data[:-2] + bytes(100) + END,
        lambda data: data + bytes(4096),
        lambda data: data + b"GIF89a, or any other junk \xff\xda\0\x08 \xff\xc0\0\x02" * 9,
        lambda data: data + FILES["progressive"],
    ],
    ids=[
        "none",
        "half",
        "zeros",
        "ones",
        "text",
        "filled",
        "zeros before it",
        "zeros behind",
        "junk behind",
        "another",
    ],
)
@pytest.mark.parametrize("name", FILES)
def test_a_whole_jpeg_is_read_whatever_its_end(name: str, end: Callable[[bytes], bytes]) -> None:
    assert picture.decode(end(FILES[name])) == picture.decode(FILES[name])


@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.97])
@pytest.mark.parametrize(
    ("fill", "text"),
    [
        (lambda missing: b"", TRUNCATED),
        (lambda missing: END, MISSING),
        (lambda missing: bytes(missing), TRUNCATED),
        (lambda missing: b"\xff" * missing, TRUNCATED),
        (lambda missing: bytes(missing - 2) + END, ""),
        (lambda missing: b"\xff" * (missing - 2) + END, MISSING),
    ],
    ids=["nothing", "end marker", "zeros", "ones", "zeros, end marker", "ones, end marker"],
)
@pytest.mark.parametrize("name", FILES)
def test_half_a_jpeg_is_refused_whatever_fills_it(
    name: str, fill: Callable[[int], bytes], text: str, part: float
) -> None:
    data = FILES[name]
    start = scans(data)[0] + 20
    at = start + int((len(data) - start) * part)

    assert message(data[:at] + fill(len(data) - at)) in ([text] if text else [MISSING, NO_END])


@pytest.mark.parametrize("name", ["baseline", "own tables", "progressive", "grey", "CMYK"])
def test_a_cut_right_behind_a_byte_of_ones_is_seen(name: str) -> None:
    data = FILES[name]
    ones = [found.start() for found in re.compile(rb"\xff\0").finditer(data, scans(data)[-1], len(data) - 40)]
    assert ones

    assert {message(data[: at + 1] + END) for at in ones} == {MISSING}


def test_a_progressive_jpeg_without_its_last_scan_is_refused() -> None:
    data = FILES["progressive"]

    for at in scans(data)[1:]:
        assert message(data[:at] + END) == MISSING
        assert message(data[:at]) == TRUNCATED


@pytest.mark.parametrize("name", ["restarts", "progressive, restarts", "a scan a colour, restarts"])
@pytest.mark.parametrize("lost", [1, 3, 8])
def test_pieces_lost_between_two_restart_markers_are_missed(name: str, lost: int) -> None:
    """Markers count modulo 8: if eight are lost, libjpeg sees nothing, and the end of the picture is grey."""
    data = RESTARTS if name == "restarts" else separate_scans(PHOTO, restart_marker_rows=1)
    if name.startswith("progressive"):
        data = saved(PHOTO, "JPEG", progressive=True, restart_marker_rows=1)

    assert message(data[: restart(data, 2)] + data[restart(data, 2 + lost) :]) in (MISSING, NO_END, MISFIT)


@pytest.mark.parametrize("number", range(len(scans(FILES["progressive"]))))
def test_a_progressive_jpeg_that_lacks_any_of_its_scans_is_refused(number: int) -> None:
    data = FILES["progressive"]
    starts = scans(data)
    end = data.index(END, starts[-1]) if number == len(starts) - 1 else starts[number + 1]

    with pytest.raises(PictureError) as caught:
        picture.decode(data[: starts[number]] + data[end:])

    assert caught.value.kind == "decode"


@pytest.mark.parametrize("name", ["a scan a colour, restarts", "progressive, restarts"])
def test_pieces_that_are_there_twice_are_seen(name: str) -> None:
    data = (
        FILES[name]
        if name != "progressive, restarts"
        else saved(photograph(320, 640), "JPEG", progressive=True, restart_marker_rows=2)
    )
    first, ninth = restart(data, 1), restart(data, 9)

    assert message(data[:ninth] + data[first:ninth] + data[ninth:]) in (MISFIT, NO_END)


@pytest.mark.parametrize("hole", [bytes(300), b"\xff\0" * 150], ids=["zeros", "ones"])
def test_a_damaged_block_in_the_middle_of_a_jpeg_with_restart_markers_is_seen(hole: bytes) -> None:
    data = saved(photograph(640, 480), "JPEG", quality=90, restart_marker_rows=4)
    assert restart(data, 3) - restart(data, 2) > 1000  # the hole lies within one piece

    at = restart(data, 2) + 200
    assert message(data[:at] + hole + data[at + 300 :]) in (MISSING, NO_END)


@pytest.mark.parametrize("number", [2, 3])
def test_more_pixels_than_the_size_has_are_damage(number: int) -> None:
    """A piece that stands there twice."""
    data = RESTARTS
    twice = data[restart(data, number) : restart(data, number + 1)]

    assert message(data[: restart(data, number)] + twice + data[restart(data, number) :]) == NO_END


def test_a_little_junk_behind_the_pixels_is_no_damage_and_much_of_it_is() -> None:
    data = FILES["own tables"][:-2]

    for end in (b"", END):
        assert picture.decode(data + b"junk" * 1000 + end) == picture.decode(FILES["own tables"])
        assert message(data + b"junk" * 1100 + end) == NO_END


def test_zeros_in_the_middle_that_stand_for_too_many_pixels_are_damage() -> None:
    """With tables of their own, plain blocks take two bits each: a hole of zeros stands for more than it replaced."""
    page = Image.new("RGB", (600, 450), "white")
    page.paste(photograph(600, 225), (0, 112))
    data = saved(page, "JPEG", optimize=True)
    at = scans(data)[0] + (len(data) - scans(data)[0]) // 2

    assert message(data[:at] + bytes(400) + data[at + 400 :]) == NO_END


def test_ten_scans_are_never_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("birdlite.images.jpeg_scans._MAX_BLOCKS", 1)

    assert picture.decode(FILES["progressive"]).width == 320


def segment_before_the_frame(data: bytes, segment: bytes) -> bytes:
    at = data.index(b"\xff\xc0")
    return data[:at] + segment + data[at:]


@pytest.mark.parametrize("length", [0, 1])
@pytest.mark.parametrize("marker", [0xFE, 0xE1, 0xE5, 0xE0, 0xEE])
@pytest.mark.parametrize("behind", [b"", b"\xff\xfe\0\x06hidd", b"\xff\xc0\0\x0b\x08\0\x08\0\x08\1\1\x11\0"])
def test_a_comment_shorter_than_its_own_length_is_stepped_over_as_pillow_does(
    marker: int, length: int, behind: bytes
) -> None:
    """What stands behind it is read, also a second header of another size: we and libjpeg must read the same one."""
    data = segment_before_the_frame(FILES["baseline"], bytes((0xFF, marker, 0, length)) + behind)

    if b"\xff\xc0" in behind:
        assert message(data) == "damaged JPEG: two headers"
        return
    got = picture.decode(data, resize="exact")
    assert got == picture.decode(FILES["baseline"], resize="exact")


@pytest.mark.parametrize("length", [0, 1])
@pytest.mark.parametrize(
    ("marker", "says"),
    [
        (0xC4, "cannot decode image data"),
        (0xDB, "cannot decode image data"),
        (0xDD, "cannot decode image data"),
        (0xDA, "no header before the picture"),
        (0xC0, "a header of the wrong length"),
    ],
)
def test_other_segments_without_length_are_damage(marker: int, length: int, says: str) -> None:
    said = message(segment_before_the_frame(FILES["baseline"], bytes((0xFF, marker, 0, length))))

    assert said == f"damaged JPEG: {says}"


def repeated(data: bytes, scan: int, times: int) -> bytes:
    """Write one scan of a progressive JPEG, with its tables, several times."""
    start = data.rindex(b"\xff\xc4", 0, scans(data)[scan])
    end = data.index(b"\xff\xc4", scans(data)[scan])
    return data[:start] + data[start:end] * times + data[end:]


@pytest.mark.parametrize("scan", [1, 2])
def test_a_jpeg_with_more_scans_than_any_encoder_writes_is_too_large(scan: int) -> None:
    data = FILES["progressive"]
    assert picture.decode(repeated(data, scan, 60)) == picture.decode(data)

    with pytest.raises(PictureError, match="over 100 scans") as caught:
        picture.decode(repeated(data, scan, 120))
    assert caught.value.kind == "too_large"


def test_scans_behind_a_complete_picture_count_too() -> None:
    data = FILES["a scan a colour"]
    last = data[scans(data)[-1] : -2]

    with pytest.raises(PictureError, match="over 100 scans"):
        picture.decode(data[:-2] + last * 120 + END)


def test_the_work_of_many_scans_is_bounded_by_the_size_too() -> None:
    data = saved(Image.new("L", (9000, 9000), 90), "JPEG", progressive=True)

    with pytest.raises(PictureError, match="of this size with over 16 scans") as caught:
        picture.decode(repeated(data, 1, 60))
    assert caught.value.kind == "too_large"


def test_too_many_segments_between_scans_are_refused() -> None:
    data = FILES["progressive"]
    at = data.rindex(b"\xff\xc4")

    assert message(data[:at] + b"\xff\xfe\0\2" * 20_000 + data[at:]) == "damaged JPEG: over 10,000 segments"


def test_random_cuts_are_tried_by_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert try_cuts(["--cuts", "60", "--whole", "40", "--seed", "3"]) == 0

    assert "0 of 60 cut pictures pass, 0 of 40 whole ones are refused" in capsys.readouterr().out


# 48x32 px of grey in arithmetic coding, which Pillow does not write: by `jpegtran -arithmetic` of libjpeg-turbo, from a
# gradient with a disc at quality 60.
ARITHMETIC = base64.b85decode(
    "|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6ModmpQ&KWMT47pHU`kO^"
    "PyfjP3kU!p05Aao5di<p00saM5C#9*00;pA002J#{{Wl2t!vtXDWP7*6|PA~Es+o6P;SfD7m0I)xQ&o;qdF3NrKxBcC9u}rVE)P6#C<AA%PLB{"
    "$w-G33C9uZ5#E7szof|p0ZlzJk075ZE&Pt8OkdDydqk(I7#@@jj2%fv011+&w&GXB*6=q0#X!b4L3TJ&0f8K;j10uY84RJ1ov*W-PeNj(KWEba"
    "0N<AlINR?XU=39(CRp+qbDr<Yq0PDlEmx*kkZJaAXxU2I1o?H}+vVgrE~w=uQi^GP%~U;~J}Wo=X~v75?~wo5"
)


def test_arithmetic_coding_is_read() -> None:
    pixels = picture.decode(ARITHMETIC, side=32, resize="squash").pixels

    assert pixels[0] < 10  # black above, white below, the dark middle of a disc between them
    assert pixels[-1] > 240
    assert min(pixels[3 * 32 * 16 : 3 * 32 * 17]) < 30


@pytest.mark.parametrize("behind", [b"", END, bytes(40), b"\xff" * 40 + END])
def test_half_of_an_arithmetic_coding_is_refused(behind: bytes) -> None:
    for cut in range(ARITHMETIC.index(b"\xff\xda") + 10, len(ARITHMETIC) - 12):  # it codes some 6 blocks in 12 bytes
        assert message(ARITHMETIC[:cut] + behind) in (
            "truncated JPEG: the file ends before the picture does",
            "damaged JPEG: part of the picture is missing",
        )


@pytest.mark.parametrize("behind", [b"", b"\xff", END + bytes(40)])
def test_a_whole_arithmetic_coding_is_whole_whatever_its_end(behind: bytes) -> None:
    assert picture.decode(ARITHMETIC[:-2] + behind, side=32) == picture.decode(ARITHMETIC, side=32)
