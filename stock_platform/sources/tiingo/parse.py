"""Reading Tiingo's prices: JSON to bars, splits and dividends, or an error.

Belongs here: rows of ``daily``, ``iex`` and ``crypto``. Does not: asking (client.py), errors
that come as words (envelope.py), who a company is (profile.py). Pure.

    daily   [{"date": "2015-01-02T00:00:00.000Z", "open": ..., "high", "low", "close", "volume",
              "adjOpen": ..., "divCash": 0.0, "splitFactor": 1.0}, ...]
    iex     [{"date": "2018-01-02T14:30:00.000Z", "open", "high", "low", "close"}, ...]
    crypto  [{"ticker": "btcusd", "priceData": [{"date", ..., "volume", "tradesDone"}]}, ...]

Prices are raw (``adj...`` is left alone). ``splitFactor`` is how many shares one became on that
day, ``divCash`` the cash a share of that day paid. An answer does not say how long its bars
are, so that is judged by their distance: the vendor serves weeks and months by the same form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, Interval, conform
from stock_platform.domain.errors import Malformed, NoData
from stock_platform.sources.base import PARSED_DIVIDENDS, PARSED_SPLITS
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    closing,
    number,
    openings,
    rejected_frame,
    rejected_row,
)
from stock_platform.sources.tiingo.config import NAME, ZONE

PRICES = ("open", "high", "low", "close")
ENOUGH = 8
"""Gaps that tell the distance of bars; fewer may all be of a share that seldom trades."""

COARSE = {"weeks": (6, 8), "months": (26, 35), "years": (360, 370)}
"""Days between bars of what is no day; of a week's end of Thursday to one of Friday, 8."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for.

    Attributes:
        symbol: canonical ticker. calendar: its own.
        now: when the vendor gave the answer; bars that were not over then are left out.
        volumes: whether volumes are the whole market's.
        new_york_days: whether a bar's session is its date in New York, or in UTC.
    """

    symbol: str
    interval: Interval
    calendar: str
    now: datetime
    volumes: bool = True
    new_york_days: bool = False


@dataclass(frozen=True)
class Page:
    """One answer, read; the fields are those of sources.base.Answer."""

    bars: pl.DataFrame
    splits: pl.DataFrame
    dividends: pl.DataFrame
    rejected: pl.DataFrame
    unfinished: frozenset[date]


def read_rows(document: dict[str, object] | list[object], wanted: Wanted) -> Page:
    """The bars of ``daily`` or ``iex``, and what split or paid.

    Raises:
        NoData: no rows. Malformed: no array, bars of another length, or none to be read.
    """
    if isinstance(document, dict):
        raise Malformed(NAME, f"{wanted.symbol}: an object with no rows but {list(document)[:5]}")
    if not document:
        raise NoData(NAME, f"{wanted.symbol}: no bars")
    rows = [as_mapping(NAME, entry, "a row") for entry in document]
    stamps = [_stamp(row) for row in rows]
    _check_spacing([at for at in stamps if at is not None], wanted)
    return _page(rows, stamps, wanted)


def read_coin(
    document: dict[str, object] | list[object], ticker: str, wanted: Wanted
) -> tuple[Page, str | None]:
    """The bars of one coin, of those an answer may hold, and the currency they are in.

    Raises:
        NoData: no rows of it. Malformed: as ``read_rows``, or only other coins.
    """
    if isinstance(document, dict):
        raise Malformed(NAME, f"{wanted.symbol}: an object with no coins but {list(document)[:5]}")
    coins = [as_mapping(NAME, entry, "a coin") for entry in document]
    if not coins:
        raise NoData(NAME, f"{wanted.symbol}: no coin of that name, or no bars")
    for coin in coins:
        if str(coin.get("ticker", "")).lower() == ticker:
            if "priceData" not in coin:
                raise Malformed(NAME, f"{wanted.symbol}: a coin with no priceData")
            quote = coin.get("quoteCurrency")
            rows = as_list(NAME, coin["priceData"], "priceData")
            return read_rows(rows, wanted), quote.upper() if isinstance(quote, str) else None
    others = [str(coin.get("ticker")) for coin in coins][:5]
    raise Malformed(NAME, f"asked for {wanted.symbol}, was given {', '.join(others)}")


def _page(
    rows: Sequence[Mapping[str, object]], stamps: Sequence[datetime | None], wanted: Wanted
) -> Page:
    zone: tzinfo = ZoneInfo(ZONE) if wanted.new_york_days else UTC
    daily = not wanted.interval.intraday
    opened = openings([at.date() for at in stamps if at], wanted.calendar) if daily else {}
    found: dict[datetime, dict[str, object]] = {}
    splits: dict[date, float] = {}
    dividends: dict[date, float] = {}
    rejected: list[dict[str, object]] = []
    unfinished: set[date] = set()
    for entry, at in zip(rows, stamps, strict=True):
        if at is None:
            reason = f"date: {entry.get('date')!r} is not a stamp"
            rejected.append(rejected_row(entry, reason, symbol=wanted.symbol))
            continue
        session = at.astimezone(zone).date()
        ts = opened[session] if daily else at
        if not _over(at, session, wanted):
            unfinished.add(session)
            continue
        try:
            _actions(entry, session, splits, dividends)
            row = {
                "symbol": wanted.symbol,
                "ts": ts,
                "session": session,
                **_numbers(entry, wanted),
            }
            if found.setdefault(ts, row) != row:
                raise ValueError("another bar of the same time in one answer")
        except ValueError as error:
            rejected.append(
                rejected_row(entry, str(error), symbol=wanted.symbol, ts=ts, session=session)
            )
    if rejected and not found and not unfinished:
        reasons = rejected[0]["reasons"]
        raise Malformed(NAME, f"none of {len(rejected)} rows can be read: {reasons}")
    return Page(
        _frame(list(found.values())),
        _events(wanted.symbol, splits, PARSED_SPLITS),
        _events(wanted.symbol, dividends, PARSED_DIVIDENDS),
        rejected_frame(rejected),
        frozenset(unfinished),
    )


def _stamp(entry: Mapping[str, object]) -> datetime | None:
    """A row's time in UTC; None where there is none."""
    try:
        at = datetime.fromisoformat(str(entry.get("date")))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _check_spacing(stamps: Sequence[datetime], wanted: Wanted) -> None:
    """Raise Malformed where the bars are of another length than was asked for."""
    asked = f"asked for {wanted.interval}, was given"
    if not wanted.interval.intraday and any(at.time() != datetime.min.time() for at in stamps):
        raise Malformed(NAME, f"{asked} times of the day")
    gaps = [b - a for a, b in pairwise(sorted(set(stamps)))]
    if not gaps:
        return
    if not wanted.interval.intraday:
        for name, (least, most) in COARSE.items():
            if least <= min(gaps).days and max(gaps).days <= most:
                raise Malformed(NAME, f"{asked} bars {gaps[0].days} days apart, which are {name}")
        return
    length = wanted.interval.length
    step = timedelta(seconds=math.gcd(*(round(gap.total_seconds()) for gap in gaps)))
    if step % length or (step > length and len(gaps) >= ENOUGH):
        raise Malformed(NAME, f"{asked} bars {step} apart")


def _over(at: datetime, session: date, wanted: Wanted) -> bool:
    if wanted.interval.intraday:
        return at + wanted.interval.length <= wanted.now
    return wanted.now >= closing(session, wanted.calendar)


def _actions(
    entry: Mapping[str, object],
    session: date,
    splits: dict[date, float],
    dividends: dict[date, float],
) -> None:
    """Note what split or paid on a day. Raises ValueError naming the field."""
    ratio, cash = _number(entry, "splitFactor"), _number(entry, "divCash")
    if ratio is not None and ratio <= 0:
        raise ValueError(f"splitFactor is {ratio:g}")
    if cash is not None and cash < 0:
        raise ValueError(f"divCash is {cash:g}")
    if ratio is not None and ratio != 1:
        splits.setdefault(session, ratio)
    if cash:
        dividends.setdefault(session, cash)


def _numbers(entry: Mapping[str, object], wanted: Wanted) -> dict[str, object]:
    """The numbers of a row by our names. Raises ValueError naming the field."""
    values: dict[str, object] = {}
    for name in PRICES:
        values[name] = _number(entry, name)
        if values[name] is None:
            raise ValueError(f"{name} is null")
    trades = _number(entry, "tradesDone")
    values["volume"] = _number(entry, "volume") if wanted.volumes else None
    values["trades"] = int(trades) if trades is not None else None
    return values


def _number(entry: Mapping[str, object], name: str) -> float | None:
    try:
        return number(entry.get(name))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _events(
    symbol: str, events: Mapping[date, float], schema: dict[str, pl.DataType]
) -> pl.DataFrame:
    """Splits or dividends, in dollars, by day."""
    money = ("USD",) if "currency" in schema else ()
    made = [(symbol, day, value, *money) for day, value in sorted(events.items())]
    return pl.DataFrame(made, schema=schema, orient="row")


def _frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    frame = pl.DataFrame(
        [[row.get(name) for name in PARSED_BARS] for row in rows], schema=PARSED_BARS, orient="row"
    )
    return conform(frame, PARSED_BARS).sort("symbol", "ts")
