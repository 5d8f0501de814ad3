"""The description of the service at /openapi.json. The shape of a record is that of `record.schema.json`."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from typing import Any, get_args

from birdlite import writers
from birdlite._version import __version__
from birdlite.serve import fields, intake, problems
from birdlite.serve.answers import JSON, LINES
from birdlite.settings import Resize

Schema = dict[str, Any]

_RECORD = os.path.join(os.path.dirname(str(writers.__file__)), "record.schema.json")

_REASONS = {
    400: "The request makes no sense, or its form or JSON cannot be read.",
    403: "The URL may not be fetched.",
    404: "There is no such path.",
    405: "The method is not for this path.",
    408: "The body did not arrive in time.",
    413: "The body, the picture or the number of pictures is too large.",
    415: "This is not a picture that birdlite reads, or a content type that it takes.",
    422: "The picture is damaged, or its URL leads nowhere.",
    431: "The head of the request is too large.",
    500: "A fault in birdlite.",
    501: "A transfer coding that is not known.",
    502: "The picture's server did not give it.",
    503: "Not now: too many pictures wait, or the service is not ready. Retry-After says when to try again.",
    504: "The time for the request was up.",
    505: "Another version of HTTP.",
}
"""What each status of a problem means."""

OF_ANY = (400, 404, 405, 431, 500, 501, 505)
"""Problems of any request, whatever its path."""

OF_PICTURES = (403, 408, 413, 415, 422, 502, 503, 504)
"""Problems of a request with pictures."""


@functools.cache
def text() -> str:
    """The document as JSON."""
    return json.dumps(document(), ensure_ascii=False) + "\n"


def document() -> Schema:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "birdlite",
            "version": __version__,
            "description": "What bird is this? Names the birds in pictures that are sent, or whose URLs are.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/classify": {"post": _post(), "get": _get()},
            "/v1/model": {"get": _model()},
            "/livez": {"get": _plain("livez", "Whether the process answers.")},
            "/readyz": {
                "get": _plain(
                    "readyz",
                    "Whether balancers should send requests here.",
                    {"503": _plain_answer("Not yet, not any more, or the model cannot be run now.")},
                )
            },
            "/metrics": {"get": _plain("metrics", "Numbers for Prometheus.")},
            "/openapi.json": {
                "get": {
                    "operationId": "openapi",
                    "summary": "This document.",
                    "responses": {"200": _answer("It.", JSON, {"type": "object"}), **_problems(OF_ANY)},
                }
            },
            "/": {
                "get": {
                    "operationId": "page",
                    "summary": "A page on which people try the service.",
                    "responses": {"200": _answer("It.", "text/html", _TEXT), **_problems(OF_ANY)},
                }
            },
        },
        "components": {"schemas": _schemas()},
    }


def _post() -> Schema:
    return {
        "operationId": "classify",
        "summary": "Classify one picture, or several.",
        "description": "One picture is the body itself. Several are the files of a form, or URLs in JSON.",
        "parameters": [*_parameters(), _request_id()],
        "requestBody": {
            "required": True,
            "content": {
                "image/*": {"schema": {}},
                intake.BYTES: {"schema": {}},
                intake.FORM: {
                    "schema": {
                        "type": "object",
                        "properties": _fields(),
                        "additionalProperties": {"description": "A picture."},
                    }
                },
                intake.JSON: {"schema": _ref("Urls")},
            },
        },
        "responses": _classified(),
    }


def _get() -> Schema:
    url = {
        "name": "url",
        "in": "query",
        "required": True,
        "description": "Where the picture is, percent-encoded.",
        "schema": {"type": "string", "format": "uri"},
    }
    return {
        "operationId": "classifyUrl",
        "summary": "Classify the picture at a URL.",
        "parameters": [url, *_parameters(), _request_id()],
        "responses": _classified(),
    }


def _classified() -> Schema:
    answer = _answer(
        "A record for each picture, in order. With `Accept: application/x-ndjson`, a line for each as it is finished."
        " If several were asked for, failures are among them; if one was, its failure is a problem.",
        JSON,
        _ref("Answer"),
    )
    answer["content"][LINES] = {"schema": {"type": "string", "description": "A Record a line."}}
    answer["headers"] |= {
        "Server-Timing": {
            "description": "Time in the stages queue, fetch, decode and infer, in ms. Not with lines.",
            "schema": {"type": "string"},
        }
    }
    return {"200": answer, **_problems((*OF_ANY, *OF_PICTURES))}


def _model() -> Schema:
    return {
        "operationId": "model",
        "summary": "The model that answers.",
        "responses": {"200": _answer("It.", JSON, _ref("ModelCard")), **_problems((*OF_ANY, 503))},
    }


def _plain(operation: str, summary: str, more: Mapping[str, Schema] | None = None) -> Schema:
    responses = {"200": _plain_answer("It is."), **_problems(OF_ANY), **(more or {})}
    return {"operationId": operation, "summary": summary, "responses": responses}


def _plain_answer(description: str) -> Schema:
    return _answer(description, "text/plain", {"type": "string"})


def _answer(description: str, content_type: str, schema: Schema) -> Schema:
    request_id = {"description": "That of the request.", "schema": {"type": "string"}}
    return {
        "description": description,
        "headers": {"X-Request-Id": request_id},
        "content": {content_type: {"schema": schema}},
    }


def _problems(statuses: tuple[int, ...]) -> Schema:
    found = {}
    for status in sorted(statuses):
        found[str(status)] = answer = _answer(_REASONS[status], problems.TYPE, _ref("Problem"))
        if status == 503:
            answer["headers"]["Retry-After"] = {"description": "Seconds.", "schema": {"type": "integer"}}
    return found


def _parameters() -> list[Schema]:
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in _fields().items()]


def _request_id() -> Schema:
    schema = {"type": "string", "maxLength": 128}
    return {"name": "X-Request-Id", "in": "header", "required": False, "schema": schema}


def _fields() -> Schema:
    """What a request may change."""
    return {
        "top": {
            "description": "Candidates for each picture.",
            "type": "integer",
            "minimum": 1,
            "maximum": fields.MAX_TOP,
        },
        "min_score": {
            "description": "Candidates that score below are left out.",
            "type": "number",
            "minimum": 0,
            "maximum": 1,
        },
        "resize": {"description": "How a picture is made square.", "enum": list(get_args(Resize))},
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> Schema:
    with open(_RECORD, encoding="utf-8") as file:
        record = json.loads(file.read().replace('"#/$defs/', '"#/components/schemas/'))
    shared = record.pop("$defs")
    del record["$schema"]
    return {
        "Record": record,
        **shared,
        "Answer": _object(
            {
                "results": {"type": "array", "items": _ref("Record")},
                "model": _ref("Model"),
                "summary": _ref("Summary"),
                "timing": _ref("Timing"),
            }
        ),
        "Model": _object(_MODEL),
        "ModelCard": _object(_MODEL | _CARD),
        "Summary": _object(_SUMMARY),
        "Timing": _object(_TIMING),
        "Urls": _object({"urls": _URLS, **_fields()}) | {"required": ["urls"]},
        "Problem": _object(_PROBLEM),
    }


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "number", "minimum": 0}
_URLS: Schema = {"type": "array", "minItems": 1, "items": {"type": "string", "format": "uri"}}

_MODEL: Schema = {"name": _TEXT, "sha256": _TEXT, "engine": _TEXT, "threads": _COUNT}
_CARD: Schema = {"classes": _COUNT, "side": _COUNT, "format": {"enum": ["tflite", "onnx"]}}
_SUMMARY: Schema = {
    "targets": _COUNT,
    "ok": _COUNT,
    "failed": _COUNT,
    "wall_ms": _TIME,
    "images_per_second": _TIME,
    "interrupted": {"type": "boolean"},
    "skipped": {"type": "object"},
}
_STAGE: Schema = {"stage": _TEXT, "spent_ms": _TIME, "critical_ms": _TIME, "count": _COUNT}
_TIMING: Schema = {"wall_ms": _TIME, "stages": {"type": "array", "items": _object(_STAGE)}, "other_ms": _TIME}
_PROBLEM: Schema = {
    "type": {"const": "about:blank"},
    "title": _TEXT,
    "status": {"type": "integer", "minimum": 400, "maximum": 599},
    "detail": {"type": "string", "description": "One line for people."},
    "kind": {"enum": [*problems.KINDS, *sorted(problems.STATUSES)]},
    "request_id": {"type": "string", "minLength": 1, "description": "Also X-Request-Id, and in the log."},
}
