"""Refreshing series: one failure does not stop the others, calls are logged."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from stock_platform.domain.capabilities import Capabilities, Feed, Limit, Tile
from stock_platform.domain.errors import InputError, UnknownSymbol
from stock_platform.pipeline.router import MemoryBook, Router
from stock_platform.pipeline.series import refresh_series
from stock_platform.sources.base import FEED_SCHEMAS, Answer, Facts, Question
from stock_platform.storage.connection import Database
from stock_platform.storage.readers import usage
from stock_platform.storage.series import known, series


class Library:
    """A source of one series."""

    capabilities = Capabilities(
        "library", limits=(Limit(2, 1.0),), feeds=(Feed.SERIES, Feed.SERIES_INFO)
    )

    def fetch(self, tile: Tile) -> Answer:
        raise AssertionError(tile)

    def ask(self, question: Question) -> Facts:
        if question.symbol != "GDP":
            raise UnknownSymbol("library", question.symbol or "", "The series does not exist.")
        rows: list[dict[str, object]] = [
            {"series_id": "GDP", "title": "Gross Domestic Product"}
            if question.feed is Feed.SERIES_INFO
            else {"series_id": "GDP", "date": date(2024, 1, 1), "value": 28_297.0}
        ]
        return Facts(question.feed, pl.DataFrame(rows, schema=FEED_SCHEMAS[question.feed]))

    def close(self) -> None:
        pass


def test_one_that_fails_does_not_stop_the_others(database: Database) -> None:
    """What came is stored; what failed says why; the second time nothing is new."""
    router = Router(MemoryBook())
    report = refresh_series(database, {"library": Library()}, router, ["nope", "gdp"])
    assert report.written == {"GDP": 1}
    assert "The series does not exist" in report.failures["NOPE"]
    assert series(database, ["GDP"])["value"].to_list() == [28_297.0]
    assert known(database)["title"].to_list() == ["Gross Domestic Product"]
    assert refresh_series(database, {"library": Library()}, router, ["GDP"]).written == {"GDP": 0}
    (day,) = usage(database, 1).to_dicts()
    assert (day["source"], day["calls"]) == ("library", 5)


def test_without_a_source_of_series(database: Database) -> None:
    """Says which key is lacking."""
    with pytest.raises(InputError, match="FRED_API_KEY"):
        refresh_series(database, {}, Router(MemoryBook()), ["GDP"])
    with pytest.raises(InputError, match="name at least one"):
        refresh_series(database, {}, Router(MemoryBook()), [])
