"""Reading the exchanges' answers: documents to bars, quotes, pairs; or an error.

Belongs here: rows by the shape of each exchange (config.py). Does not: asking, and errors
the exchange words itself (bridge.py). Pure.

A candle whose end has not come is live: it is left out, and its day is unfinished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, Interval, conform
from stock_platform.domain.errors import InputError, Malformed, NoData
from stock_platform.domain.symbols import AssetClass, parse_symbol
from stock_platform.sources.base import LISTINGS, QUOTES
from stock_platform.sources.crypto_exchanges.config import Exchange
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    instant,
    number,
    rejected_frame,
    rejected_row,
)
from stock_platform.sources.spacing import check_spacing

NEEDED = ("open", "high", "low", "close")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Page:
    """One answer, read.

    Attributes:
        bars: PARSED_BARS. rejected: REJECTED. unfinished: days with a live candle.
        rows: how many rows came. last: the stamp of the latest, live ones too.
    """

    bars: pl.DataFrame
    rejected: pl.DataFrame
    unfinished: frozenset[date]
    rows: int
    last: datetime | None


def read_bars(
    exchange: Exchange, document: object, *, symbol: str, interval: Interval, now: datetime
) -> Page:
    """One page of candles.

    Args:
        exchange: whose.
        document: the answer's JSON.
        symbol: canonical, for the frame.
        interval: the one asked for; a row of another length is rejected.
        now: when the exchange gave the answer.

    Raises:
        NoData: no candles. Malformed: not its form, or no row can be read.
    """
    source, length = exchange.name, interval.length
    entries = _rows(exchange, document)
    if not entries:
        raise NoData(source, f"{symbol}: no candles")
    rows: dict[datetime, dict[str, object]] = {}
    rejected: list[dict[str, object]] = []
    unfinished: set[date] = set()
    last: datetime | None = None
    stamps: list[datetime] = []
    for entry in entries:
        try:
            at = instant(_cell(entry, exchange.stamp), exchange.stamp_unit)
            stamps.append(at)
            _check_length(exchange, entry, at, length)
        except ValueError as error:
            rejected.append(rejected_row(entry, str(error), symbol=symbol))
            continue
        session = at.date()
        last = at if last is None or at > last else last
        if at + length > now:
            unfinished.add(session)
            continue
        try:
            row = {"symbol": symbol, "ts": at, "session": session, **_numbers(exchange, entry)}
        except ValueError as error:
            rejected.append(rejected_row(entry, str(error), symbol=symbol, ts=at, session=session))
            continue
        if at in rows and rows[at] != row:
            reason = "another candle of the same time in one answer"
            rejected.append(rejected_row(entry, reason, symbol=symbol, ts=at, session=session))
            continue
        rows[at] = row
    if rejected and not rows and not unfinished:
        reasons = rejected[0]["reasons"]
        raise Malformed(source, f"none of {len(rejected)} candles can be read: {reasons}")
    check_spacing(source, stamps, interval)
    frame = pl.DataFrame(list(rows.values()), schema=PARSED_BARS, orient="row")
    return Page(
        conform(frame, PARSED_BARS).sort("symbol", "ts"),
        rejected_frame(rejected),
        frozenset(unfinished),
        len(entries),
        last,
    )


def _rows(exchange: Exchange, document: object) -> list[object]:
    """The rows of an answer; Kraken keys them by its own name of the pair, beside ``last``."""
    source = exchange.name
    if exchange.rows_in is None:
        if not isinstance(document, list):
            kind = type(document).__name__
            raise Malformed(source, f"no candles: the answer is {kind}, not an array")
        return document
    holder = as_mapping(source, document, "the answer")
    if exchange.rows_in not in holder:
        raise Malformed(source, f"no {exchange.rows_in} in the answer")
    found = holder[exchange.rows_in]
    if isinstance(found, dict):
        pairs = [value for key, value in found.items() if key != "last"]
        if len(pairs) != 1:
            raise Malformed(source, f"candles of {len(pairs)} pairs, not of one")
        found = pairs[0]
    return as_list(source, found, exchange.rows_in)


def _cell(entry: object, place: int | str) -> object:
    """Raises ValueError where the row has no such place."""
    try:
        if isinstance(entry, list) and isinstance(place, int):
            return entry[place]
        if isinstance(entry, dict) and isinstance(place, str):
            return entry[place]
    except (IndexError, KeyError):
        raise ValueError(f"no {place!r} in the row") from None
    kind = "array" if isinstance(place, int) else "object"
    raise ValueError(f"a row is {type(entry).__name__}, not an {kind}")


def _check_length(exchange: Exchange, entry: object, at: datetime, length: timedelta) -> None:
    """Raise ValueError where a row does not begin, or end, as the interval asked for does."""
    if (at - EPOCH) % length:
        raise ValueError(f"{at:%Y-%m-%d %H:%M:%S} begins no candle of {length}")
    if exchange.closes is not None:
        ends = instant(_cell(entry, exchange.closes), exchange.stamp_unit)
        if abs(ends - at - length) > timedelta(seconds=1):
            whole = ends - at + timedelta(milliseconds=1)
            raise ValueError(f"a candle of {whole}, not of {length}")


def _numbers(exchange: Exchange, entry: object) -> dict[str, object]:
    """The numbers of a row by our names. Raises ValueError naming the field."""
    values: dict[str, object] = {}
    for name, place in exchange.fields.items():
        try:
            found = number(_cell(entry, place))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if found is None and name in NEEDED:
            raise ValueError(f"{name} is null")
        values[name] = int(found) if name == "trades" and found is not None else found
    return values


def check_ticker(exchange: Exchange, document: object, market: str) -> None:
    """Raise Malformed for a ticker that is of another pair than ``market``, or is none.

    Kraken's is put under the name by which ccxt looks for it.
    """
    source = exchange.name
    holder = as_mapping(source, document, "the ticker")
    match source:
        case "binance":
            there, given = "lastPrice" in holder, holder.get("symbol")
        case "kraken":
            result = as_mapping(source, holder.get("result"), "the ticker's result")
            tickers = [value for value in result.values() if isinstance(value, dict)]
            there, given = len(tickers) == len(result) == 1, market
            if there and isinstance(holder, dict):
                holder["result"] = {market: tickers[0]}
        case _:
            trades = as_list(source, holder.get("trades"), "trades")
            latest = trades[0] if trades and isinstance(trades[0], dict) else {}
            there, given = bool(latest), latest.get("product_id")
    if not there:
        raise Malformed(source, f"no price of {market} in the answer")
    if given != market:
        raise Malformed(source, f"asked for {market}, was given {given}")


def read_quote(
    exchange: Exchange, ticker: Mapping[str, object], *, symbol: str, currency: str, now: datetime
) -> pl.DataFrame:
    """QUOTES of one of ccxt's tickers; open, high, low and volume are of the last 24 hours.

    Raises:
        Malformed: it has no price.
    """
    source = exchange.name
    try:
        values = {
            name: number(ticker.get(key))
            for name, key in (
                ("price", "last"), ("open", "open"), ("high", "high"), ("low", "low"),
                ("previous_close", "previousClose"), ("volume", "baseVolume"),
            )
        }  # fmt: skip
        stamp = ticker.get("timestamp")
        at = now if stamp is None else instant(stamp, 0.001)
    except ValueError as error:
        raise Malformed(source, f"{symbol}: {error}") from None
    if values["price"] is None:
        raise Malformed(source, f"{symbol}: no price in the ticker")
    row = {"symbol": symbol, "ts": at, **values, "currency": currency}
    return pl.DataFrame([row], schema=QUOTES, orient="row")


def read_listing(source: str, document: object) -> tuple[pl.DataFrame, pl.DataFrame]:
    """LISTINGS of Binance's exchangeInfo, and REJECTED: pairs without a canonical form.

    Raises:
        Malformed: no symbols, or none can be read.
    """
    holder = as_mapping(source, document, "the answer")
    if "symbols" not in holder:
        raise Malformed(source, "no symbols in the answer")
    rows: list[dict[str, object]] = []
    rejected: list[dict[str, object]] = []
    for entry in as_list(source, holder["symbols"], "symbols"):
        try:
            rows.append(_pair(entry))
        except (InputError, ValueError) as error:
            kept = entry if not isinstance(entry, dict) else {
                key: entry.get(key) for key in ("symbol", "status", "baseAsset", "quoteAsset")
            }  # fmt: skip
            rejected.append(rejected_row(kept, str(error)))
    if not rows:
        raise Malformed(source, f"none of {len(rejected)} symbols can be read")
    frame = pl.DataFrame(rows, schema=LISTINGS, orient="row")
    return frame.unique("symbol", keep="first").sort("symbol"), rejected_frame(rejected)


def _pair(entry: object) -> dict[str, object]:
    if not isinstance(entry, dict):
        raise ValueError(f"a symbol is {type(entry).__name__}, not an object")  # noqa: TRY004
    base, quote = entry.get("baseAsset"), entry.get("quoteAsset")
    if not isinstance(base, str) or not isinstance(quote, str):
        raise ValueError("no baseAsset or quoteAsset")  # noqa: TRY004 - bad data, not a bug
    symbol = parse_symbol(f"{base}-{quote}")
    if symbol.asset_class is not AssetClass.CRYPTO:
        raise ValueError(f"{symbol} is no coin")
    return {
        "symbol": symbol.ticker, "vendor_symbol": str(entry.get("symbol")), "name": None,
        "exchange": "Binance", "asset_class": "crypto", "currency": quote, "listed_on": None,
        "delisted_on": None, "active": entry.get("status") == "TRADING", "cik": None, "figi": None,
    }  # fmt: skip
