"""The Bank of Canada's rates against a vendor that answers as tests say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import httpx
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.errors import InputError, Malformed, NoData, NotEntitled, UnknownSymbol
from stock_platform.sources.registry import SOURCES
from stock_platform_tests.sources.conformance import DAYS, SourceConformance
from stock_platform_tests.sources.vendors import Bar, Vendor, as_json, five_bars, source_of

MONDAY, FRIDAY = date(2024, 3, 4), date(2024, 3, 8)
WEEK = Tile("bank_of_canada", "observations", Interval.DAY, MONDAY, FRIDAY, 1, "USD/CAD")


def answer_of(rows: Sequence[Bar], series: str = "FXUSDCAD") -> dict[str, Any]:
    return {
        "terms": {"url": "https://www.bankofcanada.ca/terms/"},
        "seriesDetail": {series: {"label": "USD/CAD", "dimension": {"key": "d", "name": "date"}}},
        "observations": [
            {"d": str(row.session), series: {"v": None if row.close is None else str(row.close)}}
            for row in rows
        ],
    }


class TestConformance(SourceConformance):
    source: ClassVar[str] = "bank_of_canada"
    tile: ClassVar[Tile] = WEEK
    stamps: ClassVar[list[datetime]] = [datetime(2024, 3, d, tzinfo=UTC) for d in DAYS]
    volumes: ClassVar[list[float | None]] = [None] * 5

    def answer_of(self, rows: Sequence[Bar]) -> Any:
        return answer_of(rows)

    def empty(self) -> httpx.Response:
        return as_json(answer_of([]))

    def refused(self) -> None:
        """Everybody may read them."""

    def notice(self) -> httpx.Response:
        return as_json({"message": "Too many requests, please try again later."})

    def test_reads_numbers_in_text(self) -> None:
        """One number a day, so all four prices are that one."""
        found = self.bars([Bar(MONDAY, close="1.3574")]).row(0, named=True)
        assert [found[n] for n in ("open", "high", "low", "close")] == [1.3574] * 4
        assert found["volume"] is None

    def test_rejects_rows_it_cannot_read(self) -> None:
        """There is no high that could be a word; the rate can."""
        rows = five_bars()
        rows[1] = replace(rows[1], close=None)
        rows[2] = replace(rows[2], close="Bank holiday")
        answer = self.fetch(self.answer(rows))
        assert answer.bars["session"].dt.day().to_list() == [4, 7, 8]
        reasons = answer.rejected["reasons"].to_list()
        assert reasons == [["close is null"], ["'Bank holiday' is not a number"]]

    def test_leaves_out_a_live_bar(self) -> None:
        """A rate does not change once it is published: today's is final at 16:30."""
        now = datetime(2024, 3, 8, 22, tzinfo=UTC)
        assert self.fetch(self.answer(five_bars()), now=now).bars["session"].max() == FRIDAY
        before = self.fetch(self.answer(five_bars()[:4]), now=now)
        assert before.unfinished == {FRIDAY}

    def test_the_key_stays_secret(self) -> None:
        """There is none."""
        assert SOURCES["bank_of_canada"].capabilities.variables == ()


@pytest.mark.parametrize(
    ("symbol", "series", "currency"),
    [
        ("USD/CAD", "FXUSDCAD", "CAD"),
        ("CAD/USD", "FXCADUSD", "USD"),
        ("EUR/CAD", "FXEURCAD", "CAD"),
    ],
)
def test_asks_for_the_series_of_the_pair(symbol: str, series: str, currency: str) -> None:
    """Both directions are published."""
    vendor = Vendor([as_json(answer_of(five_bars(), series))])
    answer = source_of("bank_of_canada", vendor).fetch(replace(WEEK, symbol=symbol))
    assert vendor.asked[0].url.path == f"/valet/observations/{series}/json"
    assert dict(vendor.asked[0].url.params) == {
        "start_date": "2024-03-04",
        "end_date": "2024-03-08",
    }
    assert (answer.bars.height, answer.currency) == (5, currency)


@pytest.mark.parametrize(
    ("symbol", "hint"), [("EUR/USD", "EUR/CAD, USD/CAD"), ("AAPL", "currencies only")]
)
def test_nothing_is_derived(symbol: str, hint: str) -> None:
    """Crosses are unknown, with what to ask instead; no call is made."""
    vendor = Vendor([])
    with pytest.raises(UnknownSymbol, match=hint):
        source_of("bank_of_canada", vendor).fetch(replace(WEEK, symbol=symbol))
    assert not vendor.asked


def test_today_is_not_published_yet() -> None:
    """An empty answer before 16:30 in Toronto settles nothing."""
    tile = replace(WEEK, start=FRIDAY)
    vendor = Vendor([as_json(answer_of([]))])
    now = datetime(2024, 3, 8, 15, tzinfo=UTC)
    answer = source_of("bank_of_canada", vendor, now=now).fetch(tile)
    assert (answer.unfinished, answer.requests) == (frozenset({FRIDAY}), 1)
    with pytest.raises(NoData):
        source_of("bank_of_canada", vendor).fetch(tile)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (as_json({"message": "Series FXUSDCAD not found.", "docs": "https://x"}, 404),
         UnknownSymbol, "Series FXUSDCAD not found"),
        (as_json({"message": "Bad start date", "docs": "https://x"}, 400), Malformed, "Bad start"),
        (httpx.Response(403, text="not from here"), NotEntitled, "not from here"),
        (as_json(answer_of(five_bars(), "FXCADUSD")), Malformed, "was given FXCADUSD"),
        (as_json({"observations": {"d": 1}}), Malformed, "not an array"),
        (as_json({"observations": [1]}), Malformed, "not an object"),
        (as_json({"observations": [{"d": 20240304, "FXUSDCAD": {"v": "1"}}]}), Malformed, "a date"),
        (as_json({"observations": [{"d": "2024-03-04"}]}), Malformed, "close is null"),
    ],
)  # fmt: skip
def test_errors_by_their_meaning(answer: httpx.Response, kind: type[Exception], said: str) -> None:
    """In the bank's words where it has some."""
    with pytest.raises(kind, match=said):
        source_of("bank_of_canada", Vendor([answer])).fetch(WEEK)


def test_it_stands_by() -> None:
    """A reference rate is no traded price: it is used where nothing else reaches."""
    capabilities = SOURCES["bank_of_canada"].capabilities
    assert capabilities.standby
    assert capabilities.endpoint("observations").complete is False
    with pytest.raises(InputError, match="name one"):
        source_of("bank_of_canada", Vendor([])).fetch(replace(WEEK, symbol=None))
