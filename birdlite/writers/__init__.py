"""Results into text, JSON, JSON lines, CSV and HTML.

    with open_output(path, "jsonl") as output:           # writers.output
        writer = open_writer("jsonl", output.stream, WriterOptions())
        for result in results:
            writer.write(result)
        writer.finish(run)

A run that was interrupted or had no target is finished in the same way, so the output is always a complete document.
"""

from __future__ import annotations

from birdlite.writers.base import Format, TextSink, Writer, WriterOptions


def open_writer(format: Format, stream: TextSink, options: WriterOptions) -> Writer:  # noqa: A002 - the option's name
    """Import and make the writer of a format. It writes nothing before the first result or the end."""
    if format == "jsonl":
        from birdlite.writers.record import JsonLinesWriter

        return JsonLinesWriter(stream, options)
    if format == "json":
        from birdlite.writers.record import JsonWriter

        return JsonWriter(stream, options)
    if format == "csv":
        from birdlite.writers.csv_writer import CsvWriter

        return CsvWriter(stream, options)
    if format == "html":
        from birdlite.writers.html import HtmlWriter

        return HtmlWriter(stream, options)
    from birdlite.writers.terminal import look
    from birdlite.writers.text import TextWriter

    return TextWriter(stream, options, look(stream))
