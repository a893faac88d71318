"""``/v1/prices/{ticker}``: stored prices, adjusted on read, in pages or streamed.

Belongs here: parameters, formats, ETags. Does not: what is read (pipeline/pages.py).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from stock_platform.apps.api.auth import Reader
from stock_platform.apps.api.bodies import Body
from stock_platform.apps.api.context import Api, the_api
from stock_platform.apps.api.frames import (
    MEDIA_TYPES,
    Format,
    arrow_rows,
    choose,
    csv_rows,
    json_rows,
    streamed,
)
from stock_platform.apps.api.models import Prices
from stock_platform.apps.api.problems import RESPONSES, documented
from stock_platform.domain.errors import InputError
from stock_platform.domain.symbols import parse_symbol
from stock_platform.pipeline.pages import Question, page, windows
from stock_platform.pipeline.store import Store
from stock_platform.storage import assets as catalog
from stock_platform.storage.serving import Version, price_versions

router = APIRouter(tags=["prices"])

MOST_ROWS = 50_000
ZIPPED = (Format.JSON, Format.CSV)
"""Formats that are compressed for those who take it; Arrow's numbers would hardly shrink."""

_ZIPPED = "-gzip"
_HEADERS = {
    "ETag": {"description": "Give it as If-None-Match.", "schema": {"type": "string"}},
    "Link": {"description": "The next page, rel=next.", "schema": {"type": "string"}},
    "Content-Encoding": {
        "description": "gzip, of JSON and CSV, for those who accept it.",
        "schema": {"type": "string"},
    },
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    **RESPONSES,
    200: {
        "description": "Prices, in the order of time.",
        "headers": _HEADERS,
        "content": {
            MEDIA_TYPES[Format.CSV]: {"schema": {"type": "string"}},
            MEDIA_TYPES[Format.ARROW]: {"schema": {"type": "string", "format": "binary"}},
        },
    },
    304: {
        "description": "Unchanged since the answer with this ETag.",
        "headers": {"ETag": _HEADERS["ETag"]},
    },
    406: documented("Accept allows none of JSON, CSV and Arrow."),
}


@router.get("/v1/prices/{ticker}", response_model=Prices, responses=_ANSWERS)
async def prices(
    request: Request,
    api: Annotated[Api, Depends(the_api)],
    _reader: Reader,
    ticker: Annotated[str, Path(max_length=40, description="In any common spelling.")],
    start: Annotated[date | None, Query(description="First session.")] = None,
    end: Annotated[date | None, Query(description="Last session, inclusive.")] = None,
    adjust: Annotated[
        Literal["none", "splits", "all"],
        Query(description="As traded; for splits; for splits and dividends."),
    ] = "none",
    interval: Literal["1m", "5m", "15m", "1h", "1d", "1wk", "1mo"] = "1d",
    as_of: Annotated[
        str | None,
        Query(max_length=40, description="As known on that day, or at that time (UTC)."),
    ] = None,
    format: Annotated[Format | None, Query(description="Default: by Accept, or JSON.")] = None,  # noqa: A002
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="Bars of a page.")] = 10_000,
    cursor: Annotated[str | None, Query(max_length=60, description="Of the page before.")] = None,
    stream: Annotated[bool, Query(description="Everything in one answer, without pages.")] = False,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
    accept_encoding: Annotated[str | None, Header(include_in_schema=False)] = None,
    if_none_match: Annotated[str | None, Header(max_length=1000)] = None,
) -> Response:
    """Validated prices of one ticker: as traded, or adjusted.

    CSV and Arrow have the columns of the JSON's `prices`. The next page is in `next` (JSON) and
    in the `Link` header.
    """
    kind = choose(format, accept)
    name = parse_symbol(ticker).ticker
    asked = Question.read(name, start, end, adjust, interval, as_of, read_cursor(cursor))
    found = await api.versions.of(name, interval)
    if found is None:
        raise await run_in_threadpool(unknown, api, name)
    zipped = kind in ZIPPED and not stream and takes_gzip(accept_encoding)
    rows = "all" if stream else str(limit)
    etag = _etag(found, asked, kind, rows, zipped=zipped)
    if if_none_match and matches(if_none_match, etag):
        return Response(status_code=304, headers=_headers(etag))
    head = {"ticker": name, "interval": interval, "adjust": adjust}
    media = MEDIA_TYPES[kind]
    if stream:
        opening = json.dumps({**head, "next": None})[:-1].encode() + b', "prices": '
        pieces = streamed(windows(api.store, asked), kind, opening)
        first = await run_in_threadpool(next, pieces)  # an error so far is an answer of its own
        return StreamingResponse(_after(first, pieces), headers=_headers(etag), media_type=media)

    def make() -> tuple[str, Body]:
        with api.reading.db.at_one_moment() as db:
            now = price_versions(db, [name], interval)[1][name]
            body = _body(Store(db), asked, kind, limit, head)
        return _etag(now, asked, kind, rows, zipped=zipped), body.zipped() if zipped else body

    etag, body = await api.bodies.find(etag, make)
    headers = _headers(etag)
    if zipped:
        headers["Content-Encoding"] = "gzip"
    if body.after is not None:
        address = request.url.include_query_params(cursor=body.after)
        headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'
    return Response(body.content, headers=headers, media_type=media)


def _body(store: Store, asked: Question, kind: Format, limit: int, head: dict[str, str]) -> Body:
    frame, last = page(store, asked, limit)
    after = None if last is None else make_cursor(last)
    if kind is Format.CSV:
        return Body(csv_rows(frame), after)
    if kind is Format.ARROW:
        return Body(arrow_rows(frame), after)
    opening = json.dumps({**head, "next": after})[:-1].encode()
    return Body(opening + b', "prices": ' + json_rows(frame) + b"}", after)


def _after(first: bytes, rest: Any) -> Any:
    yield first
    yield from rest


def _headers(etag: str) -> dict[str, str]:
    return {
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Vary": "Accept, Accept-Encoding, Authorization",
    }


def _etag(
    version: Version | None, asked: Question, kind: Format, rows: str, *, zipped: bool
) -> str:
    text = f"{version}|{asked}|{kind}|{rows}"
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}{_ZIPPED if zipped else ""}"'


def matches(header: str, etag: str) -> bool:
    """Whether If-None-Match names an ETag; weak ones compare as strong ones do here.

    One of the same rows in the other encoding says the same: they have not changed.
    """
    plain = etag.replace(_ZIPPED, "")
    return any(
        part == "*" or part.removeprefix("W/").replace(_ZIPPED, "") == plain
        for part in map(str.strip, header.split(","))
    )


def takes_gzip(accepted: str | None) -> bool:
    """Whether Accept-Encoding has gzip, at any quality above 0."""
    for part in (accepted or "").lower().split(","):
        name, _, quality = part.partition(";")
        if name.strip() in ("gzip", "x-gzip"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def unknown(api: Api, ticker: str) -> InputError:
    """The error for a ticker that is not in the database."""
    near = catalog.similar(api.reading.db, ticker)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return InputError("ticker", ticker, f"use a ticker that is in the database{hint}")


def make_cursor(after: datetime) -> str:
    """An instant as a text that nobody need read."""
    return base64.urlsafe_b64encode(after.isoformat().encode()).decode().rstrip("=")


def read_cursor(text: str | None) -> datetime | None:
    """The instant of a cursor. Raises InputError."""
    if text is None:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        found = datetime.fromisoformat(base64.urlsafe_b64decode(padded).decode("ascii"))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, binascii.Error):
        raise InputError("cursor", text, "use `next` of the page before") from None
