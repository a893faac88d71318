"""Quotes, profiles and chains of options.

Belongs here: the answers of quote, quoteSummary and options. Does not: asking (library.py),
bars (bars.py). Pure.

Values are bare, or ``{"raw": 3.2e12, "fmt": "3.2T"}``; stamps are epoch seconds. Prices in
pence become pounds; ``marketCap`` is in the major unit already. A chain comes as the
library's two frames, which lack the expiry: it is the answer's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from stock_platform.domain.errors import Malformed, NoData
from stock_platform.sources.base import OPTIONS, PROFILES, QUOTES
from stock_platform.sources.money import Money
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    instant,
    number,
    rejected_frame,
    rejected_row,
)
from stock_platform.sources.yfinance_library.chart import check_symbol
from stock_platform.sources.yfinance_library.config import NAME
from stock_platform.sources.yfinance_library.envelope import result_of

Values = Mapping[str, object]

CLASSES = {
    "EQUITY": "stock",
    "ETF": "etf",
    "MUTUALFUND": "fund",
    "CRYPTOCURRENCY": "crypto",
    "CURRENCY": "fx",
    "INDEX": "index",
    "FUTURE": "commodity",
}
MICS = {
    "NMS": "XNAS", "NGM": "XNAS", "NCM": "XNAS", "NYQ": "XNYS", "PCX": "ARCX", "ASE": "XASE",
    "BTS": "BATS", "LSE": "XLON", "GER": "XETR", "FRA": "XFRA", "PAR": "XPAR", "AMS": "XAMS",
    "BRU": "XBRU", "MIL": "XMIL", "MCE": "XMAD", "EBS": "XSWX", "VIE": "XWBO", "STO": "XSTO",
    "HEL": "XHEL", "CPH": "XCSE", "OSL": "XOSL", "JPX": "XTKS", "HKG": "XHKG", "SHH": "XSHG",
    "SHZ": "XSHE", "KSC": "XKRX", "TOR": "XTSE", "ASX": "XASX", "NSI": "XNSE", "BSE": "XBOM",
    "SAO": "BVMF",
}  # fmt: skip
"""Yahoo's exchange codes as MICs."""

CHAIN = {
    "strike": "strike",
    "last": "lastPrice",
    "bid": "bid",
    "ask": "ask",
    "volume": "volume",
    "open_interest": "openInterest",
    "implied_volatility": "impliedVolatility",
}
MONEY = ("strike", "last", "bid", "ask")


def read_quote(status: int, body: bytes, *, symbol: str) -> pl.DataFrame:
    """QUOTES of an answer of ``/v7/finance/quote``, one row.

    Raises:
        SourceError: what the answer stands for instead; Malformed without a price.
    """
    told = result_of(status, body, "quoteResponse", symbol)
    check_symbol(told.get("symbol"), symbol)
    money = Money.of(told.get("currency"))
    try:
        price = {
            name: money.price(number(raw(told.get(f"regularMarket{field}"))))
            for name, field in (
                ("price", "Price"),
                ("open", "Open"),
                ("high", "DayHigh"),
                ("low", "DayLow"),
                ("previous_close", "PreviousClose"),
            )
        }
        volume = number(raw(told.get("regularMarketVolume")))
        stamp = raw(told.get("regularMarketTime"))
        at = None if stamp is None else instant(stamp)
    except ValueError as error:
        raise Malformed(NAME, f"{symbol}: {error}") from None
    if price["price"] is None:
        raise NoData(NAME, f"{symbol}: no price")
    row = {"symbol": symbol, "ts": at, **price, "volume": volume, "currency": money.currency}
    return pl.DataFrame([row], schema=QUOTES)


def read_profile(status: int, body: bytes, *, symbol: str) -> pl.DataFrame:
    """PROFILES of an answer of ``/v10/finance/quoteSummary``, one row.

    ``listed_on`` is the first date that Yahoo has.

    Raises:
        SourceError: what the answer stands for instead.
    """
    modules = result_of(status, body, "quoteSummary", symbol)
    about, price, kind, detail, statistics = (
        as_mapping(NAME, modules.get(name) or {}, name)
        for name in (
            "assetProfile",
            "price",
            "quoteType",
            "summaryDetail",
            "defaultKeyStatistics",
        )
    )
    for module in (price, kind):
        check_symbol(module.get("symbol"), symbol)
    code = _words(price, "exchange") or _words(kind, "exchange")
    called = _words(price, "quoteType") or _words(kind, "quoteType") or ""
    name = next((n for n in _names(price, kind) if n), None)
    if name is None and not about:
        raise NoData(NAME, f"{symbol}: no profile")
    try:
        row: dict[str, object] = {
            "symbol": symbol,
            "name": name,
            "exchange": MICS.get(code or "") or _words(price, "exchangeName") or code,
            "asset_class": CLASSES.get(called.upper()),
            "currency": Money.of(price.get("currency") or detail.get("currency")).currency,
            **{f: _words(about, f) for f in ("country", "sector", "industry", "website")},
            "listed_on": _first_trade(kind),
            "shares_outstanding": number(raw(statistics.get("sharesOutstanding"))),
            "market_cap": number(raw(price.get("marketCap")) or raw(detail.get("marketCap"))),
        }
    except ValueError as error:
        raise Malformed(NAME, f"{symbol}: {error}") from None
    return pl.DataFrame([{column: row.get(column) for column in PROFILES}], schema=PROFILES)


def read_expiry(status: int, body: bytes, *, symbol: str, asked: date | None) -> date:
    """The expiry of the chain in an answer of ``/v7/finance/options``.

    Raises:
        NoData: no contracts, or none of the expiry asked for. SourceError: what the answer
            stands for instead.
    """
    told = result_of(status, body, "optionChain", symbol)
    check_symbol(told.get("underlyingSymbol"), symbol)
    chains = as_list(NAME, told.get("options"), "options")
    known = [_day(stamp) for stamp in as_list(NAME, told.get("expirationDates"), "expirationDates")]
    if not chains:
        raise NoData(NAME, f"{symbol}: no options" + _offer(known))
    chain = as_mapping(NAME, chains[0], "options[0]")
    found = _day(chain.get("expirationDate"))
    if asked is not None and found != asked:
        raise NoData(NAME, f"{symbol}: no options of {asked}, but of {found}" + _offer(known))
    if not any(as_list(NAME, chain.get(side), side) for side in ("calls", "puts")):
        raise NoData(NAME, f"{symbol}: no options of {found}" + _offer(known))
    return found


def parse_chain(
    calls: Any, puts: Any, *, symbol: str, expiry: date
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """OPTIONS and REJECTED of the library's frames of calls and puts."""
    rows: list[dict[str, object]] = []
    rejected: list[dict[str, object]] = []
    for kind, frame in (("call", calls), ("put", puts)):
        for told in _records(frame):
            try:
                rows.append({"symbol": symbol, "kind": kind, "expiry": expiry, **_contract(told)})
            except ValueError as error:
                rejected.append(rejected_row(told, str(error), symbol=symbol))
    frame = pl.DataFrame(rows, schema=OPTIONS, orient="row")
    return frame.sort("kind", "strike", "contract"), rejected_frame(rejected)


def _records(frame: Any) -> Iterator[dict[str, object]]:
    """A pandas frame's rows; what is missing is None."""
    if frame is None:
        return
    for told in frame.to_dict("records"):
        yield {name: None if value is None or value != value else value  # noqa: PLR0124 - NaN, NaT
               for name, value in told.items()}  # fmt: skip


def _contract(told: Values) -> dict[str, object]:
    """A contract's columns. Raises ValueError."""
    money = Money.of(told.get("currency"))
    values = {name: number(told.get(field)) for name, field in CHAIN.items()}
    values |= {name: money.price(values[name]) for name in MONEY}
    name, inside, at = told.get("contractSymbol"), told.get("inTheMoney"), told.get("lastTradeDate")
    if not isinstance(name, str) or not name:
        raise ValueError(f"contractSymbol is {name!r}")
    if values["strike"] is None:
        raise ValueError("strike is null")
    return {
        "contract": name,
        **values,
        "in_the_money": inside if isinstance(inside, bool) else None,
        "last_trade_at": at.to_pydatetime() if hasattr(at, "to_pydatetime") else None,
        "currency": money.currency,
    }


def raw(value: object) -> object:
    """A value out of its dress ``{"raw": ..., "fmt": ...}``; an empty one is None."""
    return value.get("raw") if isinstance(value, dict) else value


def _words(told: Values, name: str) -> str | None:
    value = told.get(name)
    return value.strip() or None if isinstance(value, str) else None


def _names(*modules: Values) -> Iterator[str | None]:
    for field in ("longName", "shortName"):
        yield from (_words(module, field) for module in modules)


def _first_trade(kind: Values) -> date | None:
    stamp = raw(kind.get("firstTradeDateEpochUtc"))
    at = instant(stamp) if stamp is not None else None
    if at is None:
        stamp = raw(kind.get("firstTradeDateMilliseconds"))
        at = instant(stamp, 0.001) if stamp is not None else None
    try:
        zone = ZoneInfo(_words(kind, "timeZoneFullName") or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    return at.astimezone(zone).date() if at else None


def _day(stamp: object) -> date:
    try:
        found: datetime = instant(stamp)
    except ValueError as error:
        raise Malformed(NAME, f"expiry: {error}") from None
    return found.astimezone(UTC).date()


def _offer(known: list[date]) -> str:
    return "; there are " + ", ".join(map(str, known)) if known else ""
