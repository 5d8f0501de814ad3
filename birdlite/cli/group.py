"""The command `birdlite` itself, on click: it finds the command that is named, and imports no other.

Help and completion of `birdlite` come from the table `COMMANDS` and import no command at all.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from importlib import import_module

import click
from click.shell_completion import CompletionItem, shell_complete

from birdlite._version import __version__
from birdlite.cli.declare import (
    COMPLETE_VARIABLE,
    FILES_AS_OPTIONS,
    PROGRAM,
    SETTINGS,
    Argument,
    did_you_mean,
    file_as_option,
)
from birdlite.cli.exit_codes import EXIT_USAGE
from birdlite.errors import OutputError, UsageError

COMMANDS = {
    "classify": "Name the birds in pictures: URLs, files, folders, lists.",
    "serve": "Answer requests over HTTP, with a page to try it.",
    "merge": "Put the parts of a divided run together: jsonl, csv or html.",
    "report": "Make an HTML page from the results of earlier runs.",
    "model": "Download, list, show, check, find or remove models.",
    "convert": "Convert a model to ONNX or TensorFlow Lite and check the result.",
    "evaluate": "Measure how often models are right on your own labelled pictures.",
    "bench": "Measure how fast birdlite is on this machine.",
    "demo": "Try everything on invented birds, without a network.",
    "completion": "Print the script that completes commands in your shell.",
}

HELP = "What bird is this? Name the birds in any number of photographs, from a cold start, in a fraction of a second."
EPILOG = """\
Try `birdlite demo`, then `birdlite classify photo.jpg`. `birdlite COMMAND --help` shows the options of a command.

Exit codes: 0 everything was classified, 1 some pictures failed, 2 wrong usage, 3 nothing could run, 4 not now: try
again later, 130, 143 or 129 interrupted.
"""


class _Commands(click.Group):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = "options" if cmd_name == "classify" else cmd_name  # `classify` itself does without click
        made: click.Command = import_module(f"birdlite.cli.{module}").COMMAND
        return made

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            raise click.UsageError(_not_a_command(args[0], more=len(args) > 1), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What a shell offers for the first word."""
        commands = [CompletionItem(name, help=does) for name, does in COMMANDS.items() if name.startswith(incomplete)]
        return commands + click.Command.shell_complete(self, ctx, incomplete)


def birdlite() -> _Commands:
    """The command `birdlite`."""
    group = _Commands(PROGRAM, help=HELP, epilog=EPILOG, context_settings=dict(SETTINGS))
    return click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")(group)


def run(arguments: list[str], started: float) -> int:
    """Run what the command line asks for, which may be help, and give the exit code.

    Raises:
        UsageError: the command line makes no sense.
        BirdliteError: nothing could run, or there is no way to print.
    """
    group = birdlite()
    if not arguments:
        return _bare(group)
    try:
        with group.make_context(PROGRAM, arguments) as context:
            command: Callable[[float], int] = group.invoke(context)
    except click.exceptions.Exit as done:  # --help and --version
        if sys.stdout is None:  # click then prints nothing
            raise OutputError("standard output is closed") from None
        return done.exit_code
    except click.ClickException as error:
        raise UsageError(_one_line(error)) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror}") from None
    return command(started)  # after click is done


def _bare(group: _Commands) -> int:
    """`birdlite` alone: a completion script asks for words, or somebody needs help."""
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        from birdlite.cli import completion  # noqa: F401 - it adapts click's completion

        return shell_complete(group, {}, PROGRAM, COMPLETE_VARIABLE, instruction)
    from birdlite.cli.console import write_stderr

    with group.make_context(PROGRAM, [], resilient_parsing=True) as context:
        write_stderr(f"{group.get_help(context)}\n")
    return EXIT_USAGE


def _not_a_command(word: str, *, more: bool) -> str:
    if word == "-" or any(character in word for character in "./:*?[") or os.path.exists(word):
        line = shlex.join([PROGRAM, "classify", word]) + (" …" if more else "")
        return f"{word} is not a command; to classify it: {line}"
    known = [*COMMANDS, "--version"] if word.startswith(("v", "V")) else COMMANDS  # `conversion` is near it too
    return f"no command {word!r}{did_you_mean(word, known)}"


def _one_line(error: click.ClickException) -> str:
    """What is wrong, and where to read more."""
    context: click.Context | None = getattr(error, "ctx", None)
    place = PROGRAM if context is None else context.command_path
    if isinstance(error, click.NoSuchOption):
        message = _no_option(error.option_name, context)
    elif isinstance(error, click.MissingParameter) and isinstance(error.param, Argument):
        message = f"{error.param.title} is missing: {error.param.explanation.rstrip('.')}"
    elif type(error) is click.BadParameter and error.param is not None:
        message = f"{_given(error.param, context)}{error.message}"
    else:
        message = error.format_message().rstrip(".")
    files = () if context is None else context.meta.get(FILES_AS_OPTIONS, ())
    hint = f"; {file_as_option(files[0])}" if files else ""
    return f"{' '.join(message.split())}{hint} (see {place} --help)"


def _no_option(name: str, context: click.Context | None) -> str:
    from birdlite.cli.table import OPTIONS, SHORT

    if context is None or (context.parent is None and (name in OPTIONS or name in SHORT)):
        return f"{name} must stand behind a command: {PROGRAM} classify {name} …"
    params = context.command.get_params(context)
    options = [option for param in params for option in (*param.opts, *param.secondary_opts)]
    if name == "-V" and "--version" in options:
        return f"no option {name}; did you mean --version?"
    return f"no option {name}{did_you_mean(name, options)}"


def _given(param: click.Parameter, context: click.Context | None) -> str:
    """How the user gave a value: BIRDLITE_TOP=, or --top with a space."""
    source = None if context is None or param.name is None else context.get_parameter_source(param.name)
    if source is click.core.ParameterSource.ENVIRONMENT:
        return f"{param.envvar}="
    name = max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name
    return f"{name} "
