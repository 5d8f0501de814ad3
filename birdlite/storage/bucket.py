"""One bucket's client: requests within the time limits, and errors of obstore as our kinds of failure. `store` has it.

obstore cannot cancel a request. So each runs in a daemon thread that can be abandoned: it ends by its own timeouts.

obstore has few types of errors. Status, code and cause are in the text, which ends with a dump of its own state. URLs
are never repeated, because they can contain a signature.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from obstore.exceptions import InvalidPathError
from obstore.store import AzureStore, GCSStore, S3Store

from birdlite.deadline import POLL_S, Deadline
from birdlite.errors import PictureError, StorageError, one_line
from birdlite.retries import Retries
from birdlite.settings import FetchSettings
from birdlite.storage import Place

if TYPE_CHECKING:
    from birdlite.storage.relay import Relay
    from birdlite.storage.s3_listing import Page

T = TypeVar("T")

_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL", "STORAGE_EMULATOR_HOST"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true for a public bucket",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_SKIP_SIGNATURE=true for a public one",
}

_ANY_KEY = {"account_key": "a2V5"}  # to sign a URL that nobody is asked for

# Of clusters that give each pod rights of its own: credentials are asked for at a service.
_CREDENTIALS_FROM_A_SERVICE = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AZURE_FEDERATED_TOKEN_FILE",
)

# Requests for credentials: to a metadata service, or to one that exchanges a token for another.
_ASKS_FOR_CREDENTIALS = re.compile(
    r"169\.254\.\d+\.\d+|latest/api/token|security-credentials|computeMetadata|TokenRequest|MissingAccount|oauth2/token|\bADC\b|WebIdentity"
    r"|InstanceMetadata|Missing(AccessKeyId|SecretAccessKey)"
)
_BODY = re.compile(r"<Error>.*?</Error>", re.DOTALL)  # of a store; it has random letters, such as those of RequestId
_WRONG_CREDENTIALS = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|AuthenticationFailed|RequestTimeTooSkewed"
)
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist", re.IGNORECASE)
_STATUS = re.compile(r"status code: (\d{3}) ?([A-Za-z ]*)")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>|\"reason\": ?\"([A-Za-z0-9]{1,60})\"")
_CAUSE = re.compile(r"message: \"([^\"]{1,120})\"|error: \"([^\"]{1,120})\"")


class Bucket:
    """A bucket to read from, or to write to. Any thread may use it."""

    def __init__(self, place: Place, settings: FetchSettings, cancelled: threading.Event, *, writing: bool) -> None:
        """Setting `cancelled` ends `retries`."""
        self._place = place
        self._settings = settings
        self._writing = writing
        self.retries = Retries(settings.startup_timeout, cancelled, name=place.root)  # for what a run cannot do without
        self._lock = threading.Lock()
        self._store: Any = None
        self._answered = False
        self._refusal: StorageError | None = None  # no credentials were found; a new search would take as long

    def ask(self, call: Callable[[Any], T], stops: tuple[threading.Event, ...] = ()) -> T:
        """Make one call of obstore; if it reads, wait for --timeout at most. Setting any of `stops` cancels it.

        Raises:
            StorageError: the store refuses, does not answer in time, or cannot be reached.
        """
        if self._refusal is not None:
            raise self._refusal
        clock = Deadline(inf if self._writing else self._settings.timeout, stops or (threading.Event(),))
        clock.doing = f"waiting for {self._place.root}"
        try:
            answer = _within(clock, lambda: call(self._opened()))
        except StorageError:
            raise
        except PictureError as error:
            fault = StorageError(error.kind, str(error), temporary=error.temporary)
            if error.kind == "timeout" and not self._answered and not _credentials_set(self._place.scheme):
                fault = _no_credentials(self._place.scheme)  # most likely why the store does not answer
            raise self._noted(fault) from error
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # obstore raises it too
                raise
            raise self._noted(explain(error, self._place.scheme)) from error
        self._answered = True
        return answer

    def page(self, query: Mapping[str, str]) -> Page:
        """A page of a listing of S3, with the keys that obstore refuses. Raises as `ask` does."""
        from birdlite.storage.s3_listing import list_url, parse_page, read_patiently

        def read(_: Any) -> Page:
            status, body = read_patiently(list_url(self._make, query), self._settings)
            if status != 200:
                raise _answered(status, "", body[:10_000].decode(errors="replace"))
            return parse_page(body)

        return self.ask(read)

    def relay(self) -> Relay:
        """A way to list folders of Google and Azure with the keys that obstore refuses. Raises as `ask` does."""
        from urllib.parse import urlsplit

        from birdlite.storage.relay import Relay

        def make(_: Any) -> Relay:
            base = urlsplit(self._base())
            relay = Relay(f"{base.scheme}://{base.netloc}", self._place, self._settings)
            endpoint = "base_url" if self._place.scheme == "gs" else "endpoint"
            relay.store = self._make({endpoint: relay.url + base.path, "allow_http": "true"})
            return relay

        return self.ask(make)

    def _base(self) -> str:
        """Where a store of Google or Azure is: the part of its URLs before the bucket."""
        if self._place.scheme == "gs":
            given = (os.environ.get(name) for name in _ENDPOINTS["gs"])
            return next(filter(None, given), "https://storage.googleapis.com").rstrip("/")
        import obstore

        url: str = obstore.sign(self._make(_ANY_KEY), "GET", "-", timedelta(minutes=1))  # wherever obstore finds it
        return url.rpartition(f"/{self._place.bucket}/-?")[0]

    def _noted(self, fault: StorageError) -> StorageError:
        """Remember that there are no credentials: that will not change."""
        if fault.cause == "no_credentials" and not fault.temporary and not self._answered:
            self._refusal = fault
        return fault

    def _opened(self) -> Any:
        """Obstore's store. Makes no request."""
        with self._lock:
            if self._store is None:
                self._store = self._make()
            return self._store

    def _make(self, more: Mapping[str, str] = MappingProxyType({})) -> Any:
        settings = self._settings
        config = {
            "timeout": _ms(settings.timeout),
            "connect_timeout": _ms(settings.connect_timeout),
            "user_agent": settings.user_agent,
        }
        if not self._writing:  # it would also limit the time of sending
            config["read_timeout"] = _ms(settings.read_timeout)
        for name in _ENDPOINTS[self._place.scheme]:
            endpoint = os.environ.get(name)
            if endpoint and not endpoint.startswith(("http://", "https://")):
                raise StorageError("unsupported", f"{name}: no URL of a store; it begins with https:// or http://")
            if endpoint and endpoint.startswith("http://"):
                config["allow_http"] = "true"  # the user has chosen it
        make: Any = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[self._place.scheme]
        retries = {"max_retries": settings.retries, "retry_timeout": timedelta(seconds=settings.timeout)}
        return make(self._place.bucket, config={**config, **more}, retry_config=retries)


def _ms(seconds: float) -> str:
    return f"{max(1, round(seconds * 1e3))}ms"


def _within(clock: Deadline, call: Callable[[], T]) -> T:
    """The answer of `call`, if it comes in time. The wait is in short steps, so that signals are handled."""
    answers: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread
            errors.append(error)
        done.set()

    threading.Thread(target=work, name="birdlite-storage", daemon=True).start()
    while not done.wait(min(POLL_S, clock.left())):
        pass
    if errors:
        raise errors[0]
    return answers[0]


def _credentials_set(scheme: str) -> bool:
    prefix = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}[scheme]
    words = ("KEY", "TOKEN", "CREDENTIAL", "SIGN", "SECRET")
    return any(name.startswith(prefix) and any(word in name for word in words) for name in os.environ)


def _no_credentials(scheme: str) -> StorageError:
    asked_for = any(os.environ.get(name) for name in _CREDENTIALS_FROM_A_SERVICE)  # which may be away
    return StorageError("blocked", f"no credentials: {CREDENTIALS[scheme]}", "no_credentials", temporary=asked_for)


def explain(error: BaseException, scheme: str) -> StorageError:
    """The failure that an exception of obstore stands for. The message does not name the object: the caller does."""
    text, _, state = (str(error) or type(error).__name__).partition("\n\nDebug source")
    if any(_ASKS_FOR_CREDENTIALS.search(_BODY.sub("", part)) for part in (text, state)):
        return _no_credentials(scheme)
    if isinstance(error, InvalidPathError):
        odd = f"it holds a key that obstore refuses: {_brief(text.partition(': ')[2])}; rename that object"
        return StorageError("unsupported", odd, "odd_key")
    match = _STATUS.search(text)
    status = int(match[1]) if match else 404 if isinstance(error, FileNotFoundError) else None
    if status is not None:
        return _answered(status, match[2].strip() if match else "", text)
    if "HTTP error" in text or "error sending request" in text:
        return _unanswered(state)
    if "HTTP client error" in text:  # it is made when the first bucket is opened
        return StorageError(
            "network", f"no client for https: {_brief(text)}; check the root certificates (SSL_CERT_FILE)"
        )
    if isinstance(error, ValueError):
        return StorageError("unsupported", _brief(text))
    return StorageError("network", _brief(text), temporary=True)


def _answered(status: int, phrase: str, text: str) -> StorageError:
    code = _CODE.search(text)
    named = f" ({code[1] or code[2]})" if code else ""
    if _NO_BUCKET.search(text):
        return StorageError("not_found", "there is no such bucket", "no_bucket")
    if status == 404:
        return StorageError("not_found", "no such object", "no_object")
    if status == 401 or _WRONG_CREDENTIALS.search(text):
        return StorageError("blocked", f"the credentials are not accepted{named}")
    if status == 403:
        return StorageError("blocked", f"permission denied{named}", "denied")
    if status == 412:
        return StorageError("http_status", "it changed while it was being read")
    passing = status in (408, 425, 429) or (status >= 500 and status != 501)
    return StorageError("http_status", f"{status} {phrase}".rstrip() + named, temporary=passing)


def _unanswered(state: str) -> StorageError:
    causes = [match[1] or match[2] for match in _CAUSE.finditer(state)]
    cause = f": {causes[-1]}" if causes else ""
    if "kind: Timeout" in state:
        return StorageError("timeout", "the store does not answer in time", temporary=True)
    if "BadScheme" in state:
        return StorageError("blocked", "an endpoint without https: AWS_ALLOW_HTTP=true allows it")
    what = "no connection to the store" if "Connect" in state else "the connection to the store broke"
    return StorageError("network", f"{what}{cause}", temporary="certificate" not in cause)


def _brief(text: str) -> str:
    return one_line(re.sub(r"\?\S+", "", text))
