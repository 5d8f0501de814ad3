"""All errors that birdlite raises. The command exits with 2 after a `UsageError`, and with 3 after any other one.

If the error is `temporary`, the command exits with 4: what was needed is away, and the same command may work later.

Messages are one line: what happened, to which input, and what to do.
"""

from __future__ import annotations

from typing import Literal

from birdlite.results import FailureKind

StorageCause = Literal["no_object", "no_bucket", "no_credentials", "denied", "odd_key", "other"]

ONE_LINE = 160  # characters of another program's message
_LOOKED_AT = 4096  # of it, in which secrets are looked for: that takes time


def without_secrets(text: str) -> str:
    """A message with the secrets of its URLs left out (`redaction`, which few messages need)."""
    if not any(sign in text for sign in ("=", "@", "//", "?", '":', "eyJ", "/bot")):
        return text
    from birdlite.redaction import redacted_text

    return redacted_text(text)


def one_line(said: object) -> str:
    """What another library said, or a text from outside, as one short line of printable characters.

    An exception without a text is its type's name.
    """
    text = "".join(c if c.isprintable() else " " for c in str(said)[:_LOOKED_AT])
    text = without_secrets(text)  # before it is cut: half of a secret cannot be told from other words
    return " ".join(text.split())[:ONE_LINE] or ("(blank)" if isinstance(said, str) else type(said).__name__)


def installing(extra: str) -> str:
    """How to install an extra into what runs: a command, or a clause where no command would work."""
    from birdlite.installing import with_extra

    return with_extra(extra)


def installing_package(name: str) -> str:
    """The command that installs another package into what runs."""
    from birdlite.installing import command

    return command([name])


class BirdliteError(Exception):
    """The root of the tree; its text is one line for a person."""

    def __init__(self, message: str = "", *, temporary: bool = False) -> None:
        """`temporary`: the cause may pass by itself, such as an outage. Secrets of URLs in `message` are left out."""
        super().__init__(without_secrets(message))
        self.temporary = temporary


class UsageError(BirdliteError):
    """An option or an argument is wrong, or contradicts another."""


class ModelError(BirdliteError):
    """There is no model to classify with."""


class UnknownModel(ModelError):
    """The name is neither in the catalogue nor a file or folder."""


class ModelUnavailable(ModelError):
    """The model is not in the cache, and none of its sources could give it."""


class InvalidModel(ModelError):
    """The model's checksum, card, tensors or labels are wrong, and it was not loaded; or its scores are."""


class EngineError(BirdliteError):
    """The runtime is there but cannot load or run the model."""


class EngineMissing(EngineError):
    """The runtime is not installed. The message names the extra that brings it."""


class OutputError(BirdliteError):
    """The results cannot be written where the user wants them."""


class TooManyFailures(BirdliteError):
    """More pictures than `--max-failures` could not be downloaded, because something is away."""


class PartsError(BirdliteError):
    """Files that should be parts of one run are not, or not all of them."""


class StorageError(BirdliteError):
    """Object storage refuses or cannot be reached. Callers with a more exact error raise that one instead."""

    def __init__(
        self, kind: FailureKind, message: str, cause: StorageCause = "other", *, temporary: bool = False
    ) -> None:
        super().__init__(message, temporary=temporary)
        self.kind: FailureKind = kind
        self.cause: StorageCause = cause


class StorageMissing(BirdliteError):
    """The client for object storage is not installed. The message names the extra that brings it."""


class ServeMissing(BirdliteError):
    """A package that the service needs is not installed. The message names the extra that brings it."""


class PictureError(BirdliteError):
    """One target has no answer. Raised by what reads, decodes and runs pictures, caught by the pipeline."""

    def __init__(self, kind: FailureKind, message: str, *, temporary: bool = False) -> None:
        super().__init__(message, temporary=temporary or kind == "timeout")
        self.kind: FailureKind = kind
