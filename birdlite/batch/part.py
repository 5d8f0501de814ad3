"""The output of one shard: `NAME.partial` while it grows, `NAME` when it is complete. It is a `Writer`.

A complete part is a header with totals, and then its records by index. It gets its name by a rename, or in object
storage by a put, so a file `NAME` is always complete. The growing file is always on this machine. Nothing in a part
depends on the order in which pictures finish. So two runs with --no-timing write the same bytes, whether they were
killed and resumed or not.

The thread that feeds the pipeline, which knows the list, calls `begin`, `has`, `admit` and `end`, or `confirm`; its
threads that decode call `guard`; the caller's thread the rest.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING

from birdlite import atomic_file, log
from birdlite.atomic_file import SUFFIX
from birdlite.batch.addresses import Addresses
from birdlite.batch.files import read_header, read_lines, redacted_line
from birdlite.batch.header import AGAIN, Header, Run, Totals, refuse_another_run, refuse_another_shard
from birdlite.batch.journal import Journal
from birdlite.batch.suspects import LocalNotes, Notes, ObjectNotes, Suspects
from birdlite.errors import BirdliteError, OutputError, PartsError, UsageError
from birdlite.redaction import redacted
from birdlite.results import Result, is_away
from birdlite.storage import is_storage
from birdlite.targets import BadTarget, Target
from birdlite.writers.base import RunFacts
from birdlite.writers.output import check_output, open_output, refuse_picture
from birdlite.writers.record import record, to_json

if TYPE_CHECKING:
    from birdlite.storage.store import Storage

_DIGITS = 12  # of a list's digest in messages


class Part:
    """One part, from its first record until it is complete."""

    def __init__(
        self,
        path: str,
        *,
        resume: bool = False,
        retry_failed: bool = False,
        times: bool = True,
        storage: Storage | None = None,
    ) -> None:
        """Prepare the part at `path`; nothing is opened yet."""
        self.path = path
        self._storage = storage
        self._partial = path + SUFFIX
        self._resume = resume
        self._retry_failed = retry_failed
        self._times = times
        self._addresses = Addresses()
        self._guard = threading.Lock()  # so that the file is not closed during `begin`
        self._closed = False
        self._journal: Journal | None = None
        self._suspects: Suspects | None = None
        self._header: Header | None = None
        self.already = 0  # records of earlier starts that this one has not replaced
        self._results = threading.Condition()
        self._written = 0  # results of this start
        self._resumed_to = -1  # the highest index among the records of earlier starts
        self._resumed_size = 0  # bytes of the journal that are of earlier starts
        self.complete = False  # it was there when the run began, with nothing to do
        self._of_list: str | None = None  # digest of the list of the complete part that is here
        self._spoilt = False  # the journal has records of another list than the complete part

    @property
    def failed(self) -> int:
        """The number of failures, with those of earlier starts."""
        if self._journal is not None:
            return self._journal.places.failed
        return 0 if self._header is None or self._header.totals is None else self._header.totals.failed

    @property
    def away(self) -> int:
        """The number of failures because something was away, with those of earlier starts."""
        return 0 if self._journal is None else self._journal.places.away

    @property
    def records(self) -> int:
        """The number of records, with those of earlier starts."""
        return 0 if self._journal is None else len(self._journal.places)

    def failed_as_away(self, written: int) -> list[Target | BadTarget]:
        """The targets that failed because something was away, as soon as so many results are written.

        Empty after the end of the run.
        """
        with self._results:
            self._results.wait_for(lambda: self._written >= written or self._closed)
        if self._closed:
            return []
        journal = self._open_journal()
        records = [json.loads(journal.line_at(offset)) for offset in journal.places.offsets_of_away()]
        found = (self._addresses.find(record["index"], record["target"]) for record in records)
        return [target for target in found if target is not None]

    def begin(self, run: Run) -> bool:
        """Begin or resume the journal; False if the part is complete and stays as it is.

        Raises:
            OutputError: it is of another run, another process is writing it, or the disk refuses.
            UsageError: it is of another shard.
        """
        with self._guard:
            if self._closed:
                return False
            header = Header(run)
            if is_storage(self.path):
                self._partial = self._journal_of_object()
            else:
                refuse_picture(self.path)
            self._refuse_another_shard(run, self._partial)
            if not self._resume or os.path.exists(self._partial):
                self._refuse_another_shard(run, self.path)
            elif self._is_complete(run):
                return False
            journal = Journal(self._partial)
            try:
                if self._resume:
                    self._suspects = Suspects(self._notes(), run.shards)
                before = journal.resume() if self._resume else None
                if before is None:
                    if not self._resume and os.stat(self._partial).st_size:
                        left = "left by an earlier run; starting again (--resume would continue it)"
                        log.info(f"{self._partial}: {left}")
                    journal.begin(header)
                else:
                    refuse_another_run(before.run, run, self._partial)
                    records, failures = len(journal.places), log.counted(journal.places.failed, "failure")
                    part = f"{self._partial}: {log.counted(records, 'record')} found, continuing"
                    log.info(part if self._of_list is None else f"{self.path}: complete, with {failures} to try again")
            except BaseException:
                journal.close()
                raise
            if not is_storage(self.path):
                atomic_file.quietly(self._sweep)
            self._journal, self._header = journal, header
            self._resumed_to, self._resumed_size = journal.places.last, journal.size
            self.already = len(journal.places)
            return True

    def confirm(self, list_sha256: str) -> None:
        """Check that a complete part is of this list.

        Raises:
            UsageError: it is of another one.
        """
        if list_sha256 != self._of_list:
            was = (self._of_list or "")[:_DIGITS]
            raise UsageError(
                f"{self.path}: complete, but of another list: its digest was {was} and is {list_sha256[:_DIGITS]};"
                " choose another --output (in its name {run} becomes the digest), or remove this one"
            )
        log.info(f"{self.path}: already complete, nothing to do")

    def _sweep(self) -> None:
        """Remove what runs left that were killed while they finished this part, and notes that are of no use now."""
        for left in atomic_file.leftovers(self.path):
            os.unlink(left)
        if not self._resume:
            LocalNotes(self.path).remove()

    def has(self, target: Target | BadTarget) -> bool:
        """Whether a target of the list needs no further work.

        Raises:
            OutputError: the record at its index is of another target, so the list has changed.
        """
        index, name = target.index, target.name
        if index > self._resumed_to:
            return False
        journal = self._open_journal()
        place = journal.places.get(index)
        if place is None:
            return False
        was = json.loads(journal.line_at(place.offset))["target"]
        if redacted(was) != redacted(name):
            raise OutputError(
                f"{self._partial}: the list has changed: target {index} was {was!r} and is {name!r}; {AGAIN}"
            )
        if place.away:
            self._addresses.keep(target)
        return not (place.failed and self._retry_failed)

    def guard(self, target: Target) -> AbstractContextManager[None]:
        """Around the decoding of a picture; see `suspects`."""
        return nullcontext() if self._suspects is None else self._suspects.alone_or_noted(target)

    def admit(self, target: Target | BadTarget) -> Target | BadTarget:
        """Take a target that the run is to work on. One that has killed the process becomes a failure."""
        self._addresses.keep(target)
        return target if self._suspects is None else self._suspects.admit(target)

    def end(self, *, targets: int, left_out: int, list_sha256: str) -> None:
        """Note the end of the list.

        Raises:
            OutputError: there are records of targets beyond the end.
            UsageError: failures of a complete part were tried again, and the part is of another list.
        """
        if self._of_list is not None and list_sha256 != self._of_list:
            self._spoilt = True
            self.confirm(list_sha256)
        header, last = self._header, self._resumed_to
        if last >= targets or header is None:
            raise OutputError(
                f"{self._partial}: the list has changed: it had a target {last} and now ends before it; {AGAIN}"
            )
        self._header = Header(header.run, Totals(targets, 0, left_out, 0, 0, list_sha256))

    def write(self, result: Result) -> None:
        """Keep a result. Cancelled results are skipped; --resume does them."""
        failure = result.failure
        if failure is None or failure.kind != "cancelled":
            line = to_json(record(result, times=self._times)) + "\n"
            away = failure is not None and is_away(result.target, failure)
            journal = self._open_journal()
            if result.index <= self._resumed_to:
                replaced = journal.places.get(result.index)
                self.already -= replaced is not None and replaced.offset < self._resumed_size
            journal.append(result.index, line, failed=failure is not None, away=away)
            if not away:
                self._addresses.forget(result.index)
            if self._suspects is not None:
                self._suspects.recorded(result.index)
        with self._results:
            self._written += 1
            self._results.notify_all()

    def finish(self, run: RunFacts) -> None:
        """Write the complete part. After an interruption only the journal stays, for --resume.

        Raises:
            OutputError: the disk or the object storage refuses.
            UsageError: another machine has written another shard there meanwhile.
        """
        if self._journal is None or run.summary.interrupted or self._header is None or self._header.totals is None:
            return
        places = self._journal.places
        mine, failed = len(places), places.failed
        totals = self._header.totals._replace(mine=mine, ok=mine - failed, failed=failed)
        try:
            self._refuse_another_shard(self._header.run, self.path)
            with open_output(self.path, "jsonl", whole=True, storage=self._storage) as output:
                output.stream.write(Header(self._header.run, totals).line())
                for offset in places:
                    line = self._journal.line_at(offset)
                    line = _named(line, self._header.run) if self.already else line
                    output.stream.write(line.decode())
        except (OutputError, UsageError) as error:
            then = f", once {self.path} is moved away" if isinstance(error, UsageError) else ""
            words = f"{error}; all records are in {self._partial}, where --resume finds them{then}"
            raise type(error)(words, temporary=error.temporary) from error
        self._journal.remove()
        if self._suspects is not None:
            self._suspects.remove()
            self._suspects = None

    def __enter__(self) -> Part:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with self._guard:
            self._closed = True
            with self._results:
                self._results.notify_all()
            if self._suspects is not None:  # a fault in birdlite is as bad as a kill
                in_order = kind is None or issubclass(kind, (BirdliteError, OSError, KeyboardInterrupt))
                self._suspects.close(in_order=in_order)
            if self._journal is not None:
                if self._spoilt:
                    self._journal.remove()
                self._journal.close()

    def _open_journal(self) -> Journal:
        if self._journal is None:
            raise OutputError(f"{self.path}: not begun")
        return self._journal

    def _is_complete(self, run: Run) -> bool:
        """Whether there is nothing to do. If failures are to be retried, the part becomes a journal again."""
        try:
            header = read_header(self.path, self._storage)
        except FileNotFoundError:
            return False
        except PartsError as error:
            raise OutputError(str(error), temporary=error.temporary) from error
        if header is None or header.totals is None:
            raise OutputError(f"{self.path}: not an output of --shard or --resume; {AGAIN}, and replace it")
        refuse_another_run(header.run, run, self.path)
        self._of_list = header.totals.list_sha256
        if self._retry_failed and header.totals.failed:
            self._reopen(header)
            return False
        self._header, self.already, self.complete = header, header.totals.mine, True
        return True

    def _reopen(self, header: Header) -> None:
        """Make a journal of the complete part, which stays until a new one replaces it."""
        try:
            again, lines = read_lines(self.path, self._storage)
            if again != header:
                raise OutputError(f"{self.path}: another program has changed this file")
            with open_output(self._partial, "jsonl", whole=True) as output:
                output.stream.write(Header(header.run).line())
                for line in lines:
                    output.stream.write(_named(line, header.run).decode() + "\n")
        except (PartsError, FileNotFoundError) as error:
            temporary = isinstance(error, PartsError) and error.temporary
            words = "cannot be read again" if temporary else "another program has changed this file"
            raise OutputError(f"{self.path}: {words}: {error}", temporary=temporary) from error

    def _notes(self) -> Notes:
        if not is_storage(self.path):
            return LocalNotes(self.path)
        from birdlite.storage.store import Storage

        return ObjectNotes(self.path, self._storage or Storage())

    def _journal_of_object(self) -> str:
        """The path of the journal of a part in object storage. Whether the part can be put is checked now."""
        from birdlite.storage.upload import scratch_folder, scratch_name

        check_output(self.path, self._storage)
        folder = scratch_folder(None if self._storage is None else self._storage.scratch)
        return os.path.join(folder, scratch_name(self.path) + SUFFIX)

    def _refuse_another_shard(self, run: Run, path: str) -> None:
        """Check that no other shard is at `path`. What cannot be read is replaced, as ever."""
        if run.shards == 1:
            return
        with suppress(FileNotFoundError, PartsError):
            header = read_header(path, self._storage)
            if header is not None:
                refuse_another_shard(header.run, run, path)


def _named(line: bytes, run: Run) -> bytes:
    """The record of an earlier start, with the name that this run gives its target: old ones have secrets."""
    return line if run.reveal_targets else redacted_line(line)
