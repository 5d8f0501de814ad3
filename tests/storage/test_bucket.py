"""Errors of a store as a kind of failure and one line. The texts are obstore's own, shortened."""

from __future__ import annotations

import pytest

from birdlite.storage.bucket import CREDENTIALS, explain

ANSWERED = (
    "Generic S3 error: Error performing GET http://h/b/k?sig=SECRET in 2ms - Server returned non-2xx status code: "
)
BROKEN_CLIENT = "Generic HTTP client error: builder error"
DUMP = "\n\nDebug source:\nGeneric {{ uri: http://h/?sig=SECRET, inner: {} }}"


def body(code: str) -> str:
    return f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>No.</Message></Error>'


@pytest.mark.parametrize(
    ("text", "kind", "message", "cause"),
    [
        (ANSWERED + "404 Not Found: " + body("NoSuchKey"), "not_found", "no such object", "no_object"),
        (ANSWERED + "404 Not Found: " + body("NoSuchBucket"), "not_found", "there is no such bucket", "no_bucket"),
        (ANSWERED + "404 Not Found: " + body("ContainerNotFound"), "not_found", "there is no such bucket", "no_bucket"),
        (ANSWERED + "403 Forbidden: " + body("AccessDenied"), "blocked", "permission denied (AccessDenied)", "denied"),
        (ANSWERED + "403 Forbidden: ", "blocked", "permission denied", "denied"),
        (
            ANSWERED + "403 Forbidden: " + body("InvalidAccessKeyId"),
            "blocked",
            "the credentials are not accepted (InvalidAccessKeyId)",
            "other",
        ),
        (ANSWERED + "401 Unauthorized: ", "blocked", "the credentials are not accepted", "other"),
        (ANSWERED + "412 Precondition Failed: ", "http_status", "it changed while it was being read", "other"),
        (
            ANSWERED + "503 Service Unavailable: " + body("SlowDown"),
            "http_status",
            "503 Service Unavailable (SlowDown)",
            "other",
        ),
        (
            "Generic S3 error: Error performing GET http://h/k in 1s - HTTP error: error sending request"
            + DUMP.format('kind: Connect, message: "tcp connect error", message: "Connection refused"'),
            "network",
            "no connection to the store: Connection refused",
            "other",
        ),
        (
            "Generic S3 error: HTTP error: request or response body error" + DUMP.format("kind: Interrupted"),
            "network",
            "the connection to the store broke",
            "other",
        ),
        (
            "Generic S3 error: HTTP error: error sending request" + DUMP.format("kind: Timeout, source: TimedOut"),
            "timeout",
            "the store does not answer in time",
            "other",
        ),
        (
            "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1s - HTTP error: error",
            "blocked",
            f"no credentials: {CREDENTIALS['s3']}",
            "no_credentials",
        ),
        (
            "Generic S3 error: Bucket in\nanother region, see http://h/b?sig=SECRET",
            "network",
            "Generic S3 error: Bucket in another region, see http://h/b",
            "other",
        ),
        (
            BROKEN_CLIENT,
            "network",
            f"no client for https: {BROKEN_CLIENT}; check the root certificates (SSL_CERT_FILE)",
            "other",
        ),
        ("x" * 1000, "network", "x" * 160, "other"),
    ],
)
def test_a_fault_has_a_kind_one_line_and_no_secret(text: str, kind: str, message: str, cause: str) -> None:
    fault = explain(Exception(text), "s3")

    assert (fault.kind, str(fault), fault.cause) == (kind, message, cause)


def test_a_missing_object_without_a_status_is_not_found() -> None:
    assert explain(FileNotFoundError("Object at location k not found"), "gs").cause == "no_object"


@pytest.mark.parametrize("number", ["7GXADCQ", "ADC", "ADC+TokenRequest/"])
def test_the_random_number_of_an_answer_says_nothing_of_credentials(number: str) -> None:
    body = f"<Error><Code>NoSuchKey</Code><Message>none</Message><RequestId>{number}</RequestId></Error>"
    text = f"Error performing GET http://a/b in 1ms - Server returned non-2xx status code: 404 Not Found: {body}"

    assert explain(FileNotFoundError(text + DUMP.format(f"body: {body}")), "s3").cause == "no_object"


@pytest.mark.parametrize(
    ("scheme", "variable"), [("gs", "GOOGLE_APPLICATION_CREDENTIALS"), ("az", "AZURE_STORAGE_ACCOUNT_KEY")]
)
def test_each_store_names_its_own_credentials(scheme: str, variable: str) -> None:
    text = "Generic error: Error performing token request" + DUMP.format("TokenRequest")

    assert variable in str(explain(Exception(text), scheme))
