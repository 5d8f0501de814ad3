"""The exit codes of every command. docs/options.md lists them for users."""

from __future__ import annotations

EXIT_OK = 0  # every target was classified
EXIT_FAILURES = 1  # some targets failed
EXIT_USAGE = 2  # the command line makes no sense
EXIT_CANNOT_RUN = 3  # no model, no engine, or the results cannot be written
EXIT_TRY_AGAIN = 4  # what was needed is away, or too many pictures were; EX_TEMPFAIL of sysexits.h means the same
EXIT_BROKEN_PIPE = 141  # the reader of our output went away: 128 + SIGPIPE, as for other programs
