"""Opens models of the catalogue: from the cache if they are there and whole, else downloaded, then kept in the cache.

A model that is not published anywhere is made from another one on this machine, and kept in the same way.

A model's entry in the cache is a bundle, `<cache>/models/<name>/`. These rules make it safe to kill a process at any
moment and to start two at once:

- Every file is checked against the catalogue's size and sha256 on every load; one that fails is fetched again. So it
  does not matter who else can write to the cache, though `warn_of_others` says so. What is checked is what is used.
- A file is written under a temporary name in the same folder, flushed to the disk and renamed; the card comes last.
- A process downloads under the entry's lock. The next one to get the lock finds the model there and downloads nothing.
  Downloads have a deadline, so who waits longer than that gives up.
  A process that makes a model from another one holds its lock, and meanwhile takes the other's.
- Temporary files belong to the lock's holder, so a new holder removes those of a killed process.

The run does not wait for the disk: `open` gives the model as soon as its bytes are verified, and a thread writes
them meanwhile; `close` waits for it. A cache that cannot be written costs a warning, never the run.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol

from birdlite import atomic_file, log
from birdlite.errors import InvalidModel, ModelUnavailable, PictureError
from birdlite.local_file import reason
from birdlite.models import bundle
from birdlite.models.bundle import Model, labels_of, model_of, problem
from birdlite.models.cache import (
    DOWNLOAD_SECONDS,
    LOCK_SECONDS,
    EntryLock,
    entry_folder,
    look_up,
    make_folder,
    warn_of_others,
)
from birdlite.models.card import FileFact, ModelBytes
from birdlite.models.catalog import Entry, Source
from birdlite.models.labels import Labels
from birdlite.timing import Timeline, clock

PACKED_SPARE_BYTES = 1024 * 1024  # an archive may be this much larger than the file we want from it


class Downloads(Protocol):
    """Where the store gets bytes from: a `Fetcher`, or what has one."""

    def get(self, url: str, *, max_bytes: int, timeout: float) -> bytes | bytearray:
        """The body of `url`, in at most `timeout` s.

        Raises:
            PictureError: it could not be downloaded.
        """


class Store:
    """Models by catalogue entry. One run uses one store; a store opens one entry."""

    def __init__(self, folder: str | None, downloads: Downloads, *, offline: bool, timeline: Timeline) -> None:
        self._folder = folder  # the cache's folder, or None for no cache at all
        self._downloads = downloads
        self._offline = offline
        self._timeline = timeline
        self._writer: threading.Thread | None = None
        self._in_cache = False  # whether the model was read from the cache or will be kept there

    def open(self, entry: Entry) -> Model:
        """The entry's model, every byte of it verified.

        Raises:
            ModelUnavailable: it is not in the cache, and no source could give it, or what it is made from.
            InvalidModel: the catalogue's own labels do not fit its model.
        """
        files = self._files(entry)
        if self._folder is not None and self._in_cache:
            warn_of_others(self._folder, entry.card.name)
        with self._timeline.span("labels"):
            return model_of(entry.card, files, self._entry_folder(entry))

    def labels(self, entry: Entry) -> Labels:
        """The entry's labels alone. What is fetched for them is not kept.

        Raises:
            ModelUnavailable: they are not in the cache, and no source could give them.
            InvalidModel: they do not fit the entry's model.
        """
        entry = entry.made_from or entry
        names = [name for name in (bundle.LABELS_FILE, bundle.NAMES_FILE) if name in entry.card.files]
        part = entry._replace(card=entry.card._replace(files={name: entry.card.files[name] for name in names}))
        files, problems = self._cached(part)
        if len(files) < len(names):
            if self._offline:
                raise ModelUnavailable(self._why_not_offline(entry, problems))
            files |= self._fetch(part, files)
        return labels_of(entry.card, files)

    def close(self) -> None:
        """Wait until what was downloaded is on the disk."""
        if self._writer is not None:
            self._writer.join()

    def _entry_folder(self, entry: Entry) -> str | None:
        return None if self._folder is None else entry_folder(self._folder, entry.card.name)

    def _files(self, entry: Entry) -> dict[str, ModelBytes]:
        """The entry's files, verified: those in the cache are used, the others fetched or made, and then kept."""
        files, problems = self._cached(entry)
        if len(files) == len(entry.card.files):
            log.debug("model from the cache", model=entry.card.name, folder=self._entry_folder(entry))
            self._in_cache = True
            return files
        if self._offline and entry.made_from is None:
            raise ModelUnavailable(self._why_not_offline(entry, problems))
        lock = self._lock(entry)
        if lock is None:
            return files | self._missing_files(entry, files)
        self._in_cache = True
        try:
            files, problems = self._cached(entry)  # another process may have kept it while we waited
            again = "fetching" if entry.made_from is None else "making"
            for name, what in problems.items():
                log.warning(f"cached {name} {what}; {again} it again", model=entry.card.name)
            new = self._missing_files(entry, files)
        except BaseException:
            lock.release()
            raise
        if new:
            arguments = (entry, new, lock)
            writer = threading.Thread(target=self._keep, args=arguments, name="birdlite-store", daemon=True)
            try:
                writer.start()
                self._writer = writer
            except RuntimeError:  # the system has no thread left
                self._keep(*arguments)
        else:
            lock.release()
        return files | new

    def _cached(self, entry: Entry) -> tuple[dict[str, ModelBytes], dict[str, str]]:
        """The entry's correct files in the cache, and what is wrong with each incorrect one."""
        if self._folder is None:
            return {}, {}
        with self._timeline.span("model load"):
            return look_up(self._folder, entry)

    def _why_not_offline(self, entry: Entry, problems: dict[str, str]) -> str:
        if self._folder is None:
            return f"{entry.card.name}: --offline leaves only the cache, and --no-cache forbids it"
        state = "; ".join(f"{name} {what}" for name, what in problems.items()) or "not there"
        return (
            f"{entry.card.name} is not in the cache {self._folder} ({state}), and --offline forbids fetching it; "
            f"run `birdlite model fetch {entry.card.name}` where there is a network"
        )

    def _lock(self, entry: Entry) -> EntryLock | None:
        """The entry's lock; None if there is no cache, or it cannot be written.

        Raises:
            ModelUnavailable: another process keeps it for ever.
        """
        if self._folder is None:
            return None
        folder = entry_folder(self._folder, entry.card.name)
        try:
            make_folder(self._folder, folder)
            # Who makes a model may have to wait for the lock of its source, and then download that.
            return EntryLock(folder, LOCK_SECONDS if entry.made_from is None else 2 * LOCK_SECONDS)
        except OSError as error:
            why = f"the cache {self._folder} cannot be written ({reason(error)})"
            log.warning_once(f"{why}; keeping the model in memory")
            return None

    def _missing_files(self, entry: Entry, have: dict[str, ModelBytes]) -> dict[str, ModelBytes]:
        """The files of the entry beside those we have, downloaded or made."""
        return self._fetch(entry, have) if entry.made_from is None else self._make(entry, entry.made_from, have)

    def _make(self, entry: Entry, source: Entry, have: dict[str, ModelBytes]) -> dict[str, ModelBytes]:
        """Make the other files of the entry from those of `source`, which is opened and kept like any model."""
        store = Store(self._folder, self._downloads, offline=self._offline, timeline=self._timeline)
        try:
            files = store._files(source)
        finally:
            store.close()
        name = bundle.MODEL_FILES[entry.card.format]
        if name not in have:
            log.info(f"making {entry.card.name} from {source.card.name}")
            with self._timeline.span("model load"):
                from birdlite.tflite.requantize import tflite_to_int8

                files[name] = tflite_to_int8(bytes(files[name])).model
        made = {name: files[name] for name in entry.card.files if name not in have}
        for name, data in made.items():
            wrong = problem(data, entry.card.files[name])
            if wrong:
                raise InvalidModel(f"{entry.card.name}: {name} as made on this machine {wrong}")
        return made

    def _fetch(self, entry: Entry, have: dict[str, ModelBytes]) -> dict[str, ModelBytes]:
        """Download the other files of the entry, all at once."""
        names = [name for name in entry.card.files if name not in have]
        fetched: dict[str, ModelBytes] = {}
        errors: list[BaseException] = []

        def fetch(name: str) -> None:
            try:
                fetched[name] = self._fetch_file(entry, name)
            except BaseException as error:  # noqa: BLE001 - raised below, in the thread that waits
                errors.append(error)

        threads = [threading.Thread(target=fetch, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        if fetched:
            log.info(f"fetched {entry.card.name}: {sum(map(len, fetched.values())) / 1e6:.1f} MB")
        return fetched

    def _fetch_file(self, entry: Entry, name: str) -> ModelBytes:
        fact = entry.card.files[name]
        reasons = []
        temporary = False  # one of the sources may have it later
        until = clock() + DOWNLOAD_SECONDS
        for source in entry.sources[name]:
            if (seconds := until - clock()) <= 0:
                temporary = True
                break
            try:
                data = self._fetch_from(source, fact, seconds)
            except (PictureError, InvalidModel) as error:
                if isinstance(error, PictureError) and error.kind == "cancelled":
                    raise
                reasons.append(f"{_host(source.url)}: {error}")
                temporary = temporary or error.temporary
                log.debug(f"no {name} from {source.url}: {error}", model=entry.card.name)
                continue
            log.debug(f"fetched {name}", model=entry.card.name, bytes=fact.bytes, url=source.url)
            return data
        raise ModelUnavailable(f"{entry.card.name}: no source gave {name}: {'; '.join(reasons)}", temporary=temporary)

    def _fetch_from(self, source: Source, fact: FileFact, seconds: float) -> ModelBytes:
        """The file from one source in at most so many seconds, unpacked and verified.

        Raises:
            PictureError: the source did not answer with a file.
            InvalidModel: it answered with the wrong one.
        """
        spare = PACKED_SPARE_BYTES if source.member else 0
        data: ModelBytes = self._downloads.get(source.url, max_bytes=fact.bytes + spare, timeout=seconds)
        if source.member:
            from birdlite.models.bounded_tar import member_of

            data = member_of(bytes(data), source.member, fact.bytes)
        with self._timeline.span("model load"):
            wrong = problem(data, fact)
        if wrong:
            raise InvalidModel(f"the file {wrong}")
        return data

    def _keep(self, entry: Entry, files: dict[str, ModelBytes], lock: EntryLock) -> None:
        """Write the files into the entry's folder and release its lock. Runs in a thread of its own."""
        folder = self._entry_folder(entry)
        assert folder is not None  # noqa: S101 - there is a lock, so there is a cache
        try:
            atomic_file.sweep(folder)
            card = bundle.card_to_json(entry.card).encode()
            for name, data in (*files.items(), (bundle.CARD_FILE, card)):  # links here could be another user's
                atomic_file.write(os.path.join(folder, name), data, follow=False)
        except OSError as error:
            log.warning(f"the model could not be kept in {folder} ({reason(error)}); it will be fetched or made again")
        finally:
            lock.release()


def _host(url: str) -> str:
    return url.split("/", 3)[2]
