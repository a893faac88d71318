"""Reading Polygon/Massive aggregates: bytes to bars, or an error.

Belongs here: the answers of ``grouped`` and ``range``. Does not: asking (client.py), errors
(envelope.py), reference data (reference.py). Pure.

Fields of a result: ``T`` ticker (grouped only), ``o h l c`` in US dollars (or the pair's
second currency), ``v`` shares, a float that may be written 1.12e+08, ``vw`` the
volume-weighted average price, ``n`` the number of trades, ``t`` epoch milliseconds,
``otc`` true where it traded over the counter. ``t`` of a daily bar is midnight in New York
for stocks and in UTC for currencies and crypto; in ``grouped`` it is 16:00 in New York.
``adjusted`` tells whether prices are split-adjusted: it is believed, not what was asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, Basis, Interval, conform
from stock_platform.domain.errors import InputError, Malformed, NoData
from stock_platform.domain.symbols import from_vendor
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    closing,
    instant,
    number,
    openings,
    rejected_frame,
    rejected_row,
)
from stock_platform.sources.polygon.config import NAME
from stock_platform.sources.polygon.envelope import check_ticker, document_of
from stock_platform.sources.spacing import check_spacing

NEW_YORK = ZoneInfo("America/New_York")
COUNTS = {"results", "resultsCount", "queryCount", "count"}
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


@dataclass(frozen=True)
class Page:
    """One answer, read; the fields are those of sources.base.Answer."""

    bars: pl.DataFrame
    rejected: pl.DataFrame
    basis: Basis
    next_url: str | None = None
    unfinished: frozenset[date] = frozenset()
    currency: str | None = None


def parse_grouped(status: int, body: bytes, *, session: date, calendar: str) -> Page:
    """Every ticker's bar of ``session``, over-the-counter ones left out.

    Raises:
        NoData: no results, or asked before the end of the day. NotEntitled, RateLimited,
            Unavailable. Malformed: also where the bars are of another day.
    """
    document = document_of(status, body, f"the market on {session}")
    results = _results(document, f"the market on {session}")
    stamp = openings([session], calendar)[session]
    seen: dict[str, dict[str, object]] = {}
    rejected: list[dict[str, object]] = []
    strangers: set[date] = set()
    for entry in results:
        if entry.get("otc") is True:
            continue
        ticker = entry.get("T")
        symbol: str | None = None
        try:
            if not isinstance(ticker, str) or not ticker:
                raise ValueError(f"T is {ticker!r}")
            symbol = from_vendor(ticker, NAME).ticker
            day = instant(entry.get("t"), 0.001).astimezone(NEW_YORK).date()
            if day != session:
                strangers.add(day)
                raise ValueError(f"a bar of {day}, not of {session}")
            row = {"symbol": symbol, "ts": stamp, "session": session, **_numbers(entry)}
        except (InputError, ValueError) as error:
            rejected.append(rejected_row(entry, str(error), symbol=symbol, session=session))
            continue
        if symbol in seen and seen[symbol] != row:
            reason = "another bar of the same ticker in one answer"
            rejected.append(rejected_row(entry, reason, symbol=symbol, ts=stamp, session=session))
            continue
        seen[symbol] = row
    if strangers and not seen:
        raise Malformed(NAME, f"asked for {session}, was given bars of {min(strangers)}")
    _check_readable(seen, rejected)
    return Page(
        _frame(list(seen.values())), rejected_frame(rejected), _basis(document), currency="USD"
    )


def parse_range(
    status: int,
    body: bytes,
    *,
    symbol: str,
    interval: Interval,
    calendar: str,
    new_york_days: bool,
    now: datetime,
) -> Page:
    """One page of one ticker's bars.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        symbol: canonical ticker, for the frame.
        interval: the one asked for.
        calendar: of the symbol; its openings stamp daily bars.
        new_york_days: whether the session is the date in New York (stocks) or in UTC.
        now: when the vendor gave the answer; bars that were not over then are left out.

    Raises:
        NoData: no results. UnknownSymbol, NotEntitled, RateLimited, Unavailable, Malformed.
    """
    document = document_of(status, body, symbol)
    check_ticker(document.get("ticker"), symbol)
    results = _results(document, symbol)
    zone: tzinfo = NEW_YORK if new_york_days else UTC
    rows: dict[datetime, dict[str, object]] = {}
    rejected: list[dict[str, object]] = []
    unfinished: set[date] = set()
    stamps: list[datetime] = []
    for entry in results:
        try:
            at = instant(entry.get("t"), 0.001)
        except ValueError as error:
            rejected.append(rejected_row(entry, f"t: {error}", symbol=symbol))
            continue
        stamps.append(at)
        session = at.astimezone(zone).date()
        if not _over(at, session, interval, calendar, now):
            unfinished.add(session)
            continue
        try:
            row = {"symbol": symbol, "ts": at, "session": session, **_numbers(entry)}
        except ValueError as error:
            rejected.append(rejected_row(entry, str(error), symbol=symbol, ts=at, session=session))
            continue
        if at in rows and rows[at] != row:
            reason = "another bar of the same time in one answer"
            rejected.append(rejected_row(entry, reason, symbol=symbol, ts=at, session=session))
            continue
        rows[at] = row
    check_spacing(NAME, stamps, interval)
    found = list(rows.values())
    if interval is Interval.DAY:
        found = _one_a_session(found, rejected, symbol, calendar)
    if not unfinished:
        _check_readable(found, rejected)
    next_url = document.get("next_url")
    return Page(
        _frame(found),
        rejected_frame(rejected),
        _basis(document) if new_york_days else Basis.AS_TRADED,
        next_url if isinstance(next_url, str) and next_url else None,
        frozenset(unfinished),
        "USD" if new_york_days else None,
    )


def _one_a_session(
    rows: list[dict[str, object]], rejected: list[dict[str, object]], symbol: str, calendar: str
) -> list[dict[str, object]]:
    """Daily bars stamped with their session's opening."""
    by_session: dict[date, dict[str, object]] = {}
    for row in rows:
        session = row["session"]
        if not isinstance(session, date):
            continue
        if session in by_session:
            reason = "another bar of the same session in one answer"
            rejected.append(rejected_row(row, reason, symbol=symbol, session=session))
            continue
        by_session[session] = row
    opened = openings(by_session, calendar)
    return [{**row, "ts": opened[session]} for session, row in by_session.items()]


def _over(at: datetime, session: date, interval: Interval, calendar: str, now: datetime) -> bool:
    if at + timedelta(days=3) < now:
        return True
    if interval.intraday:
        return at + interval.length <= now
    return now >= closing(session, calendar)


def _numbers(entry: Mapping[str, object]) -> dict[str, object]:
    """The numbers of a result by our names. Raises ValueError naming the field."""
    values: dict[str, object] = {}
    for name, field in FIELDS.items():
        try:
            found = number(entry.get(field))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if found is None and name in NEEDED:
            raise ValueError(f"{name} is null")
        values[name] = int(found) if name == "trades" and found is not None else found
    return values


def _frame(rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=PARSED_BARS, orient="row")
    return conform(frame, PARSED_BARS).sort("symbol", "ts")


def _basis(document: Mapping[str, object]) -> Basis:
    return Basis.SPLIT_ADJUSTED if document.get("adjusted") is True else Basis.AS_TRADED


def _check_readable(bars: Sized, rejected: Sequence[Mapping[str, object]]) -> None:
    if rejected and not bars:
        reasons = rejected[0]["reasons"]
        raise Malformed(NAME, f"none of {len(rejected)} results can be read: {reasons}")


def _results(document: Mapping[str, object], what: str) -> list[Mapping[str, object]]:
    if not COUNTS & set(document):
        raise Malformed(NAME, f"{what}: no results and no count of them")
    found = as_list(NAME, document.get("results"), "results")
    if not found:
        raise NoData(NAME, f"{what}: no results")
    return [as_mapping(NAME, entry, "a result") for entry in found]
