"""`birdlite classify`: name the birds in pictures.

Without click: the values come from `plain_line`, or from click, for which `options` declares the command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.cli.console import drive, open_console
from birdlite.cli.interruption import Interruption
from birdlite.cli.values import classifier_settings, fields_of
from birdlite.errors import UsageError
from birdlite.run.options import RUN, RunOptions
from birdlite.run.runner import Runner
from birdlite.storage import is_storage
from birdlite.targets.expand import SAMPLES, expand
from birdlite.timing import Timeline, clock, process_start

if TYPE_CHECKING:
    from types import SimpleNamespace

    from birdlite.settings import FetchSettings
    from birdlite.storage.store import Storage
    from birdlite.targets.list_rules import ListRules

SHARD_VARIABLES = {"JOB_COMPLETION_INDEX", "BIRDLITE_SHARDS"}  # of an Indexed Job


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command. `started` is when Python code began to run, in s on `timing.clock`."""
    timeline = Timeline(process_start())
    timeline.add("interpreter start-up", timeline.origin, started)
    console = open_console(values)
    if values.renditions and values.resize == "exact":
        raise UsageError("--resize exact samples the original, which --renditions does not fetch")
    settings = classifier_settings(values)._replace(ordered=not values.unordered)
    storage = _storage(values, settings.fetch)
    if values.shard is None and SHARD_VARIABLES & os.environ.keys():
        from birdlite.batch.shard import from_environment

        values.shard = from_environment(os.environ)
    options = RunOptions(**fields_of(values, RunOptions._fields))
    options = options._replace(times=values.timing is not False)
    rules = _rules(values, settings.fetch)
    arguments = [*(SAMPLES if values.samples else ()), *values.targets]
    if RUN in (options.output or "") + (options.report or ""):
        options = options._replace(list_sha256=_digest(arguments, values.lists, storage, rules))
    runner = Runner(settings, options, timeline=timeline, storage=storage)
    _refuse_to_replace_inputs(values, runner.options)
    if not (values.targets or values.lists or values.samples):
        raise UsageError("nothing to classify: give URLs, files or folders, --from LIST, or --samples")
    stdin = None if sys.stdin is None else sys.stdin.buffer
    targets = expand(
        arguments,
        values.lists,
        stdin=stdin,
        storage=storage,
        max_bytes=settings.fetch.max_bytes,
        rules=rules,
        reveal_targets=settings.reveal_targets,
    )
    timeline.add("imports", started, clock())
    with Interruption() as interruption:
        table, allow = bool(values.timing), values.allow_failures
        code = drive(runner, targets, console, interruption, table=table, allow_failures=allow)
    for path in targets.empty:
        log.warning(f"{path}: the list names no picture")
    return code


def _rules(values: SimpleNamespace, settings: FetchSettings) -> ListRules | None:
    """What the lists may name; None for anything.

    Raises:
        UsageError: what --allow-files or --allow-bucket opens does not exist.
    """
    are_held = values.only_urls or values.allow_files or values.allow_bucket or settings.public_only
    if not are_held or not (values.lists or "-" in values.targets):
        return None
    from birdlite.targets.list_rules import ListRules

    return ListRules(values.allow_files, values.allow_bucket)


def _digest(arguments: Sequence[str], lists: Sequence[str], storage: Storage | None, rules: ListRules | None) -> str:
    """The digest of the list, which is read once before the run.

    Raises:
        UsageError: it could not be read again.
    """
    from birdlite.run.selection import digest_of

    for path in ("-" if "-" in arguments else "", *lists):
        if path == "-" or (os.path.exists(path) and not os.path.isfile(path)):
            name = "standard input" if path == "-" else path
            raise UsageError(f"{RUN} in --output or --report: {name} cannot be read twice; use a file")
    return digest_of(expand(arguments, lists, storage=storage, rules=rules))


def _storage(values: SimpleNamespace, settings: FetchSettings) -> Storage | None:
    """The client for object storage, if the command line leads there. A list may: what it names is not known yet."""
    places = (*values.targets, *values.since_output, values.output or "", values.report or "")
    if not (values.lists or values.scratch or any(is_storage(place) or place == "-" for place in places)):
        return None
    from birdlite.storage.store import Storage

    return Storage(settings, scratch=values.scratch)


def _refuse_to_replace_inputs(values: SimpleNamespace, options: RunOptions) -> None:
    """Check that no picture or list of the command line is overwritten.

    Raises:
        UsageError: the output or the report is one of them.
    """
    for option, path in (("output", options.output), ("report", options.report)):
        if path is None or not os.path.isfile(path):
            continue
        for name in (*values.targets, *values.lists):
            if os.path.isfile(name) and os.path.samefile(name, path):
                raise UsageError(f"--{option} {path}: is also an input, which would be overwritten")
