"""Asking for FinanceDatabase's files, one exchange after the other.

Belongs here: which files, in which order. Does not: reading one (parse.py).
"""

from __future__ import annotations

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.symbols import parse_symbol
from stock_platform.sources.base import FEED_SCHEMAS, Facts, Question
from stock_platform.sources.financedatabase.config import (
    BASE_URL,
    CAPABILITIES,
    EXCHANGES,
    NAME,
    PATH,
)
from stock_platform.sources.financedatabase.parse import Row, gather, read_rows
from stock_platform.sources.gathered import Gathered, only
from stock_platform.sources.http import Call
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource


class FinanceDatabaseSource(VendorSource):
    """FinanceDatabase as a Source."""

    def ask(self, question: Question) -> Facts:
        """LISTING or PROFILE of every US share there, or of one symbol.

        One request a file of ``EXCHANGES``, since no file holds them all; for one symbol only
        as far as the file that has it. A file that cannot be had fails the whole question:
        half a directory is no answer.

        Raises:
            InputError: another feed. UnknownSymbol: in none of the files. SourceError: see
                Source.ask.
        """
        feed = question.feed
        if feed not in (Feed.LISTING, Feed.PROFILE):
            return super().ask(question)
        symbol = parse_symbol(question.symbol).ticker if question.symbol is not None else None
        with self.http.call() as call:
            found = Gathered(NAME, "the files")
            for exchange in EXCHANGES:
                gather(found, self._file(call, exchange))
                if symbol in found:
                    break
            where = f"the files {', '.join(EXCHANGES)}"
            frame, rejected = only(NAME, found.frames(FEED_SCHEMAS[feed]), symbol, where)
            return call.stamp(Facts(feed, frame, rejected))

    def _file(self, call: Call, exchange: str) -> list[Row]:
        path = PATH.format(exchange)
        return call.get(path, {}, read=lambda r: read_rows(r.status, r.body, exchange))


def build(setup: Setup) -> FinanceDatabaseSource:
    """The source, wired."""
    http = setup.http_client(BASE_URL, accept="text/csv, text/plain, */*")
    return FinanceDatabaseSource(setup.capabilities, http)


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
