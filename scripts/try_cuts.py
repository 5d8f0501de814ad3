"""Cut JPEGs at random, and count half pictures that pass and whole ones that are refused.

    python3 -m scripts.try_cuts --cuts 10000 --whole 2000

Twenty pictures of all kinds of JPEG are cut anywhere; then they end there, or with an end marker, or are filled up to
their old length with zeros or ones, as by a download into a file of the final size. A cut is a half picture if Pillow,
told to show what there is, shows other pixels. Whole ones end without their end marker, with half of it, or with zeros
or other bytes behind them.

Exit codes: 0 within the bounds, 1 not.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator

from PIL import Image, ImageFile

from birdlite.errors import PictureError
from birdlite.images import picture
from tests.pictures import photograph, saved, separate_scans

END = b"\xff\xd9"
BOUND = 1 / 1000  # of the half pictures that may pass

# What becomes of a file that is cut after `at` bytes.
FATES: dict[str, Callable[[bytes, int], bytes]] = {
    "cut": lambda data, at: data[:at],
    "cut, end marker": lambda data, at: data[:at] + END,
    "zeros": lambda data, at: data[:at] + bytes(len(data) - at),
    "zeros, end marker": lambda data, at: data[:at] + bytes(max(0, len(data) - at - 2)) + END,
    "ones": lambda data, at: data[:at] + b"\xff" * (len(data) - at),
    "ones, end marker": lambda data, at: data[:at] + b"\xff" * max(0, len(data) - at - 2) + END,
}

# Other ends of whole files.
ENDS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "as it is": lambda data, _: data,
    "no end marker": lambda data, _: data[:-2],
    "half an end marker": lambda data, _: data[:-1],
    "no end marker, zeros": lambda data, rng: data[:-2] + bytes(rng.randrange(1, 5000)),
    "no end marker, ones": lambda data, rng: data[:-2] + b"\xff" * rng.randrange(1, 5000),
    "no end marker, text": lambda data, _: data[:-2] + b"\r\n--boundary\r\nContent-Type: image/jpeg\r\n\r\n",
    "zeros": lambda data, rng: data + bytes(rng.randrange(1, 5000)),
    "junk": lambda data, rng: data + rng.randbytes(rng.randrange(1, 5000)),
    "another picture": lambda data, _: data + data,
}


def framed(width: int, height: int) -> Image.Image:
    """Draw a photograph in a wide white frame, as a shop shows it: most of the file is about few of the pixels."""
    page = Image.new("RGB", (width, height), "white")
    page.paste(photograph(width // 2, height // 2), (width // 4, height // 4))
    return page


def pictures() -> dict[str, bytes]:
    """Make the files, by what they are."""
    plain, grey, cmyk = photograph(400, 300), photograph(420, 310).convert("L"), photograph(330, 250).convert("CMYK")
    return {
        "baseline": saved(plain, "JPEG"),
        "baseline, good": saved(photograph(391, 287), "JPEG", quality=95, subsampling=0),
        "baseline, poor": saved(photograph(640, 480), "JPEG", quality=20),
        "baseline, 4:2:2, own tables": saved(photograph(403, 299), "JPEG", subsampling=1, optimize=True),
        "baseline, framed": saved(framed(600, 450), "JPEG", optimize=True),
        "baseline, large": saved(photograph(1300, 1000), "JPEG", quality=60),
        "a scan a colour": separate_scans(photograph(300, 220)),
        "a scan a colour, restarts": separate_scans(photograph(300, 220), restart_marker_rows=2),
        "restarts, a row": saved(plain, "JPEG", restart_marker_rows=1),
        "restarts, two rows": saved(photograph(401, 301), "JPEG", restart_marker_rows=2, subsampling=0),
        "restarts, 1 block": saved(photograph(250, 190), "JPEG", restart_marker_blocks=1),
        "restarts, 7 blocks": saved(photograph(500, 380), "JPEG", restart_marker_blocks=7, optimize=True),
        "progressive": saved(plain, "JPEG", progressive=True),
        "progressive, good": saved(photograph(391, 287), "JPEG", progressive=True, quality=95, subsampling=0),
        "progressive, framed": saved(framed(600, 450), "JPEG", progressive=True),
        "progressive, restarts": saved(plain, "JPEG", progressive=True, restart_marker_rows=3),
        "progressive, grey": saved(grey, "JPEG", progressive=True),
        "grey": saved(grey, "JPEG"),
        "CMYK": saved(cmyk, "JPEG"),
        "progressive, CMYK": saved(cmyk, "JPEG", progressive=True),
    }


def accepted(data: bytes) -> bool:
    """Whether birdlite takes it for a picture."""
    try:
        picture.decode(data)
    except PictureError:
        return False
    return True


def shown(data: bytes) -> bytes:
    """Say what Pillow shows of a file, whole or not; empty if it shows nothing."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.tobytes()
    except (OSError, SyntaxError):
        return b""
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def passing(cuts: int, seed: int) -> Iterator[str]:
    """Cut, and name each half picture that passes."""
    rng = random.Random(seed)
    files = pictures()
    whole = {name: shown(data) for name, data in files.items()}
    for _ in range(cuts):
        name, fate = rng.choice(list(files)), rng.choice(list(FATES))
        data = files[name]
        at = rng.randrange(2, len(data))
        half = FATES[fate](data, at)
        if accepted(half) and shown(half) != whole[name]:
            yield f"{name}; {fate}; {len(data) - at:,} of {len(data):,} bytes are missing"


def refused(count: int, seed: int) -> Iterator[str]:
    """End whole pictures in other ways, and name each that is refused."""
    rng = random.Random(seed)
    files = pictures()
    for _ in range(count):
        name, end = rng.choice(list(files)), rng.choice(list(ENDS))
        if "zeros" in end and files[name][-3] == 0:
            continue  # pixels that are zeros, and then zeros: nobody could tell where the picture ended
        if not accepted(ENDS[end](files[name], rng)):
            yield f"{name}; {end}"


def main(arguments: list[str] | None = None) -> int:
    """Try, and print what went wrong and how often."""
    parser = argparse.ArgumentParser(description="Cut JPEGs at random, and count half pictures that pass.")
    parser.add_argument("--cuts", type=int, default=200, help="how many half pictures to try [%(default)s]")
    parser.add_argument("--whole", type=int, default=100, help="how many whole pictures to try [%(default)s]")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    passed, lost = list(passing(args.cuts, args.seed)), list(refused(args.whole, args.seed))
    for what, lines in (("passes", passed), ("is refused", lost)):
        for line, times in sorted(Counter(lines).items()):
            print(f"{what}: {line}" + (f" ({times} times)" if times > 1 else ""))
    print(f"{len(passed)} of {args.cuts:,} cut pictures pass, {len(lost)} of {args.whole:,} whole ones are refused")
    return 0 if len(passed) <= args.cuts * BOUND and not lost else 1


if __name__ == "__main__":
    sys.exit(main())
