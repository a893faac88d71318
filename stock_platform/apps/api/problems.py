"""Errors as answers: problem+json (RFC 9457, https://www.rfc-editor.org/rfc/rfc9457).

Belongs here: which error has which status, and what of it is told. Does not: raising it. Words
of the database, paths and tracebacks stay in the log, under the request's id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from stock_platform.domain.errors import DatabaseError, InputError, StockPlatformError

MEDIA_TYPE = "application/problem+json"
_LONGEST = 200

log = structlog.get_logger("stock_platform.api")


class Problem(StockPlatformError):
    """An error that is an answer of its own."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers = dict(headers or {})
        super().__init__(detail)


def body(
    status: int, detail: str, request_id: str, errors: Sequence[Mapping[str, str]] = ()
) -> bytes:
    """The JSON of a problem."""
    told: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    if errors:
        told["errors"] = list(errors)
    return json.dumps(told, ensure_ascii=True).encode()


def answer(
    request: Request,
    status: int,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a response."""
    request_id = str(request.scope.get("state", {}).get("request_id", ""))
    return Response(
        body(status, detail, request_id, errors),
        status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Let the app answer its errors so."""

    async def problem(request: Request, error: Exception) -> Response:
        if isinstance(error, Problem):
            return answer(request, error.status, str(error), headers=error.headers)
        if isinstance(error, InputError):
            unknown = error.parameter == "ticker" and "in the database" in error.allowed
            where = [{"parameter": error.parameter, "detail": shortened(str(error.allowed))}]
            return answer(request, 404 if unknown else 422, shortened(str(error)), errors=where)
        if isinstance(error, DatabaseError):
            log.error("database", error=str(error))
            slow = "statement timeout" in str(error)
            detail = "the question takes too long: ask for less" if slow else (
                "the database does not answer; try again later"
            )  # fmt: skip
            return answer(request, 503, detail, headers={"Retry-After": "5"})
        log.error("failed", error=str(error))
        return answer(request, 500, "something went wrong; the log has it under the request's id")

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - that is what it is installed for
        words = {
            404: "there is nothing at this address; /docs lists what there is",
            405: "this address does not take this method",
            400: "the request cannot be read",
            413: "the body is larger than is allowed",
        }
        detail = words.get(error.status_code, HTTPStatus(error.status_code).description)
        return answer(request, error.status_code, detail, headers=error.headers)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
        errors = [
            {
                "parameter": ".".join(str(part) for part in e["loc"][1:]) or str(e["loc"][0]),
                "in": str(e["loc"][0]),
                "detail": shortened(str(e["msg"])),
            }
            for e in error.errors()[:20]
        ]
        first = errors[0]
        return answer(request, 422, f"{first['parameter']}: {first['detail']}", errors=errors)

    app.add_exception_handler(StockPlatformError, problem)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, invalid)


def shortened(text: str) -> str:
    """Printable text that is not endless."""
    text = re.sub(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]", "?", text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def documented(description: str, **headers: str) -> dict[str, Any]:
    """A problem as the OpenAPI tells of it."""
    told: dict[str, Any] = {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if headers:
        told["headers"] = {
            name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        }
    return told


RESPONSES: dict[int | str, dict[str, Any]] = {
    400: documented("The request cannot be read."),
    401: documented("No token, or one that is void.", WWW_Authenticate="Bearer"),
    403: documented("The token, or a call without one from here, may not do this."),
    404: documented("There is nothing of this name."),
    413: documented("The body is larger than STOCK_PLATFORM_API_MAX_BODY_KB."),
    422: documented("A value is not allowed: `errors` tells which, and what is."),
    429: documented("Too many requests of one token.", Retry_After="Seconds."),
    500: documented("Our mistake; the log has it under the request's id."),
    503: documented("The database, or the server, is too busy or gone.", Retry_After="Seconds."),
}
"""What every address may answer besides what it is there for."""

SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "An error (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, for people."},
        "request_id": {"type": "string", "description": "X-Request-ID of the answer."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "parameter": {"type": "string"},
                    "in": {"type": "string"},
                    "detail": {"type": "string"},
                },
                "required": ["parameter", "detail"],
            },
        },
    },
}
