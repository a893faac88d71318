"""Simulated days of live quotes: our own rounds, database and Yahoo source on a virtual clock.

Only the wire is made up: a vendor that has every symbol's price now, and remembers who was asked
for when. Hours are written down here by the local clocks, not taken from our calendars.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import polars as pl
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.pipeline.live import ask_due
from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import load_settings
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions
from stock_platform.storage import quotes, readers
from stock_platform_tests.domain.test_live import (
    LONDON,
    NEW_YORK,
    TOKYO,
    TOKYO_OLD,
    currencies,
    futures,
    holiday,
    local,
)
from stock_platform_tests.sources.vendors import as_json

Hours = Callable[[datetime], bool]

TOKYO_LATER = datetime(2024, 11, 4, 20, tzinfo=UTC)
"""From 5 November 2024 on Tokyo closes at 15:30."""

STOCKHOLM = local("Europe/Stockholm", ("09:00", "17:30"))

HOURS: dict[str, Hours] = {
    "AAPL": NEW_YORK,
    "VOD.L": LONDON,
    "ERIC-B.ST": holiday(STOCKHOLM, "Europe/Stockholm", "", "2024-11-01", "13:00"),
    "7203.T": lambda now: holiday(
        TOKYO if now >= TOKYO_LATER else TOKYO_OLD, "Asia/Tokyo", "2024-11-04"
    )(now),
    "GC=F": futures,
    "EUR/USD": currencies,
    "BTC-USD": lambda _: True,
}
"""In the week that New York's clocks change, Tokyo rests on Monday, and Stockholm closes early
on the eve of All Saints' Day."""

THANKSGIVING: dict[str, Hours] = {
    "AAPL": holiday(NEW_YORK, "America/New_York", "2024-11-28", "2024-11-29", "13:00"),
    "VOD.L": LONDON,
    "7203.T": TOKYO,
    "EUR/USD": currencies,
    "BTC-USD": lambda _: True,
}


class Simulation:
    """A platform whose clock is set by hand, and a vendor that remembers who was asked when."""

    def __init__(self, url: str, home: Path, now: datetime) -> None:
        self.time = now
        self.asked: dict[str, list[datetime]] = defaultdict(list)
        self.refusal: httpx.Response | None = None
        self.platform = Platform(
            load_settings(database_url=url, home=home, sources=("yahoo",)), self
        )
        quota = MemoryQuota(self._seconds, self._sleeps)
        self.platform.quota = quota
        self.platform.live_sources = {
            "yahoo": build(
                Setup(
                    SOURCES["yahoo"].capabilities,
                    quota,
                    self,
                    base_url="https://vendor.test",
                    http=HttpOptions(
                        transport=httpx.MockTransport(self._answer),
                        wall=self._seconds,
                        attempts=1,
                        max_pause=0.0,
                    ),
                )
            )
        }

    def now(self) -> datetime:
        return self.time

    def tracks(self, hours: dict[str, Hours], every: dict[str, int]) -> dict[str, int]:
        frame = self.platform.assets_for(list(hours))
        ids = dict(frame.select("ticker", "asset_id").iter_rows())
        for ticker, minutes in every.items():
            quotes.watch(self.platform.db, [ids[ticker]], minutes)
        return ids

    def tick(self, now: datetime) -> None:
        """A tick of the sensor."""
        self.time = now
        report = ask_due(self.platform)
        assert not report.failures, (now, report)
        assert not report.silent, (now, report)
        assert sum(report.calls.values()) <= 1, "all who are due share a call"

    def _answer(self, request: httpx.Request) -> httpx.Response:
        names = request.url.params["symbols"].split(",")
        stamp = int(self.time.timestamp())
        result = []
        for name in names:
            self.asked[name].append(self.time)
        if self.refusal is not None:
            return self.refusal
        for name in names:
            meta = {
                "currency": "USD",
                "symbol": name,
                "regularMarketPrice": 100.0 + stamp % 7,
                "regularMarketTime": stamp,
                "chartPreviousClose": 100.0,
            }
            result.append({"symbol": name, "response": [{"meta": meta}]})
        return as_json({"spark": {"result": result, "error": None}})

    def _seconds(self) -> float:
        return self.time.timestamp()

    def _sleeps(self, _seconds: float) -> None:
        raise AssertionError("a round waited for the quota")


@pytest.fixture
def simulated(database_url: str, tmp_path: Path) -> Iterator[Callable[[datetime], Simulation]]:
    made = []

    def start(now: datetime) -> Simulation:
        made.append(Simulation(database_url, tmp_path, now))
        return made[-1]

    yield start
    for simulation in made:
        simulation.platform.close()


def expected(hours: Hours, ticks: list[datetime], minutes: int) -> list[datetime]:
    """The first tick of each slot, or after a reopening within it, at which a place is open."""
    found, last, was_open = [], None, False
    for now in ticks:
        slot = int(now.timestamp()) // (60 * minutes)
        is_open = hours(now)
        if is_open and (slot != last or not was_open):
            found.append(now)
            last = slot
        was_open = is_open
    return found


def check(
    simulation: Simulation,
    hours: dict[str, Hours],
    ticks: list[datetime],
    every: dict[str, int],
) -> None:
    """Run the ticks; who was asked when, and what was stored of it."""
    ids = simulation.tracks(hours, every)
    for now in ticks:
        simulation.tick(now)
    names = {"EUR/USD": "EURUSD=X"}
    for ticker, open_at in hours.items():
        asked = simulation.asked[names.get(ticker, ticker)]
        wanted = expected(open_at, ticks, every.get(ticker, 15))
        assert wanted, ticker
        assert asked == wanted, ticker
    db = simulation.platform.db
    bars = readers.prices(db, list(ids.values()), interval=Interval.MINUTE)
    assert bars.height == sum(map(len, simulation.asked.values()))  # one a minute at the most
    latest = dict(quotes.latest(db).select("ticker", "quoted_at").iter_rows())
    assert latest == {t: simulation.asked[names.get(t, t)][-1] for t in hours}
    ages = quotes.ages(db)
    assert (ages["quotes"].sum(), ages["seconds"].sum()) == (bars.height, 0.0)
    sessions = bars.group_by("asset_id").agg(pl.col("session").unique().sort())
    weekdays = [d for row in sessions.filter(asset_id=ids["EUR/USD"])["session"] for d in row]
    assert all(day.weekday() < 5 for day in weekdays)


def every_quarter(start: datetime, end: datetime) -> list[datetime]:
    """A second before each quarter of an hour, and on it."""
    count = (end - start) // timedelta(minutes=15)
    return [
        start + timedelta(minutes=15 * n, seconds=late) for n in range(count) for late in (-1, 0)
    ]


def test_a_half_day_and_a_day_of_changed_clocks(
    simulated: Callable[[datetime], Simulation],
) -> None:
    """Stockholm's early close; then Sunday evening, when currencies open by New York's new clocks,
    and Monday, Tokyo's holiday, around the opens and closes of Europe and New York: on each
    quarter of an hour exactly those are asked for whose exchange trades, in one call."""
    ticks = [
        tick
        for first, last in (
            ("2024-11-01T11:30", "2024-11-01T12:30"),
            ("2024-11-03T21:45", "2024-11-03T23:15"),
            ("2024-11-04T00:00", "2024-11-04T00:30"),
            ("2024-11-04T07:45", "2024-11-04T08:30"),
            ("2024-11-04T13:30", "2024-11-04T14:45"),
            ("2024-11-04T16:15", "2024-11-04T16:45"),
            ("2024-11-04T20:45", "2024-11-04T23:15"),
        )
        for tick in every_quarter(
            *(datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (first, last))
        )
    ]
    hours = {t: h for t, h in HOURS.items() if t != "7203.T"}
    simulation = simulated(ticks[0])
    simulation.tracks({"7203.T": HOURS["7203.T"]}, {})
    check(simulation, hours, ticks, {})
    assert not simulation.asked["7203.T"]


def test_a_refusal_is_obeyed(simulated: Callable[[datetime], Simulation]) -> None:
    """After a 429 nobody is asked until Retry-After is over, then at once, in the middle of a
    slot; it is no failure of the source, and others are not asked twice."""
    noon = datetime(2024, 11, 6, 12, tzinfo=UTC)
    simulation = simulated(noon)
    simulation.tracks({"BTC-USD": HOURS["BTC-USD"]}, {})
    simulation.refusal = httpx.Response(429, headers={"retry-after": "1200"})
    report = ask_due(simulation.platform)
    assert "429" in report.failures["yahoo"]
    assert report.silent == ["BTC-USD"]
    assert not simulation.platform.router.pauses()
    simulation.refusal = None
    for minute in range(1, 30):
        simulation.time = noon + timedelta(minutes=minute)
        ask_due(simulation.platform)
    assert simulation.asked["BTC-USD"] == [noon, noon + timedelta(minutes=20)]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("first", "hours", "every"),
    [
        (datetime(2024, 10, 30, 12, 0, 7, tzinfo=UTC), HOURS, {"AAPL": 1, "ERIC-B.ST": 5}),
        (datetime(2024, 11, 25, 0, 0, 7, tzinfo=UTC), THANKSGIVING, {"AAPL": 1}),
    ],
    ids=["clocks, a holiday, a half day", "Thanksgiving"],
)
def test_a_week(
    simulated: Callable[[datetime], Simulation],
    first: datetime,
    hours: dict[str, Hours],
    every: dict[str, int],
) -> None:
    """Tick by tick, a minute apart: a share by the minute, the others by their quarter of an
    hour, all in the hours of their own exchange and at no other time."""
    ticks = [first + timedelta(minutes=n) for n in range(7 * 24 * 60)]
    check(simulated(first), hours, ticks, every)
