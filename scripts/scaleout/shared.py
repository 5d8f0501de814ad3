"""What many machines ask of one place: bytes and requests that grow with machines or indexes, and what they take there.

The model in `cost` knows machines that do not disturb each other. Here is where they do.
"""

from __future__ import annotations

from typing import NamedTuple

IMAGE = 69_000_000  # bytes that the image `baked` adds to its base, unpacked: scripts/image_check.py
MODEL = 3_561_598 + 22_386 + 40_000  # bytes of birds-v1-lite, its label map, and about what its names have
PODS = 20.0  # a second: `--kube-api-qps` of kube-controller-manager, if nobody raises it; the burst of 30 is left out
POLITE_MBIT = 25.0  # what Wikimedia's robot policy allows to one client, however many machines it has


class Demand(NamedTuple):
    """What one batch asks for, in bytes of each thing."""

    images: int  # each machine pulls one
    models: int  # each index of an image `lean` fetches one
    lists: int  # each index reads all of it
    pictures: int


def demand(machines: int, indexes: int, list_bytes: int, picture_bytes: int) -> Demand:
    """With a list and pictures of so many bytes in all."""
    return Demand(machines * IMAGE, indexes * MODEL, indexes * list_bytes, picture_bytes)


def seconds(size: int, mbit: float) -> float:
    """How long so many bytes take on a line."""
    return size * 8 / (mbit * 1e6)


def seconds_of_pods(indexes: int) -> float:
    """How long the cluster takes to make a pod for each index, whatever else happens."""
    return indexes / PODS
