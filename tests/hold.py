"""Pictures that wait, on their way through the pipeline, until the test lets them go on."""

from __future__ import annotations

import threading

from tests.origin import PATIENCE

HELD = b"HELD"  # before a picture's bytes: it is not decoded before the test says so


class Hold:
    """Keeps pictures that begin with `HELD` from being decoded until it is released."""

    def __init__(self) -> None:
        self._released = threading.Event()
        self.came = threading.Semaphore(0)  # one for each such picture

    def release(self) -> None:
        """Let all of them be decoded."""
        self._released.set()

    def pass_on(self, data: bytes) -> bytes:
        """The picture, when it may be decoded."""
        if not data.startswith(HELD):
            return data
        self.came.release()
        assert self._released.wait(PATIENCE)
        return data.removeprefix(HELD)

    def wait_for(self, pictures: int) -> None:
        """Wait until so many more are about to be decoded."""
        for _ in range(pictures):
            assert self.came.acquire(timeout=PATIENCE)
