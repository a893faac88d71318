"""Asking NASDAQ Trader: one file, the whole directory.

Belongs here: the address, and the one symbol of the directory that is wanted. Does not:
reading the file (parse.py).
"""

from __future__ import annotations

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.symbols import parse_symbol
from stock_platform.sources.base import Facts, Question
from stock_platform.sources.gathered import only
from stock_platform.sources.nasdaqtrader.config import BASE_URL, CAPABILITIES, NAME, PATH
from stock_platform.sources.nasdaqtrader.parse import parse_directory
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource


class NasdaqTraderSource(VendorSource):
    """NASDAQ Trader as a Source."""

    def ask(self, question: Question) -> Facts:
        """LISTING: what is listed in the United States now, or one symbol of it.

        One request either way; ``start`` and ``end`` mean nothing here.

        Raises:
            InputError: another feed. UnknownSymbol: not in the directory. SourceError: see
                Source.ask.
        """
        if question.feed is not Feed.LISTING:
            return super().ask(question)
        symbol = parse_symbol(question.symbol).ticker if question.symbol is not None else None
        with self.http.call() as call:
            frames = call.get(PATH, {}, read=lambda r: parse_directory(r.status, r.body))
            frame, rejected = only(NAME, frames, symbol, "the directory of what is listed now")
            return call.stamp(Facts(Feed.LISTING, frame, rejected))


def build(setup: Setup) -> NasdaqTraderSource:
    """The source, wired."""
    http = setup.http_client(BASE_URL, accept="text/plain, */*")
    return NasdaqTraderSource(setup.capabilities, http)


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
