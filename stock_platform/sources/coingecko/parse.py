"""Reading CoinGecko: documents to days, quotes, profiles, names; or an error.

Belongs here: the answers of ``ohlc``, ``markets``, ``simple/price`` and ``list``. Does not:
asking (client.py). Pure.

``ohlc`` is ``[[end in ms, open, high, low, close], ...]``, the last candle in progress and
stamped with an end to come. A day is made of all its candles, or not at all.

Errors come in three shapes: ``{"error": "coin not found"}``, ``{"status": {"error_code",
"error_message"}}``, and the latter inside ``error``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, conform
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.domain.symbols import AssetClass, parse_symbol
from stock_platform.sources.base import LISTINGS, PROFILES, QUOTES
from stock_platform.sources.coingecko.coins import IDS
from stock_platform.sources.coingecko.config import NAME
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    excerpt,
    instant,
    number,
    read_json,
    rejected_frame,
    rejected_row,
    utc_midnight,
)

DAY = timedelta(days=1)
LONGEST = timedelta(hours=4)
"""The longest candle of which days can be made."""

LATE = timedelta(hours=2)
"""After midnight, for the last candle of a day to be there."""

COLUMNS = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Days:
    """An answer of ``ohlc``, read: PARSED_BARS, REJECTED, days without a final bar yet."""

    bars: pl.DataFrame
    rejected: pl.DataFrame
    unfinished: frozenset[date]


class _Candle(NamedTuple):
    ends: datetime
    row: Sequence[object]


def read_days(status: int, body: bytes, *, symbol: str, first: date, now: datetime) -> Days:
    """The days that the candles of an answer make up.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        symbol: canonical, for the frame.
        first: days before it are not looked at: the range begins in the middle of one.
        now: when the answer was given.

    Raises:
        NoData: no candles. UnknownSymbol, NotEntitled, RateLimited, Unavailable. Malformed:
            also where candles are longer than four hours.
    """
    document = _document(status, body, symbol)
    if isinstance(document, dict):
        what = "closes without highs and lows" if "prices" in document else "an object"
        raise Malformed(NAME, f"no candles but {what}, not an array")
    candles, rejected = _candles(document, symbol)
    if not candles and not rejected:
        raise NoData(NAME, f"{symbol}: no candles")
    if not candles:
        raise Malformed(NAME, f"no candle of {len(rejected)} can be read: {rejected[0]['reasons']}")
    step = _step(candles)
    by_day: dict[date, list[_Candle]] = {}
    for candle in candles:
        by_day.setdefault((candle.ends - step).date(), []).append(candle)
    bars: list[dict[str, object]] = []
    unfinished: set[date] = set()
    for day, inside in by_day.items():
        if day < first:
            continue
        ends = utc_midnight(day) + DAY
        partial = len({candle.ends for candle in inside}) < DAY // step
        if now < ends or (partial and now < ends + LATE):
            unfinished.add(day)
            continue
        found, reasons = _day(inside, partial, DAY // step)
        at = utc_midnight(day)
        if found is not None:
            bars.append({"symbol": symbol, "ts": at, "session": day, **found})
        if reasons:
            rows = [candle.row for candle in inside]
            rejected.append(rejected_row(rows, *reasons, symbol=symbol, ts=at, session=day))
    if rejected and not bars and not unfinished:
        raise Malformed(NAME, f"no day can be made of the candles: {rejected[0]['reasons']}")
    frame = pl.DataFrame(bars, schema=PARSED_BARS, orient="row")
    return Days(
        conform(frame, PARSED_BARS).sort("symbol", "ts"),
        rejected_frame(rejected),
        frozenset(unfinished),
    )


def _candles(document: object, symbol: str) -> tuple[list[_Candle], list[dict[str, object]]]:
    candles: list[_Candle] = []
    rejected: list[dict[str, object]] = []
    for row in as_list(NAME, document, "the answer"):
        try:
            if not isinstance(row, list):
                raise ValueError(f"a candle is {type(row).__name__}, not an array")  # noqa: TRY004
            if len(row) < len(COLUMNS) + 1:
                raise ValueError(f"a candle of {len(row)} cells, not of {len(COLUMNS) + 1}")
            candles.append(_Candle(instant(row[0], 0.001), row))
        except ValueError as error:
            rejected.append(rejected_row(row, str(error), symbol=symbol))
    return sorted(candles, key=lambda candle: candle.ends), rejected


def _step(candles: Sequence[_Candle]) -> timedelta:
    """How long the candles are. Raises Malformed where no day can be made of them."""
    ends = sorted({candle.ends for candle in candles})
    gaps = Counter(b - a for a, b in pairwise(ends))
    step = gaps.most_common(1)[0][0] if gaps else LONGEST
    if step > LONGEST:
        raise Malformed(NAME, f"wrong granularity: candles of {step}, not of {LONGEST} or less")
    odd = [end for end in ends if (end - utc_midnight(end.date())) % step]
    if DAY % step or odd:
        raise Malformed(NAME, f"wrong granularity: candles of {step} do not make up days")
    return step


def _day(
    candles: Sequence[_Candle], partial: bool, needed: int
) -> tuple[dict[str, object] | None, list[str]]:
    """The bar of a day's candles, sorted; and why it is none, or not all of them count."""
    read: dict[datetime, dict[str, float]] = {}
    differ = False
    for candle in candles:
        values: dict[str, float] = {}
        for name, cell in zip(COLUMNS, candle.row[1:], strict=False):
            try:
                found = number(cell)
            except ValueError as error:
                return None, [f"{name}: {error}"]
            if found is None:
                return None, [f"{name} is null"]
            values[name] = found
        differ |= read.setdefault(candle.ends, values) != values
    if partial:
        return None, [f"{len(read)} candles of the day's {needed}"]
    parts = list(read.values())
    bar: dict[str, object] = {
        "open": parts[0]["open"],
        "high": max(part["high"] for part in parts),
        "low": min(part["low"] for part in parts),
        "close": parts[-1]["close"],
    }
    return bar, ["another candle of the same time in one answer"] if differ else []


def read_quote(
    status: int, body: bytes, *, symbol: str, coin: str, currency: str, now: datetime
) -> pl.DataFrame:
    """QUOTES of ``markets``, or of ``simple/price``; see the module for errors.

    Raises:
        UnknownSymbol: the coin is not in the answer. Malformed: it has no price.
    """
    document = _document(status, body, symbol)
    if isinstance(document, dict) and isinstance(document.get(coin), dict):
        simple = document[coin]
        entry: Mapping[str, object] = {
            "current_price": simple.get(currency.lower()),
            "last_updated": simple.get("last_updated_at"),
        }
    else:
        entry = _entry(document, symbol, coin)
    try:
        price, high, low = (
            number(entry.get(key)) for key in ("current_price", "high_24h", "low_24h")
        )
        at = _updated(entry.get("last_updated")) or now
    except ValueError as error:
        raise Malformed(NAME, f"{symbol}: {error}") from None
    if price is None:
        raise Malformed(NAME, f"{symbol}: no price in {currency}")
    row = {"symbol": symbol, "ts": at, "price": price, "high": high, "low": low}
    return pl.DataFrame([{**dict.fromkeys(QUOTES), **row, "currency": currency}], schema=QUOTES)


def read_quotes(
    status: int, body: bytes, ids: Mapping[str, str], currency: str, now: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """QUOTES of several coins of ``markets`` (their symbols by id), and REJECTED.

    Coins that are not in the answer are left out.
    """
    document = _document(status, body, "the coins")
    frames, rejected = [pl.DataFrame(schema=QUOTES)], []
    for entry in as_list(NAME, document, "a page of coins"):
        coin = as_mapping(NAME, entry, "a coin").get("id")
        symbol = ids.get(str(coin))
        if symbol is None:
            continue
        try:
            frames.append(
                read_quote(
                    status,
                    json.dumps([entry]).encode(),
                    symbol=symbol,
                    coin=str(coin),
                    currency=currency,
                    now=now,
                )
            )
        except Malformed as error:
            rejected.append(rejected_row(entry, error.detail, symbol=symbol))
    return pl.concat(frames), rejected_frame(rejected)


def read_profile(
    status: int, body: bytes, *, symbol: str, coin: str, currency: str
) -> pl.DataFrame:
    """PROFILES of ``markets``: name, market value, coins in circulation as its shares.

    Raises:
        UnknownSymbol: the coin is not in the answer. Malformed: it has no name.
    """
    entry = _entry(_document(status, body, symbol), symbol, coin)
    try:
        value, supply = (number(entry.get(key)) for key in ("market_cap", "circulating_supply"))
    except ValueError as error:
        raise Malformed(NAME, f"{symbol}: {error}") from None
    if not isinstance(entry.get("name"), str):
        raise Malformed(NAME, f"{symbol}: no name")
    row = {
        "symbol": symbol, "name": entry["name"], "asset_class": AssetClass.CRYPTO.value,
        "currency": currency, "shares_outstanding": supply, "market_cap": value,
    }  # fmt: skip
    return pl.DataFrame([{**dict.fromkeys(PROFILES), **row}], schema=PROFILES)


def read_listing(status: int, body: bytes) -> tuple[pl.DataFrame, pl.DataFrame]:
    """LISTINGS of ``list`` in dollars, and REJECTED.

    Many coins share their letters: the best known have them, else nobody does.

    Raises:
        Malformed: no row can be read.
    """
    entries = as_list(NAME, _document(status, body, "the coins"), "the list of coins")
    rows, rejected = _all_named(entries)
    count = Counter(row["symbol"] for row in rows)
    return _told_apart(rows, rejected, lambda symbol: count[symbol] == 1)


def read_page(status: int, body: bytes) -> list[object]:
    """The coins of a page of ``markets``."""
    return list(as_list(NAME, _document(status, body, "the coins"), "a page of coins"))


def named_coins(entries: Sequence[object]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """LISTINGS of coins of ``markets`` in dollars, the largest first, and REJECTED.

    Of those that share their letters, the best known has them, else the largest.

    Raises:
        Malformed: no row can be read.
    """
    rows, rejected = _all_named(entries)
    return _told_apart(rows, rejected, lambda _: True)


def _all_named(
    entries: Sequence[object],
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    rows: list[dict[str, object]] = []
    rejected: list[dict[str, object]] = []
    for entry in entries:
        try:
            rows.append(_named(entry))
        except (InputError, ValueError) as error:
            rejected.append(rejected_row(entry, str(error)))
    if not rows:
        raise Malformed(NAME, f"none of {len(entries)} coins can be read")
    return rows, rejected


def _told_apart(
    rows: Sequence[dict[str, object]],
    rejected: list[dict[str, object]],
    may_have: Callable[[str], bool],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    kept: dict[str, dict[str, object]] = {}
    for row in rows:
        symbol = str(row["symbol"])
        known = IDS.get(symbol.removesuffix("-USD"))
        if row["vendor_symbol"] == known or (
            known is None and may_have(symbol) and symbol not in kept
        ):
            kept.setdefault(symbol, row)
            continue
        reason = f"{symbol} is {known}" if known else f"several coins are {symbol}"
        rejected.append(rejected_row(row["vendor_symbol"], reason, symbol=symbol))
    frame = pl.DataFrame(list(kept.values()), schema=LISTINGS, orient="row")
    return frame.sort("symbol"), rejected_frame(rejected)


def _named(entry: object) -> dict[str, object]:
    if not isinstance(entry, dict):
        raise ValueError(f"a coin is {type(entry).__name__}, not an object")  # noqa: TRY004
    coin, letters, name = (entry.get(key) for key in ("id", "symbol", "name"))
    if not isinstance(coin, str) or not coin or not isinstance(letters, str):
        raise ValueError("no id or symbol")
    symbol = parse_symbol(f"{letters}-USD")
    if symbol.asset_class is not AssetClass.CRYPTO:
        raise ValueError(f"{symbol} is no coin")
    row = {
        "symbol": symbol.ticker, "vendor_symbol": coin, "asset_class": "crypto",
        "name": name if isinstance(name, str) else None, "currency": "USD", "active": True,
    }  # fmt: skip
    return {**dict.fromkeys(LISTINGS), **row}


def _entry(document: object, symbol: str, coin: str) -> Mapping[str, object]:
    """The coin's row of ``markets``."""
    if not isinstance(document, list):
        raise Malformed(NAME, f"{symbol}: no coins but {type(document).__name__}, not an array")
    for entry in document:
        if as_mapping(NAME, entry, "a coin").get("id") == coin:
            return as_mapping(NAME, entry, "a coin")
    if document:
        others = as_mapping(NAME, document[0], "a coin").get("id")
        raise Malformed(NAME, f"asked for {coin}, was given {others}")
    raise UnknownSymbol(NAME, symbol, f"CoinGecko has no coin {coin!r}")


def _updated(value: object) -> datetime | None:
    """Seconds, or ISO 8601 with a zone. Raises ValueError."""
    if value is None:
        return None
    if isinstance(value, str):
        found = datetime.fromisoformat(value)
        if found.tzinfo is None:
            raise ValueError(f"{value!r} has no zone")
        return found
    return instant(value)


def _document(status: int, body: bytes, what: str) -> object:
    """The answer's JSON, once it is known not to be an error."""
    if status in (401, 403) and not body.lstrip().startswith(b"{"):
        # its refusals of keys and plans are JSON: a page is its CDN's firewall ("blocked by
        # server", https://docs.coingecko.com/docs/common-errors-rate-limit), and passes
        raise Unavailable(NAME, f"HTTP {status}: {excerpt(body)}")
    document = read_json(NAME, body)
    code, said = _error(document)
    if status == 200 and not said:
        if not isinstance(document, list | dict):
            raise Malformed(NAME, f"the answer is {type(document).__name__}, not an object")
        return document
    raise _error_of(status, code, said or f"HTTP {status}", what)


def _error(document: object) -> tuple[int | None, str]:
    """Code and words of an error, in any of its shapes; no words where it is none."""
    if not isinstance(document, dict):
        return None, ""
    error = document.get("error")
    holder = error if isinstance(error, dict) else document
    status = holder.get("status")
    inner = status if isinstance(status, dict) else holder
    code, said = inner.get("error_code"), inner.get("error_message")
    if not said and isinstance(error, str):
        said = error
    if not said and error:
        said = str(error)
    return (code if isinstance(code, int) else None), str(said or "")


def _error_of(status: int, code: int | None, said: str, what: str) -> SourceError:
    low = said.lower()
    if status == 429 or code == 429 or "rate limit" in low or "throttled" in low:
        return RateLimited(NAME, f"too many calls: {said}")
    if "not found" in low or "could not find coin" in low or "invalid vs_currency" in low:
        return UnknownSymbol(NAME, what, said)
    ours = code is not None and 10_000 <= code < 11_000  # keys and plans have codes of their own
    if status in (401, 403) or ours or "api key" in low or "plan" in low.split():
        return NotEntitled(NAME, said)
    if status == 404:
        return UnknownSymbol(NAME, what, said)
    if status >= 500 or (code is not None and 500 <= code < 600) or "try again" in low:
        return Unavailable(NAME, said)
    return Malformed(NAME, f"the request for {what} was refused: {said}")
