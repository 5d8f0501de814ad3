"""XNNPACK's packed weights, kept between runs: one file a model, library and CPU. `litert_capi` uses it when loading.

To run a model, LiteRT's XNNPACK first lays out the weights for this CPU, which is most of the time that loading takes.
It can write the result to a file and map that file next time. A wrong byte in it is a wrong answer or a crash, so:

- The name of a file holds the sha256 of its content: `xnnpack-MODEL-MACHINE-CONTENT.bin`. Before every use the content
  is hashed and compared; what does not match is deleted and built again. So one rename publishes content and digest
  together, no fsync is needed (a file that a power cut left half written does not match), and a damaged file is
  harmless. That guards against accidents; whoever may write the folder is trusted.
- MACHINE is a digest of the library and the CPU. A file made by another library or for another CPU has another name
  and is not looked at. A few of them stay, because several machines may share one home; older ones are removed.
- XNNPACK does not write into the folder. It builds in memory, because it aborts the process when a write fails, as on
  a full disk. We copy the result. Two processes that build at once publish the same file twice.
- XNNPACK is given /proc/self/fd/N, the path of the descriptor through which the file was hashed, so that it maps that
  very file. And the file is read-only: if XNNPACK will not have it, for reasons of its own, it tries to build there,
  may not, and goes on without. Given the descriptor itself, it would abort.

It works on Linux only: it needs memfd_create and /proc/self/fd. Whatever goes wrong here, the model is loaded without.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
import threading
import time

from birdlite import log

KEPT_PER_MODEL = 4  # files
LEFTOVER_SECONDS = 3600  # age at which a temporary file belongs to a killed process: writing one takes milliseconds
_MAX_BYTES = 1 << 28  # of a file; the models that birdlite is for pack to 4 to 14 MB
_DIGITS = 16  # hexadecimal, of the digests of model and machine in a name: 64 bits
_SUFFIX, _PARTIAL_SUFFIX = ".bin", ".part"
# The lines of /proc/cpuinfo on x86, ARM and RISC-V that stay the same between two runs.
_CPUINFO_FIELDS = (b"vendor_id", b"cpu family", b"model", b"flags", b"Features", b"CPU ", b"isa", b"uarch")

_lock = threading.Lock()  # around the two sets, and so that one thread hashes a file and not each
_verified: set[tuple[str, int, int, int, int, int]] = set()  # files that this process hashed: name and identity
_built: set[str] = set()  # prefixes of names that this process built, or tried to


class WeightCache:
    """The files of one model on this machine, in one folder. One is made for each load; loads may overlap."""

    def __init__(self, folder: str, model_sha256: str, library: str) -> None:
        self._folder = folder
        self._of_model = f"xnnpack-{model_sha256[:_DIGITS]}-"
        machine = _machine(library)
        self._prefix = f"{self._of_model}{machine}-" if machine else ""

    def open(self) -> WeightFile | None:
        """Open the file to load the model with: an intact one, or an empty one in memory, or None for none at all.

        A process builds a file only once: engines loaded meanwhile go without, and a folder that cannot take the file
        does not slow down every engine.
        """
        if not self._prefix:
            return None
        with _lock:
            descriptor = self._find()
            if descriptor is not None:
                log.debug("packed weights from the cache", folder=self._folder)
                return WeightFile(descriptor, None)
            key = os.path.join(self._folder, self._prefix)
            if key in _built or not _writable(self._folder):
                return None
            _built.add(key)
            descriptor = _memory_file()
            return None if descriptor is None else WeightFile(descriptor, self)

    def _find(self) -> int | None:
        try:
            names = os.listdir(self._folder)
        except OSError:
            return None  # nothing was kept yet, or it is gone
        for name in names:
            if name.startswith(self._prefix) and name.endswith(_SUFFIX):
                descriptor = self._open_intact(name)
                if descriptor is not None:
                    return descriptor
        return None

    def _open_intact(self, name: str) -> int | None:
        path = os.path.join(self._folder, name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            log.debug("packed weights cannot be read", path=path, reason=error.strerror)
            return None
        if _intact(descriptor, name, digest=name[len(self._prefix) : -len(_SUFFIX)]):
            return descriptor
        os.close(descriptor)
        log.info("the cached packed weights are damaged; packing them again", path=path)
        _remove(path)
        return None

    def publish(self, content: mmap.mmap) -> None:
        """Put what XNNPACK built into the folder, whole or not at all.

        Raises:
            OSError: it could not be written, or is larger than what the next run would read.
        """
        if len(content) > _MAX_BYTES:
            raise OSError(f"{len(content)} bytes are too many")
        partial = os.path.join(self._folder, f"{self._prefix}{os.getpid()}-{os.urandom(4).hex()}{_PARTIAL_SUFFIX}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            name = f"{self._prefix}{hashlib.sha256(content).hexdigest()}{_SUFFIX}"
            os.replace(partial, os.path.join(self._folder, name))
        except OSError:
            _remove(partial)
            raise
        log.debug("packed weights kept", folder=self._folder, name=name, bytes=len(content))

    def sweep(self) -> None:
        """Remove what killed processes left, and this model's oldest files beyond the few that are kept.

        Raises:
            OSError: the folder cannot be read.
        """
        kept: list[tuple[int, str]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                modified = entry.stat(follow_symlinks=False).st_mtime_ns
                if entry.name.startswith("xnnpack-") and entry.name.endswith(_PARTIAL_SUFFIX):
                    if time.time_ns() - modified > LEFTOVER_SECONDS * 10**9:
                        _remove(entry.path)
                elif entry.name.startswith(self._of_model) and entry.name.endswith(_SUFFIX):
                    kept.append((modified, entry.path))
        for _, path in sorted(kept, reverse=True)[KEPT_PER_MODEL:]:
            _remove(path)


def remove_all(folder: str, model_sha256: str) -> None:
    """Remove every file of a model, of whatever machine. A folder that is not there holds none."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(f"xnnpack-{model_sha256[:_DIGITS]}-"):
            _remove(os.path.join(folder, name))


class WeightFile:
    """An open file that XNNPACK can be pointed to. It maps the file by itself: close this once the model is ready."""

    def __init__(self, descriptor: int, built_for: WeightCache | None) -> None:
        self._descriptor = descriptor
        self._built_for = built_for

    @property
    def path(self) -> str:
        """Plain ASCII whatever the folder is called: XNNPACK's options know no way to quote."""
        return f"/proc/self/fd/{self._descriptor}"

    def keep(self) -> None:
        """Publish the file if XNNPACK has just built it. Failing to is told at debug level and changes nothing."""
        if self._built_for is None:
            return
        try:
            with mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ) as content:
                self._built_for.publish(content)
            self._built_for.sweep()
        except (OSError, ValueError) as error:  # ValueError: it is empty, XNNPACK had nothing to pack
            log.debug("packed weights not kept", reason=str(error))

    def close(self) -> None:
        """Let go of the descriptor; what XNNPACK mapped stays mapped."""
        os.close(self._descriptor)


def _intact(descriptor: int, name: str, digest: str) -> bool:
    facts = os.fstat(descriptor)
    identity = (name, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
    if identity in _verified:
        return True
    if facts.st_size > _MAX_BYTES:
        return False
    try:
        with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
            intact = hashlib.sha256(content).hexdigest() == digest
    except (OSError, ValueError):  # empty, or no regular file
        return False
    if intact:
        _verified.add(identity)
    return intact


def _machine(library: str) -> str:
    """Digest what the layout of packed weights depends on besides the model; "" where that cannot be told."""
    if sys.platform != "linux":
        return ""
    try:
        facts = _library(library) + _cpu()
    except OSError as error:
        log.debug("no cache of packed weights", reason=str(error))
        return ""
    return hashlib.sha256(facts).hexdigest()[:_DIGITS]


def _library(path: str) -> bytes:
    """Identify the library by its size and the ends of its file.

    The ELF header and the section table that stand there list the size and address of everything in it, which no other
    build shares. Its time stamp differs between installations of one build, and to ask for its version costs an import
    of 30 ms.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        return b"%d %b%b\n" % (size, os.pread(file.fileno(), 4096, 0), os.pread(file.fileno(), 4096, size - 4096))


def _cpu() -> bytes:
    """Read the CPU's family, model and features.

    Raises:
        OSError: the kernel does not tell.
    """
    try:
        return _head("/sys/devices/system/cpu/modalias")
    except FileNotFoundError:
        # Second choice: reading this made kernels before 5.17 measure the clock of every CPU first, up to 20 ms.
        first = _head("/proc/cpuinfo").partition(b"\n\n")[0]
        return b"\n".join(line for line in first.splitlines() if line.startswith(_CPUINFO_FIELDS))


def _head(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(4096) or b""


def _writable(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        log.debug("no cache of packed weights", folder=folder, reason=error.strerror)
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _memory_file() -> int | None:
    """Make an empty file in memory that can grow to any model's size, or give None."""
    try:
        descriptor = os.memfd_create("birdlite-xnnpack")
    except (AttributeError, OSError) as error:  # an old libc or kernel
        log.debug("no cache of packed weights", reason=str(error))
        return None
    try:
        os.pwrite(descriptor, b"\0", _MAX_BYTES)  # takes one page; refused under a `ulimit -f`
        os.ftruncate(descriptor, 0)
    except OSError as error:
        os.close(descriptor)
        log.debug("no cache of packed weights", reason=error.strerror)
        return None
    return descriptor


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:  # another process was quicker, or the folder is read-only
        log.debug("a file of packed weights was not removed", path=path, reason=error.strerror)
