"""Results into text, JSON, JSON lines, CSV and HTML.

    with open_output(path, "jsonl") as output:           # writers.output
        writer = open_writer("jsonl", output.stream, WriterOptions())
        for result in results:
            writer.write(result)
        writer.finish(run)

A run that was interrupted or had no target is finished in the same way, so the output is always a complete document.
The modules here import each other's types from `writers.base`, never from this package.
"""

from birdlite.writers.base import (
    Format,
    ModelFacts,
    Names,
    ReportFacts,
    RunFacts,
    TextSink,
    Writer,
    WriterOptions,
)
from birdlite.writers.formats import open_writer

__all__ = [
    "Format",
    "ModelFacts",
    "Names",
    "ReportFacts",
    "RunFacts",
    "TextSink",
    "Writer",
    "WriterOptions",
    "open_writer",
]
