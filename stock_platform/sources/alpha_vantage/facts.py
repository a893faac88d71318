"""Reading what Alpha Vantage tells of one symbol besides bars: quotes and profiles.

Belongs here: GLOBAL_QUOTE, CURRENCY_EXCHANGE_RATE, OVERVIEW. Does not: asking (client.py),
errors (answers.py), bars (parse.py), directories (directory.py). Pure.

Fields are numbered (``05. price``) but for OVERVIEW.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from stock_platform.domain.bars import conform
from stock_platform.domain.errors import InputError, Malformed, NoData, UnknownSymbol
from stock_platform.sources.alpha_vantage.answers import Asked, document
from stock_platform.sources.alpha_vantage.config import NAME
from stock_platform.sources.alpha_vantage.directory import asset_class, exchange, plain, words
from stock_platform.sources.alpha_vantage.spelling import read
from stock_platform.sources.base import PROFILES, QUOTES
from stock_platform.sources.payload import as_mapping, closing, number


def parse_quote(
    status: int, body: bytes, asked: Asked, *, calendar: str, currency: str | None
) -> pl.DataFrame:
    """QUOTES of a GLOBAL_QUOTE: the last session's close. ``ts`` is that session's close.

    Raises:
        UnknownSymbol: an empty quote. Malformed: also one of another symbol. As ``document``.
    """
    found = document(status, body, asked)
    name = next((key for key in found if key.startswith("Global Quote")), None)
    if name is None and found:
        raise Malformed(NAME, f"{asked.what}: no quote but {', '.join(list(found)[:5])}")
    quote = plain(as_mapping(NAME, found[name], name)) if name else {}
    if not quote:
        raise UnknownSymbol(NAME, asked.what, "an empty quote")
    _check(quote.get("symbol"), asked)
    try:
        day = date.fromisoformat(str(quote.get("latest trading day")))
        row = {name: _number(quote, name) for name in ("price", "open", "high", "low", "volume")}
        row["previous_close"] = _number(quote, "previous close")
        ts = min(closing(day, calendar), asked.now)
    except (ValueError, OverflowError) as error:
        raise Malformed(NAME, f"{asked.what}: {error}") from None
    if row["price"] is None:
        raise NoData(NAME, f"{asked.what}: a quote without a price")
    return _one({"symbol": asked.what, "ts": ts, **row, "currency": currency}, QUOTES)


def parse_rate(status: int, body: bytes, asked: Asked, *, pair: tuple[str, str]) -> pl.DataFrame:
    """QUOTES of a CURRENCY_EXCHANGE_RATE: the price, and when it was refreshed.

    Raises:
        NoData: an empty object. Malformed: also another pair. As ``document``.
    """
    found = document(status, body, asked)
    if not found:
        raise NoData(NAME, f"{asked.what}: an empty answer")
    name = "Realtime Currency Exchange Rate"
    rate = plain(as_mapping(NAME, found.get(name), name))
    given = (rate.get("From_Currency Code"), rate.get("To_Currency Code"))
    if given != pair:
        raise Malformed(NAME, f"asked for {asked.what}, was given {given[0]} in {given[1]}")
    try:
        price = _number(rate, "Exchange Rate")
        zone = ZoneInfo(str(rate.get("Time Zone") or "UTC"))
        ts = datetime.fromisoformat(str(rate.get("Last Refreshed"))).replace(tzinfo=zone)
        ts = ts.astimezone(UTC)
    except (ValueError, OverflowError, ZoneInfoNotFoundError) as error:
        raise Malformed(NAME, f"{asked.what}: {error}") from None
    if price is None:
        raise NoData(NAME, f"{asked.what}: a rate without a price")
    row = {"symbol": asked.what, "ts": ts, "price": price, "currency": pair[1]}
    return _one(row, QUOTES)


def parse_overview(status: int, body: bytes, asked: Asked) -> pl.DataFrame:
    """PROFILES of an OVERVIEW, companies only: funds and unknown symbols are an empty object.

    Raises:
        UnknownSymbol: an empty object. Malformed: also another symbol. As ``document``.
    """
    found = document(status, body, asked)
    if not found:
        raise UnknownSymbol(NAME, asked.what, "no overview: not a company it knows")
    if "Symbol" not in found or "Name" not in found:
        raise Malformed(NAME, f"{asked.what}: no overview but {', '.join(list(found)[:5])}")
    _check(found["Symbol"], asked)
    try:
        shares, cap = _number(found, "SharesOutstanding"), _number(found, "MarketCapitalization")
    except ValueError as error:
        raise Malformed(NAME, f"{asked.what}: {error}") from None
    row = {
        "symbol": asked.what,
        "name": words(found.get("Name")),
        "exchange": exchange(found.get("Exchange")),
        "asset_class": asset_class(found.get("AssetType")),
        "currency": words(found.get("Currency")),
        "country": words(found.get("Country")),
        "sector": words(found.get("Sector")),
        "industry": words(found.get("Industry")),
        "website": words(found.get("OfficialSite")),
        "shares_outstanding": shares,
        "market_cap": cap,
        "cik": _cik(found.get("CIK")),
    }
    return _one(row, PROFILES)


def _one(row: Mapping[str, object], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    return conform(pl.DataFrame([row], schema=schema, orient="row"), schema)


def _check(given: object, asked: Asked) -> None:
    try:
        same = read(str(given)).ticker == asked.what
    except InputError:
        same = False
    if not same:
        raise Malformed(NAME, f"asked for {asked.what}, was given {given}")


def _number(found: Mapping[str, object], name: str) -> float | None:
    try:
        return number(words(found.get(name)))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _cik(value: object) -> str | None:
    word = words(value)
    return word.zfill(10) if word and word.isdigit() else None
