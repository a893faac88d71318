"""Reading MarketWatch: the download of daily bars, and the tags of a symbol's page.

Belongs here: bytes to bars or a quote, or an error. Does not: asking (client.py). Pure.

The download is CSV, newest first: ``Date,Open,High,Low,Close,Volume``, dates MM/DD/YYYY of the
exchange, numbers in quotes with thousands separators and, at times, a currency sign:
``"$1,234.56"``, ``"40,019,422"``. A range without bars is the heading alone.

A page carries its quote in meta tags: ``price`` (``$259.96``), ``priceCurrency``,
``quoteTime`` (``Jan 14, 2026 4:00 p.m.``, at times with EST or EDT) in ``exchangeTimezone``
(an IANA name, Windows' name, or an abbreviation), ``tickerSymbol``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from stock_platform.domain.errors import Malformed, NoData, UnknownSymbol
from stock_platform.sources.base import QUOTES
from stock_platform.sources.html import (
    Row,
    Table,
    canonical_path,
    check_wall,
    meta_of,
    read_bars,
    read_page,
    shown,
    title_of,
)
from stock_platform.sources.marketwatch.config import NAME
from stock_platform.sources.money import Money
from stock_platform.sources.payload import excerpt, read_text

COLUMNS = ("date", "open", "high", "low", "close", "volume")
NEEDED = frozenset(COLUMNS) - {"volume"}  # funds have none
TIME_FORMATS = ("%b %d, %Y %I:%M %p", "%B %d, %Y %I:%M %p", "%m/%d/%Y %I:%M %p",
                "%b %d, %Y %I:%M:%S %p", "%m/%d/%Y %I:%M:%S %p")  # fmt: skip
NEW_YORK = ZoneInfo("America/New_York")
ZONES: dict[str, tzinfo] = {
    "EST": timezone(timedelta(hours=-5)),
    "EDT": timezone(timedelta(hours=-4)),
    "ET": NEW_YORK,
    "EASTERN STANDARD TIME": NEW_YORK,
    "EASTERN DAYLIGHT TIME": NEW_YORK,
    "US EASTERN STANDARD TIME": NEW_YORK,
    "CENTRAL STANDARD TIME": ZoneInfo("America/Chicago"),
    "UTC": UTC,
    "GMT": UTC,
    "GMT STANDARD TIME": ZoneInfo("Europe/London"),
    "BST": timezone(timedelta(hours=1)),
    "CET": timezone(timedelta(hours=1)),
    "CEST": timezone(timedelta(hours=2)),
}


def parse_download(
    status: int,
    body: bytes,
    *,
    symbol: str,
    calendar: str,
    now: datetime,
    headers: Mapping[str, str] | None = None,
) -> Table:
    """The bars of a download.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        symbol: canonical ticker, for the frame.
        calendar: of the symbol; its openings stamp the bars.
        now: when it was given; sessions that were not over then are left out.
        headers: of the answer, lower-case names.

    Raises:
        NoData: no rows. UnknownSymbol: 404. Unavailable: a wall, 401, 403. RateLimited.
        Malformed: a page or anything else, a download cut short.
    """
    check_wall(NAME, status, body, headers)
    if status == 404:
        raise UnknownSymbol(NAME, symbol, excerpt(body) or "HTTP 404")
    if status != 200:
        raise Malformed(NAME, f"HTTP {status}: {excerpt(body)}")
    text = read_text(NAME, body).lstrip("\ufeff\r\n ")
    if text.count('"') % 2 or text.endswith(","):
        raise Malformed(NAME, f"CSV cut short after {len(body)} bytes")
    try:
        lines = [line for line in csv.reader(io.StringIO(text)) if line]
    except csv.Error as error:
        raise Malformed(NAME, f"broken CSV: {error}") from None
    heading = [cell.strip().lower() for cell in lines[0]]
    if not set(heading) >= NEEDED:
        raise Malformed(NAME, f"not the header of a download: {excerpt(body)}")
    if len(lines) == 1:
        raise NoData(NAME, f"{symbol}: no rows in the download")
    if not text.endswith("\n") and len(lines[-1]) != len(heading):
        raise Malformed(NAME, f"CSV cut short: {len(lines[-1])} columns in its last line")
    rows = [_row(line, heading) for line in lines[1:]]
    return read_bars(NAME, rows, symbol=symbol, calendar=calendar, now=now)


def _row(line: list[str], heading: list[str]) -> Row:
    cells = dict(zip(heading, line, strict=False))
    day = _date(cells.get("date", ""))
    if day is None:
        return Row(None, {}, line, f"date: {cells.get('date')!r} is not a date")
    reason = "" if len(line) == len(heading) else f"{len(line)} cells in a row"
    return Row(day, cells, line, reason)


def _date(text: str) -> date | None:
    try:
        return datetime.strptime(text.strip(), "%m/%d/%Y").date()  # noqa: DTZ007 - a date
    except ValueError:
        return None


def parse_quote(
    status: int,
    body: bytes,
    *,
    symbol: str,
    place: str,
    headers: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """QUOTES of a page, one row: price, currency and stamp; pence as pounds.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        symbol: canonical ticker, for the frame.
        place: kind and name asked for: ``stock/aapl``.
        headers: of the answer, lower-case names.

    Raises:
        UnknownSymbol: 404. Unavailable: a wall, 401, 403. RateLimited. Malformed: no page,
            another page, or one without a price.
    """
    check_wall(NAME, status, body, headers)
    page = read_page(NAME, body)
    if status == 404:
        raise UnknownSymbol(NAME, symbol, excerpt(body) or "HTTP 404")
    if status != 200:
        raise Malformed(NAME, f"HTTP {status}: {excerpt(body)}")
    told = meta_of(page)
    if "price" not in told:
        raise Malformed(NAME, f"an HTML page without a quote of {place}: {title_of(page)}")
    path = canonical_path(page).lower().rstrip("/")
    about = path.rpartition("/")[2] if path.startswith("/investing/") else ""
    ticker = place.partition("/")[2]
    given = (told.get("tickersymbol") or about).lower()
    if given and given != ticker:
        raise Malformed(NAME, f"asked for {place}, was given {given}")
    money = Money.of(told.get("pricecurrency"))
    try:
        price = shown(told["price"])
        if price is None:
            raise ValueError("price is null")
        at = _stamp(told.get("quotetime", ""), told.get("exchangetimezone", ""))
    except ValueError as error:
        raise Malformed(NAME, f"{place}: {error}") from None
    row = dict.fromkeys(QUOTES) | {
        "symbol": symbol,
        "ts": at,
        "price": money.price(price),
        "currency": money.currency,
    }
    return pl.DataFrame([row], schema=QUOTES)


def _stamp(text: str, zone_name: str) -> datetime | None:
    """The UTC instant of a page's time; None without one. Raises ValueError."""
    words = " ".join(text.replace("\u00a0", " ").split())
    if not words:
        return None
    plain = re.sub(r"\b([ap])\.?m\.?(?=\s|$)", r"\1m", words, flags=re.IGNORECASE)
    abbreviation = re.search(r"\s([A-Z]{2,4})$", plain)
    zone: tzinfo | None = None
    if abbreviation and abbreviation[1] in ZONES:
        zone, plain = ZONES[abbreviation[1]], plain[: abbreviation.start()]
    zone = zone or _zone(zone_name)
    for form in TIME_FORMATS:
        try:
            return datetime.strptime(plain, form).replace(tzinfo=zone).astimezone(UTC)
        except ValueError:
            continue
    raise ValueError(f"quoteTime: {text!r} is not a time")


def _zone(name: str) -> tzinfo:
    known = ZONES.get(name.strip().upper())
    if known is not None:
        return known
    try:
        return ZoneInfo(name.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"exchangeTimezone: {name!r} is no time zone we know") from None
