"""A cable between two network namespaces, with a delay and a bandwidth: what a kernel without `netem` cannot do itself.

    python -m scripts.scaleout.wire NETNS_A ADDRESS_A NETNS_B ADDRESS_B ONE_WAY_MS MBIT_S

Makes two tap devices, moves one into each namespace, and passes frames on after the delay. The bandwidth, of each
direction, is kept by the kernel's token bucket. Prints `ready` and runs until it is ended or its standard input is
closed; the devices end with it.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # linux/if_tun.h
FRAME = 65536  # bytes: more than any frame has
AT_ONCE = 64  # frames, before the other direction has its turn

Frames = deque[tuple[float, bytes]]  # when it is to arrive, in s on the monotonic clock, and the frame


def main(netns_a: str, address_a: str, netns_b: str, address_b: str, one_way_ms: str, mbit: str) -> None:
    """Lay the cable and pass frames on."""
    ends = [_end(netns_a, address_a, mbit, "a"), _end(netns_b, address_b, mbit, "b")]
    print("ready", flush=True)
    _pass_on(ends, float(one_way_ms) / 1e3)


def _end(netns: str, address: str, mbit: str, letter: str) -> int:
    """Make one end: a tap device in a namespace. Gives the descriptor of what comes out of it."""
    device = f"bl{os.getpid()}{letter}"
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TAP | IFF_NO_PI))
    _ip("link", "set", device, "netns", netns)
    _ip("-n", netns, "addr", "add", address, "dev", device)
    _ip("-n", netns, "link", "set", device, "txqueuelen", "1000", "up")
    bucket = ("tbf", "rate", f"{mbit}mbit", "burst", "32k", "latency", "200ms")
    _ip("netns", "exec", netns, "tc", "qdisc", "add", "dev", device, "root", *bucket)
    return end


def _ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True)


def _pass_on(ends: list[int], delay: float) -> None:
    queues: tuple[Frames, Frames] = (deque(), deque())  # of what came out of each end
    poll = select.poll()
    poll.register(0, select.POLLIN)
    for end in ends:
        poll.register(end, select.POLLIN)
    while True:
        due = min((queue[0][0] for queue in queues if queue), default=None)
        for end, _ in poll.poll(None if due is None else max(0.0, (due - time.monotonic()) * 1e3)):
            if end == 0:
                return
            _take(end, queues[ends.index(end)], delay)
        now = time.monotonic()
        for queue, end in zip(queues, reversed(ends), strict=True):
            while queue and queue[0][0] <= now:
                _give(end, queue.popleft()[1])


def _take(end: int, queue: Frames, delay: float) -> None:
    try:
        for _ in range(AT_ONCE):
            queue.append((time.monotonic() + delay, os.read(end, FRAME)))
    except BlockingIOError:
        return


def _give(end: int, frame: bytes) -> None:
    try:
        os.write(end, frame)
    except BlockingIOError:
        return  # the queue is full: the frame is lost, as on any line


if __name__ == "__main__":
    main(*sys.argv[1:])
