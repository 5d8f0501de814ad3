"""Errors of obstore as our kinds of failure, with a message of one line. `store` calls it.

obstore has few types of errors. Status, code and cause are in the text, which ends with a dump of its own state. URLs
are never repeated, because they can contain a signature.
"""

from __future__ import annotations

import re

from birdlite.errors import StorageError, one_line

CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true for a public bucket",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_SKIP_SIGNATURE=true for a public one",
}

# Requests for credentials: to a metadata service, or to one that exchanges a token for another.
_ASKS_FOR_CREDENTIALS = re.compile(
    r"169\.254\.\d+\.\d+|latest/api/token|security-credentials|computeMetadata|TokenRequest|MissingAccount|oauth2/token|ADC|WebIdentity"
    r"|InstanceMetadata|Missing(AccessKeyId|SecretAccessKey)"
)
_WRONG_CREDENTIALS = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|AuthenticationFailed|RequestTimeTooSkewed"
)
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist", re.IGNORECASE)
_STATUS = re.compile(r"status code: (\d{3}) ?([A-Za-z ]*)")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>|\"reason\": ?\"([A-Za-z0-9]{1,60})\"")
_CAUSE = re.compile(r"message: \"([^\"]{1,120})\"|error: \"([^\"]{1,120})\"")


def no_credentials(scheme: str) -> StorageError:
    """The error if no credentials are set."""
    return StorageError("blocked", f"no credentials: {CREDENTIALS[scheme]}", "no_credentials")


def explain(error: BaseException, scheme: str) -> StorageError:
    """The failure that an exception of obstore stands for. The message does not name the object: the caller does."""
    text, _, state = (str(error) or type(error).__name__).partition("\n\nDebug source")
    if _ASKS_FOR_CREDENTIALS.search(text) or _ASKS_FOR_CREDENTIALS.search(state):
        return no_credentials(scheme)
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
    return StorageError("network", _brief(text))


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
    return StorageError("http_status", f"{status} {phrase}".rstrip() + named)


def _unanswered(state: str) -> StorageError:
    causes = [match[1] or match[2] for match in _CAUSE.finditer(state)]
    cause = f": {causes[-1]}" if causes else ""
    if "kind: Timeout" in state:
        return StorageError("timeout", "the store does not answer in time")
    if "BadScheme" in state:
        return StorageError("blocked", "an endpoint without https: AWS_ALLOW_HTTP=true allows it")
    what = "no connection to the store" if "Connect" in state else "the connection to the store broke"
    return StorageError("network", f"{what}{cause}")


def _brief(text: str) -> str:
    return one_line(re.sub(r"\?\S+", "", text))
