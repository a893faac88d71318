"""Asking FRED for series.

Belongs here: addresses, parameters, paging. Does not: reading answers (parse.py), limits
(config.py). The key travels as a parameter, since FRED takes it nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.errors import InputError, Malformed, NoData
from stock_platform.sources.base import Facts, Question
from stock_platform.sources.fred.config import (
    BASE_URL,
    CAPABILITIES,
    KEYS_AT,
    NAME,
    OBSERVATIONS_PER_PAGE,
)
from stock_platform.sources.fred.envelope import Row
from stock_platform.sources.fred.parse import Page, Read, parse_info, parse_page, read_observations
from stock_platform.sources.http import Call
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource
from stock_platform.sources.transport import Secrets

MOST_PAGES = 100


class FredSource(VendorSource):
    """FRED as a Source of series."""

    def ask(self, question: Question) -> Facts:
        """A series' observations, or what it is; ``question.symbol`` is its id.

        Raises:
            InputError: another feed, or no id. UnknownSymbol: no such series. NoData: no
                observation in the range. SourceError: see Source.ask.
        """
        if question.feed not in self.capabilities.feeds:
            return super().ask(question)
        series = (question.symbol or "").strip().upper()
        if not series:
            raise InputError("symbol", question.symbol, "name a series, such as GDP or DGS10")
        with self.http.call() as call:
            if question.feed is Feed.SERIES_INFO:
                read = call.get(
                    "/series",
                    {"series_id": series, "file_type": "json"},
                    read=lambda r: parse_info(r.status, r.body, series),
                )
            else:
                read = self._observations(call, question, series)
            return call.stamp(Facts(question.feed, read.frame, read.rejected))

    def _observations(self, call: Call, question: Question, series: str) -> Read:
        """``GET /series/observations``, paged where there are more than 100,000."""
        params: dict[str, str | int] = {"series_id": series, "file_type": "json"}
        if question.start is not None:
            params["observation_start"] = str(question.start)
        if question.end is not None:
            params["observation_end"] = str(question.end)
        params |= {"sort_order": "asc", "limit": OBSERVATIONS_PER_PAGE}
        rows: list[Row] = []
        offset = 0
        for _ in range(MOST_PAGES):
            page = self._page(call, {**params, "offset": offset} if offset else params, series)
            rows += page.rows
            if page.next_offset is None:
                break
            offset = page.next_offset
        else:
            raise Malformed(NAME, f"{series}: more than {MOST_PAGES} pages")
        read = read_observations(rows, series, page.lacking)
        inside = pl.lit(value=True)
        if question.start is not None:
            inside &= pl.col("date") >= question.start
        if question.end is not None:
            inside &= pl.col("date") <= question.end
        read = Read(read.frame.filter(inside), read.rejected)
        if read.frame.is_empty() and read.rejected.is_empty():
            raise NoData(NAME, f"{question.describe()}: no observations")
        return read

    @staticmethod
    def _page(call: Call, params: Mapping[str, str | int], series: str) -> Page:
        offset = int(params.get("offset", 0))
        return call.get(
            "/series/observations",
            params,
            read=lambda r: parse_page(r.status, r.body, series, offset),
        )


def build(setup: Setup) -> FredSource:
    """The source, wired. Raises InputError without a key."""
    secrets = Secrets(params={"api_key": setup.needed_key(KEYS_AT)})
    return FredSource(setup.capabilities, setup.http_client(BASE_URL, secrets))


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
