"""Reading what Finnhub tells besides candles: bytes to rows, or an error.

Belongs here: ``/quote``, ``/stock/profile2``, ``/stock/symbol``, ``/search``. Does not: errors
(envelope.py), candles (parse.py), asking (client.py). Pure.

* quote: ``c`` price, ``o h l`` of the session, ``pc`` previous close, ``t`` epoch seconds of
  the last trade. An unknown symbol is all zeros; volume and currency are not told.
* profile2: ``marketCapitalization`` and ``shareOutstanding`` in millions, ``ipo`` a date. An
  unknown symbol is ``{}``.
* symbol: one object a listing; ``mic`` is the market, ``type`` in words, FIGI of the share and
  of its country (``figiComposite``). Only what trades is listed.
* search: ``symbol``, ``description`` and ``type`` of what is like the words asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from stock_platform.domain.errors import InputError, Malformed, NoData, UnknownSymbol
from stock_platform.domain.symbols import AssetClass, Symbol
from stock_platform.sources.base import LISTINGS, PROFILES, QUOTES
from stock_platform.sources.finnhub.config import NAME
from stock_platform.sources.finnhub.envelope import value_of
from stock_platform.sources.finnhub.spelling import (
    currency_of,
    read_any,
    read_us,
    same_company,
)
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    instant,
    number,
    rejected_frame,
    rejected_row,
)

Row = Mapping[str, object]
MILLION = 1_000_000.0
CLASSES = {
    "ETP": AssetClass.ETF,
    "ETF": AssetClass.ETF,
    "OPEN-END FUND": AssetClass.FUND,
    "MUTUAL FUND": AssetClass.FUND,
    "INDEX": AssetClass.INDEX,
}
MARKETS = {
    "NASDAQ": "XNAS",
    "NEW YORK STOCK EXCHANGE": "XNYS",
    "NYSE ARCA": "ARCX",
    "NYSE AMERICAN": "XASE",
    "NYSE MKT": "XASE",
    "BATS": "BATS",
}
"""Beginnings of the words for US markets."""


@dataclass(frozen=True)
class Read:
    """Rows, read; the fields are those of sources.base.Facts."""

    frame: pl.DataFrame
    rejected: pl.DataFrame


def parse_quote(status: int, body: bytes, symbol: Symbol) -> Read:
    """QUOTES of one symbol.

    Raises:
        UnknownSymbol: all zeros. NotEntitled, RateLimited, Unavailable, Malformed.
    """
    entry = as_mapping(NAME, value_of(status, body, symbol.ticker), "the quote")
    if not {"c", "pc", "t"} <= set(entry):
        raise Malformed(NAME, f"{symbol.ticker}: no c, pc and t in the quote")
    fields = {"price": "c", "open": "o", "high": "h", "low": "l", "previous_close": "pc"}
    try:
        found = {name: number(entry.get(field)) or None for name, field in fields.items()}
        if found["price"] is None and not number(entry["t"]):
            raise UnknownSymbol(NAME, symbol.ticker, "the quote is all zeros")
        if found["price"] is None or not number(entry["t"]):
            raise ValueError(f"c is {entry['c']!r}, t is {entry['t']!r}")
        row = {
            "symbol": symbol.ticker,
            "ts": instant(entry["t"]),
            **found,
            "volume": None,
            "currency": currency_of(symbol),
        }
    except ValueError as error:
        raise Malformed(NAME, f"{symbol.ticker}: the quote cannot be read: {error}") from None
    return _read_one(row, QUOTES)


def parse_profile(status: int, body: bytes, symbol: Symbol) -> Read:
    """PROFILES of one company; another share of the same company answers for it.

    Raises:
        UnknownSymbol: ``{}``. NotEntitled, RateLimited, Unavailable. Malformed: also the
            profile of another company.
    """
    entry = as_mapping(NAME, value_of(status, body, symbol.ticker), "the profile")
    if not entry:
        raise UnknownSymbol(NAME, symbol.ticker, "no profile; funds have none either")
    given, name = _text(entry, "ticker"), _text(entry, "name")
    if given is None or name is None:
        raise Malformed(NAME, f"{symbol.ticker}: no ticker and name in the profile")
    if not same_company(given.upper(), symbol.ticker):
        raise Malformed(NAME, f"asked for {symbol.ticker}, was given {given}")
    market = _text(entry, "exchange")
    try:
        row = {
            "symbol": symbol.ticker,
            "name": name,
            "exchange": _market(market),
            "currency": _text(entry, "currency"),
            "country": _text(entry, "country"),
            "industry": _text(entry, "finnhubIndustry"),
            "website": _text(entry, "weburl"),
            "listed_on": _day(entry, "ipo"),
            "shares_outstanding": _millions(entry, "shareOutstanding"),
            "market_cap": _millions(entry, "marketCapitalization"),
            "isin": _text(entry, "isin"),
        }
    except ValueError as error:
        raise Malformed(NAME, f"{symbol.ticker}: the profile cannot be read: {error}") from None
    return _read_one(row, PROFILES)


def parse_listing(status: int, body: bytes) -> Read:
    """LISTINGS of the US markets, sorted by symbol.

    Raises:
        NoData: an empty directory. NotEntitled, RateLimited, Unavailable, Malformed.
    """
    value = value_of(status, body, "the directory")
    if not isinstance(value, list):
        raise Malformed(NAME, f"the directory is {type(value).__name__}, not an array")
    if not value:
        raise NoData(NAME, "the directory is empty")
    return _listing(value, read_us)


def parse_search(status: int, body: bytes, symbol: Symbol) -> Read:
    """LISTINGS of the one result that is ``symbol``.

    Raises:
        UnknownSymbol: no result is. NotEntitled, RateLimited, Unavailable, Malformed.
    """
    document = as_mapping(NAME, value_of(status, body, symbol.ticker), "the answer")
    if not {"count", "result"} <= set(document):
        raise Malformed(NAME, f"{symbol.ticker}: no count and result")
    rows = as_list(NAME, document["result"], "result")
    read = _listing(rows, read_any) if rows else None
    found = read.frame.filter(pl.col("symbol") == symbol.ticker) if read else None
    if read is None or found is None or found.is_empty():
        raise UnknownSymbol(NAME, symbol.ticker, f"not among {len(rows)} results")
    return Read(found, read.rejected.filter(pl.col("symbol") == symbol.ticker))


def _listing(rows: list[object], read: Callable[[str], str]) -> Read:
    found: dict[str, dict[str, object]] = {}
    rejected: list[dict[str, object]] = []
    for item in rows:
        entry = as_mapping(NAME, item, "an entry of the directory")
        symbol: str | None = None
        try:
            given = _text(entry, "symbol")
            if given is None or "type" not in entry or "description" not in entry:
                raise ValueError("no symbol, type and description")
            symbol = read(given)
            row = _listed(entry, symbol)
            if symbol in found and found[symbol] != row:
                raise ValueError("another entry of the same symbol")
        except (InputError, ValueError) as error:
            rejected.append(rejected_row(entry, str(error), symbol=symbol))
            continue
        found[symbol] = row
    if not found:
        raise Malformed(
            NAME, f"none of {len(rejected)} entries can be read: {rejected[0]['reasons']}"
        )
    made = [found[symbol] for symbol in sorted(found)]
    return Read(pl.DataFrame(made, schema=LISTINGS, orient="row"), rejected_frame(rejected))


def _listed(entry: Row, symbol: str) -> dict[str, object]:
    kind = CLASSES.get((_text(entry, "type") or "").upper(), AssetClass.STOCK)
    row: dict[str, object] = {
        "symbol": symbol,
        "vendor_symbol": entry["symbol"],
        "name": _text(entry, "description"),
        "exchange": _text(entry, "mic"),
        "asset_class": str(kind),
        "currency": _text(entry, "currency"),
        "active": True,
        "figi": _text(entry, "figiComposite") or _text(entry, "figi"),
    }
    return {name: row.get(name) for name in LISTINGS}


def _read_one(row: Row, schema: dict[str, pl.DataType]) -> Read:
    made = [{name: row.get(name) for name in schema}]
    return Read(pl.DataFrame(made, schema=schema, orient="row"), rejected_frame([]))


def _market(words: str | None) -> str | None:
    known = [mic for start, mic in MARKETS.items() if words and words.upper().startswith(start)]
    return known[0] if known else words


def _millions(entry: Row, name: str) -> float | None:
    try:
        found = number(entry.get(name))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return round(found * MILLION, 2) if found else None


def _text(entry: Row, name: str) -> str | None:
    value = entry.get(name)
    return (value.strip() or None) if isinstance(value, str) else None


def _day(entry: Row, name: str) -> date | None:
    text = _text(entry, name)
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ValueError(f"{name}: {text!r} is not a date") from None
