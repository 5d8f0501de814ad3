"""Selects the targets of a run from a list: those of its shard, without those that are done already.

Every machine reads the whole list, lazily, and keeps nothing of it. A target and its record have the position in the
whole list, so the records of all shards fit together.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from birdlite import log
from birdlite._version import __version__
from birdlite.batch.earlier import Earlier, all_are_there, is_in, read_earlier, update_index
from birdlite.batch.files import is_folder
from birdlite.batch.header import Run
from birdlite.batch.part import Part
from birdlite.batch.shard import PLACEHOLDER, WHOLE, Shard, key_of, octets_of
from birdlite.errors import OutputError, PartsError, StorageError, UsageError
from birdlite.models.bundle import Model
from birdlite.redaction import MARK, redacted
from birdlite.run.classifier import Classifier
from birdlite.run.options import RunOptions, with_run
from birdlite.settings import Settings
from birdlite.storage import is_storage
from birdlite.targets import BadTarget, Target
from birdlite.targets.patterns import is_pattern
from birdlite.writers.output import make_folder, refused

if TYPE_CHECKING:
    from birdlite.storage.store import Storage


class Selection:
    """Which targets of a list a run takes. `of` runs in the pipeline's feeder."""

    def __init__(
        self,
        shard: Shard = WHOLE,
        since: Sequence[str] = (),
        part: Part | None = None,
        storage: Storage | None = None,
        *,
        outputs: Sequence[str] = (),
        index_in: str | None = None,
    ) -> None:
        """Take `shard` without the targets in the outputs `since`, some of which may be in `storage`.

        `part` is the output, if it can be resumed; `outputs` are those of all shards, its own first. `index_in` is the
        folder whose index `keep_index` is to write.
        """
        self.shard = shard
        self.part = part
        self._since = since
        self._storage = storage
        self._outputs = outputs
        self._index_in = index_in
        self._model_sha256 = ""

    def of(
        self, whole: Iterable[Target | BadTarget], classifier: Classifier, settings: Settings, options: RunOptions
    ) -> Iterator[Target | BadTarget]:
        """The targets of this run. Settings and options go into the header of a part.

        Raises:
            UsageError: while iterating: the part is complete, and of another list.
            BirdliteError: while iterating: the part cannot be begun, or the list is not the one it was begun with.
        """
        earlier: Earlier | None = None
        if self._since or self.part is not None:
            model = classifier.model
            self._model_sha256 = model.sha256
            run = run_of(model, settings, options)
            if self.part is not None and options.resume and not self.part.begin(run):
                if self.part.complete:
                    self.part.confirm(digest_of(whole))
                return
            if self._since:  # before a new part begins: a wrong path must not cost an unfinished one
                earlier = read_earlier(self._since, model.sha256, outputs=self._outputs, storage=self._storage)
            if self.part is not None and not options.resume and not self.part.begin(run):
                return
        digest = hashlib.sha256()
        count = left_out = handed_on = 0
        for target in whole:
            count += 1
            name = redacted(target.name)  # by which it is known in every run, whether names are revealed or not
            octets = octets_of(name)
            digest.update(octets + b"\n")
            if self.part is not None and self.part.has(target):
                continue
            if self.shard.count > 1 and not self.shard.holds(key_of(octets)):
                continue
            if earlier is not None and _is_known(target, name, earlier):
                left_out += 1
                continue
            yield target if self.part is None else self.part.admit(target)
            handed_on += 1
        list_sha256 = digest.hexdigest()
        if options.list_sha256 not in (None, list_sha256):
            raise UsageError("the list has changed since this run began; start it again")
        if self.part is not None:
            if options.max_failures is not None and options.report is None:
                # An outage may be over by now. Once is enough: hosts that are gone for good must not delay the end.
                yield from self.part.failed_as_away(handed_on)
            self.part.end(targets=count, left_out=left_out, list_sha256=list_sha256)

    def keep_index(self) -> None:
        """Bring the index up to date, if this run has completed the last of its parts."""
        if self._index_in is None or not self._model_sha256:
            return
        try:
            if all_are_there(self._outputs, self._index_in, self._storage):
                update_index(self._index_in, self._model_sha256, self._storage)
        except (PartsError, StorageError, OutputError) as error:  # the results are there, and the index only saves time
            log.warning(f"the index is not up to date, so the next run reads the parts instead: {error}")


def digest_of(targets: Iterable[Target | BadTarget]) -> str:
    """The sha256 of a list: of the names of all its targets."""
    digest = hashlib.sha256()
    for target in targets:
        digest.update(octets_of(redacted(target.name)) + b"\n")
    return digest.hexdigest()


def _is_known(target: Target | BadTarget, name: str, earlier: Earlier) -> bool:
    """Whether an earlier run has answered a target. Indexes that are older than redacted names have whole URLs."""
    return earlier.has(name) or (MARK in name and isinstance(target, Target) and earlier.has(target.location))


def select(options: RunOptions, given: RunOptions, storage: Storage | None) -> Selection:
    """The selection for settled options. The names of outputs in `given` are those for all shards.

    Raises:
        UsageError: `--resume` or `--keep-index` is given, and the output cannot be resumed or is elsewhere; or what
            `--since-output` names is missing.
        OutputError: the folder of the output cannot be made.
    """
    part = None
    if options.output is not None and options.format == "jsonl" and _is_file(options.output):
        part = Part(
            options.output,
            resume=options.resume,
            retry_failed=options.retry_failed,
            times=options.times,
            storage=storage,
        )
    elif options.resume:
        raise UsageError("--resume needs a file to go on with, of JSON lines: --output FILE.jsonl")
    _check_since(options)
    shard = options.shard or WHOLE
    if shard.count > 1:
        _warn_of_names(("output", given.output if part is None else None), ("report", given.report))
    outputs = [] if part is None else shard.all_named(with_run(given.output or "", options.list_sha256))
    index_in = _folder_of_index(options, outputs) if options.keep_index else None
    return Selection(shard, options.since_output, part, storage, outputs=outputs, index_in=index_in)


def _warn_of_names(*outputs: tuple[str, str | None]) -> None:
    """Say of outputs that are no parts, and so do not tell their shard, that shards can replace each other there."""
    for option, path in outputs:
        if path is not None and PLACEHOLDER not in path and _is_file(path):
            log.warning(f"--{option} {path}: shards that write there replace each other; put {{shard}} into its name")


def _check_since(options: RunOptions) -> None:
    """Check that the outputs of earlier runs are there. Before the first run, the folder of the output is made.

    Raises:
        UsageError: one is missing, and is not that folder.
        OutputError: the folder cannot be made.
    """
    for place in options.since_output:
        if is_storage(place) or is_pattern(place) or os.path.exists(place):
            continue
        output = options.output
        if output is None or is_storage(output) or os.path.abspath(place) != os.path.dirname(os.path.abspath(output)):
            raise UsageError(f"--since-output {place}: no such file or folder")
        try:
            make_folder(output)
        except (OSError, ValueError) as error:
            raise refused(output, error) from error


def _folder_of_index(options: RunOptions, outputs: Sequence[str]) -> str:
    for place in options.since_output if outputs else ():
        if is_folder(place) and all(is_in(output, place) for output in outputs):
            return place
    raise UsageError("--keep-index needs --since-output FOLDER, and a file in that folder (jsonl) as --output")


def run_of(model: Model, settings: Settings, options: RunOptions) -> Run:
    """Everything that the records of a run depend on, for the header of its part."""
    labels = "\n".join(f"{name}\t{common or ''}" for name, common in zip(*model.labels, strict=True))
    shard = options.shard or WHOLE
    return Run(
        version=__version__,
        model=model.card.name,
        model_sha256=model.sha256,
        labels_sha256=hashlib.sha256(labels.encode("utf-8", "surrogatepass")).hexdigest(),
        resize=settings.resize,
        top=settings.top,
        names=options.names,
        min_score=settings.min_score,
        timing=options.times,
        since=bool(options.since_output),
        shard=shard.index,
        shards=shard.count,
        reveal_targets=settings.reveal_targets,
    )


def _is_file(path: str) -> bool:
    """Whether `path` is, or will be, a regular file, or an object."""
    try:
        return path != "-" and stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return True  # an object, or nothing there yet; what cannot be opened is an error when it is opened
