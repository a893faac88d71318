"""The SEC's company tickers: who files, by ticker and CIK.

Belongs here: endpoints, who may ask, limits and errors, and the two small files. Does not:
anything else of EDGAR.

Ten requests a second. There is no key: who asks must say so in the User-Agent, with an e-mail
address, and is counted by it; others get a page with a status of 403. ETFs do not file under
their tickers here. https://www.sec.gov/search-filings/edgar-search-assistance/accessing-edgar-data
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from stock_platform.sandbox.config import Limit
from stock_platform.sandbox.vendors.base import Answer, Call, Endpoint, Vendor, dump, endpoint

_EXCHANGES = {"XNAS": "Nasdaq", "XNYS": "NYSE", "XASE": "NYSE", "ARCX": "NYSE", "BATS": "CBOE"}
_CONTACT = re.compile(r"\S+@\S+\.\S+")


def _page(status: int, title: str, text: str) -> Answer:
    body = (
        f"<!DOCTYPE html>\n<html><head><title>SEC.gov | {title}</title></head>"
        f"<body><h1>{title}</h1><p>{text}</p></body></html>"
    )
    return Answer(body.encode(), status, "text/html")


class Sec(Vendor):
    """The files of www.sec.gov that name tickers."""

    name: ClassVar[str] = "sec"
    limits: ClassVar[Sequence[Limit]] = ((10, 1.0),)

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The endpoints served."""
        return _ENDPOINTS

    def account(
        self,
        query: Mapping[str, str],  # noqa: ARG002 - nothing of the caller is there
        headers: Mapping[str, str],
    ) -> str | None:
        """The User-Agent, if it has an e-mail address."""
        agent = headers.get("user-agent", "")
        return agent if _CONTACT.search(agent) else None

    def authorize(
        self,
        key: str | None,
        known: Sequence[str] | None,  # noqa: ARG002 - anybody with an address may ask
    ) -> Answer | None:
        """403 for who does not say who asks."""
        if key is not None:
            return None
        return _page(
            403,
            "Your Request Originates from an Undeclared Automated Tool",
            "To allow for equitable access to all users, SEC reserves the right to limit "
            "requests originating from undeclared automated tools. Please declare your traffic "
            "by updating your user agent to include company specific information.",
        )

    def too_many(self) -> Answer:
        """Its refusal of who asks too fast."""
        return _page(
            429,
            "Request Rate Threshold Exceeded",
            "You have exceeded the SEC's maximum request rate of 10 requests per second.",
        )

    def broken(self, status: int) -> Answer:
        """Its 5xx."""
        return _page(status, "Server Error", "The service is unavailable.")

    def error_inside(self) -> Answer:
        """A page in a 200."""
        return _page(
            200, "Request Rate Threshold Exceeded", "Your access to SEC.gov will be limited."
        )

    def not_found(self) -> Answer:
        """An unknown path."""
        body = "<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>"
        return Answer(body.encode(), 404, "application/xml")


def _filers(call: Call) -> Iterator[tuple[int, str, str, str]]:
    """CIK, name, ticker and exchange of what is listed now."""
    session = call.market.time.opened(call.now) - 1
    for asset in call.market.assets:
        if asset.alive(session) and asset.kind != "ETF":
            ticker = asset.ticker_at(session).yahoo
            yield 1_000_000 + asset.number, asset.name, ticker, _EXCHANGES[asset.exchange]


def _tickers(call: Call) -> Answer:
    """``company_tickers.json``."""
    rows = {
        str(n): {"cik_str": cik, "ticker": ticker, "title": name}
        for n, (cik, name, ticker, _) in enumerate(_filers(call))
    }
    return Answer(dump(rows), cells=len(rows))


def _exchanges(call: Call) -> Answer:
    """``company_tickers_exchange.json``."""
    rows = list(_filers(call))
    body = {"fields": ["cik", "name", "ticker", "exchange"], "data": rows}
    return Answer(dump(body), cells=len(rows))


_ENDPOINTS = (
    endpoint("tickers", "/files/company_tickers.json", _tickers),
    endpoint("exchanges", "/files/company_tickers_exchange.json", _exchanges),
)
