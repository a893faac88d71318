"""What the vendors that serve web pages share: pages, robots.txt, and shares as they show them.

Belongs here: an HTML page's frame, the vendors' common answers, an asset's days and last price
split-adjusted. Does not: any site's own layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape
from typing import ClassVar

import numpy as np
import polars as pl

from stock_platform.sandbox.faults import spoil
from stock_platform.sandbox.market.asset import Asset
from stock_platform.sandbox.market.intraday import so_far
from stock_platform.sandbox.market.timeline import Timeline
from stock_platform.sandbox.vendors.base import Answer, Call, Vendor

HTML = "text/html; charset=utf-8"
PRICES = ("open", "high", "low", "close")


def document(title: str, head: str, body: str) -> bytes:
    """A whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en-US">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    ).encode()


def robots(text: str) -> Answer:
    """A robots.txt."""
    return Answer(text.encode(), content_type="text/plain")


class PageVendor(Vendor):
    """A site without keys, that counts by address and answers with pages."""

    title: ClassVar[str]

    def account(
        self,
        query: Mapping[str, str],  # noqa: ARG002 - it knows no keys
        headers: Mapping[str, str],  # noqa: ARG002 - it knows no keys
    ) -> str | None:
        """None: it counts by address."""
        return None

    def too_many(self) -> Answer:
        """Its 429."""
        return self._said(429, "Too Many Requests")

    def broken(self, status: int) -> Answer:
        """Its 5xx."""
        return self._said(status, "Service Unavailable" if status == 503 else "Server Error")

    def error_inside(self) -> Answer:
        """A page without what was asked for, in a 200."""
        return self._said(200, "Oops, something went wrong")

    def not_found(self) -> Answer:
        """An unknown path."""
        return self._said(404, "Page Not Found")

    def _said(self, status: int, words: str) -> Answer:
        page = document(f"{words} - {self.title}", "", f"<h1>{words}</h1>")
        return Answer(page, status, HTML)


def trading(call: Call, ticker: str, spelling: str = "canonical") -> Asset | None:
    """The share that trades under a ticker now; None for unknown and delisted ones."""
    started = call.market.time.opened(call.now)
    asset = call.market.carrying(ticker, started - 1, spelling) if started else None
    return None if asset is None or asset.delisted < started else asset


def days(call: Call, asset: Asset) -> pl.DataFrame:
    """Every session with a trade, the running one as far as it has come.

    Columns: session, open, high, low, close (dollars), volume: split-adjusted as of the call,
    and spoilt by a bar fault.
    """
    market, time = call.market, call.market.time
    last = time.opened(call.now) - 1
    history = market.history(asset)
    sessions = history.traded(asset.listed, last + 1)
    prices, volume = history.values(sessions)
    if len(sessions) and sessions[-1] == last and call.now.timestamp() < time.closes[last]:
        running = so_far(market, asset, last, call.now.timestamp())
        if len(running.stamps):
            prices[:, -1], volume[-1] = running.prices[:, 0], running.volume[0]
        else:
            sessions, prices, volume = sessions[:-1], prices[:, :-1], volume[:-1]
    factor = history.split_factor(sessions, last)
    columns = dict(zip(PRICES, prices / factor, strict=True))
    columns["volume"] = np.rint(volume * factor)
    spoil(columns, call.fault)
    session = pl.Series("session", time.days[sessions]).cast(pl.Date)
    return pl.DataFrame({"session": session, **columns})


@dataclass(frozen=True)
class Last:
    """A price now: its currency, the close before, and when it was made (epoch seconds)."""

    price: float
    previous: float
    stamp: int
    currency: str


def last_of_share(call: Call, asset: Asset) -> Last | None:
    """The last price of a share; None before its second day."""
    table = days(call, asset)
    if table.height < 2:
        return None
    day: date = table["session"][-1]
    time = call.market.time
    closes = int(time.closes[time.index(day)])
    close, before = table["close"][-1], table["close"][-2]
    stamp = min(int(call.now.timestamp()), closes)
    return Last(round(close, 4), round(before, 4), stamp, "USD")


def last_of_other(call: Call, symbol: str) -> Last | None:
    """The last price of a coin, a currency pair or an index, by its canonical symbol."""
    others = call.market.others
    instrument = others.find(symbol)
    if instrument is None:
        return None
    since = Timeline.local(call.now).date() - timedelta(days=14)
    table = others.bars(symbol, since, live=True, now=call.now)
    if table.height < 2:
        return None
    hours = others.hours(symbol).filter(pl.col("session") == table["session"][-1])
    closes = int(hours["opens"][0] + hours["length"][0])
    stamp = min(int(call.now.timestamp()), closes)
    return Last(table["close"][-1], table["close"][-2], stamp, instrument.quote)
