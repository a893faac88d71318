"""Quotas in PostgreSQL: never one call too many, whoever asks, whatever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stock_platform.domain.capabilities import Limit
from stock_platform.domain.errors import RateLimited
from stock_platform.storage.connection import Database
from stock_platform.storage.quota import HOLD_SECONDS, PostgresQuota

START = datetime(2024, 3, 10, 4, 30, tzinfo=UTC)  # the night New York's clocks go forward
DAY = 86_400.0


class Time:
    """A clock that moves when told, or when somebody sleeps."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


def quota_of(db: Database, at: Time) -> PostgresQuota:
    return PostgresQuota(db, now=at.now, sleep=at.sleep)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    limits=st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from([1.0, 7.0, 60.0])), min_size=1, max_size=3
    ),
    steps=st.lists(
        st.tuples(st.sampled_from(["call", "call", "pass"]), st.floats(0.0, 5.0)), max_size=25
    ),
)
def test_no_window_overflows(
    database: Database, limits: list[tuple[int, float]], steps: list[tuple[str, float]]
) -> None:
    """Counted at the vendor, at any instant between grant and answer, no window has too many."""
    with database.connect() as connection:
        connection.execute("truncate stocks.quota_calls, stocks.source_quota")
    at = Time()
    quota = quota_of(database, at)
    windows = [Limit(calls, seconds) for calls, seconds in limits]
    seen: list[datetime] = []
    for step, seconds in steps:
        if step == "pass":
            at.at += timedelta(seconds=seconds)
            continue
        grant = quota.acquire("v", windows, max_wait=1e6)
        at.at += timedelta(seconds=seconds / 2)
        seen.append(at.at)
        at.at += timedelta(seconds=seconds / 2)
        grant.done()
    for calls, seconds in limits:
        for i, last in enumerate(seen):
            inside = [s for s in seen[: i + 1] if s > last - timedelta(seconds=seconds)]
            assert len(inside) <= calls


def test_a_wait_too_long_is_refused_with_its_length(database: Database) -> None:
    """Beyond max_wait there is no sleeping: retry_after says when."""
    at = Time()
    quota = quota_of(database, at)
    limits = [Limit(2, 60.0), Limit(100, DAY)]
    for _ in range(2):
        quota.acquire("v", limits, 0).done()
        at.at += timedelta(seconds=10)
    with pytest.raises(RateLimited) as refused:
        quota.acquire("v", limits, 39)
    assert refused.value.retry_after == pytest.approx(40)
    assert not at.slept
    quota.acquire("v", limits, 40)
    assert at.slept == [pytest.approx(40)]
    assert quota.state("v", limits).spent == (2, 3)
    assert quota.state("other", limits).spent == (0, 0)


def test_a_vendors_day_ends_at_its_midnight(database: Database) -> None:
    """A calendar-day limit resets at midnight of the vendor's zone, clock changes included."""
    at = Time()  # 23:30 in New York on the 9th; the 10th has 23 hours there
    quota = quota_of(database, at)
    daily = [Limit(2, DAY, "America/New_York")]
    for _ in range(2):
        quota.acquire("av", daily, 0).done()
    with pytest.raises(RateLimited) as refused:
        quota.acquire("av", daily, 0)
    assert refused.value.retry_after == pytest.approx(1800)
    at.at = datetime(2024, 3, 10, tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)
    for _ in range(2):
        quota.acquire("av", daily, 0).done()
    with pytest.raises(RateLimited) as refused:
        quota.acquire("av", daily, 0)
    assert refused.value.retry_after == pytest.approx(23 * 3600)
    assert quota.state("av", daily).spent == (2,)


def test_a_quick_clock_makes_days_short(database: Database) -> None:
    """A day's limit scaled to a faster clock is a sliding window."""
    at = Time()
    quota = quota_of(database, at)
    scaled = [Limit(1, DAY / 1000, "America/New_York")]
    quota.acquire("av", scaled, 0).done()
    quota.acquire("av", scaled, DAY / 1000).done()
    assert sum(at.slept) == pytest.approx(DAY / 1000)


def test_retry_after_is_shared_and_never_shortened(database: Database) -> None:
    """A block by one holds for all, even for a source without limits."""
    at = Time()
    quota, other = quota_of(database, at), quota_of(database, at)
    quota.block("v", 30)
    other.block("v", 5)
    assert other.state("v", []).blocked_seconds == pytest.approx(30)
    with pytest.raises(RateLimited) as refused:
        other.acquire("v", [], 29)
    assert refused.value.retry_after == pytest.approx(30)
    other.acquire("v", [], 30).done()
    assert other.state("v", []).blocked_seconds == 0
    for nonsense in (-1.0, float("nan"), float("inf")):
        other.block("v", nonsense)
    assert other.state("v", []).blocked_seconds == 0


def test_a_call_in_flight_holds_its_slot(database: Database) -> None:
    """The window runs from the answer; a call never answered ages out by itself."""
    at = Time()
    quota = quota_of(database, at)
    limits = [Limit(1, 10.0)]
    grant = quota.acquire("v", limits, 0)
    at.at += timedelta(seconds=50)
    with pytest.raises(RateLimited):
        quota.acquire("v", limits, 5)
    grant.done()
    grant.done()
    at.at += timedelta(seconds=9)
    with pytest.raises(RateLimited):
        quota.acquire("v", limits, 0.5)
    at.at += timedelta(seconds=1)
    quota.acquire("v", limits, 0)  # and is never answered
    at.at += timedelta(seconds=HOLD_SECONDS + 10)
    quota.acquire("v", limits, 0).done()


def test_a_limit_of_nothing_gives_nothing(database: Database) -> None:
    """Zero calls are zero calls, at once and for ever."""
    with pytest.raises(RateLimited):
        quota_of(database, Time()).acquire("v", [Limit(0, 1.0)], 1e6)


def test_old_calls_are_pruned(database: Database) -> None:
    """The table does not grow beyond what the longest window needs."""
    at = Time()
    quota = quota_of(database, at)
    for _ in range(120):
        quota.acquire("v", [Limit(10, 60.0)], 0).done()
        at.at += timedelta(hours=2)
    with database.connect() as connection:
        row = connection.execute("select count(*) from stocks.quota_calls").fetchone()
    assert row is not None
    assert row[0] < 80


HAMMER = """
import json, sys, time
from stock_platform.domain.capabilities import Limit
from stock_platform.domain.errors import RateLimited
from stock_platform.storage.connection import Database
from stock_platform.storage.quota import PostgresQuota
url, calls = sys.argv[1], int(sys.argv[2])
limits = [Limit(5, 0.25), Limit(30, 2.5)]
with Database(url, max_size=2) as db:
    quota = PostgresQuota(db, hold_seconds=1.0)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(calls):
        grant = quota.acquire("v", limits, 60)
        print(json.dumps(time.clock_gettime(time.CLOCK_MONOTONIC)), flush=True)
        if calls > 1000:
            time.sleep(60)  # in flight when it is killed
        grant.done()
"""


def hammer(url: str, calls: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HAMMER, url, str(calls)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def test_processes_share_the_limits(database: Database, database_url: str) -> None:
    """Four processes hammer; a strict count of when calls were made finds no overflow."""
    workers = [hammer(database_url, 14) for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    seen = sorted(float(json.loads(x)) for w in workers for x in w.communicate()[0].splitlines())
    assert [worker.returncode for worker in workers] == [0] * 4
    assert len(seen) == 56
    for limit, seconds in ((5, 0.25), (30, 2.5)):
        for first, beyond in zip(seen, seen[limit:], strict=False):
            assert beyond - first >= seconds


def test_a_killed_holder_leaks_nothing(database: Database, database_url: str) -> None:
    """After kill -9 in mid call the slot frees itself, and no lock stays behind."""
    worker = hammer(database_url, 1001)
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    worker.stdin.write("go\n")
    worker.stdin.flush()
    worker.stdout.readline()
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    quota = PostgresQuota(database)
    assert quota.state("v", [Limit(5, 0.25)]).spent == (1,)
    started = time.monotonic()
    quota.acquire("v", [Limit(1, 0.25)], 10).done()
    assert time.monotonic() - started < 5
