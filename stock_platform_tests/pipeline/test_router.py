"""The router within a run: circuits, fallback, sources that come back, refusals that are kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.errors import (
    Malformed,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.domain.health import FIRST_PAUSE, TRIES_TO_OPEN, Health
from stock_platform.pipeline.fetching import PATIENCE, FetchStream
from stock_platform.pipeline.report import FetchReport
from stock_platform.pipeline.router import KEYLESS_AGAIN, MemoryBook, Router, account
from stock_platform.storage.health import ENTITLED_AGAIN
from stock_platform_tests.pipeline.worlds import (
    NOW,
    ROW,
    SESSIONS,
    FakeMarket,
    FakeQuota,
    FakeSource,
)

TICKERS = [f"T{n:03d}" for n in range(40)]
EVERYTHING = dict.fromkeys(TICKERS, SESSIONS)


class World:
    """A market whose wall clock moves when somebody waits."""

    def __init__(self, tickers: list[str] = TICKERS) -> None:
        self.at = NOW
        self.market = FakeMarket(tickers)
        self.market.wall = self  # type: ignore[assignment]  # a clock that moves
        self.book = MemoryBook(self.now)

    def now(self) -> datetime:
        return self.at

    def pause(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def run(self, *sources: FakeSource, **options: Any) -> FetchReport:
        stream = FetchStream(
            self.market,  # type: ignore[arg-type]  # a fake
            {s.capabilities.source: s for s in sources},
            FakeQuota(),  # type: ignore[arg-type]  # a fake
            self.market.grid(),
            router=Router(self.book),
            pause=self.pause,
            **options,
        )
        for batches in stream:
            self.market.commit(batches)
        return stream.report


@pytest.mark.parametrize(
    "failure",
    [
        lambda: Unavailable("main", "HTTP 503"),
        lambda: Malformed("main", "an HTML page instead of JSON"),
        lambda: RateLimited("main", "too many calls", 7200.0),
    ],
    ids=["outage", "html", "429"],
)
def test_when_the_main_source_dies_in_mid_run_others_take_over(failure: Any) -> None:
    """After twenty good calls every one fails: the rest comes from elsewhere, at once."""
    world, good = World(), []

    def dies(tile: Tile) -> SourceError | None:
        good.append(tile)
        return failure() if len(good) > 20 else None

    main = FakeSource("main", EVERYTHING, ROW, behaviour=dies, preference=1, concurrency=1)
    other = FakeSource("other", EVERYTHING, ROW, preference=2)
    report = world.run(main, other)
    assert report.states == {"stored": 160}
    assert world.at == NOW, "nobody waited"
    assert len(main.asked) + len(other.asked) <= 40 + TRIES_TO_OPEN


def test_a_source_that_comes_back_is_used_again() -> None:
    """The only source is down for a quarter of a minute: the run waits, and loses nothing."""
    world = World()

    def down(tile: Tile) -> SourceError | None:
        back = world.at >= NOW + timedelta(seconds=14)
        return None if back else Unavailable("only", "connection refused")

    only = FakeSource("only", EVERYTHING, ROW, behaviour=down)
    report = world.run(only)
    assert report.states == {"stored": 160}
    assert timedelta(seconds=14) <= world.at - NOW < timedelta(seconds=20)
    assert len(only.asked) <= 40 + TRIES_TO_OPEN + 4


def test_patience_ends() -> None:
    """A source that stays away costs half a minute or so; its cells say when to ask again."""
    world = World()
    only = FakeSource("only", {}, ROW, behaviour=lambda t: Unavailable("only", "HTTP 503"))
    report = world.run(only)
    assert report.states == {"failed": 160}
    assert world.at - NOW <= 2 * PATIENCE
    assert len(only.asked) <= TRIES_TO_OPEN + 6
    assert all("HTTP 503" in reason for reason in report.reasons)


def test_the_next_run_leaves_an_open_circuit_alone() -> None:
    """What one run learned, the next knows; once the pause is over it tries again."""
    world = World()
    only = FakeSource("only", EVERYTHING, ROW, behaviour=lambda t: Unavailable("only", "HTTP 503"))
    world.run(only, patience=timedelta(0))
    asked = len(only.asked)
    world.run(only, patience=timedelta(0))
    assert len(only.asked) == asked
    only.behaviour = lambda t: None
    world.at += FIRST_PAUSE
    assert world.run(only, patience=timedelta(0)).states == {"stored": 160}


def test_not_entitled_is_learned_for_the_runs_to_come() -> None:
    """The endpoint is asked once, by one run."""
    world = World()
    poor = FakeSource(
        "poor", {}, ROW, behaviour=lambda t: NotEntitled("poor", "upgrade"), concurrency=1
    )
    assert world.run(poor).states == {"failed": 160}
    assert len(poor.asked) == 1
    again = FakeSource("poor", EVERYTHING, ROW)
    world.run(again)
    assert again.asked == []
    assert account(world.book)["poor"]["not_entitled"] == {ROW.name: "upgrade"}


def test_an_unknown_symbol_is_not_asked_for_again() -> None:
    """The next run goes to who knows it at once; whoever insists asks everybody again."""
    world = World(["AAA"])
    blind = FakeSource(
        "blind", {}, ROW, behaviour=lambda t: UnknownSymbol("blind", "AAA"), preference=1
    )
    seeing = FakeSource("seeing", {"AAA": SESSIONS}, ROW, preference=2)
    world.run(blind, seeing)
    world.market.states.clear()
    world.run(blind, seeing)
    assert (len(blind.asked), len(seeing.asked)) == (1, 2)
    world.market.states.clear()
    world.run(blind, seeing, retry_failed=True)
    assert len(blind.asked) == 2


def test_better_liked_is_who_fails_less() -> None:
    """Of two sources that cost the same, the one that failed lately stands behind."""
    world = World(["AAA"])
    world.book.succeeded("a", 0.5, 10)
    for _ in range(3):
        world.book.failed("a", "HTTP 500", 1)
    first = FakeSource("a", {"AAA": SESSIONS}, ROW, preference=50)
    second = FakeSource("b", {"AAA": SESSIONS}, ROW, preference=51)
    world.run(first, second)
    assert (len(first.asked), len(second.asked)) == (0, 1)


def test_successes_are_written_together() -> None:
    """A thousand calls do not write a thousand records; in the end all are counted."""
    world, writes = World(), []
    original = world.book.succeeded

    def counted(source: str, seconds: float, calls: int = 1) -> Health:
        writes.append(calls)
        return original(source, seconds, calls)

    world.book.succeeded = counted  # type: ignore[method-assign]  # counts
    world.run(FakeSource("one", EVERYTHING, ROW))
    assert sum(writes) == 40
    assert len(writes) <= 4


def test_a_standby_source_is_asked_for_what_others_lack() -> None:
    """Not for anything that another source reaches; for all of it when that one is gone."""
    world = World(["AAA", "BBB"])
    main = FakeSource("main", {"AAA": SESSIONS, "BBB": SESSIONS}, ROW)
    spare = FakeSource("spare", {"AAA": SESSIONS, "BBB": SESSIONS}, ROW, preference=1)
    spare.capabilities = with_standby(spare)
    world.run(main, spare)
    assert spare.asked == []
    world = World(["AAA", "BBB"])
    main.behaviour = lambda t: Unavailable("main", "HTTP 503")
    assert world.run(main, spare).states == {"stored": 8}
    assert {t.symbol for t in spare.asked} == {"AAA", "BBB"}
    assert all(t.interval is Interval.DAY for t in spare.asked)


def with_standby(source: FakeSource) -> Any:
    return replace(source.capabilities, standby=True)


def test_a_bar_that_cannot_be_true_is_asked_for_elsewhere() -> None:
    """It is stored as it came; the cell gets a second bar, and without one it stands."""
    world = World(["AAA"])
    bad = FakeSource("bad", {"AAA": SESSIONS}, ROW, preference=1)
    original = bad.fetch

    def spoilt(tile: Tile) -> Any:
        answer = original(tile)
        first = answer.bars["session"] == SESSIONS[0]
        prices = {n: pl.when(first).then(-pl.col(n)).otherwise(n) for n in ("open", "low")}
        return replace(answer, bars=answer.bars.with_columns(**prices))

    bad.fetch = spoilt  # type: ignore[method-assign]  # wrong data
    good = FakeSource("good", {"AAA": SESSIONS}, ROW, preference=2)
    report = world.run(bad, good)
    assert report.states == {"stored": 4}
    assert report.doubted == 1
    assert [(t.start, t.symbol) for t in good.asked] == [(SESSIONS[0], "AAA")]
    alone = World(["AAA"])
    assert alone.run(bad).states == {"stored": 4}
    assert len(bad.asked) == 2


def test_without_a_key_a_refusal_is_soon_forgotten() -> None:
    """A source without a key has no plan that could lack anything: an hour, not a week."""
    at = [NOW]
    router = Router(MemoryBook(lambda: at[0]))
    router.failed("yahoo", "chart", NotEntitled("yahoo", "Invalid Crumb"), keyed=False)
    router.failed("finnhub", "candle", NotEntitled("finnhub", "no access"))
    assert router.barred() == {("yahoo", "chart"), ("finnhub", "candle")}
    at[0] += KEYLESS_AGAIN + timedelta(seconds=1)
    assert router.barred() == {("finnhub", "candle")}
    at[0] += ENTITLED_AGAIN
    assert router.barred() == frozenset()


def test_one_of_many_threads_tries_a_half_open_circuit() -> None:
    """Without a database too."""
    at = [NOW]
    book = MemoryBook(lambda: at[0])
    for _ in range(TRIES_TO_OPEN):
        book.failed("main", "down", 1)
    at[0] += FIRST_PAUSE
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: book.may_try("main"), range(32))) == 1


def test_a_panic_in_a_thread_ends_the_run() -> None:
    """What is no Exception (polars panics so) is raised, not waited for."""

    def panics(tile: Tile) -> SourceError | None:
        raise Panic

    with pytest.raises(Panic):
        World().run(FakeSource("main", EVERYTHING, ROW, behaviour=panics))


class Panic(BaseException):
    """As polars' own."""
