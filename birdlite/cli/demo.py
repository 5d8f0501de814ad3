"""`birdlite demo`: the whole pipeline with no network at all, on invented birds."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from types import SimpleNamespace

from birdlite.cli.console import drive, open_console, write_stderr
from birdlite.cli.declare import PROGRAM, Command, Option
from birdlite.cli.interruption import Interruption
from birdlite.cli.options import MESSAGES, timing
from birdlite.demo import DemoServer, picture_urls
from birdlite.errors import OutputError
from birdlite.models.catalog import DEMO_MODEL
from birdlite.run.options import RunOptions
from birdlite.run.runner import Runner
from birdlite.settings import FetchSettings, Settings
from birdlite.targets.expand import expand
from birdlite.timing import Timeline, clock, process_start

BEFORE = """\
birdlite demo: invented birds, drawn by a script, and a tiny model that knows only them.
Nothing here names a real bird. A server on this machine stands in for the Internet.

"""
AFTER = """
That was the demo. Real birds, with the real model, fetched and kept on the first run:

  {program} classify --samples          five photographs on the Internet
  {program} classify photo.jpg album/   your own
"""


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command. `started` is when Python code began to run, in s on `timing.clock`."""
    timeline = Timeline(process_start())
    timeline.add("interpreter start-up", timeline.origin, started)
    console = open_console(values)
    chatty = values.format == "text" and not values.quiet
    if chatty:
        write_stderr(BEFORE)
    with (
        Interruption() as interruption,
        DemoServer() as server,
        _temporary_folder() as cache_dir,
    ):
        settings = Settings(model=DEMO_MODEL, cache_dir=cache_dir, fetch=FetchSettings(mirror=server.mirror))
        timeline.add("imports", started, clock())
        options = RunOptions(format=values.format, times=values.timing is not False)
        runner = Runner(settings, options, timeline=timeline)
        table = values.timing or (values.timing is None and chatty)
        code = drive(runner, expand(picture_urls()), console, interruption, table=table)
    if chatty:
        write_stderr(AFTER.format(program=_program()))
    return code


def _program() -> str:
    """How to start birdlite again: by its name if a shell finds it, else by the path of the script that runs."""
    script = os.path.abspath(sys.argv[0])
    if shutil.which(PROGRAM) is not None or os.path.basename(script) != PROGRAM:
        return PROGRAM
    relative = os.path.relpath(script)
    return shlex.quote(script if relative.startswith(os.pardir) else relative)


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="birdlite-demo-", ignore_cleanup_errors=True)
    except OSError as error:
        raise OutputError("there is no folder for temporary files; TMPDIR names one") from error


COMMAND = Command(
    "demo",
    "Download a model and pictures of invented birds from a server in this process, and classify them. It is the"
    " code that classifies real birds, and it needs no network.",
    options={
        "Answers": [
            Option("--format", "Format of the results.", choices=("text", "json", "jsonl", "csv"), default="text"),
            timing("a table, with text only"),
        ],
        **MESSAGES,
    },
)
