"""Objects read, listed and put. `targets`, the pipeline, `batch` and `writers` share one `Storage` in a run.

Credentials, region and endpoint come from the environment variables of the stores' own tools; obstore reads them. The
settings bound all waiting: one request by the timeouts; a picture, a range or a page of a listing by --timeout, with
retries and the search for credentials. All but pictures is tried again for --startup-timeout (`retries`).
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from birdlite import log
from birdlite.errors import PictureError, StorageError, StorageMissing, installing, one_line
from birdlite.settings import DEFAULTS, FetchSettings
from birdlite.storage import Listed, Place, is_odd, parse
from birdlite.storage.listing import Listing
from birdlite.storage.stream import FIRST, LARGEST, ObjectStream, Range

if TYPE_CHECKING:
    from birdlite.deadline import Room
    from birdlite.storage.bucket import Bucket

# A larger output is put in pieces of this size in bytes, and appears at the end.
PIECE = 8 << 20

# One at a time: if a piece fails, obstore ends the upload at once. A store that still receives another piece then may
# keep the upload, unseen and paid for.
PIECES = 1

_NAMED = 3  # keys in a warning

_CHUNK = 1 << 20  # bytes of a picture at once

T = TypeVar("T")


class Storage:
    """All buckets of a run, each opened when it is first used. Any thread may use it."""

    def __init__(self, settings: FetchSettings = DEFAULTS, *, scratch: str | None = None) -> None:
        """`scratch` is the folder in which outputs are made before they are put; see `storage.upload`."""
        self.scratch = scratch
        self._settings = settings
        self.cancelled = threading.Event()  # set: nothing is waited for, and no store that is away is asked again
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, bool], Bucket] = {}

    def preload(self) -> None:
        """Import the client.

        Raises:
            StorageMissing: it is not installed.
        """
        try:
            import obstore  # noqa: F401
        except ImportError as error:
            raise StorageMissing(f"object storage needs obstore ({error}): {installing('cloud')}") from error

    def fetch(self, url: str, stops: tuple[threading.Event, ...] = (), room: Room | None = None) -> bytes:
        """A picture's bytes. Setting any of `stops` cancels it. `room` is asked for memory before they are read.

        Raises:
            PictureError: `not_found`, `blocked` (no rights, no credentials, --offline), `http_status`, `network`,
                `timeout`, `too_large`, `cancelled`.
            StorageMissing: the client is not installed.
        """
        most = self._settings.max_bytes
        try:
            place = _parsed(url)
            bucket = self._bucket(place)
            found = bucket.ask(lambda store: _get(store, place.key), stops)
            if found.meta["size"] > most:
                raise PictureError("too_large", f"more than {most} bytes, allowed by --max-bytes")
            encoding = str(found.attributes.get("Content-Encoding", ""))
            if room is not None:
                room(None if encoding else found.meta["size"], most)
            data = bucket.ask(lambda _: _body(found), stops)
        except StorageError as error:
            raise PictureError(error.kind, str(error), temporary=error.temporary) from error
        return _unpacked(data, encoding, most)

    def open(self, url: str, *, first: int | None = None, largest: int | None = None) -> ObjectStream:
        """An object to read from its beginning, with at most `largest` bytes in memory. No request is made yet.

        The first request asks for `first` bytes.

        Raises:
            StorageError: no object can have this name.
        """
        place = _parsed(url)

        def get(start: int, end: int, version: str | None) -> Range:
            return self._ask(place, lambda store: _get_range(store, place.key, start, end, version))

        return ObjectStream(get, first=first or FIRST, largest=largest or LARGEST)

    def objects(self, url: str, wanted: Callable[[str], bool]) -> Iterator[str]:
        """URLs of the objects below a folder that are `wanted`, by their key below it, and not hidden, page by page.

        Those with odd keys too, which cannot be fetched: each is to have its failure. Empty markers are left out.

        Raises:
            StorageError: while iterating: the bucket does not exist or may not be listed.
        """
        place = _parsed(url)
        for key, size in Listing(self._bucket(place), place).below():
            rest = key[len(place.key) :]
            if _hidden(rest) or not wanted(rest):
                continue
            if size != 0 or not self._is_marker(place._replace(key=key)):
                yield f"{place.root}/{key}"

    def directly_in(self, url: str) -> list[Listed]:
        """The objects in a folder, without those in folders below it, by key. Odd keys are left out, and named.

        Raises:
            StorageError: the bucket does not exist or may not be listed.
        """
        place = _parsed(url)
        found = Listing(self._bucket(place), place).directly()
        odd = sorted(one.name for one in found if is_odd(one.name))
        if odd:
            names = one_line(", ".join(odd[:_NAMED]))
            log.warning(f"{url}: {len(odd)} left out, as their keys are not supported: {names}")
        return sorted(one for one in found if one.name not in odd)

    def _is_marker(self, place: Place) -> bool:
        """Whether an empty object is none: obstore gives the marker `a.jpg/`, which some tools make, as `a.jpg`."""

        def look(store: Any) -> None:
            import obstore

            obstore.head(store, place.key)

        try:
            self._ask(place, look)
        except StorageError as error:
            return error.cause == "no_object"
        return False

    def probe(self, url: str) -> None:
        """Find out before a long run whether an output can be put, as far as that is possible without writing.

        Raises:
            StorageError: no such bucket, no credentials, no connection, or no object can have this name.
        """
        place = _parsed(url)
        if place.is_folder:
            raise StorageError("unsupported", "this names a folder, not an object")
        try:
            self._ask(place, lambda store: _get_range(store, place.key, 0, 1, None))
        except StorageError as error:
            if error.cause not in ("no_object", "denied"):  # a user who may only write is denied too
                raise

    def put(self, path: str, url: str) -> None:
        """Put the file at `path` as the object at `url`, completely or not at all. There is no time limit.

        Raises:
            StorageError: the store refuses, or the connection breaks.
            OSError: the file cannot be read.
        """
        place = _parsed(url)
        with open(path, "rb") as file:

            def put(store: Any) -> None:
                import obstore

                file.seek(0)
                obstore.put(store, place.key, file, chunk_size=PIECE, max_concurrency=PIECES)

            self._ask(place, put, writing=True)

    def put_small(self, data: bytes, url: str) -> None:
        """Put a few bytes as the object at `url`, within the time of one picture.

        Raises:
            StorageError: the store refuses, or does not answer.
        """
        place = _parsed(url)

        def put(store: Any) -> None:
            import obstore

            obstore.put(store, place.key, data)

        self._bucket(place).ask(put)

    def delete(self, url: str) -> None:
        """Delete the object at `url`, if it is there.

        Raises:
            StorageError: the store refuses, or does not answer.
        """
        place = _parsed(url)

        def delete(store: Any) -> None:
            import obstore

            obstore.delete(store, place.key)

        self._bucket(place).ask(delete)

    def _ask(self, place: Place, call: Callable[[Any], T], *, writing: bool = False) -> T:
        """Make a call, and try again while the store is away. Setting `cancelled` ends both."""
        bucket = self._bucket(place, writing=writing)
        return bucket.retries.call(lambda: bucket.ask(call, (self.cancelled,)))

    def _bucket(self, place: Place, *, writing: bool = False) -> Bucket:
        if self._settings.offline:
            raise StorageError("blocked", "it is in object storage, and --offline allows no network")
        self.preload()
        from birdlite.storage.bucket import Bucket

        with self._lock:
            key = place.root, writing
            if key not in self._buckets:
                self._buckets[key] = Bucket(place, self._settings, self.cancelled, writing=writing)
            return self._buckets[key]


def _parsed(url: str) -> Place:
    try:
        return parse(url)
    except ValueError as error:
        raise StorageError("unsupported", str(error)) from None


def _hidden(rest: str) -> bool:
    """Whether an object or a folder above it is hidden. `.` and `..` are only odd."""
    return any(name.startswith(".") and name not in (".", "..") for name in rest.split("/"))


def _get(store: Any, key: str) -> Any:
    """The answer for an object, whose bytes are still to be read."""
    import obstore

    return obstore.get(store, key)


def _body(found: Any) -> bytes:
    body = io.BytesIO()  # `found.bytes()` and a copy of it would hold them three times
    for part in found.stream(min_chunk_size=_CHUNK):
        body.write(part)
    return body.getvalue()


def _unpacked(data: bytes, encoding: str, most: int) -> bytes:
    """An object's bytes as they were before it was stored compressed.

    Raises:
        PictureError: `too_large`, `unsupported`, `decode`.
    """
    if not encoding:
        return data
    from birdlite.content_encoding import DamagedError, decoded

    try:
        return b"".join(decoded(iter((data,)), encoding, most))
    except DamagedError as error:
        raise PictureError("decode", str(error)) from error


def _get_range(store: Any, key: str, start: int, end: int, version: str | None) -> Range:
    """Bytes of an object. A store answers 416 for an empty object, which has no ranges."""
    import obstore

    options: dict[str, Any] = {"range": (start, end)}
    if version is not None:
        options["if_match"] = version
    try:
        found = obstore.get(store, key, options=options)  # type: ignore[arg-type]
    except Exception as error:
        if start == 0 and "status code: 416" in str(error):
            return b"", 0, None
        raise
    return bytes(found.bytes()), found.meta["size"], found.meta["e_tag"]
