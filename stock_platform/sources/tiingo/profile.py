"""Reading who a company is, by Tiingo.

Belongs here: the object of ``/tiingo/daily/{ticker}``. Does not: asking (client.py), prices
(parse.py). Pure.

    {"ticker": "GOOGL", "name": "...", "exchangeCode": "NASDAQ", "description": "...",
     "startDate": "2004-08-19", "endDate": "2017-10-06"}

The dates are of its first and its last price.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from stock_platform.domain.errors import Malformed
from stock_platform.domain.symbols import AssetClass, Symbol
from stock_platform.sources.base import PROFILES
from stock_platform.sources.payload import as_mapping
from stock_platform.sources.tiingo.config import NAME
from stock_platform.sources.tiingo.spelling import check_ticker

EXCHANGES = {
    "NASDAQ": "XNAS",
    "NYSE": "XNYS",
    "NYSE ARCA": "ARCX",
    "NYSE MKT": "XASE",
    "NYSE AMERICAN": "XASE",
    "AMEX": "XASE",
    "BATS": "BATS",
    "IEX": "IEXG",
}


def read_profile(document: dict[str, object] | list[object], symbol: Symbol) -> pl.DataFrame:
    """PROFILES of one share. Tiingo does not tell shares from ETFs; a fund's ticker does.

    Raises:
        Malformed: no such object, of another ticker, or with a date that is none.
    """
    found = as_mapping(NAME, document, "the answer")
    if not {"ticker", "name"} <= set(found):
        raise Malformed(NAME, f"{symbol.ticker}: no name or no ticker in the answer")
    if not check_ticker(found["ticker"], symbol.ticker):
        raise Malformed(NAME, f"asked for {symbol.ticker}, was given {found['ticker']}")
    exchange = _text(found, "exchangeCode")
    start = _text(found, "startDate")
    try:
        listed_on = date.fromisoformat(start[:10]) if start else None
    except ValueError:
        raise Malformed(NAME, f"{symbol.ticker}: startDate is {start!r}") from None
    fund = symbol.asset_class is AssetClass.FUND
    row = {
        "symbol": symbol.ticker,
        "name": _text(found, "name"),
        "exchange": EXCHANGES.get((exchange or "").upper(), exchange),
        "asset_class": str(symbol.asset_class) if fund else None,
        "currency": "USD",
        "listed_on": listed_on,
    }
    return pl.DataFrame([[row.get(name) for name in PROFILES]], schema=PROFILES, orient="row")


def _text(entry: Mapping[str, object], name: str) -> str | None:
    value = entry.get(name)
    return (" ".join(value.split()) or None) if isinstance(value, str) else None
