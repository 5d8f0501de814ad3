"""OpenCV's bilinear arithmetic, compared with OpenCV's own results for the same pictures."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from birdlite.images import bilinear

# Height, width, side: the first 16 digits of the sha256 of cv2.resize(pattern(height, width), (side, side)).tobytes(),
# by opencv-python-headless 4.11.0.86 (NumPy 1.26.4), and the same by 5.0.0.93 (NumPy 2.4.6), on x86-64.
OPENCV = {
    (1, 1, 224): "e24194ab83d4d034",
    (1, 2, 224): "c63afa58735163a3",
    (2, 1, 224): "4df167901d5ac0ef",
    (2, 2, 224): "edfe5fd54842d01c",
    (3, 3, 224): "0694d6c6aa6d8732",
    (5, 7, 224): "ede389a7e318a5af",
    (1, 50000, 224): "8759cec6480dc61b",
    (50000, 1, 224): "0a1da253cb3370ef",
    (100, 224, 224): "1b05e222178feaa0",
    (112, 112, 224): "4493aab74cf1dc81",
    (223, 225, 224): "4ae6c1cd86ac31ea",
    (224, 224, 224): "3ad6f7e24e8c5b4c",
    (224, 448, 224): "635c04e3b6585153",
    (225, 223, 224): "16e1e3e83ac23c6b",
    (448, 224, 224): "63c3f8ed14d0a3a0",
    (447, 448, 224): "0b17585f50ddcfb4",
    (448, 447, 224): "3a3059341ceb8b87",
    (448, 448, 224): "7b25f49e1b86bfed",
    (449, 449, 224): "9f41f0be888d08ef",
    (367, 550, 224): "8c003d05f5b95993",
    (672, 672, 224): "e6544125aee792d1",
    (896, 448, 224): "42ce8b26866ecfe6",
    (896, 896, 224): "b6380fa864568fd9",
    (929, 512, 224): "1e907af2ddfa1d4d",
    (1, 1000, 224): "202a3dab43a6c5f4",
    (1000, 3, 224): "d448c29565738204",
    (1111, 777, 224): "2bcce19a1ca565ac",
    (2048, 1638, 224): "fb0ec7906e598bdc",
    (300, 200, 192): "70554c3e37d8578f",
    (384, 384, 192): "90d5d88c998a7526",
    (385, 383, 192): "772a54fd887348f5",
    (34, 34, 17): "49acaaed37316e99",
    (640, 480, 299): "2bc8552889043014",
    (5, 3, 1): "1395be0f8fd5b546",
    (2, 2, 1): "65323934cc7bcdbb",
}


def pattern(height: int, width: int) -> NDArray[np.uint8]:
    """Pixels that are the same everywhere and rough: every weight and every rounding shows."""
    y, x, c = np.ogrid[:height, :width, :3]
    rough: NDArray[np.int64] = (x * x * 3 + y * y * 5 + x * y * 7 + c * 101 + (x >> 3) * 17) * 40503 >> 7
    return rough.astype(np.uint8)


@pytest.mark.parametrize(("height", "width", "side"), OPENCV)
def test_the_pixels_are_those_of_opencv_bit_for_bit(height: int, width: int, side: int) -> None:
    small = bilinear.resize(pattern(height, width), side)

    assert small.shape == (side, side, 3)
    assert hashlib.sha256(small.tobytes()).hexdigest()[:16] == OPENCV[height, width, side]


def test_a_turned_view_gives_the_same_without_a_copy() -> None:
    pixels = pattern(300, 500)
    turned = pixels.transpose(1, 0, 2)[::-1]

    assert not turned.flags.c_contiguous
    assert np.array_equal(bilinear.resize(turned, 224), bilinear.resize(np.ascontiguousarray(turned), 224))


def test_a_picture_of_the_right_size_stays_unchanged() -> None:
    pixels = pattern(224, 224)

    assert np.array_equal(bilinear.resize(pixels, 224), pixels)
