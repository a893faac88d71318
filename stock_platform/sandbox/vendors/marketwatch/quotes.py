"""MarketWatch's page of a symbol, and its download.

Belongs here: addresses, meta tags, the CSV. Does not: prices (``pages``), the captcha wall.

Companies live under /investing/stock/, funds under /investing/fund/, each redirecting to the
other where it does not belong; unknown symbols are a 404 page. The download is CSV, newest
first, every number in quotes with thousands separators, two decimals (four below a dollar),
adjusted for splits as of the call; a range of more than a year is cut to its last year.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from html import escape

import numpy as np
import polars as pl

from stock_platform.sandbox.market.asset import Asset
from stock_platform.sandbox.market.timeline import ZONE
from stock_platform.sandbox.vendors.base import Answer, Call
from stock_platform.sandbox.vendors.pages import (
    HTML,
    PRICES,
    Last,
    days,
    document,
    last_of_other,
    last_of_share,
    trading,
)

_ISO = {"XNAS": "Nasdaq", "XNYS": "NYSE", "ARCX": "NYSE Arca", "XASE": "NYSE American"}
_INDICES = {
    "spx": "^GSPC", "djia": "^DJI", "comp": "^IXIC", "rut": "^RUT", "vix": "^VIX",
}  # fmt: skip
YEAR = timedelta(days=366)


def download(call: Call) -> Answer:
    """Answer ``/investing/{kind}/{symbol}/downloaddatapartial``."""
    asset = _asset(call)
    if isinstance(asset, Answer):
        return asset
    start, end = (_day(call.query.get(name)) for name in ("startdate", "enddate"))
    wanted = call.query.get("csvdownload") == "true" and call.query.get("frequency") == "p1d"
    if start is None or end is None or not wanted:
        return Answer(b"", 400, HTML)
    table = days(call, asset).filter(pl.col("session").is_between(max(start, end - YEAR), end))
    lines = ["Date,Open,High,Low,Close,Volume"]
    for row in table.reverse().iter_rows(named=True):
        cells = [_price(row[name]) for name in PRICES] + [_whole(row["volume"])]
        lines.append(",".join([f"{row['session']:%m/%d/%Y}", *(f'"{c}"' for c in cells)]))
    name = f"STOCK_US_{asset.exchange}_{call.path['symbol'].upper()}.csv"
    headers = {"content-disposition": f"attachment; filename={name}"}
    return Answer(("\n".join(lines) + "\n").encode(), 200, "text/csv", headers, cells=table.height)


def page(call: Call) -> Answer:
    """Answer ``/investing/{kind}/{symbol}``."""
    kind, symbol = call.path["kind"], call.path["symbol"].lower()
    if kind in ("stock", "fund"):
        asset = _asset(call)
        if isinstance(asset, Answer):
            return asset
        share = last_of_share(call, asset)
        if share is None:
            return _missing()
        return _page(f"{kind}/{symbol}", asset.name, share, asset.exchange)
    names = {
        "index": [_INDICES.get(symbol, "")],
        "currency": [f"{symbol[:-3]}/{symbol[-3:]}".upper()],
        "cryptocurrency": [f"{symbol[:-3]}-{symbol[-3:]}".upper()],
    }
    for name in names.get(kind, []):
        last = last_of_other(call, name) if name else None
        if last is not None:
            return _page(f"{kind}/{symbol}", name, last, "")
    return _missing()


def _asset(call: Call) -> Asset | Answer:
    """The share asked for; or the way to its own address, or the page that knows none."""
    kind, symbol = call.path["kind"], call.path["symbol"]
    asset = trading(call, symbol.upper()) if kind in ("stock", "fund") else None
    if asset is None:
        return _missing()
    place = "fund" if asset.kind == "ETF" else "stock"
    if place != kind:
        return Answer(b"", 301, HTML, {"location": f"{call.base}/investing/{place}/{symbol}"})
    return asset


def _missing() -> Answer:
    page = document("Page Not Found - MarketWatch", "", "<h1>We can't find that page.</h1>")
    return Answer(page, 404, HTML)


def _page(place: str, name: str, last: Last, exchange: str) -> Answer:
    ticker = place.partition("/")[2].upper()
    at = datetime.fromtimestamp(last.stamp, ZONE)
    hour = f"{at.hour % 12 or 12}:{at:%M} {'a' if at.hour < 12 else 'p'}.m."
    sign = "$" if last.currency == "USD" else ""
    metas = {
        "name": name,
        "tickerSymbol": ticker,
        "exchange": _ISO.get(exchange, ""),
        "exchangeIso": exchange,
        "exchangeTimezone": "America/New_York",
        "quoteTime": f"{at:%b} {at.day}, {at.year} {hour}",
        "price": f"{sign}{last.price:,.2f}" if sign else f"{last.price:,.4f}",
        "priceChange": f"{last.price - last.previous:.2f}",
        "priceChangePercent": f"{(last.price / last.previous - 1) * 100:.2f}%",
        "priceCurrency": last.currency,
    }
    head = f'<link rel="canonical" href="https://www.marketwatch.com/investing/{place}">\n'
    head += "\n".join(f'<meta name="{k}" content="{escape(v)}">' for k, v in metas.items())
    title = f"{ticker} Stock Price | {name} Stock Quote - MarketWatch"
    return Answer(document(title, head, f"<h1>{escape(name)}</h1>"), content_type=HTML, cells=1)


def _day(text: str | None) -> date | None:
    try:
        return datetime.strptime((text or "")[:10], "%m/%d/%Y").date()  # noqa: DTZ007 - a date
    except ValueError:
        return None


def _price(value: float) -> str:
    if np.isnan(value):
        return "N/A"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:,.4f}"


def _whole(value: float) -> str:
    return "N/A" if np.isnan(value) else f"{value:,.0f}"
