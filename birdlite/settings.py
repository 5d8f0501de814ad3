"""All settings of a run, in plain values. The command line fills them from its options, Python users by keyword.

`Settings` is for a `Classifier`; its `fetch` is for everything that goes over the network. All defaults are here, each
with its reason. Both are checked when they are made. `Classifier` checks again, because `_replace` does not: types and
bounds only, as what uses a value finds the rest. The command line goes that way, for messages that name its options.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar, get_args

from birdlite import cpus
from birdlite._version import __version__
from birdlite.errors import UsageError, one_line
from birdlite.namedtuple import NamedTuple

EngineChoice = Literal["auto", "litert", "tflite", "onnx"]
Resize = Literal["crop", "squash", "exact"]
"""How a picture becomes a square: `crop` takes its middle, `squash` all of it, `exact` all of it as OpenCV does."""

DEFAULT_MODEL = "birds-v1-lite"
"""Google's AIY birds V1, Lite deployment: the entry of the catalogue that is used unless another is named."""

DEFAULT_TOP = 3

DEFAULT_MAX_PIXELS = 120_000_000
"""Medium-format cameras have 102 Mpx, telephones 108. This many pixels decode to 480 MB."""

DECODE_TIMEOUT_S = 30.0
"""s. The largest pictures allowed take up to 4 s here; a quarter of a slow processor needs eight times as long."""

WIKIMEDIA = "upload.wikimedia.org"
WIKIMEDIA_THUMBNAILS = "thumb.wikimedia.org"
"""Serves the same thumbnails as `WIKIMEDIA`, at the same paths, since 2026."""

USER_AGENT = (
    f"birdlite/{__version__} (+https://github.com/birdlite/birdlite; "
    "contact: https://github.com/birdlite/birdlite/issues)"
)
"""Tool, version, home page and contact. Large-scale users should name themselves with --user-agent."""

STARTUP_TIMEOUT_S = 10.0
"""s to try for what a run cannot do without. A name server that is away takes 5; manifests of a cluster set minutes."""

PER_HOST = 6
"""Requests under way at one host at once: the limit of browsers with HTTP/1.1."""

PER_NAMED_HOST: Mapping[str, int] = {WIKIMEDIA: 2, WIKIMEDIA_THUMBNAILS: 2}
"""Hosts that ask for another limit."""

BACKOFF_S = 0.2
"""s. Ceiling of the first wait: a restart of a proxy or a full queue is often over that quickly."""

TIMEOUT_S = 30.0
"""s for one URL, everything included: enough for a photograph of 10 MB at 3 Mbit/s."""

CONNECT_TIMEOUT_S = 5.0
"""s. Enough for two lost packets (1 + 2 s) and a slow line."""

READ_TIMEOUT_S = 10.0
"""s without a byte: longer than any server takes to find a file, and leaves time for a second try."""

RETRIES = 3
"""With pauses of up to 0.2, 0.4 and 0.8 s. A short fault is over by then; an outage lasts longer anyway."""

MAX_BYTES = 64 * 1024 * 1024
"""For each download. A 24 Mpx photograph has 5 to 15 MB as JPEG and 72 MB uncompressed."""

MAX_REDIRECTS = 5
"""Model stores need two or three; more is most likely a loop."""

DOWNLOADS = 16
"""Downloads at once. Downloads mostly wait, and two or three hosts at 6 each fill an ordinary line."""


LONGEST_S = 86_400
"""s; a day, for every time."""

OWN_MEMORY = 96 << 20
"""Bytes for everything but pictures. Measured: 33 MiB with LiteRT, 93 with ONNX Runtime; httpx adds 20."""

WORKER_MEMORY = 16 << 20
"""Bytes for each worker. Measured: an engine on the official model takes 9.5 MiB with its thread."""

LEAST_FILES = 16 << 20  # bytes of each of two shares of files, however small the limit is
LEAST_DECODING = 32 << 20
LEAST_PICTURES = 2 * LEAST_FILES + LEAST_DECODING

Fields = TypeVar("Fields", bound="Settings | FetchSettings")


class PerHost(NamedTuple):
    """How many requests may be under way at one host at once, from 1. Named hosts have limits of their own."""

    general: int = PER_HOST
    named: Mapping[str, int] = PER_NAMED_HOST  # by host name, as `host_key` spells it

    def limit(self, host: str) -> int:
        """The limit of `host`."""
        return self.named.get(host_key(host), self.general)


def host_key(host: str) -> str:
    """The host name in the form that limits are counted by: lower case, without a dot at the end."""
    return host.lower().rstrip(".")


def whole_number(text: str) -> int:
    """Read a whole number that the command line, a variable or a request has as text: ASCII digits, or - and digits.

    One of more than 16 digits is read as its first 16, which are beyond all bounds.

    Raises:
        ValueError: it is not one.
    """
    digits = text.strip().removeprefix("-")
    if not digits.isascii() or not digits.isdigit():
        raise ValueError("not a whole number")
    number = int(digits.lstrip("0")[:16] or "0")  # int() refuses those of 4,300 digits
    return -number if text.strip().startswith("-") else number


def decimal_number(text: str) -> float:
    """Read any number that is text, in ASCII and without the _ that Python allows. It may be infinite.

    Raises:
        ValueError: it is not one.
    """
    try:
        number = float(text if text.isascii() and "_" not in text else "nan")
    except ValueError:
        raise ValueError("not a number") from None
    if number != number:
        raise ValueError("not a number")
    return number


_LEAST: Mapping[str, float] = {
    "top": 1,
    "min_score": 0,
    "workers": 0,
    "max_pixels": 1,
    "memory": 0,
    "decode_timeout": 0,
    "timeout": 0,
    "connect_timeout": 0,
    "read_timeout": 0,
    "retries": 0,
    "startup_timeout": 0,
    "max_bytes": 1,
    "max_redirects": 0,
    "downloads": 1,
    "backoff": 0,
}
"""The numbers among the fields, and the least that each may be. Whole numbers have a default that is one."""

_ABOVE = frozenset({"decode_timeout", "timeout", "connect_timeout", "read_timeout"})  # may not be 0 itself
_TIMES = ("decode_timeout", "timeout", "connect_timeout", "read_timeout", "startup_timeout", "backoff")
_MOST: Mapping[str, float] = {"min_score": 1, **dict.fromkeys(_TIMES, LONGEST_S)}
_MOST_OF_ALL = 1 << 62  # a size in bytes that the system can still add to
_CHOICES: Mapping[str, tuple[str, ...]] = {"engine": get_args(EngineChoice), "resize": get_args(Resize)}
_TEXTS = frozenset({"model", "user_agent"})
_OPTIONAL_TEXTS = frozenset({"labels", "cache_dir", "mirror", "model_sha256"})
_WITH_A_FORM = frozenset({"mirror", "model_sha256", "allow_hosts", "allow_ports", "per_host"})


def check(settings: Settings | FetchSettings, *, forms: bool = False) -> None:
    """Check each value by itself. What contradicts another, or is not there, is found when it is used.

    Raises:
        UsageError: it names the field.
    """
    for field, value in zip(settings._fields, settings, strict=True):
        default = settings._field_defaults[field]
        wanted = _wanted(field, value, default)
        if forms and wanted is None and field in _WITH_A_FORM and value != default:
            from birdlite.setting_forms import wanted as form_wanted

            wanted = form_wanted(field, value)
        if wanted is not None:
            raise UsageError(f"{type(settings).__name__}: {field} is {shown(value)}, not {wanted}")
        if isinstance(value, FetchSettings):
            check(value)


def _check_made(settings: Settings | FetchSettings) -> None:
    """Check values of a Python program, whose user knows them as fields.

    Raises:
        UsageError: it names the field.
    """
    check(settings, forms=True)
    if isinstance(settings, FetchSettings):
        if not is_header_text(settings.user_agent):
            raise UsageError(f"FetchSettings: user_agent is {shown(settings.user_agent)}, not printable ASCII")
    elif settings.memory and settings.memory < (least := least_memory(settings.threads)):
        raise UsageError(
            f"Settings: memory is {settings.memory}, and the least with workers={settings.threads} is {least}"
        )


def shown(value: object) -> str:
    """A wrong value, for a message."""
    try:
        return one_line(repr(value))
    except ValueError:  # Python shows no number of thousands of digits
        return "too large"


def is_header_text(text: str) -> bool:
    """Whether it can be the value of a header: printable ASCII, not empty, without spaces around it."""
    return text != "" and text.isascii() and text.isprintable() and text == text.strip()


def least_memory(workers: int) -> int:
    """The bytes without which nothing works."""
    return OWN_MEMORY + WORKER_MEMORY * workers + LEAST_PICTURES


def _wanted(field: str, value: object, default: object) -> str | None:
    """What a field must be, if it is not."""
    if field in _LEAST:
        least, most = _LEAST[field], _MOST.get(field, _MOST_OF_ALL)
        whole = isinstance(default, int)
        number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if number and (least < value if field in _ABOVE else least <= value) and value <= most:  # type: ignore[operator]
            return None
        bounds = f"above {least}" if field in _ABOVE else f"from {least}"
        if field in _MOST or (number and value > most):  # type: ignore[operator]
            bounds += f"{' and at most' if field in _ABOVE else ' to'} {most}"
        return f"a {'whole ' if whole else ''}number {bounds}"
    if field in _CHOICES:
        return None if value in _CHOICES[field] else f"one of {', '.join(_CHOICES[field])}"
    if field in _TEXTS or field in _OPTIONAL_TEXTS:
        optional = field in _OPTIONAL_TEXTS
        fits = (isinstance(value, str) and value != "" and "\0" not in value) or (optional and value is None)
        return None if fits else f"text{' or None' if optional else ''}"
    kind = type(default)
    return None if isinstance(value, kind) else f"a {kind.__name__}"


def _checked(fields: type[Fields]) -> type[Fields]:
    """The same class, whose values are checked when they are made from the fields."""
    fields.__init__ = lambda self, *_, **__: _check_made(self)  # type: ignore[method-assign]
    return fields


@_checked
class FetchSettings(NamedTuple):
    """How to fetch. Times are in seconds."""

    user_agent: str = USER_AGENT
    timeout: float = TIMEOUT_S  # for one URL, everything included
    connect_timeout: float = CONNECT_TIMEOUT_S  # for one of a host's addresses
    read_timeout: float = READ_TIMEOUT_S  # of silence
    retries: int = RETRIES  # after the first try, redirects included
    startup_timeout: float = STARTUP_TIMEOUT_S  # to try again for model, list, earlier results and output
    max_bytes: int = MAX_BYTES
    max_redirects: int = MAX_REDIRECTS
    per_host: PerHost = PerHost()  # `parse_per_host` reads it from text
    downloads: int = DOWNLOADS  # how many run at once, and how many idle connections are kept
    mirror: str | None = None
    offline: bool = False
    public_only: bool = False  # URLs and redirects lead to public addresses only, and lists may name only URLs
    allow_hosts: tuple[str, ...] = ()  # with `public_only`: HOST or HOST:PORT that may be private
    allow_ports: tuple[int, ...] = ()  # with `public_only`: beside 80 and 443
    renditions: bool = False  # fetch a smaller form of a photograph where its host keeps one
    backoff: float = BACKOFF_S  # ceiling of the first pause


@_checked
class Settings(NamedTuple):
    """How to classify. Every value has the default that the CLI has."""

    model: str = DEFAULT_MODEL  # a name of the catalogue, a bundle's folder, or a .tflite or .onnx file
    labels: str | None = None  # the label map of a bare model file
    engine: EngineChoice = "auto"
    resize: Resize = "crop"  # DESIGN: the most accurate on real photographs
    top: int = DEFAULT_TOP  # predictions a picture
    min_score: float = 0.0  # predictions below it are left out
    workers: int = 0  # threads that decode and classify, an engine each; 0: one for each usable processor
    max_pixels: int = DEFAULT_MAX_PIXELS  # of a picture, by its header
    memory: int = 0  # bytes for the process; 0: the container's limit, else half of the machine's memory
    decode_timeout: float = DECODE_TIMEOUT_S  # s for decoding one picture
    ordered: bool = True  # results in the order of the targets; else as they finish
    cache_dir: str | None = None  # None: the system's place for caches
    no_cache: bool = False  # keep model and labels in memory, write nothing
    reveal_targets: bool = False  # whether results name URLs with their secrets
    fetch: FetchSettings = FetchSettings()
    model_sha256: str | None = None  # of a model file, or of a folder's model.json; another one is refused

    @property
    def threads(self) -> int:
        """How many workers that really is."""
        return self.workers or cpus.usable()


DEFAULTS = FetchSettings()
