"""The Bank of Canada's Valet: exchange rates of the Canadian dollar.

Belongs here: observations of one series, the hour of publication. Does not: rates (the
market).

A day's rate is there from 16:30 in Toronto on, since 3 January 2017; none at weekends and on
a few holidays. In life it is an average of the day; here it is the day's first price, which
no later hour changes. Values are text. No key, no limit. https://www.bankofcanada.ca/valet/docs
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Call, Endpoint, Vendor, dump, endpoint

ZONE = ZoneInfo("America/Toronto")
PUBLISHED = time(16, 30)
FIRST = date(2017, 1, 3)
HOLIDAYS = {(1, 1), (7, 1), (9, 30), (11, 11), (12, 25), (12, 26)}
DOCS = "https://www.bankofcanada.ca/valet/docs"


class BankOfCanada(Vendor):
    """The bank's Valet API."""

    name: ClassVar[str] = "bank_of_canada"
    limits: ClassVar[Sequence[Limit]] = ()

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The endpoint served."""
        return _ENDPOINTS

    def account(
        self,
        query: Mapping[str, str],  # noqa: ARG002 - there are no keys
        headers: Mapping[str, str],  # noqa: ARG002 - there are no keys
    ) -> str | None:
        """Nobody has one."""
        return None

    def too_many(self) -> Answer:
        """Its 429."""
        return _error(429, "Too many requests.")

    def broken(self, status: int) -> Answer:
        """Its 5xx."""
        return _error(status, "The service is unavailable.")

    def error_inside(self) -> Answer:
        """An error in a 200."""
        return _error(200, "Too many requests.")

    def not_found(self) -> Answer:
        """An unknown path."""
        return _error(404, "The page you are looking for was not found.")


def observations(call: Call) -> Answer:
    """``/valet/observations/{series}/json``."""
    series = call.path["symbol"]
    match = re.fullmatch(r"FX([A-Z]{3})([A-Z]{3})", series)
    others = call.market.others
    instrument = others.find(f"{match[1]}/{match[2]}") if match else None
    if instrument is None or "CAD" not in (instrument.base, instrument.quote):
        return _error(404, f"Series {series} not found.")
    try:
        start = date.fromisoformat(call.query.get("start_date", str(FIRST)))
        end = date.fromisoformat(call.query.get("end_date", "9999-12-31"))
    except ValueError:
        return _error(400, "Bad start or end date: use YYYY-MM-DD")
    if start > end:
        return _error(400, "The End date must be greater than the Start date")
    local = call.now.astimezone(ZONE)
    last = local.date() - timedelta(days=local.time() < PUBLISHED)
    bars = others.bars(
        instrument.symbol, max(start, FIRST), min(end, last), live=True, now=call.now
    )
    rows = [
        {"d": str(day), series: {"v": f"{rate:.{instrument.decimals}f}"}}
        for day, rate in bars.select("session", "open").iter_rows()
        if (day.month, day.day) not in HOLIDAYS
    ]
    label = f"{instrument.base}/{instrument.quote}"
    detail = {
        "label": label,
        "description": f"{label} daily exchange rate",
        "dimension": {"key": "d", "name": "date"},
    }
    body = {
        "terms": {"url": "https://www.bankofcanada.ca/terms/"},
        "seriesDetail": {series: detail},
        "observations": rows,
    }
    return Answer(dump(body), cells=len(rows))


def _error(status: int, text: str) -> Answer:
    return Answer(dump({"message": text, "docs": DOCS}), status)


_ENDPOINTS = (endpoint("observations", "/valet/observations/{symbol}/json", observations),)
