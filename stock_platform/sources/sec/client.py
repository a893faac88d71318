"""Asking the SEC: one file, every ticker.

Belongs here: the address, and the one symbol of the file that is wanted. Does not: reading
the file (parse.py).
"""

from __future__ import annotations

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.symbols import parse_symbol
from stock_platform.sources.base import Facts, Question
from stock_platform.sources.gathered import only
from stock_platform.sources.sec.config import BASE_URL, CAPABILITIES, NAME, PATH
from stock_platform.sources.sec.parse import parse_tickers
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource


class SecSource(VendorSource):
    """The SEC as a Source."""

    def ask(self, question: Question) -> Facts:
        """LISTING: ticker, name and CIK of every filer, or of one symbol; one request.

        Raises:
            InputError: another feed. UnknownSymbol: no filer has it. NotEntitled: also where
                our User-Agent does not say who asks. SourceError: see Source.ask.
        """
        if question.feed is not Feed.LISTING:
            return super().ask(question)
        symbol = parse_symbol(question.symbol).ticker if question.symbol is not None else None
        with self.http.call() as call:
            frames = call.get(PATH, {}, read=lambda r: parse_tickers(r.status, r.body))
            frame, rejected = only(NAME, frames, symbol, "the SEC's tickers")
            return call.stamp(Facts(Feed.LISTING, frame, rejected))


def build(setup: Setup) -> SecSource:
    """The source, wired."""
    return SecSource(setup.capabilities, setup.http_client(BASE_URL))


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
