"""Asking NASDAQ's stock screener: one answer, every stock.

Belongs here: the address, and the one symbol of the answer that is wanted. Does not: reading
the answer (parse.py).
"""

from __future__ import annotations

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.symbols import parse_symbol
from stock_platform.sources.base import Facts, Question
from stock_platform.sources.gathered import only
from stock_platform.sources.nasdaq_screener.config import (
    BASE_URL,
    CAPABILITIES,
    NAME,
    PARAMETERS,
    PATH,
)
from stock_platform.sources.nasdaq_screener.parse import parse_screener
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource


class NasdaqScreenerSource(VendorSource):
    """NASDAQ's stock screener as a Source."""

    def ask(self, question: Question) -> Facts:
        """LISTING or PROFILE of every stock, or of one symbol; one request either way.

        Raises:
            InputError: another feed. UnknownSymbol: not in the screener. SourceError: see
                Source.ask.
        """
        feed = question.feed
        if feed not in (Feed.LISTING, Feed.PROFILE):
            return super().ask(question)
        symbol = parse_symbol(question.symbol).ticker if question.symbol is not None else None
        with self.http.call() as call:
            frames = call.get(
                PATH, PARAMETERS, read=lambda r: parse_screener(r.status, r.body, feed)
            )
            frame, rejected = only(NAME, frames, symbol, "the screener's stocks")
            return call.stamp(Facts(feed, frame, rejected))


def build(setup: Setup) -> NasdaqScreenerSource:
    """The source, wired."""
    return NasdaqScreenerSource(setup.capabilities, setup.http_client(BASE_URL))


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
