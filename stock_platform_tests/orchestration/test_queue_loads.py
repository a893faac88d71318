"""Many purchases at once, processes that are killed, and vendors that refuse: the queue holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_platform.domain.errors import RateLimited, SourceError, UnknownSymbol
from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import Settings
from stock_platform.storage import assets, backfills, portfolio, readers
from stock_platform.storage.connection import Database
from stock_platform_tests.orchestration.conftest import NOW
from stock_platform_tests.orchestration.test_backfills import at, buy, fill, job, step
from stock_platform_tests.orchestration.worlds import World
from stock_platform_tests.pipeline.worlds import ROW, FakeSource, everybody

USERS = ("a", "b", "c", "d", "e")
REPOSITORY = Path(__file__).parents[2]
HISTORY = 274  # sessions from a year before 2024-02-05 to 2024-03-08
CALLS_AT_ONCE = 2  # of the fake vendor


def buy_at_once(world: World, tickers: list[str]) -> None:
    """Every ticker, by five users, who send theirs at the same time."""
    with ThreadPoolExecutor(len(USERS)) as threads:
        sent = [threads.submit(buy, world, *tickers, user=user) for user in USERS]
        for done in sent:
            done.result()


def check_all_is_there(db: Database, tickers: list[str]) -> None:
    """A job, a history and five holders for each; no event is open, no row is doubled."""
    ids = assets.resolve(db, tickers)
    jobs = backfills.jobs(db, limit=1000)
    assert sorted(jobs["asset_id"]) == sorted(ids.values()), "one job a ticker"
    assert set(jobs["state"]) == {"completed"}
    assert portfolio.open_events(db) == []
    prices = readers.prices(db, list(ids.values()))
    assert Counter(prices["asset_id"]) == dict.fromkeys(ids.values(), HISTORY)
    with db.connect() as connection:
        held = connection.execute(
            "select count(*), min(holders), max(holders) from stocks.tracked_assets"
        ).fetchone()
    assert held == (len(tickers), len(USERS), len(USERS))


def test_five_hundred_transactions_at_once(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """Of a hundred tickers: a hundred backfills, one run, a call for each and none twice."""
    tickers = sorted(everybody())
    short = settings.model_copy(update={"start_date": date(2024, 3, 7)})  # few partitions to show
    with World.of(short, tickers) as world:
        buy_at_once(world, tickers)
        assert len(portfolio.open_events(world.platform.db)) == 500
        [request] = step(world, instance).run_requests
        assert request.tags["stock_platform/due"] == "100"
        assert fill(world, instance).success
        assert not step(world, instance).run_requests
        assert Counter(tile.symbol for tile in world.vendor.asked) == dict.fromkeys(tickers, 1)
        check_all_is_there(world.platform.db, tickers)


def run_until_killed(kind: str, settings: Settings, mark: str, times: int) -> list[str]:
    """Run the process; kill -9 it when it has told ``mark`` so often. What it told."""
    assert settings.database_url is not None
    environment = os.environ | {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "STOCK_PLATFORM_HOME": str(settings.home),
        "STOCK_PLATFORM_MARKET_TIME": NOW.isoformat(),
        "STOCK_PLATFORM_START_DATE": "2024-03-07",
        "PYTHONPATH": str(REPOSITORY),
    }
    words = [sys.executable, "-m", "stock_platform_tests.orchestration.queue_process", kind]
    said: list[str] = []
    with subprocess.Popen(
        words, env=environment, cwd=settings.home, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            said.append(line.strip())
            if sum(told.startswith(mark) for told in said) == times:
                process.send_signal(signal.SIGKILL)
                break
        said += [line.strip() for line in process.stdout]
    return said


def survive(
    kind: str, settings: Settings, tickers: list[str], kills: list[tuple[str, int]]
) -> None:
    """Kill the process at each of these points; the last one ends by itself, and all is there."""
    with World.of(settings, tickers) as world:
        buy_at_once(world, tickers)
    asked: list[str] = []
    runs = 0
    for mark, times in [*kills, ("done", 1)]:
        said = run_until_killed(kind, settings, mark, times)
        assert any(line.startswith(mark) for line in said), said[-5:]
        asked += [line for line in said if line.startswith("asked")]
        runs += any(line.startswith("asked") for line in said)
    assert runs <= len(kills) + 1
    again = Counter(asked).total() - len(set(asked))
    assert len({line.split()[1] for line in asked}) == len(tickers)
    assert again <= CALLS_AT_ONCE * 2 * len(kills), "only calls under way at a kill come again"
    with Platform.from_settings(settings) as platform:
        check_all_is_there(platform.db, tickers)
        log = readers.fetch_log(platform.db, limit=10_000)
    assert Counter(log["tile"]).most_common(1)[0][1] == 1, "no answer was stored twice"
    assert log.height == len(tickers)


def test_killed_between_sensor_and_run_and_within(settings: Settings) -> None:
    """What the sensor does, and its run, killed at every step: nothing is lost or doubled."""
    kills = [("ticked", 1), ("asked", 7)]
    survive("plain", settings, sorted(everybody())[:20], kills)


@pytest.mark.thorough
def test_the_sensor_and_the_run_are_killed(settings: Settings) -> None:
    """500 transactions of 100 tickers; Dagster's own sensor and run, killed six times."""
    kills = [
        ("ticked", 1),
        ("asked", 1),
        ("asked", 20),
        ("ticked", 1),
        ("asked", 45),
        ("worked", 1),
    ]
    survive("dagster", settings, sorted(everybody()), kills)


REFUSED = ["AAA", "BBB", "CCC"]
CALM = [f"Z{letter}" for letter in "ABCDEF"]


def a_storm(world: World, told: float | None) -> None:
    """One vendor refuses all, the other has what the first is not needed for."""

    def refusing(tile: object) -> SourceError:
        return RateLimited("vendor", "slow down", told or 3600, guessed=told is None)

    def knowing(tile: object) -> SourceError | None:
        symbol = getattr(tile, "symbol", None)
        return UnknownSymbol("calm", str(symbol)) if symbol in REFUSED else None

    days = next(iter(everybody().values()))
    calm = FakeSource("calm", dict.fromkeys(CALM, days), ROW, behaviour=knowing, preference=1)
    world.vendor.behaviour = refusing
    world.platform.__dict__["sources"]["calm"] = calm


@pytest.mark.parametrize("told", [1800.0, None], ids=["Retry-After", "no Retry-After"])
def test_a_storm_of_refusals(
    settings: Settings, instance: dg.DagsterInstance, told: float | None
) -> None:
    """Refused jobs wait as long as the vendor says, or 5, 10, 20 and 40 minutes; others go on.

    Waiting for what the vendor said is no attempt. The fifth refusal without a word ends a job,
    which says why, and a retry makes it due again.
    """
    waits = [told / 60, told / 60] if told else [5.0, 10.0, 20.0, 40.0]
    short = settings.model_copy(update={"start_date": date(2024, 3, 7)})
    with World.of(short, REFUSED) as world:
        a_storm(world, told)
        db = world.platform.db
        buy(world, *REFUSED)
        minutes = 0.0
        for number, wait in enumerate(waits):
            now = at(world, minutes)
            buy(world, CALM[number])
            before = len(world.vendor.asked)
            assert step(world, instance).run_requests
            assert fill(world, instance).success
            assert 1 <= len(world.vendor.asked) - before <= CALLS_AT_ONCE, "a storm is not fed"
            assert job(world, CALM[number])["state"] == "completed"
            for ticker in REFUSED:
                found = job(world, ticker)
                assert found["state"] == "rate_limited"
                assert found["attempts"] == (0 if told else number + 1)
                waiting = found["retry_after"] - now - timedelta(minutes=wait)
                assert timedelta(0) <= waiting <= timedelta(minutes=1 if told else 0)
                assert ("out of quota" if told else "too many calls") in found["error"]
            at(world, minutes + wait - 0.1)
            assert backfills.due(db, world.platform.market.wall.now()) == 0
            assert not step(world, instance).run_requests
            minutes += wait + (1 if told else 0)  # the ledger's times are whole minutes
        at(world, minutes)
        if told is None:
            fill(world, instance)
            assert {job(world, t)["state"] for t in REFUSED} == {"failed"}
            assert {job(world, t)["attempts"] for t in REFUSED} == {5}
            assert backfills.retry(db) == len(REFUSED)
        world.vendor.behaviour = lambda tile: None
        at(world, minutes + 60)
        assert step(world, instance).run_requests
        assert fill(world, instance).success
        assert backfills.states(db)["completed"] == len(REFUSED) + len(waits)
