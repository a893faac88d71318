"""The fetch engine: what failures cost, and what becomes of every cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from stock_platform.domain.capabilities import Tile, TileShape
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import (
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.domain.health import TRIES_TO_OPEN
from stock_platform.pipeline.fetching import FetchStream, claim_key
from stock_platform.pipeline.report import FetchReport
from stock_platform_tests.pipeline.worlds import (
    COLUMN,
    ROW,
    SESSIONS,
    FakeMarket,
    FakeQuota,
    FakeSource,
    with_endpoint,
)


def run(market: FakeMarket, *sources: FakeSource, **options: Any) -> FetchReport:
    """Run a fetch of the whole market to its end, committing as a consumer does."""
    by_name: Mapping[str, Any] = {s.capabilities.source: s for s in sources}
    grid = options.pop("grid", market.grid())
    options.setdefault("patience", timedelta(0))
    stream = FetchStream(market, by_name, FakeQuota(), grid, **options)  # type: ignore[arg-type]  # fakes
    for batches in stream:
        market.commit(batches)
    return stream.report


def everyone(*tickers: str) -> dict[str, list[date]]:
    return dict.fromkeys(tickers, SESSIONS)


def test_one_row_call_covers_a_ticker_and_the_second_run_makes_none() -> None:
    """A ticker's range costs one call; running again asks for nothing."""
    market, source = FakeMarket(["AAA"]), FakeSource("one", everyone("AAA"), ROW)
    report = run(market, source)
    assert report.total_calls == 1
    assert report.states == {"stored": 4}
    again = run(market, source)
    assert (again.asked, again.total_calls, len(source.asked)) == (0, 0, 1)


def test_one_column_call_covers_the_market_and_marks_the_absent() -> None:
    """A whole-market day is one call, and who is not in the answer is settled too."""
    market = FakeMarket(["AAA", "BBB", "CCC"])
    source = FakeSource("grouped", everyone("AAA", "BBB"), COLUMN)
    report = run(market, source, grid=market.grid("AAA"))
    assert report.total_calls == len(SESSIONS)
    assert market.counts() == {"stored": 8, "no_data": 4}


def test_strangers_in_a_market_answer_are_reported() -> None:
    """Rows of symbols that belong to no asset are named, not dropped in silence."""
    market = FakeMarket(["AAA"])
    source = FakeSource("grouped", everyone("AAA", "ZZZ"), COLUMN)
    assert run(market, source).unknown_symbols == {"ZZZ"}


def test_an_unknown_symbol_costs_its_own_cells_only() -> None:
    """One bad ticker never stops the others, and the other source is asked for it."""

    def unknown(tile: Tile) -> SourceError | None:
        return UnknownSymbol("first", str(tile.symbol)) if tile.symbol == "BAD" else None

    market = FakeMarket(["AAA", "BAD"])
    first = FakeSource("first", everyone("AAA"), ROW, behaviour=unknown, preference=1)
    second = FakeSource("second", everyone("BAD"), ROW, preference=2)
    report = run(market, first, second)
    assert report.states == {"stored": 8}
    assert {t.symbol for t in second.asked} >= {"BAD"}


def test_a_symbol_nobody_knows_is_failed_with_that_reason() -> None:
    """A cell that cannot be had says why."""

    def unknown(tile: Tile) -> SourceError | None:
        return UnknownSymbol("x", str(tile.symbol)) if tile.symbol == "BAD" else None

    market = FakeMarket(["AAA", "BAD"])
    report = run(market, FakeSource("x", everyone("AAA"), ROW, behaviour=unknown))
    assert report.states == {"stored": 4, "failed": 4}
    assert report.reasons == {"failed: unknown symbol (x)": 4}
    assert report.failures == {"x: unknown_symbol": 1}


def test_out_of_quota_leaves_cells_waiting_with_a_time() -> None:
    """Cells of a source without quota wait, and the run ends instead of sleeping."""

    def limited(tile: Tile) -> SourceError | None:
        return RateLimited("x", "slow down", retry_after=3600)

    market = FakeMarket(["AAA", "BBB", "CCC"])
    source = FakeSource("x", {}, ROW, behaviour=limited, concurrency=1)
    report = run(market, source)
    assert report.states == {"waiting": 12}
    assert len(source.asked) == 1, "no further call once the quota is gone"


def test_out_of_quota_falls_back_to_another_source() -> None:
    """Another source that can serve the cells takes over within the run."""

    def limited(tile: Tile) -> SourceError | None:
        return RateLimited("x", "slow down", retry_after=3600)

    market = FakeMarket(["AAA", "BBB"])
    first = FakeSource("x", {}, ROW, behaviour=limited, preference=1)
    second = FakeSource("y", everyone("AAA", "BBB"), ROW, preference=2)
    report = run(market, first, second)
    assert report.states == {"stored": 8}


def test_a_dead_source_is_left_out_after_a_few_failures() -> None:
    """A source that keeps failing costs a few calls, not one for each ticker."""
    tickers = [f"T{n:03d}" for n in range(60)]
    market = FakeMarket(tickers)
    dead = FakeSource(
        "dead", {}, ROW, behaviour=lambda t: Unavailable("dead", "HTTP 503"), concurrency=1
    )
    report = run(market, dead)
    assert len(dead.asked) <= TRIES_TO_OPEN
    assert report.states == {"failed": 240}
    assert all("HTTP 503" in reason for reason in report.reasons)


def test_a_passing_failure_is_tried_once_more() -> None:
    """One truncated answer does not lose a ticker."""
    seen: list[str] = []

    def once(tile: Tile) -> SourceError | None:
        seen.append(str(tile.symbol))
        return Malformed("x", "truncated") if seen.count("AAA") == 1 and seen[-1] == "AAA" else None

    market = FakeMarket(["AAA", "BBB"])
    report = run(market, FakeSource("x", everyone("AAA", "BBB"), ROW, behaviour=once))
    assert report.states == {"stored": 8}
    assert report.failures == {"x: malformed": 1}


def test_an_answer_that_breaks_our_parser_costs_its_own_cells_only() -> None:
    """An unexpected exception is a failed cell with a reason, never the end of the run."""

    def broken(tile: Tile) -> SourceError | None:
        if tile.symbol == "BAD":
            raise ValueError("surprise")
        return None

    market = FakeMarket(["AAA", "BAD"])
    report = run(market, FakeSource("x", everyone("AAA"), ROW, behaviour=broken))
    assert report.states == {"stored": 4, "failed": 4}
    assert any("surprise" in reason for reason in report.reasons)


def test_no_data_for_a_session_just_closed_is_asked_for_again() -> None:
    """What is not published yet waits; it is not settled for ever."""

    def silent(tile: Tile) -> SourceError | None:
        return NoData("x", "nothing")

    market = FakeMarket(["AAA"])
    market.clock = FixedClock(datetime(2024, 3, 7, 21, 30, tzinfo=UTC))  # 30 minutes after
    report = run(market, FakeSource("x", {}, ROW, behaviour=silent))
    assert report.states == {"no_data": 3, "waiting": 1}


def test_a_call_that_another_run_never_ends_is_left_waiting() -> None:
    """A run does not wait without end for one that hangs."""
    market = FakeMarket(["AAA"])
    source = FakeSource("x", everyone("AAA"), ROW)
    tile = Tile("x", "row", market.grid().interval, SESSIONS[0], SESSIONS[-1], 1, "AAA")
    market.elsewhere.add(claim_key(tile))
    report = run(market, source, pause=lambda _seconds: None)
    assert (source.asked, report.states) == ([], {"waiting": 4})


def test_no_right_to_an_endpoint_is_learned_from_one_answer() -> None:
    """A 403 rules the endpoint out for the run; other endpoints serve the cells."""
    market = FakeMarket(["AAA", "BBB"])

    def forbidden(tile: Tile) -> SourceError | None:
        return NotEntitled("x", "premium") if tile.endpoint == "column" else None

    source = FakeSource(
        "x", everyone("AAA", "BBB"), ROW, COLUMN, behaviour=forbidden, concurrency=1
    )
    report = run(market, source)
    assert report.states == {"stored": 8}
    assert sum(t.endpoint == "column" for t in source.asked) <= 1


def test_no_data_from_a_complete_endpoint_settles_and_from_another_does_not() -> None:
    """Only a source whose silence means "no trade" may settle a cell."""

    def silent(tile: Tile) -> SourceError | None:
        return NoData("x", "nothing")

    settled = FakeMarket(["AAA"])
    run(settled, FakeSource("x", {}, ROW, behaviour=silent))
    assert settled.counts() == {"no_data": 4}

    market = FakeMarket(["AAA"])
    partial = with_endpoint(
        FakeSource("x", {}, ROW, behaviour=silent, preference=1), complete=False
    )
    other = FakeSource("y", everyone("AAA"), ROW, preference=2)
    assert run(market, partial, other).states == {"stored": 4}


def test_cells_outside_the_listing_cost_no_call() -> None:
    """What was not listed is settled without asking anyone."""
    market = FakeMarket(["AAA"], unlisted={"AAA": SESSIONS[2]})
    source = FakeSource("x", everyone("AAA"), ROW)
    report = run(market, source)
    assert market.counts() == {"not_listed": 2, "stored": 2}
    assert report.reasons == {"not_listed: outside the listing": 2}


def test_a_call_that_another_run_is_making_is_not_made_again() -> None:
    """A contested tile waits for the other run, and is dropped once its cells are there."""
    market = FakeMarket(["AAA"])
    source = FakeSource("x", everyone("AAA"), ROW)
    tile = Tile("x", "row", market.grid().interval, SESSIONS[0], SESSIONS[-1], 1, "AAA")
    market.elsewhere.add(claim_key(tile))

    def other_run_finishes(_seconds: float) -> None:
        market.elsewhere.clear()
        market.states.update({(1, day): ("stored", "") for day in SESSIONS})

    report = run(market, source, pause=other_run_finishes)
    assert (source.asked, report.shared) == ([], 1)


def test_a_consumer_that_dies_loses_only_what_it_did_not_commit() -> None:
    """Closing the stream early stops the threads and leaves committed cells settled."""
    market = FakeMarket([f"T{n}" for n in range(10)])
    source = FakeSource("x", everyone(*market.ids), ROW)
    stream = FetchStream(market, {"x": source}, FakeQuota(), market.grid())  # type: ignore[arg-type]  # fakes
    iterator = iter(stream)
    market.commit(next(iterator))
    market._claims.held.clear()
    iterator.close()  # type: ignore[attr-defined]  # a generator
    stored = market.counts().get("stored", 0)
    rest = run(market, source)
    assert rest.already == stored
    assert market.counts() == {"stored": 40}


BLOCK = replace(ROW, name="block", shape=TileShape.BLOCK, max_symbols=10, complete=False)


def test_a_block_brings_the_rows_of_all_it_names() -> None:
    """Twenty-five tickers in three calls; who is absent is asked for elsewhere."""
    tickers = [f"T{n:02d}" for n in range(25)]
    market = FakeMarket(tickers)
    source = FakeSource("block", everyone(*tickers[:24]), BLOCK)
    other = FakeSource("other", everyone(*tickers), ROW, preference=200)
    report = run(market, source, other)
    assert report.states == {"stored": 100}
    assert [len(tile.members) for tile in source.asked] == [10, 10, 5]
    assert [tile.symbol for tile in other.asked] == ["T24"]


def test_one_unknown_symbol_does_not_spoil_a_block() -> None:
    """The vendor refuses the call because of it: the others are asked for again, without it."""
    tickers = [f"T{n:02d}" for n in range(10)]
    market = FakeMarket(tickers)

    def refuse(tile: Tile) -> SourceError | None:
        return UnknownSymbol("block", "T03") if "T03" in tile.symbols else None

    source = FakeSource("block", everyone(*tickers), BLOCK, behaviour=refuse)
    report = run(market, source)
    assert report.states == {"stored": 36, "failed": 4}
    assert report.reasons == {"failed: unknown symbol (block)": 4}
    assert len(source.asked) == 2
