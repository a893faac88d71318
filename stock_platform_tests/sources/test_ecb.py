"""The ECB's reference rates against a vendor that answers as tests say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import ClassVar

import httpx
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.registry import SOURCES
from stock_platform_tests.sources.conformance import DAYS, SourceConformance
from stock_platform_tests.sources.vendors import Bar, Vendor, five_bars, source_of

MONDAY, FRIDAY = date(2024, 3, 4), date(2024, 3, 8)
WEEK = Tile("ecb", "reference", Interval.DAY, MONDAY, FRIDAY, 1, "EUR/USD")
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
    'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">'
    "<gesmes:subject>Reference rates</gesmes:subject>"
)


def xml(inside: str, head: str = HEAD) -> httpx.Response:
    text = f"{head}<Cube>{inside}</Cube></gesmes:Envelope>"
    return httpx.Response(200, content=text.encode(), headers={"content-type": "text/xml"})


def cube(row: Bar) -> str:
    rate = "" if row.close is None else f' rate="{row.close}"'
    return (
        f'<Cube time="{row.session}"><Cube currency="USD"{rate}/>'
        '<Cube currency="JPY" rate="160.5"/></Cube>'
    )


class TestConformance(SourceConformance):
    source: ClassVar[str] = "ecb"
    tile: ClassVar[Tile] = WEEK
    text: ClassVar[bool] = True
    stamps: ClassVar[list[datetime]] = [datetime(2024, 3, d, tzinfo=UTC) for d in DAYS]
    volumes: ClassVar[list[float | None]] = [None] * 5

    def answer(self, rows: Sequence[Bar]) -> httpx.Response:
        return xml("".join(cube(row) for row in rows))

    def empty(self) -> httpx.Response:
        return xml(" ")

    def refused(self) -> None:
        """Everybody may read them."""

    def notice(self) -> None:
        """There is no such page."""

    def test_reads_numbers_in_text(self) -> None:
        """One number a day, so all four prices are that one."""
        found = self.bars([Bar(MONDAY, close="1,710.85")]).row(0, named=True)
        assert [found[n] for n in ("open", "high", "low", "close")] == [1710.85] * 4
        assert found["volume"] is None

    def test_rejects_rows_it_cannot_read(self) -> None:
        """There is no high that could be a word; the rate can."""
        rows = five_bars()
        rows[1] = replace(rows[1], close=None)
        rows[2] = replace(rows[2], close="N/A")
        answer = self.fetch(self.answer(rows))
        assert answer.bars["session"].dt.day().to_list() == [4, 7, 8]
        assert answer.rejected["session"].dt.day().to_list() == [5, 6]
        reasons = answer.rejected["reasons"].to_list()
        assert reasons == [["close is null"], ["'N/A' is not a number"]]

    def test_leaves_out_a_live_bar(self) -> None:
        """A rate does not change once it is published: today's is final at 16:00."""
        now = datetime(2024, 3, 8, 16, tzinfo=UTC)
        answer = self.fetch(self.answer(five_bars()), now=now)
        assert answer.bars["session"].max() == FRIDAY
        assert answer.unfinished == frozenset()
        before = self.fetch(self.answer(five_bars()[:4]), now=now)
        assert before.bars["session"].max() == date(2024, 3, 7)
        assert before.unfinished == {FRIDAY}

    def test_the_key_stays_secret(self) -> None:
        """There is none."""
        assert SOURCES["ecb"].capabilities.variables == ()


@pytest.mark.parametrize(
    ("start", "path"),
    [
        (MONDAY, "/stats/eurofxref/eurofxref-hist-90d.xml"),
        (date(2023, 12, 15), "/stats/eurofxref/eurofxref-hist-90d.xml"),
        (date(2023, 12, 14), "/stats/eurofxref/eurofxref-hist.xml"),
        (date(1999, 1, 4), "/stats/eurofxref/eurofxref-hist.xml"),
    ],
)
def test_asks_for_the_smallest_file_that_reaches(start: date, path: str) -> None:
    """85 days back from Saturday 2024-03-09 is 15 December."""
    vendor = Vendor([TestConformance().answer(five_bars())])
    source_of("ecb", vendor).fetch(replace(WEEK, start=start))
    assert [request.url.path for request in vendor.asked] == [path]
    assert not vendor.asked[0].url.query


def test_one_file_serves_every_pair() -> None:
    """Kept, and read again for another currency."""
    vendor = Vendor([TestConformance().answer(five_bars())])
    source = source_of("ecb", vendor, base_url=None)
    assert source.fetch(WEEK).currency == "USD"
    yen = source.fetch(replace(WEEK, symbol="EUR/JPY"))
    assert set(yen.bars["close"]) == {160.5}
    assert (len(vendor.asked), yen.cached) == (1, True)


@pytest.mark.parametrize(
    ("symbol", "hint"),
    [
        ("USD/EUR", "only EUR/USD is published"),
        ("GBP/USD", "EUR/GBP and EUR/USD"),
        ("AAPL", "currencies only"),
        ("BTC-EUR", "currencies only"),
    ],
)
def test_nothing_is_derived(symbol: str, hint: str) -> None:
    """Inverse rates and crosses are unknown, with what to ask instead; no call is made."""
    vendor = Vendor([])
    with pytest.raises(UnknownSymbol, match=hint):
        source_of("ecb", vendor).fetch(replace(WEEK, symbol=symbol))
    assert not vendor.asked


def test_a_currency_without_rates() -> None:
    """Unknown where the whole history lacks it; in 90 days it may just be suspended."""
    answer = TestConformance().answer(five_bars())
    with pytest.raises(NoData, match="has 2 currencies"):
        source_of("ecb", Vendor([answer])).fetch(replace(WEEK, symbol="EUR/RUB"))
    long = replace(WEEK, symbol="EUR/RUB", start=date(2020, 1, 2))
    with pytest.raises(UnknownSymbol, match="no rate of RUB"):
        source_of("ecb", Vendor([answer])).fetch(long)


def test_days_outside_the_range_are_left_out() -> None:
    """The file has every day."""
    tile = replace(WEEK, end=date(2024, 3, 5))
    answer = source_of("ecb", Vendor([TestConformance().answer(five_bars())])).fetch(tile)
    assert answer.bars["session"].to_list() == [MONDAY, date(2024, 3, 5)]
    with pytest.raises(NoData, match=r"no rates in 2024-03-02\.\.2024-03-03"):
        source_of("ecb", Vendor([TestConformance().answer(five_bars())])).fetch(
            replace(WEEK, start=date(2024, 3, 2), end=date(2024, 3, 3))
        )


BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (xml("&b;", BOMB + HEAD.partition("\n")[2]), Malformed, "declares types or entities"),
        (httpx.Response(200, content=BOMB.encode("utf-16")), Malformed, "XML"),
        (httpx.Response(200, text="Service confused"), Malformed, "text instead of XML: Service"),
        (httpx.Response(200, text="<a/>"), Malformed, "no rates in the XML"),
        (xml('<Cube time="soon"><Cube currency="USD" rate="1"/></Cube>'), Malformed, "'soon'"),
        (xml('<Cube time="2024-13-01"><Cube currency="USD" rate="1"/></Cube>'), Malformed, "month"),
        (httpx.Response(404, text="gone"), Unavailable, "the file has moved"),
        (httpx.Response(403, text="not from here"), NotEntitled, "not from here"),
        (httpx.Response(400, text="odd"), Malformed, "HTTP 400: odd"),
    ],
)
def test_errors_by_their_meaning(answer: httpx.Response, kind: type[Exception], said: str) -> None:
    """No entity is ever expanded; what is no file of rates says what it was."""
    with pytest.raises(kind, match=said):
        source_of("ecb", Vendor([answer])).fetch(WEEK)


def test_it_stands_by() -> None:
    """A reference rate is no traded price: it is used where nothing else reaches."""
    capabilities = SOURCES["ecb"].capabilities
    assert capabilities.standby
    assert capabilities.endpoint("reference").complete is False
    with pytest.raises(InputError, match="name one"):
        source_of("ecb", Vendor([])).fetch(replace(WEEK, symbol=None))
