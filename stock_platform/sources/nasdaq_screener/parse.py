"""Reading NASDAQ's stock screener: bytes to a directory or to profiles, or an error.

Belongs here: the screener's rows, wherever they stand. Does not: asking (client.py). Pure.

    {"data": {"rows": [...]}, "status": {"rCode": 200}}     download=true
    {"data": {"table": {"rows": [...]}}}                    the page's table
    [...]                                                   rows as others republish them

    {"symbol": "ABR^D", "name": "...", "lastsale": "$15.88", "netchange": "0.05",
     "pctchange": "0.316%", "volume": "20100", "marketCap": "66410099.00", "country": "China",
     "ipoyear": "2008", "industry": "...", "sector": "...", "url": "..."}

All values are text; nothing is ``""``, ``NA`` or ``--``, and a market capitalization of 0.00.
Tickers are those of the CQS with two marks of their own: ``ABR^D`` is a preferred share,
``BRK/B`` a class, ``ACHR/WS`` a warrant. Errors come in a good status, under ``status``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import polars as pl

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
)
from stock_platform.domain.symbols import AssetClass, from_vendor, parse_symbol
from stock_platform.sources.base import FEED_SCHEMAS
from stock_platform.sources.gathered import Gathered
from stock_platform.sources.nasdaq_screener.config import NAME
from stock_platform.sources.payload import as_list, as_mapping, excerpt, number, read_json

NOTHING = frozenset({"", "na", "n/a", "--", "-"})
GOOD = 200
_PREFERRED = re.compile(r"([A-Z][A-Z0-9]{0,5})\^([A-Z]?)")


def parse_screener(status: int, body: bytes, feed: Feed) -> tuple[pl.DataFrame, pl.DataFrame]:
    """LISTINGS or PROFILES by ``feed``, sorted by symbol, and REJECTED.

    The exchange is not told. Market capitalizations are US dollars.

    Raises:
        NoData: no rows. NotEntitled, RateLimited, Unavailable. Malformed: another form, or
            no row that can be read.
    """
    if status in (401, 403):
        raise NotEntitled(NAME, f"HTTP {status}: {excerpt(body)}")
    document = read_json(NAME, body)
    rows = document if isinstance(document, list) else _rows(status, document)
    if not rows:
        raise NoData(NAME, "the screener has no rows")
    found = Gathered(NAME, "the screener")
    for raw in rows:
        entry = as_mapping(NAME, raw, "a row")
        try:
            row = _row(entry)
        except (InputError, ValueError) as error:
            found.reject(entry, str(error))
        else:
            found.add(entry, row)
    return found.frames(FEED_SCHEMAS[feed])


def read_symbol(text: str) -> str:
    """The canonical ticker of the screener's. Raises InputError."""
    preferred = _PREFERRED.fullmatch(text)
    if preferred is not None:
        return parse_symbol(f"{preferred[1]}.PR{preferred[2]}").ticker
    return from_vendor(text, "nasdaq").ticker


def _rows(status: int, document: object) -> list[object]:
    """The rows of the envelope. Raises a SourceError for what it holds instead."""
    envelope = as_mapping(NAME, document, "the answer")
    state = envelope.get("status")
    said = _words(envelope, state)
    code = status
    if isinstance(state, dict) and isinstance(state.get("rCode"), int):
        code = state["rCode"] if status == GOOD else status
    if code != GOOD:
        raise _error_of(code, said)
    data = envelope.get("data")
    if data is None:
        raise Malformed(NAME, f"no data in the answer: {said or ', '.join(list(envelope)[:5])}")
    holder = as_mapping(NAME, data, "data")
    if "rows" not in holder and isinstance(holder.get("table"), dict):
        holder = as_mapping(NAME, holder["table"], "the table")
    if "rows" not in holder:
        raise Malformed(NAME, f"no rows in data but {', '.join(list(holder)[:5])}")
    return as_list(NAME, holder["rows"], "rows")


def _words(envelope: Mapping[str, object], state: object) -> str:
    """The vendor's own words of what went wrong."""
    said = [str(envelope["message"])] if envelope.get("message") else []
    codes = state.get("bCodeMessage") if isinstance(state, dict) else None
    entries = [e for e in codes if isinstance(e, dict)] if isinstance(codes, list) else []
    said += [str(entry["errorMessage"]) for entry in entries if entry.get("errorMessage")]
    return "; ".join(said)


def _error_of(code: int, said: str) -> SourceError:
    words = f"HTTP {code}: {said or 'no reason given'}"
    if code == 429:
        return RateLimited(NAME, f"too many calls: {words}")
    if code in (401, 403):
        return NotEntitled(NAME, words)
    if code >= 500:
        return Unavailable(NAME, words)
    return Malformed(NAME, f"the screener was refused, {words}")


def _row(entry: Mapping[str, object]) -> dict[str, object]:
    """Raises InputError or ValueError."""
    ticker = entry.get("symbol")
    if not isinstance(ticker, str) or not ticker.strip():
        raise ValueError(f"symbol is {ticker!r}")
    ticker = ticker.strip()
    try:
        value = number((_text(entry, "marketCap") or "").removeprefix("$"))
    except ValueError as error:
        raise ValueError(f"marketCap: {error}") from None
    return {
        "symbol": read_symbol(ticker),
        "vendor_symbol": ticker,
        "name": _text(entry, "name"),
        "asset_class": str(AssetClass.STOCK),
        "currency": "USD",
        "country": _text(entry, "country"),
        "sector": _text(entry, "sector"),
        "industry": _text(entry, "industry"),
        "market_cap": value or None,
        "active": True,
    }


def _text(entry: Mapping[str, object], name: str) -> str | None:
    """A value as text; None where it says nothing."""
    value = entry.get(name)
    text = " ".join(str(value).split()) if isinstance(value, str | int | float) else ""
    return None if text.lower() in NOTHING else text
