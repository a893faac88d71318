"""Yahoo's page of a symbol's history.

Belongs here: the table. Does not: the histories (``market``), the quote page (``page``).

Rows of days from ``period1`` until before ``period2`` (epoch seconds; a year back from now
where they are missing), newest first: prices with two decimals (four below a dollar) and
thousands separators, adjusted for splits as of the call; "Adj Close" for dividends too. A
dividend, likewise adjusted, and a split have rows of their own behind their day's.
"""

from __future__ import annotations

from datetime import date
from html import escape

import numpy as np

from stock_platform.sandbox.market.timeline import Timeline
from stock_platform.sandbox.vendors.base import Answer, Call
from stock_platform.sandbox.vendors.pages import HTML, PRICES, days, document
from stock_platform.sandbox.vendors.yahoo import quotes
from stock_platform.sandbox.vendors.yahoo_page.page import lookup, subject

_NOTE = '<span class="tooltip">{}</span>'
_HEADINGS = (
    "Date", "Open", "High", "Low",
    "Close " + _NOTE.format("Close price adjusted for splits."),
    "Adj Close " + _NOTE.format("Adjusted close price adjusted for splits and dividend and/or "
                                "capital gain distributions."),
    "Volume",
)  # fmt: skip
_YEAR = 365 * 86_400


def history(call: Call) -> Answer:
    """Answer ``/quote/{symbol}/history/``."""
    one = quotes.company(call, call.path["symbol"])
    if one is None:
        return lookup(call)
    now = int(call.now.timestamp())
    start, end = (
        _seconds(call.query.get(name), default)
        for name, default in (("period1", now - _YEAR), ("period2", now + 1))
    )
    title, head = subject(one, "Stock Historical Prices & Data", "history/")
    rows, count = _rows(call, one, start, end)
    if not count:
        rows = ['<tr><td colspan="7">There is no historical data for this period.</td></tr>']
    headings = "".join(f"<th>{words}</th>" for words in _HEADINGS)
    body = (
        f"<h1>{escape(title)}</h1>\n"
        '<div class="container" data-testid="history-table"><span>Currency in USD</span>\n'
        f'<table class="table yf-1jecxey"><thead><tr>{headings}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div>\n<table><tbody><tr><td>Markets</td></tr></tbody></table>"
    )
    return Answer(document(title, head, body), content_type=HTML, cells=count)


def _seconds(text: str | None, default: int) -> int:
    try:
        return int(float(text)) if text else default
    except ValueError:
        return default


def _rows(call: Call, one: quotes.Company, start: int, end: int) -> tuple[list[str], int]:
    """The table's rows, newest first, and how many of them are bars."""
    market, time = call.market, call.market.time
    last = time.opened(call.now) - 1
    found: list[tuple[date, int, str]] = []
    count = 0
    table = days(call, one.asset)
    sessions = np.searchsorted(time.days, table["session"].to_numpy())
    paid = one.history.dividend_factor(sessions, last)
    for at, row in enumerate(table.iter_rows(named=True)):
        day: date = row["session"]
        if not start <= Timeline.midnight(day) + 34_200 < end:
            continue
        shown = [_price(row[name]) for name in PRICES]
        shown += [_price(row["close"] * paid[at]), _whole(row["volume"])]
        cells = "".join(f"<td>{value}</td>" for value in shown)
        found.append((day, 1, f"<tr><td>{_date(day)}</td>{cells}</tr>"))
        count += 1
    for dividend in one.history.dividends:
        if one.asset.listed <= dividend.at <= last:
            factor = one.history.split_factor(np.array([dividend.at]), last)[0]
            words = f"<strong>{round(dividend.amount / factor, 6):g}</strong> Dividend"
            found.append(_event(market.time.day(dividend.at), words))
    for split in one.history.splits:
        if one.asset.listed <= split.at <= last:
            words = f"<strong>{split.numerator}:{split.denominator}</strong> Stock Splits"
            found.append(_event(market.time.day(split.at), words))
    inside = [x for x in found if start <= Timeline.midnight(x[0]) + 34_200 < end]
    inside.sort(key=lambda x: (x[0], x[1]), reverse=True)
    return [text for _, _, text in inside], count


def _event(day: date, words: str) -> tuple[date, int, str]:
    return day, 0, f'<tr><td>{_date(day)}</td><td colspan="6" class="event">{words}</td></tr>'


def _date(day: date) -> str:
    return f"{day:%b} {day.day}, {day.year}"


def _price(value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:,.4f}"


def _whole(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:,.0f}"
