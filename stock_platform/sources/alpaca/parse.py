"""Reading Alpaca's answers: bytes to bars, or an error.

Belongs here: ``bars``, and what all answers share. Does not: quotes (quotes.py), asking
(client.py). Pure.

``bars`` is an object of arrays by ticker (an array, and ``symbol`` beside it, where a single
ticker was asked for by its own address). Fields of a bar: ``t`` its start, ``o h l c`` US
dollars, ``v`` shares, ``n`` trades, ``vw`` the volume-weighted average price.
``next_page_token`` is null on the last page.

Errors are ``{"message": ...}``, at times with a ``code``; 401 may be a bare HTML page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, Interval, conform
from stock_platform.domain.errors import (
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.alpaca.config import DELAY, NAME
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    closing,
    excerpt,
    number,
    openings,
    read_json,
    rejected_frame,
    rejected_row,
)
from stock_platform.sources.spacing import check_spacing

NEW_YORK = ZoneInfo("America/New_York")
US_MARKET = "XNYS"
FIELDS = {
    "open": "o",
    "high": "h",
    "low": "l",
    "close": "c",
    "volume": "v",
    "vwap": "vw",
    "trades": "n",
}
NEEDED = ("open", "high", "low", "close")
LONG_AGO = timedelta(days=4)

Row = dict[str, object]


class TooRecent(NotEntitled):
    """The plan has the tape, but not its last minutes."""


@dataclass(frozen=True)
class Page:
    """One answer, read; the fields are those of sources.base.Answer."""

    bars: pl.DataFrame
    rejected: pl.DataFrame
    unfinished: frozenset[date] = frozenset()
    next_token: str | None = None


def parse_bars(
    status: int, body: bytes, *, asked: Mapping[str, str], interval: Interval, now: datetime
) -> Page:
    """One page of bars; no bars is an empty page.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        asked: canonical tickers by Alpaca's spelling.
        interval: the one asked for.
        now: when the vendor gave the answer; bars that were not over 16 minutes before are
            left out.

    Raises:
        UnknownSymbol: ``symbol`` is the ticker that the vendor names. TooRecent, NotEntitled,
            RateLimited, Unavailable, Malformed.
    """
    document = document_of(status, body)
    if "bars" not in document:
        raise Malformed(NAME, "no bars in the answer")
    given = _by_ticker(document)
    strangers = sorted(set(given) - set(asked))
    if strangers and len(strangers) == len(given):
        raise Malformed(NAME, f"asked for {some_of(asked)}, was given {some_of(strangers)}")
    rows: list[Row] = []
    rejected: list[Row] = []
    unfinished: set[date] = set()
    for ticker, entries in given.items():
        if ticker in strangers:
            rejected += [rejected_row(e, f"{ticker} was not asked for") for e in entries]
            continue
        rows += _bars(entries, asked[ticker], interval, now - DELAY, rejected, unfinished)
    if rejected and not rows and not unfinished:
        reasons = rejected[0]["reasons"]
        raise Malformed(NAME, f"none of {len(rejected)} bars can be read: {reasons}")
    token = document.get("next_page_token")
    return Page(
        _frame(rows),
        rejected_frame(rejected),
        frozenset(unfinished),
        token if isinstance(token, str) and token else None,
    )


def _bars(
    entries: list[object],
    symbol: str,
    interval: Interval,
    until: datetime,
    rejected: list[Row],
    unfinished: set[date],
) -> list[Row]:
    """The bars of one ticker, one a stamp."""
    rows: dict[object, Row] = {}
    stamps: list[datetime] = []
    for found in entries:
        entry = as_mapping(NAME, found, "a bar")
        try:
            at = stamp_of(entry.get("t"))
        except ValueError as error:
            rejected.append(rejected_row(entry, f"t: {error}", symbol=symbol))
            continue
        stamps.append(at)
        session = at.astimezone(NEW_YORK).date()
        if not _over(at, session, interval, until):
            unfinished.add(session)
            continue
        try:
            row = {"symbol": symbol, "ts": at, "session": session, **_numbers(entry)}
        except ValueError as error:
            rejected.append(rejected_row(entry, str(error), symbol=symbol, ts=at, session=session))
            continue
        key = at if interval.intraday else session
        if key in rows and rows[key] != row:
            reason = "another bar of the same time in one answer"
            rejected.append(rejected_row(entry, reason, symbol=symbol, ts=at, session=session))
            continue
        rows[key] = row
    check_spacing(NAME, stamps, interval)
    if interval.intraday:
        return list(rows.values())
    opened = openings((day for day in rows if isinstance(day, date)), US_MARKET)
    return [{**row, "ts": opened[day]} for day, row in rows.items() if isinstance(day, date)]


def _over(at: datetime, session: date, interval: Interval, until: datetime) -> bool:
    if at + LONG_AGO < until:
        return True
    if interval.intraday:
        return at + interval.length <= until
    return closing(session, US_MARKET) <= until


def stamp_of(value: object) -> datetime:
    """The instant of an RFC 3339 text; nanoseconds are cut. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a stamp")  # noqa: TRY004 - bad data, not a bug
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a stamp") from None
    if found.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return found.astimezone(UTC)


def _numbers(entry: Mapping[str, object]) -> Row:
    """The numbers of a bar by our names. Raises ValueError naming the field."""
    values: Row = {}
    for name, field in FIELDS.items():
        try:
            found = number(entry.get(field))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if found is None and name in NEEDED:
            raise ValueError(f"{name} is null")
        values[name] = int(found) if name == "trades" and found is not None else found
    return values


def _by_ticker(document: Mapping[str, object]) -> dict[str, list[object]]:
    bars = document["bars"]
    if bars is None:
        return {}
    if isinstance(bars, list) and isinstance(document.get("symbol"), str):
        return {str(document["symbol"]): bars}
    named = as_mapping(NAME, bars, "bars")
    return {ticker: as_list(NAME, rows, f"bars of {ticker}") for ticker, rows in named.items()}


def _frame(rows: list[Row]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=PARSED_BARS, orient="row")
    return conform(frame, PARSED_BARS).sort("symbol", "ts")


def some_of(tickers: Mapping[str, object] | list[str]) -> str:
    """``AAPL, MSFT, NVDA and 7 more``."""
    names = list(tickers)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def document_of(status: int, body: bytes) -> Mapping[str, object]:
    """The answer's object, once it is known not to be an error. Raises SourceError."""
    if status in (401, 403) and not body.lstrip().startswith(b"{"):
        raise NotEntitled(NAME, f"HTTP {status}: {excerpt(body)}")
    document = as_mapping(NAME, read_json(NAME, body), "the answer")
    said = document.get("message") or document.get("error")
    if status == 200 and not (isinstance(said, str) and said):
        return document
    raise _error_of(status, str(said or f"HTTP {status}"))


def _error_of(status: int, said: str) -> SourceError:
    low = said.lower()
    if status == 429 or "too many requests" in low or "rate limit" in low:
        return RateLimited(NAME, f"too many calls: {said}")
    if "recent sip data" in low:
        return TooRecent(NAME, said)
    unknown = re.search(
        r"(?:invalid symbols?|symbol not found|no \w+ found for)\W*\s*([A-Za-z][\w./-]*)",
        said,
        re.IGNORECASE,
    )
    if unknown is not None:
        return UnknownSymbol(NAME, unknown[1].rstrip("."), said)
    refused = "subscription" in low or "forbidden" in low or "unauthorized" in low
    if status in (401, 402, 403) or refused or "not authorized" in low:
        return NotEntitled(NAME, said)
    if status == 404 and "not found" in low:
        return NoData(NAME, said)
    if status >= 500 or "internal" in low or "try again" in low:
        return Unavailable(NAME, said)
    return Malformed(NAME, f"the request was refused: {said}")
