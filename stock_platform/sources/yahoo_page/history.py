"""Reading Yahoo's history page: a table of daily bars, dividends and splits.

Belongs here: the table. Does not: asking (client.py), the quote page (quote.py). Pure.

Columns by their headings: Date (``Sep 12, 2024``), Open, High, Low, Close (adjusted for
splits), Adj Close (for dividends too; not read), Volume in shares, with thousands separators,
``-`` where there is none. Between the bars stand rows of two cells: ``0.24 Dividend``,
``1.5 Capital Gain``, ``4:1 Stock Splits`` (new shares for old). Dividends are split-adjusted
like the prices; multiplied by the later splits of the page they are as paid. Pages are in the
currency that "Currency in USD" names; pence and the like are given in the major unit.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

import polars as pl
from selectolax.lexbor import LexborHTMLParser, LexborNode

from stock_platform.domain.errors import Malformed, NoData, UnknownSymbol
from stock_platform.sources.base import PARSED_DIVIDENDS, PARSED_SPLITS
from stock_platform.sources.html import (
    Row,
    canonical_path,
    check_wall,
    read_bars,
    read_page,
    shown,
    title_of,
)
from stock_platform.sources.money import Money
from stock_platform.sources.payload import excerpt, rejected_frame, rejected_row
from stock_platform.sources.yahoo_page.config import NAME
from stock_platform.sources.yahoo_page.quote import check_subject

HEADINGS = {
    "date": "date",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "close*": "close",
    "volume": "volume",
}
DATE_FORMATS = ("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%Y-%m-%d", "%m/%d/%Y")
DECIMALS = 6
WEEK = timedelta(days=7)
_SPLIT = re.compile(r"([\d.,]+)\s*(?::|/|for)\s*([\d.,]+)\s*(?:stock\s*)?splits?", re.IGNORECASE)
_CASH = re.compile(r"([$\d.,]+)\s*(dividends?|capital gains?)", re.IGNORECASE)
_CURRENCY = re.compile(r"\bCurrency in ([A-Za-z]{3})\b")


@dataclass(frozen=True)
class History:
    """A page, read; the fields are those of sources.base.Answer."""

    bars: pl.DataFrame
    splits: pl.DataFrame
    dividends: pl.DataFrame
    rejected: pl.DataFrame
    unfinished: frozenset[date]
    currency: str | None


def parse_history(
    status: int, body: bytes, *, symbol: str, spelled: str, calendar: str, now: datetime
) -> History:
    """The history of one symbol.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        symbol: canonical ticker, for the frames.
        spelled: as Yahoo writes it.
        calendar: of the symbol; its openings stamp the bars.
        now: when Yahoo gave the page; sessions that were not over then are left out.

    Raises:
        NoData: a table without rows. UnknownSymbol: 404. Unavailable: a wall.
        RateLimited. Malformed: also a page of another symbol, or rows of weeks.
    """
    check_wall(NAME, status, body)
    page = read_page(NAME, body)
    if status == 404:
        raise UnknownSymbol(NAME, symbol, excerpt(body))
    if status != 200:
        raise Malformed(NAME, f"HTTP {status}: {excerpt(body)}")
    table = _table(page)
    if table is None:
        raise Malformed(NAME, f"an HTML page without a table of prices: {title_of(page)}")
    check_subject(page, spelled, canonical_path(page))
    columns, rows = table
    money = Money.of(_currency(page))
    bars: list[Row] = []
    splits: dict[date, float] = defaultdict(lambda: 1.0)
    cash: dict[date, float] = defaultdict(float)
    rejected: list[dict[str, object]] = []
    for cells in rows:
        if len(cells) == 1 and not bars and not splits and not cash:
            break  # "No historical data" and the like
        day = _date(cells[0])
        if len(cells) > 3:
            bars.append(_row(day, cells, columns))
            continue
        reason = _read_event(day, " ".join(cells[1:]), splits, cash)
        if reason:
            rejected.append(rejected_row(cells, reason, symbol=symbol, session=day))
    if not bars and not splits and not cash and not rejected:
        raise NoData(NAME, f"{spelled}: no rows in the table of prices")
    _check_daily(bars)
    read = read_bars(NAME, bars, symbol=symbol, calendar=calendar, now=now, units=money.units)
    return History(
        bars=read.bars,
        splits=_splits(symbol, splits),
        dividends=_dividends(symbol, cash, splits, money),
        rejected=pl.concat([read.rejected, rejected_frame(rejected)]),
        unfinished=read.unfinished,
        currency=money.currency,
    )


def _table(page: LexborHTMLParser) -> tuple[dict[str, int], list[list[str]]] | None:
    """The columns of the table of prices by our names, and its rows; None without one."""
    for table in page.css("table"):
        headings: dict[str, int] = {}
        for at, node in enumerate(table.css("thead th")):
            words = _text(node)
            name = "adj" if words.lower().startswith("adj") else words.split(" ")[0].lower()
            if name in HEADINGS:
                headings.setdefault(HEADINGS[name], at)
        if {"date", "open", "high", "low", "close"} <= set(headings):
            rows = [[_text(cell) for cell in row.css("td")] for row in table.css("tbody tr")]
            return headings, [row for row in rows if row]
    return None


def _text(node: LexborNode) -> str:
    return " ".join(node.text(separator=" ").split())


def _date(text: str) -> date | None:
    for form in DATE_FORMATS:
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 - a date
        except ValueError:
            continue
    return None


def _row(day: date | None, cells: list[str], columns: dict[str, int]) -> Row:
    if day is None:
        return Row(None, {}, cells, f"date: {cells[0]!r} is not a date")
    if len(cells) <= max(columns.values()):
        return Row(day, {}, cells, f"{len(cells)} cells in a row")
    return Row(day, {name: cells[at] for name, at in columns.items()}, cells)


def _read_event(
    day: date | None, text: str, splits: dict[date, float], cash: dict[date, float]
) -> str:
    """Put a row of an event where it belongs; the reason if it cannot be read."""
    if day is None:
        return f"{text!r} without a date"
    split, paid = _SPLIT.search(text), _CASH.search(text)
    try:
        if split:
            new, old = shown(split[1]), shown(split[2])
            if not new or not old:
                return f"split: {text!r}"
            splits[day] *= new / old
            return ""
        amount = shown(paid[1]) if paid else None
    except ValueError as error:
        return f"event: {error}"
    if amount is None:
        return f"an event without a known meaning: {text!r}"
    cash[day] += amount
    return ""


def _splits(symbol: str, ratios: dict[date, float]) -> pl.DataFrame:
    rows = [{"symbol": symbol, "ex_date": day, "ratio": ratios[day]} for day in sorted(ratios)]
    return pl.DataFrame(rows, schema=PARSED_SPLITS)


def _dividends(
    symbol: str, cash: dict[date, float], splits: dict[date, float], money: Money
) -> pl.DataFrame:
    """As paid: multiplied by the later splits."""
    rows = []
    for day in sorted(cash):
        amount = cash[day] / money.units
        for ex_date, ratio in splits.items():
            amount *= ratio if ex_date > day else 1.0
        rows.append(
            {
                "symbol": symbol,
                "ex_date": day,
                "amount": round(amount, DECIMALS),
                "currency": money.currency,
            }
        )
    return pl.DataFrame(rows, schema=PARSED_DIVIDENDS)


def _check_daily(rows: list[Row]) -> None:
    """Raise Malformed for rows of weeks or months, which look like those of days."""
    days = sorted({row.session for row in rows if row.session is not None})
    gaps = [after - before for before, after in pairwise(days)]
    if len(gaps) >= 3 and min(gaps) >= WEEK:
        raise Malformed(NAME, "asked for daily rows, was given rows a week or more apart")


def _currency(page: LexborHTMLParser) -> str | None:
    body = page.body
    found = _CURRENCY.search(body.text(separator=" ")) if body is not None else None
    return found[1] if found else None
