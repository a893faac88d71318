"""What every source must do, whatever its vendor: a test class that each one inherits.

A subclass says how its vendor would answer (``answer_of``, or ``answer`` where that is no
JSON, and the hooks below); the claims are here. The bars asked for are five of one ticker,
the week of 4 March 2024. A hook that returns None says that the vendor has no such answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import httpx
import polars as pl
import pytest

from stock_platform.domain.bars import PARSED_BARS, Interval
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.errors import (
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
)
from stock_platform.sources.base import Answer
from stock_platform.sources.registry import SOURCES
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sources.vendors import (
    KEY,
    Bar,
    FakeTime,
    Vendor,
    as_json,
    five_bars,
    source_of,
)

HTML = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>x</body></html>"
MONDAY, FRIDAY = date(2024, 3, 4), date(2024, 3, 8)
DAYS = range(4, 9)


class SourceConformance:
    """Inherit, and say how the vendor answers."""

    source: ClassVar[str]
    tile: ClassVar[Tile]

    # ---- the vendor's side, by subclass ----

    text: ClassVar[bool] = False
    """Whether answers are lines of text (CSV) instead of JSON."""

    stamps: ClassVar[list[datetime]] = [datetime(2024, 3, d, 14, 30, tzinfo=UTC) for d in DAYS]
    """Of the five bars: their sessions' openings."""

    volumes: ClassVar[list[float | None]] = [1000, 1001, 1002, 1003, 1004]

    def answer_of(self, rows: Sequence[Bar]) -> Any:
        """The JSON document that holds these bars, in this order."""
        raise NotImplementedError

    def answer(self, rows: Sequence[Bar]) -> httpx.Response:
        """The answer that holds these bars, in this order."""
        return as_json(self.answer_of(rows))

    def empty(self) -> httpx.Response | None:
        """The answer for a range without bars."""
        raise NotImplementedError

    def refused(self) -> httpx.Response | None:
        """The answer for a plan that lacks the data."""
        raise NotImplementedError

    def notice(self) -> httpx.Response | None:
        """HTTP 200 that says "too many calls"."""
        raise NotImplementedError

    # ---- asking ----

    def fetch(self, *answers: httpx.Response | Exception, **options: Any) -> Answer:
        return source_of(self.source, Vendor(list(answers)), **options).fetch(self.tile)

    def bars(self, rows: Sequence[Bar]) -> pl.DataFrame:
        return self.fetch(self.answer(rows)).bars

    # ---- the claims ----

    def test_gives_the_bars_as_parsed_bars(self) -> None:
        """A good answer becomes bars of the schema, stamped at the session's opening."""
        answer = self.fetch(self.answer(five_bars()))
        assert dict(answer.bars.schema) == PARSED_BARS
        assert answer.bars["session"].to_list() == [b.session for b in five_bars()]
        assert answer.bars["ts"].to_list() == self.stamps
        assert answer.bars["close"].to_list() == [10.5, 11.5, 12.5, 13.5, 14.5]
        assert answer.bars["volume"].to_list() == self.volumes
        assert answer.rejected.is_empty()
        assert (answer.requests, answer.http_status, answer.cached) == (1, 200, False)

    def test_sorts_rows(self) -> None:
        """Rows in any order come out by time."""
        assert self.bars(five_bars()[::-1])["session"].is_sorted()

    def test_folds_equal_duplicates(self) -> None:
        """A row that comes twice is one bar, and no news."""
        answer = self.fetch(self.answer([*five_bars(), five_bars()[-1]]))
        assert answer.bars.height == 5
        assert answer.rejected.is_empty()

    def test_tells_of_duplicates_that_differ(self) -> None:
        """Two rows of one time that disagree: one is kept, the other is rejected, loudly."""
        answer = self.fetch(self.answer([*five_bars(), replace(five_bars()[-1], close=14.25)]))
        assert answer.bars.height == 5
        assert answer.rejected["session"].to_list() == [FRIDAY]

    def test_reads_numbers_in_text(self) -> None:
        """Numbers may come as text, in scientific notation, with thousands separators."""
        row = Bar(MONDAY, "10", "1.1e1", "9.0", "10.5", "1,234,567")
        found = self.bars([row]).row(0, named=True)
        assert (found["open"], found["high"], found["close"]) == (10.0, 11.0, 10.5)
        assert found["volume"] == 1234567.0

    def test_rejects_rows_it_cannot_read(self) -> None:
        """A row with words for numbers, or without a close, is told with its reason."""
        rows = five_bars()
        rows[1] = replace(rows[1], close=None)
        rows[2] = replace(rows[2], high="n/a")
        answer = self.fetch(self.answer(rows))
        assert answer.bars["session"].dt.day().to_list() == [4, 7, 8]
        assert answer.rejected.sort("session")["session"].dt.day().to_list() == [5, 6]
        reasons = answer.rejected.sort("session")["reasons"].to_list()
        assert "close is null" in reasons[0][0]
        assert "'n/a' is not a number" in reasons[1][0]

    def test_leaves_out_a_live_bar(self) -> None:
        """A session that is not over has no bar yet, and is told as unfinished."""
        answer = self.fetch(self.answer(five_bars()), now=datetime(2024, 3, 8, 18, tzinfo=UTC))
        assert answer.bars["session"].max() == date(2024, 3, 7)
        assert answer.unfinished == {FRIDAY}

    def test_no_bars_is_no_data(self) -> None:
        """A range without bars is NoData."""
        nothing = self.empty()
        if nothing is not None:
            with pytest.raises(NoData):
                self.fetch(nothing)

    def test_not_entitled(self) -> None:
        """A plan that lacks the data is NotEntitled, in the vendor's words, asked once."""
        refusal = self.refused()
        if refusal is None:
            return
        vendor = Vendor([refusal])
        with pytest.raises(NotEntitled, match="plan") as caught:
            source_of(self.source, vendor).fetch(self.tile)
        assert (len(vendor.asked), caught.value.requests) == (1, 1)

    def test_waits_out_a_short_refusal(self) -> None:
        """429 with a short Retry-After: wait exactly as long, then ask again."""
        time = FakeTime()
        answer = self.fetch(
            httpx.Response(429, headers={"retry-after": "7"}, text="slow down"),
            self.answer(five_bars()),
            time=time,
        )
        assert answer.bars.height == 5
        assert (answer.requests, answer.rate_limited) == (2, 1)
        assert time.slept == [7.0]

    def test_gives_up_on_a_long_refusal(self) -> None:
        """429 with a long Retry-After is RateLimited with the time to wait, and blocks all."""
        vendor = Vendor([httpx.Response(429, headers={"retry-after": "3600"})])
        source = source_of(self.source, vendor)
        for _ in range(2):
            with pytest.raises(RateLimited) as caught:
                source.fetch(self.tile)
            assert caught.value.retry_after == pytest.approx(3600)
        assert len(vendor.asked) == 1, "the second call must not reach the vendor"

    def test_waits_longer_each_time_without_retry_after(self) -> None:
        """429 without Retry-After: the shortest window, twice as long the next time."""
        time = FakeTime()
        limited = httpx.Response(429, text="Too Many Requests")
        options = HttpOptions(max_wait=1000)
        answer = self.fetch(limited, limited, self.answer(five_bars()), time=time, http=options)
        assert answer.bars.height == 5
        first = min(x.seconds for x in SOURCES[self.source].capabilities.limits)
        assert time.slept == [first, 2 * first]

    def test_understands_a_notice_in_a_good_status(self) -> None:
        """HTTP 200 with "too many calls" inside is a refusal like a 429."""
        notice = self.notice()
        if notice is None:
            return
        answer = self.fetch(notice, self.answer(five_bars()))
        assert (answer.bars.height, answer.rate_limited) == (5, 1)

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (HTML, "HTML page.*Just a moment"),
            (b"", "empty"),
            (b"Service temporarily confused", "text instead of JSON: Service temp"),
            (b'"a word"', "not an object|text instead"),
            (b"[1, 2]", "not an object"),
            (b"{}", "no "),
        ],
    )
    def test_tells_what_came_instead(self, body: bytes, said: str) -> None:
        """What is not the documented answer is Malformed, and says what it was."""
        if self.text and body.startswith((b'"', b"[", b"{", b"Service")):
            said = "."
        with pytest.raises(Malformed, match=said):
            self.fetch(httpx.Response(200, content=body))

    def test_truncated_body(self) -> None:
        """An answer cut short anywhere is Malformed, never half an answer.

        Lines of text that end with a line do not tell.
        """
        whole = self.answer(five_bars()).content
        for cut in range(2, len(whole) - 1, 37):
            if self.text and whole[cut - 1 : cut] == b"\n":
                continue
            with pytest.raises(Malformed, match=r"cut short|broken JSON|header|column"):
                self.fetch(httpx.Response(200, content=whole[:cut]))

    def test_retries_what_passes(self) -> None:
        """5xx and broken connections are tried again, each try with a grant of its own."""
        answer = self.fetch(
            httpx.Response(503, text="maintenance"),
            httpx.ConnectError("refused"),
            self.answer(five_bars()),
        )
        assert (answer.bars.height, answer.requests) == (5, 3)

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (httpx.ConnectError("Connection refused"), "cannot reach https://vendor.test"),
            (httpx.ReadTimeout("t"), "no answer from https://vendor.test"),
            (httpx.Response(502, content=HTML), "HTTP 502 .*Just a moment"),
            (httpx.Response(307, headers={"location": "https://consent.test/x"}), "consent.test"),
        ],
    )
    def test_gives_up_after_three_tries(
        self, answer: httpx.Response | Exception, said: str
    ) -> None:
        """What stays broken is Unavailable, in words, with the tries counted."""
        with pytest.raises(Unavailable, match=said) as caught:
            self.fetch(answer)
        assert caught.value.requests == 3

    def test_refuses_huge_answers(self) -> None:
        """An answer beyond the limit is not read to its end."""
        with pytest.raises(Malformed, match="longer than 1000 bytes"):
            self.fetch(
                httpx.Response(200, content=self.answer(five_bars()).content + b" " * 5000),
                http=HttpOptions(max_bytes=1000),
            )

    def test_asks_for_leave_every_time(self) -> None:
        """Calls beyond the limit wait for the window, counted from the answers."""
        time = FakeTime()
        source = source_of(self.source, Vendor([self.answer(five_bars())]), time=time)
        limit = source.capabilities.limits[0]
        for day in range(limit.calls + 1):
            start = self.tile.start - timedelta(days=day)
            end = start if self.tile.symbol is None else self.tile.end
            try:
                source.fetch(replace(self.tile, start=start, end=end))
            except SourceError as error:
                assert error.status in {"malformed", "no_data"}, error  # noqa: PT017 - other days
        assert time.slept == [limit.seconds]

    def test_the_key_stays_secret(self) -> None:
        """No key in a message or a cause, even where the vendor echoes it."""
        vendor = Vendor([httpx.Response(403, text=f"plan of key {KEY} is poor")])
        with pytest.raises(SourceError) as caught:
            source_of(self.source, vendor).fetch(self.tile)
        if SOURCES[self.source].capabilities.variables:
            assert KEY not in str(caught.value)
            assert KEY not in caught.value.detail
            assert caught.value.__cause__ is None

    def test_asks_again_only_what_is_not_cached(self) -> None:
        """A good answer about the past is used again; an error never is."""
        vendor = Vendor([httpx.Response(200, text="{"), self.answer(five_bars())])
        source = source_of(self.source, vendor, base_url=None)
        with pytest.raises(Malformed):
            source.fetch(self.tile)
        first, second = source.fetch(self.tile), source.fetch(self.tile)
        assert len(vendor.asked) == 2
        assert first.bars.equals(second.bars)
        assert (second.cached, second.requests) == (True, 0)

    def test_a_stand_in_is_always_asked(self) -> None:
        """A sandbox or a replay may say something else under the same address."""
        rows = five_bars()
        vendor = Vendor([self.answer(rows), self.answer(rows[:2])])
        source = source_of(self.source, vendor)
        assert [source.fetch(self.tile).bars.height for _ in range(2)] == [5, 2]

    def test_serves_only_what_it_says(self) -> None:
        """Capabilities name the source; the tile's endpoint and interval are among them."""
        capabilities = source_of(self.source, Vendor([])).capabilities
        assert capabilities.source == self.source
        endpoint = capabilities.endpoint(self.tile.endpoint)
        assert self.tile.interval in endpoint.intervals
        assert Interval.DAY in endpoint.intervals
        assert capabilities.limits, "a vendor without limits does not exist"
