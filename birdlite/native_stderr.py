"""Catches what C code prints on its `stderr` during a call: LiteRT while it loads models, libtiff while it decodes.

LiteRT's XNNPACK delegate prints "INFO: Created TensorFlow Lite XNNPACK delegate for CPU." once a process, errors in a
model are printed too, and no option silences either. Redirecting descriptor 2 would also catch what Python's threads
and child processes print meanwhile. So the C variable `stderr` points at a stream in memory while the call runs.

Only glibc is known to read that variable at every print and to let it be written (in musl it is constant).
Elsewhere nothing is caught, and the line stays visible.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading

from birdlite import log

_CAPACITY = 16 * 1024  # bytes; what is printed beyond that is lost
_UNBUFFERED = 2  # _IONBF of stdio.h in glibc

_lock = threading.Lock()
_inside = 0  # how many blocks are running
_stream: _MemoryStream | None = None


class Caught:
    """`with Caught() as caught:` runs the block with `stderr` caught; `caught.text` holds the output afterwards.

    Blocks may run at the same time in several threads; each then has the output of all. The lines are logged at debug
    level.
    """

    def __init__(self) -> None:
        self.text = ""
        self._start = 0

    def __enter__(self) -> Caught:
        global _inside, _stream
        with _lock:
            if _stream is None and _is_glibc():
                _stream = _MemoryStream()
            if _stream is not None:
                if _inside == 0:
                    _stream.swap_in()
                self._start = _stream.position
                _inside += 1
        return self

    def __exit__(self, *exception: object) -> None:
        global _inside
        with _lock:
            if _stream is not None:
                self.text = _stream.text_from(self._start)
                _inside -= 1
                if _inside == 0:
                    _stream.swap_out()
        for line in self.text.splitlines():
            log.debug("a library printed a line", line=line)

    @property
    def error(self) -> str:
        """The first error among the lines, or an empty string."""
        for line in self.text.splitlines():
            level, _, message = line.partition(": ")
            if level == "ERROR":
                return message
        return ""


class _MemoryStream:
    """A C stream in memory, and the variable `stderr`.

    Made once and never closed: C code of another thread may still hold the stream when `stderr` points back.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        libc.fmemopen.argtypes, libc.fmemopen.restype = (pointer, size, ctypes.c_char_p), pointer
        libc.setvbuf.argtypes, libc.setvbuf.restype = (pointer, pointer, ctypes.c_int, size), ctypes.c_int
        libc.ftell.argtypes, libc.ftell.restype = (pointer,), ctypes.c_long
        libc.rewind.argtypes, libc.rewind.restype = (pointer,), None
        self._libc = libc
        self._variable = pointer.in_dll(libc, "stderr")
        self._original = self._variable.value
        self._bytes = ctypes.create_string_buffer(_CAPACITY)
        self._handle: int | None = libc.fmemopen(self._bytes, _CAPACITY, b"w")
        if self._handle is None:
            raise MemoryError("no stream in memory")
        libc.setvbuf(self._handle, None, _UNBUFFERED, 0)

    def swap_in(self) -> None:
        self._original = self._variable.value
        self._variable.value = self._handle

    def swap_out(self) -> None:
        """Point `stderr` back, and forget what was printed meanwhile."""
        self._variable.value = self._original
        self._libc.rewind(self._handle)

    @property
    def position(self) -> int:
        return max(0, int(self._libc.ftell(self._handle)))

    def text_from(self, start: int) -> str:
        # The last byte of a full stream is a NUL.
        return self._bytes.raw[start : self.position].rstrip(b"\0").decode("utf-8", "replace")


def _is_glibc() -> bool:
    if sys.platform != "linux":
        return False
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (OSError, ValueError):  # musl does not know the question
        return False
