"""Reading Alpha Vantage's series: bytes to bars, or an error.

Belongs here: TIME_SERIES_DAILY, TIME_SERIES_INTRADAY, FX_DAILY, DIGITAL_CURRENCY_DAILY, as
JSON and as CSV. Does not: asking (client.py), errors (answers.py), feeds (facts.py). Pure.

JSON has ``Meta Data`` (symbol, time zone) and one ``Time Series ...`` of rows by stamp,
newest first; fields are numbered, ``4. close``. Coins had two prices a field until 2024,
``4a. close (AUD)`` and ``4b. close (USD)``: the market's is taken. Volume is missing for
currencies. CSV has ``timestamp,open,high,low,close,volume`` and nothing about itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, Interval, conform
from stock_platform.domain.calendar import EARLIEST, LATEST
from stock_platform.domain.errors import InputError, Malformed, NoData
from stock_platform.sources.alpha_vantage.answers import Asked, document, table
from stock_platform.sources.alpha_vantage.config import NAME, ZONE
from stock_platform.sources.alpha_vantage.spelling import read
from stock_platform.sources.payload import (
    as_mapping,
    closing,
    number,
    openings,
    rejected_frame,
    rejected_row,
)

SERIES = {
    Interval.MINUTE: "1min",
    Interval.MINUTES_5: "5min",
    Interval.MINUTES_15: "15min",
    Interval.HOUR: "60min",
    Interval.DAY: "Daily",
}
"""How an interval is written, as parameter and in the series' name."""

PRICES = ("open", "high", "low", "close")
FIELDS = (*PRICES, "volume")
ENOUGH = 10
"""Bars of which two follow each other, even of what is seldom traded."""

BOM = b"\xef\xbb\xbf"
_FIELD = re.compile(r"(?:\d+[a-z]?\. )?([a-z ]+?)(?: \(([A-Z0-9]+)\))?")
_PARTS = {
    "From Symbol": 0, "To Symbol": 1, "Digital Currency Code": 0, "Market Code": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Wanted(Asked):
    """The bars that were asked for; ``what`` is the canonical symbol.

    Attributes:
        interval: of the bars. calendar: of the symbol; its openings stamp daily bars.
        pair: the two codes of currencies and coins; None for shares.
    """

    interval: Interval = Interval.DAY
    calendar: str = "XNYS"
    pair: tuple[str, str] | None = None


@dataclass(frozen=True)
class Series:
    """One answer, read; the fields are those of sources.base.Answer."""

    bars: pl.DataFrame
    rejected: pl.DataFrame
    unfinished: frozenset[date]


Row = tuple[str, Mapping[str, object], object]
"""A stamp as it came, its values by our names, and the row as it came."""


def parse_series(status: int, body: bytes, wanted: Wanted) -> Series:
    """The bars of one answer, JSON or CSV; those that were not over are left out.

    Raises:
        NoData: an empty object, or a series without rows. UnknownSymbol, NotEntitled,
            RateLimited, Unavailable. Malformed: also a series of another symbol or interval.
    """
    if status == 200 and body.lstrip().removeprefix(BOM).startswith(b"timestamp"):
        zone, rows = _default_zone(wanted), _csv_rows(status, body, wanted)
    else:
        found = document(status, body, wanted)
        zone, rows = _zone(found, wanted), _json_rows(found, wanted)
    kept: dict[datetime | date, dict[str, object]] = {}
    rejected: list[dict[str, object]] = []
    unfinished: set[date] = set()
    for stamp, values, raw in rows:
        local = _local(stamp)
        if local is None:
            rejected.append(rejected_row(raw, f"{stamp!r} is not a stamp", symbol=wanted.what))
            continue
        session = local.date()
        at = local.replace(tzinfo=zone).astimezone(UTC) if wanted.interval.intraday else None
        if not _over(at, session, wanted):
            unfinished.add(session)
            continue
        try:
            row = {"symbol": wanted.what, "ts": at, "session": session, **_numbers(values)}
        except ValueError as error:
            rejected.append(
                rejected_row(raw, str(error), symbol=wanted.what, ts=at, session=session)
            )
            continue
        key = at or session
        if key in kept and kept[key] != row:
            reason = "another bar of the same time in one answer"
            rejected.append(rejected_row(raw, reason, symbol=wanted.what, ts=at, session=session))
            continue
        kept[key] = row
    if rejected and not kept and not unfinished:
        raise Malformed(NAME, f"none of {len(rejected)} rows can be read: {rejected[0]['reasons']}")
    if not kept and not unfinished:
        raise NoData(NAME, f"{wanted.what}: a series without rows")
    return Series(
        _frame(list(kept.values()), wanted), rejected_frame(rejected), frozenset(unfinished)
    )


def _json_rows(found: Mapping[str, object], wanted: Wanted) -> Iterator[Row]:
    if not found:
        raise NoData(NAME, f"{wanted.what}: an empty answer")
    names = [name for name in found if "Time Series" in name]
    if not names:
        raise Malformed(NAME, f"{wanted.what}: no time series but {', '.join(list(found)[:5])}")
    expected = SERIES[wanted.interval]
    name = names[0]
    if not re.search(rf"\((?:[A-Za-z ]+ )?{expected}\)$", name):
        raise Malformed(NAME, f"asked for {wanted.interval}, was given {name!r}")
    _check_symbol(_meta(found), wanted)
    rows = as_mapping(NAME, found[name], name)
    picked: dict[tuple[str, ...], dict[str, str]] = {}
    for stamp, raw in rows.items():
        if not isinstance(raw, dict):
            yield stamp, {}, {stamp: raw}
            continue
        keys = tuple(raw)
        fields = picked.setdefault(keys, _fields(keys, wanted))
        yield stamp, {ours: raw[theirs] for ours, theirs in fields.items()}, {stamp: raw}


def _csv_rows(status: int, body: bytes, wanted: Wanted) -> Iterator[Row]:
    rows = table(status, body, wanted, {"timestamp"})
    fields = _fields(tuple(rows[0]), wanted) if rows else {}
    if rows and not set(PRICES) <= set(fields):
        raise Malformed(NAME, f"{wanted.what}: no prices in the CSV header {', '.join(rows[0])}")
    _check_spacing([str(raw["timestamp"]) for raw in rows], wanted)
    for raw in rows:
        shifted = "" in raw
        values = {} if shifted else {ours: raw[theirs] for ours, theirs in fields.items()}
        yield str(raw["timestamp"]), values, raw


def _local(stamp: str) -> datetime | None:
    """A stamp on the answer's own clock; None for what is none that can be."""
    try:
        found = datetime.fromisoformat(stamp.strip())
    except ValueError:
        return None
    return found if found.tzinfo is None and EARLIEST <= found.date() <= LATEST else None


def _check_spacing(stamps: list[str], wanted: Wanted) -> None:
    """Raise Malformed where the distance of stamps is of another interval: CSV does not name it."""
    if not wanted.interval.intraday:
        if any(":" in stamp and not stamp.endswith(" 00:00:00") for stamp in stamps):
            raise Malformed(NAME, f"asked for {wanted.interval}, was given times of the day")
        return
    times = [time for time in map(_local, stamps) if time is not None]
    gaps = {abs(b - a) for a, b in pairwise(times)} - {timedelta()}
    length = wanted.interval.length
    if gaps and (min(gaps) < length or (min(gaps) > length and len(times) > ENOUGH)):
        raise Malformed(NAME, f"asked for {wanted.interval}, was given bars {min(gaps)} apart")


def _fields(keys: tuple[str, ...], wanted: Wanted) -> dict[str, str]:
    """Our names to the answer's: the plain one, else the one in the pair's second currency."""
    found: dict[str, str] = {}
    quote = wanted.pair[1] if wanted.pair else None
    for key in keys:
        match = _FIELD.fullmatch(key.strip())
        if match is None or match[1] not in FIELDS:
            continue
        if match[2] is None or (match[2] == quote and match[1] not in found):
            found[match[1]] = key
    return found


def _numbers(values: Mapping[str, object]) -> dict[str, object]:
    """The numbers of a row by our names. Raises ValueError naming the field."""
    numbers: dict[str, object] = {}
    for name in FIELDS:
        try:
            numbers[name] = number(values.get(name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if numbers[name] is None and name in PRICES:
            raise ValueError(f"{name} is null")
    return numbers


def _over(at: datetime | None, session: date, wanted: Wanted) -> bool:
    if at is not None:
        return at + wanted.interval.length <= wanted.now
    return wanted.now >= closing(session, wanted.calendar)


def _frame(rows: list[dict[str, object]], wanted: Wanted) -> pl.DataFrame:
    if not wanted.interval.intraday:
        sessions = [row["session"] for row in rows]
        opened = openings([day for day in sessions if isinstance(day, date)], wanted.calendar)
        rows = [{**row, "ts": opened[day]} for row, day in zip(rows, sessions, strict=True)]  # type: ignore[index]  # a date, as above
    frame = pl.DataFrame(rows, schema=PARSED_BARS, orient="row")
    return conform(frame, PARSED_BARS).sort("symbol", "ts")


def _meta(found: Mapping[str, object]) -> dict[str, str]:
    """The meta data without the numbers before its names."""
    meta = found.get("Meta Data")
    if not isinstance(meta, dict):
        return {}
    return {re.sub(r"^\d+\. ", "", name): str(value) for name, value in meta.items()}


def _check_symbol(meta: Mapping[str, str], wanted: Wanted) -> None:
    """Raise Malformed where the answer is about something else than was asked for."""
    given = meta.get("Symbol")
    if given is not None and wanted.pair is None:
        try:
            same = read(given).ticker == wanted.what
        except InputError:
            same = False
        if not same:
            raise Malformed(NAME, f"asked for {wanted.what}, was given {given}")
    for name, part in _PARTS.items():
        code = meta.get(name)
        if code is None:
            continue
        if wanted.pair is None or code.upper() != wanted.pair[part]:
            raise Malformed(NAME, f"asked for {wanted.what}, was given {name} {code}")


def _default_zone(wanted: Wanted) -> ZoneInfo:
    return ZoneInfo("UTC" if wanted.pair else ZONE)


def _zone(found: Mapping[str, object], wanted: Wanted) -> ZoneInfo:
    """The zone of intraday stamps, as the answer says; days need none."""
    said = _meta(found).get("Time Zone")
    if said is None or not wanted.interval.intraday:
        return _default_zone(wanted)
    try:
        return ZoneInfo(said)
    except (ZoneInfoNotFoundError, ValueError):
        raise Malformed(NAME, f"stamps are in an unknown time zone, {said!r}") from None
