"""How commands declare their options: click's classes, with what all birdlite commands have in common.

- Every option has an environment variable, `BIRDLITE_<OPTION>` unless it names another one, and a switch
  (`--timing/--no-timing`) also one for its opposite.
- `--help` lists options under headings, each with its variable and default, and explains the arguments.
- A value is read by a function of `values`. The type `Value` calls it, and completes the value in a shell.

The module of a command has `COMMAND`, its declaration, and `main(values, started)`, which runs it and gives the exit
code. `started` is when Python code began to run, in s on `timing.clock`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import click
from click.shell_completion import CompletionItem

from birdlite.cli.values import choice, text, truth, variable

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # before click 8.4 it takes no parameter

PROGRAM = "birdlite"
COMPLETE_VARIABLE = "_BIRDLITE_COMPLETE"  # completion scripts set it to what they want
_NEAR = 0.75  # of 1: --worker is near --workers, and --workers is not near --retries
FILES_AS_OPTIONS = f"{__name__}.files"  # key of a context's `meta`: words that were read as options, and are files here
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def file_as_option(word: str) -> str:
    """What to tell somebody whose file has the name of an option: most likely, a shell put it there for `*`."""
    return f"{word} is a file here: write ./{word} or put -- before it"


def did_you_mean(word: str, words: Iterable[str], *, prefix: str = "") -> str:
    """A clause that names the nearest of `words`, or nothing if none is near. Swapped letters are nearest of all.

    `prefix` is what all of them begin with. It does not make them near.
    """
    from difflib import get_close_matches

    known = {one.removeprefix(prefix).lstrip("-"): one for one in words}
    word = word.removeprefix(prefix).lstrip("-")
    close = [one for one in known if sorted(one) == sorted(word)] or get_close_matches(word, known, 1, _NEAR)
    return f"; did you mean {known[close[0]]}?" if close else ""


class Value(ParamType):
    """What a value may be: the function of `values` that reads it, and how a shell completes it."""

    envvar_list_splitter = ","

    def __init__(
        self,
        function: Callable[..., object] = text,
        *arguments: object,
        complete: Literal["file", "dir"] | None = None,
        words: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        """Read with `function(text, *arguments)`. Completed are `words()`, and files or folders."""
        self.function = function
        self.arguments = arguments
        self.choices = [str(argument) for argument in arguments] if function is choice else []
        self.name = function.__name__
        self._complete = complete
        self._words = words or (lambda: self.choices)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Read a value. One that is no text is a default."""
        if not isinstance(value, str):
            return value
        try:
            return self.function(value, *self.arguments)
        except ValueError as error:
            self.fail(f"{value or repr(value)}: {error}{did_you_mean(value, self.choices)}", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """What a shell offers. Files come first: bash drops what was offered before them."""
        files = [CompletionItem(incomplete, type=self._complete)] if self._complete else []
        return files + [CompletionItem(word) for word in self._words() if word.startswith(incomplete)]


class _Truth(click.types.BoolParamType):
    """Whether a flag is set. Only a variable gives it as text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        try:
            return truth(value) if isinstance(value, str) else bool(value)
        except ValueError as error:
            self.fail(f"{value}: {error}", param, ctx)


class Option(click.Option):
    """An option with its environment variable."""

    def __init__(
        self,
        spelling: str,
        help: str,  # noqa: A002 - click's own word
        *,
        name: str | None = None,
        type: Value | None = None,  # noqa: A002
        choices: Sequence[str] = (),
        default: object = None,
        shown: str | None = None,
        multiple: bool = False,
        envvar: str | None = None,
    ) -> None:
        """Take it as --help writes it: `-o, --output FILE`. Without a word for a value, and `choices`, it is a flag.

        `choices` are the words that it takes. `shown` is what --help gives as the default, if not `default` itself.
        `envvar` is its variable, if that is not called like the option.
        """
        names = [word.rstrip(",") for word in spelling.split() if word.startswith("-")]
        metavar = "|".join(choices) or spelling.partition(names[-1])[2].strip()
        long, _, opposite = names[-1].partition("/")
        if not metavar and not opposite:
            default = False
        super().__init__(
            names if name is None else [*names, name],
            help=help,
            envvar=envvar or variable(long),
            show_envvar=True,
            is_flag=not metavar,
            type=(Value(choice, *choices) if choices else type or Value()) if metavar else _Truth(),
            metavar=metavar or None,
            default=default,
            show_default=shown or True,
            multiple=multiple,
        )
        self.default_text = shown or ("" if default is None or not metavar else str(default))
        self.opposite = variable(opposite) if opposite else None

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """What the variable gives. That of the opposite counts where the option's own is not set.

        Raises:
            click.UsageError: the variable of the opposite is neither 1 nor 0.
        """
        value = super().value_from_envvar(ctx)
        opposite = os.environ.get(self.opposite) if self.opposite else None
        if value is not None or not opposite or ctx.resilient_parsing:
            return value
        try:
            return False if truth(opposite) else None
        except ValueError as error:
            raise click.UsageError(f"{self.opposite}={opposite}: {error}") from None


class Argument(click.Argument):
    """An argument that --help explains. Its metavar says how often it may stand: `[NAME]`, `PART...`."""

    def __init__(self, name: str, metavar: str, help: str, *, type: Value, default: str | None = None) -> None:  # noqa: A002
        super().__init__(
            [name],
            metavar=metavar,
            type=type,
            required=not metavar.startswith("["),
            nargs=-1 if metavar.endswith("...") else 1,
            **({} if default is None else {"default": default}),
        )
        self.title = metavar.strip("[].")
        self.explanation = help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """The argument and what it is, for --help."""
        return self.title, self.explanation


class Command(click.Command):
    """One command. To invoke it gives a function that runs it, so that click is done before the work begins."""

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002
        epilog: str = "",
        *,
        arguments: Sequence[Argument] = (),
        options: Mapping[str, Sequence[Option]],
    ) -> None:
        """`options` are listed by their headings in --help."""
        params = [*arguments, *(option for under in options.values() for option in under)]
        super().__init__(name, dict(SETTINGS), params=params, help=help, epilog=epilog)
        self.arguments = arguments
        self.options = options

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, unless an option lacks its value. Options that are also names of files are remembered."""
        try:
            return super().parse_args(ctx, list(self._words(ctx, args)))
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # where to read more
            raise

    def _words(self, ctx: click.Context, args: Sequence[str]) -> Iterable[str]:
        """Give the words as click reads them: `-o=FILE` as two. An option is not the value of the one before it."""
        params = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        options = {name for param in params for name in (*param.opts, *param.secondary_opts)}
        with_value = {name: param for param in params if not param.is_flag for name in param.opts}
        words = iter(args)
        for word in words:
            if word.startswith("-") and word not in ("-", "--") and os.path.lexists(word):
                ctx.meta.setdefault(FILES_AS_OPTIONS, []).append(word)
            if word[:2] in with_value and word[2:3] == "=":
                yield from (word[:2], word[3:])
                continue
            yield word
            if word == "--":
                break
            if word in with_value:
                value = next(words, None)
                if ctx.resilient_parsing and value is None:
                    break
                if value is None:
                    raise click.UsageError(f"{word} needs a value: {with_value[word].metavar}", ctx)
                if value in options and not ctx.resilient_parsing:
                    raise click.UsageError(f"{word} needs a value, and {value} is an option", ctx)
                yield value
        yield from words

    def invoke(self, ctx: click.Context) -> Any:
        """Give the function that runs the command, which takes `started`."""
        values = SimpleNamespace(**ctx.params)
        if FILES_AS_OPTIONS in ctx.meta:
            values.files_as_options = ctx.meta[FILES_AS_OPTIONS]  # `open_console` warns of them
        return partial(import_module(f"birdlite.cli.{self.name}").main, values)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write arguments and options under their headings."""
        sections = {"Arguments": self.arguments, **self.options, "Other": [self.get_help_option(ctx)]}
        for heading, params in sections.items():
            if params:
                with formatter.section(heading):
                    formatter.write_dl([record for param in params if param and (record := param.get_help_record(ctx))])
