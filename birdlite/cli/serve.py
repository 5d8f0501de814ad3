"""`birdlite serve`: the classifier as a service over HTTP."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.cli.console import PORT_VARIABLE, open_console
from birdlite.cli.declare import Command, Option, Value
from birdlite.cli.exit_codes import EXIT_OK
from birdlite.cli.interruption import Interrupted, Interruption
from birdlite.cli.options import (
    CACHE,
    LABELS,
    MESSAGES,
    MODEL,
    NETWORK,
    RESIZE,
    RUNNING,
    allowing,
)
from birdlite.cli.values import classifier_settings, fields_of, fraction, patience, seconds, size, whole
from birdlite.errors import UsageError
from birdlite.serve import packages
from birdlite.serve.options import ServeOptions
from birdlite.settings import DEFAULT_MODEL, DEFAULT_TOP, Settings

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from concurrent.futures import Future

    from birdlite.run.classifier import Classifier
    from birdlite.serve.server import Server

DEFAULTS = ServeOptions()


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command. A signal is not an error, whatever fails because of it."""
    try:
        with Interruption() as interruption:
            return _main(values, interruption)
    except Interrupted:
        return EXIT_OK


def _main(values: SimpleNamespace, interruption: Interruption) -> int:
    """The model is loaded in a thread while the web server is imported."""
    console = open_console(values)
    _refuse_contradictions(values)
    packages.look()
    settings = classifier_settings(values)
    settings = settings._replace(fetch=settings.fetch._replace(public_only=not values.allow_private))
    options = ServeOptions(**fields_of(values, ServeOptions._fields))._replace(urls=not values.no_urls)
    from birdlite.http.proxies import find_proxies
    from birdlite.memory_limit import share_heaps
    from birdlite.run.classifier import Classifier
    from birdlite.serve import first_picture, listening

    if options.urls:
        find_proxies()  # one that cannot be used is an error now, and not of the first client
    share_heaps(settings.threads)  # a service runs for weeks
    listening.allow_files(options.connections, settings.fetch.downloads)
    with listening.listen(options.host, options.port) as sock, Classifier(settings) as classifier:
        loading = first_picture.begin(classifier, settings)
        say = console.insist if console.quiet and options.port == 0 else log.info  # else nobody knows the port
        ready = partial(say, f"ready at {listening.url_of(sock)}", threads=settings.threads)
        with console.in_background():
            serve(partial(_server, classifier, settings, options, sock, loading, ready), interruption)
    return EXIT_OK


def _refuse_contradictions(values: SimpleNamespace) -> None:
    """Check options against each other.

    Raises:
        UsageError: one says that nothing is fetched, and another what is.
    """
    for option in ("allow_private", "allow_hosts", "allow_ports"):
        if values.no_urls and getattr(values, option):
            name = option.rstrip("s").replace("_", "-")
            raise UsageError(f"--no-urls and --{name}: nothing is fetched, so nothing is to be allowed; leave one out")


def _server(
    classifier: Classifier,
    settings: Settings,
    options: ServeOptions,
    sock: socket.socket,
    loading: Future[None],
    ready: Callable[[], object],
) -> Server:
    """The service. Only for the event loop."""
    from birdlite.serve.app import Service
    from birdlite.serve.pictures import Pictures
    from birdlite.serve.server import Server

    service = Service(Pictures(classifier, settings, options.queue, options.max_wait), options)
    return Server(service, sock, loading, ready)


def serve(make: Callable[[], Server], interruption: Interruption) -> None:
    """Serve until a signal comes, and say how it went. `make` is called in the event loop.

    Raises:
        ServeMissing: a package cannot be imported.
        BirdliteError: the model cannot be loaded.
    """
    import asyncio

    async def run() -> Server:
        try:
            server = make()
        except ImportError as error:
            raise packages.broken(error) from error
        loop = asyncio.get_running_loop()

        def stop() -> None:
            with suppress(RuntimeError):  # the event loop has ended already
                loop.call_soon_threadsafe(server.stop)

        interruption.calls(stop)
        await server.run()
        return server

    log.info("ended", **asyncio.run(run()).tally())


EPILOG = """\
POST a picture to /v1/classify, or several as a form, or {"urls": ["https://…"]} as JSON. / is a page to try it,
/readyz and /livez are for probes, /metrics is for Prometheus, /openapi.json describes it all. URLs are fetched as
`classify --public-only` does, unless there is --allow-private.

SIGTERM ends it in good order; a second one at once. Exit codes: 0 ended, 2 wrong usage, 3 it cannot serve (the port is
in use, there is no such model), 4 not now: the model's source is away.
"""


def _seconds(name: str, help: str, default: float) -> Option:  # noqa: A002
    return Option(f"{name} SECONDS", help, type=Value(seconds), default=f"{default:g}")


_OWN = {option.name: option for option in allowing("Also fetch URLs")}
"""Options of `classify` that mean less here."""

COMMAND = Command(
    "serve",
    "Answer requests over HTTP: name the birds in pictures that are sent, or whose URLs are.",
    EPILOG,
    arguments=[],
    options={
        "Service": [
            Option("--host ADDRESS", "Listen on ADDRESS. 0.0.0.0 is all of this machine's.", default=DEFAULTS.host),
            Option(
                "--port N",
                "Listen on port N. 0 takes a free one.",
                type=Value(whole, 0, 65535),
                default=DEFAULTS.port,
                envvar=PORT_VARIABLE,
            ),
            Option(
                "--queue N",
                "Let up to N pictures that are sent wait, and N that are fetched. Beyond it, and when the wait would be"
                " too long, the answer is 503 at once.",
                type=Value(whole, 0, 1_000_000),
                default=DEFAULTS.queue,
            ),
            _seconds(
                "--max-wait",
                "Refuse a picture that waits longer than SECONDS, or would; sooner, the more were refused lately.",
                DEFAULTS.max_wait,
            ),
            Option(
                "--max-batch N",
                "Take up to N pictures in a request.",
                type=Value(whole, 1, 10_000),
                default=DEFAULTS.max_batch,
            ),
            Option("--max-body SIZE", "Refuse requests of more than SIZE bytes.", type=Value(size), default="64M"),
            Option(
                "--connections N",
                "Keep up to N connections.",
                type=Value(whole, 32, 100_000),
                default=DEFAULTS.connections,
            ),
            _seconds("--request-timeout", "Answer within SECONDS, waiting included.", DEFAULTS.request_timeout),
            _seconds("--body-timeout", "Give up a body that does not arrive within SECONDS.", DEFAULTS.body_timeout),
            Option(
                "--drain SECONDS",
                "After SIGTERM, answer for SECONDS more, so that balancers notice.",
                type=Value(patience),
                default=f"{DEFAULTS.drain:g}",
            ),
            _seconds("--grace", "After that, finish what is under way within SECONDS.", DEFAULTS.grace),
            Option("--no-urls", "Fetch nothing: take pictures only that are sent."),
            Option(
                "--allow-private",
                "Fetch URLs that lead to addresses that are not public too: those of this machine and its networks.",
            ),
        ],
        "Answers": [
            Option(
                "--top N",
                "Give up to N candidates, unless a request asks for others.",
                type=Value(whole, 1, 1000),
                default=DEFAULT_TOP,
            ),
            Option("--min-score X", "Leave out candidates that score below X.", type=Value(fraction), default="0"),
        ],
        "Model": [
            Option(
                "--model MODEL",
                "Model to use: a name (see `birdlite model list`), a model folder, or a .tflite or .onnx file.",
                type=MODEL,
                default=DEFAULT_MODEL,
            ),
            LABELS,
            Option(
                "--resize",
                "How a picture is made square, unless a request says.",
                choices=RESIZE,
                default=Settings().resize,
            ),
            *RUNNING,
        ],
        **CACHE,
        "Network": [_OWN.get(option.name, option) for option in NETWORK["Network"] if option.name != "public_only"],
        **MESSAGES,
    },
)
