"""The European Central Bank's reference rates: three files of XML.

Belongs here: the files, the days and the hour of publication. Does not: rates (the market).

A day's rate is there from 16:00 Central European Time on. There is none at weekends and on
the days that TARGET is closed. In life it is the price of 14:15; here it is the day's first,
which every pair agrees on and which no later hour changes. No key, no limit, newest day first.
https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.market.others import CURRENCIES
from stock_platform.sandbox.vendors.base import Answer, Call, Endpoint, Vendor, endpoint

ZONE = ZoneInfo("Europe/Berlin")
PUBLISHED = 16
FOLDER = "/stats/eurofxref/"
XML = "text/xml"
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
    'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">\n'
    "\t<gesmes:subject>Reference rates</gesmes:subject>\n"
    "\t<gesmes:Sender>\n\t\t<gesmes:name>European Central Bank</gesmes:name>\n"
    "\t</gesmes:Sender>\n"
)


class Ecb(Vendor):
    """The bank's web server."""

    name: ClassVar[str] = "ecb"
    limits: ClassVar[Sequence[Limit]] = ()

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The files served."""
        return _ENDPOINTS

    def account(
        self,
        query: Mapping[str, str],  # noqa: ARG002 - there are no keys
        headers: Mapping[str, str],  # noqa: ARG002 - there are no keys
    ) -> str | None:
        """Nobody has one."""
        return None

    def too_many(self) -> Answer:
        """The web server's 429."""
        return _page(429, "Too Many Requests")

    def broken(self, status: int) -> Answer:
        """The web server's 5xx."""
        return _page(status, "Service Unavailable")

    def error_inside(self) -> Answer:
        """A page of the site in a 200."""
        return _page(200, "Sorry, this page is not available")

    def not_found(self) -> Answer:
        """An unknown path."""
        return _page(404, "Page not found")


def daily(call: Call) -> Answer:
    """``eurofxref-daily.xml``: the last day with rates."""
    days = _days(call, date.min)
    return _file(dict([max(days.items())]) if days else {})


def recent(call: Call) -> Answer:
    """``eurofxref-hist-90d.xml``: of the last 90 days."""
    return _file(_days(call, call.now.date() - timedelta(days=90)))


def whole(call: Call) -> Answer:
    """``eurofxref-hist.xml``: all there are."""
    return _file(_days(call, date.min))


def closed(day: date) -> bool:
    """Whether TARGET is closed on a weekday."""
    fixed = {(1, 1), (5, 1), (12, 25), (12, 26)}
    easter = _easter(day.year)
    return (day.month, day.day) in fixed or (day - easter).days in (-2, 1)


def _days(call: Call, since: date) -> dict[date, dict[str, str]]:
    """The rates that are published, by day and currency."""
    local = call.now.astimezone(ZONE)
    last = local.date() if local.hour >= PUBLISHED else local.date() - timedelta(days=1)
    days: dict[date, dict[str, str]] = defaultdict(dict)
    others = call.market.others
    for currency in ["USD", *sorted(set(CURRENCIES) - {"EUR"})]:
        pair = f"EUR/{currency}"
        instrument = others.find(pair)
        if instrument is None:
            continue
        bars = others.bars(pair, max(since, call.market.config.first_date), last,
                           live=True, now=call.now)  # fmt: skip
        for day, rate in bars.select("session", "open").iter_rows():
            if not closed(day):
                days[day][currency] = f"{rate:.{instrument.decimals}f}".rstrip("0").rstrip(".")
    return days


def _file(days: Mapping[date, Mapping[str, str]]) -> Answer:
    parts = []
    for day in sorted(days, reverse=True):
        rates = "".join(f'<Cube currency="{c}" rate="{r}"/>' for c, r in days[day].items())
        parts.append(f'<Cube time="{day}">{rates}</Cube>')
    text = f"{_HEAD}\t<Cube>{''.join(parts)}</Cube>\n</gesmes:Envelope>"
    return Answer(text.encode(), content_type=XML, cells=sum(map(len, days.values())))


def _page(status: int, title: str) -> Answer:
    text = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>"
    return Answer(text.encode(), status, "text/html; charset=utf-8")


def _easter(year: int) -> date:
    """Easter Sunday, by the anonymous Gregorian algorithm."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    h = (19 * a + b - d - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    i, k = divmod(c, 4)
    w = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * w) // 451
    month, day = divmod(h + w - 7 * m + 114, 31)
    return date(year, month, day + 1)


_ENDPOINTS = (
    endpoint("daily", f"{FOLDER}eurofxref-daily.xml", daily),
    endpoint("hist-90d", f"{FOLDER}eurofxref-hist-90d.xml", recent),
    endpoint("hist", f"{FOLDER}eurofxref-hist.xml", whole, slow_first=True),
)
