"""Asking for Google Finance's pages.

Belongs here: addresses, which exchange to try. Does not: reading pages (parse.py), spellings
and limits (config.py). Needs no key, sends no cookies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from stock_platform.domain.errors import InputError, UnknownSymbol
from stock_platform.domain.symbols import parse_symbol
from stock_platform.sources.base import Facts, Question
from stock_platform.sources.google_finance.config import (
    ACCEPT,
    BASE_URL,
    CAPABILITIES,
    NAME,
    spellings,
)
from stock_platform.sources.google_finance.parse import parse_quote
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource


@dataclass(frozen=True)
class GoogleFinanceSource(VendorSource):
    """Google Finance as a Source of quotes."""

    known: dict[str, str] = field(default_factory=dict)
    """Names that were found, by ticker, so that the next time one request is enough."""

    def ask(self, question: Question) -> Facts:
        """The quote of one symbol.

        Raises:
            SourceError: see Source.ask.
        """
        if question.feed not in self.capabilities.feeds:
            return super().ask(question)
        if question.symbol is None:
            raise InputError("symbol", None, "name one: a page is about one symbol")
        symbol = parse_symbol(question.symbol)
        try:
            names = spellings(symbol)
        except InputError as error:
            raise UnknownSymbol(NAME, symbol.ticker, str(error)) from None
        if symbol.ticker in self.known:
            names = (self.known[symbol.ticker],)
        with self.http.call() as call:
            for name in names:
                try:
                    frame = call.get(
                        f"/finance/quote/{quote(name, safe=':')}",
                        {"hl": "en"},
                        read=lambda response, name=name: parse_quote(  # type: ignore[misc]  # mypy cannot infer it
                            response.status, response.body, symbol=symbol.ticker, name=name
                        ),
                    )
                except UnknownSymbol:
                    continue
                self.known[symbol.ticker] = name
                return call.stamp(Facts(question.feed, frame))
            self.known.pop(symbol.ticker, None)
            raise UnknownSymbol(NAME, symbol.ticker, f"no page under {', '.join(names)}")


def build(setup: Setup) -> GoogleFinanceSource:
    """The source, wired."""
    http = setup.http_client(BASE_URL, accept=ACCEPT, robots=True)
    return GoogleFinanceSource(setup.capabilities, http)


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
