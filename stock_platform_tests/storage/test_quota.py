"""Quotas in PostgreSQL: never one call too many, whoever asks, whatever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stock_platform.domain.capabilities import Limit
from stock_platform.domain.errors import RateLimited
from stock_platform.domain.planning.quota import start_times
from stock_platform.storage.connection import Database
from stock_platform.storage.quota import GRACE_SECONDS, HOLD_SECONDS, PostgresQuota

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
from stock_platform.domain.planning.quota import start_times
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
    with database.connect() as connection:  # as if a call could take the default's two minutes
        connection.execute("update stocks.quota_calls set at = at + interval '2 minutes'")
    quota = PostgresQuota(database)
    assert quota.state("v", [Limit(5, 0.25)]).spent == (1,)
    started = time.monotonic()
    quota.acquire("v", [Limit(1, 0.25)], 60).done()
    took = time.monotonic() - started
    assert GRACE_SECONDS <= took < HOLD_SECONDS / 4, "its last request may still be under way"


def test_the_dead_are_noticed_behind_answered_calls(database: Database) -> None:
    """A dead call is freed at once, though it is an answered one that a waiter waits for."""
    at = Time()
    quota = quota_of(database, at)
    limits = [Limit(2, 60.0)]
    quota.acquire("v", limits, 0).done()
    with database.connect() as connection:  # of a process that nobody has heard of since
        connection.execute(
            "insert into stocks.quota_calls (source, at, holder) values ('v', %s, 1)",
            [at.at + timedelta(seconds=HOLD_SECONDS)],
        )
    began = at.at
    quota.acquire("v", limits, 100).done()
    assert at.at - began == timedelta(seconds=60)
    quota.acquire("v", limits, 100).done()
    assert at.at - began == timedelta(seconds=60 + GRACE_SECONDS)


def test_the_living_keep_their_calls_in_flight(database: Database, database_url: str) -> None:
    """Nobody takes a slot from a process that lives, nor from one whose connection was cut."""
    limits = [Limit(1, 0.1)]
    with Database(database_url) as theirs:
        other = PostgresQuota(theirs)
        grant = other.acquire("v", limits, 0)
        quota = PostgresQuota(database)
        with pytest.raises(RateLimited):
            PostgresQuota(database, now=lambda: datetime.now(UTC), sleep=Patience(3)).acquire(
                "v", limits, 1
            )
        theirs.lasting().execute(
            "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' "
            "and objsubid = 2 and database = (select oid from pg_database "
            "where datname = current_database())"
        )
        quota.acquire("v", limits, 60).done()  # after the grace: it was taken for dead
        grant.done()  # it was not: its call is counted from now
        assert quota.state("v", [Limit(9, 3600.0)]).spent == (2,)
        for _ in range(2):  # the first finds the lock gone, the second has another
            other.acquire("v", [Limit(9, 3600.0)], 0)
        with database.connect() as connection:
            row = connection.execute(
                "select count(holder), count(*) from stocks.quota_calls where in_flight"
            ).fetchone()
        assert row == (1, 2)


class Patience:
    """Sleeps for real, so many times; then it has waited long enough."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self, seconds: float) -> None:
        if self.left == 0:
            raise RateLimited("v", "still in flight", seconds)
        self.left -= 1
        time.sleep(seconds)


def test_a_month_is_kept(database: Database) -> None:
    """31 days hold no call more than the month's limit, and none is forgotten before."""
    at = Time(datetime(2024, 1, 31, 23, 59, tzinfo=UTC))
    quota = quota_of(database, at)
    month = 31 * DAY
    limits = [Limit(2, 60.0), Limit(60, month)]
    for _ in range(60):
        quota.acquire("cg", limits, 60).done()
        at.at += timedelta(hours=6)
    with pytest.raises(RateLimited) as refused:
        quota.acquire("cg", limits, DAY)
    assert refused.value.retry_after == pytest.approx(month - 60 * 6 * 3600)
    at.at += timedelta(seconds=refused.value.retry_after or 0)
    quota.acquire("cg", limits, 0).done()
    assert quota.state("cg", limits).spent == (1, 60)


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (date(2024, 3, 10), 23),  # clocks go forward
        (date(2024, 11, 3), 25),  # and back
        (date(2024, 6, 1), 24),
    ],
)
def test_every_day_of_the_vendors_has_its_allowance(
    database: Database, day: date, hours: int
) -> None:
    """A call every 20 minutes: each day of New York's, of 23, 24 or 25 hours, gets its three."""
    zone = ZoneInfo("America/New_York")
    night = datetime(day.year, day.month, day.day, tzinfo=zone)
    start = night - timedelta(days=1)
    at = Time(start.astimezone(UTC))
    quota = quota_of(database, at)
    daily = [Limit(3, DAY, "America/New_York")]
    made: dict[object, int] = {}
    for _ in range(3 * 72):
        state = quota.state("av", daily)
        following = (at.at.astimezone(zone) + timedelta(days=1)).replace(hour=0, minute=0)
        left = (following.astimezone(UTC) - at.at).total_seconds()
        assert list(state.resets_in) == pytest.approx([left])
        today = at.at.astimezone(zone).date()
        if made.get(today, 0) < 3:
            quota.acquire("av", daily, 0).done()
            made[today] = made.get(today, 0) + 1
        else:
            with pytest.raises(RateLimited) as refused:
                quota.acquire("av", daily, 0)
            assert refused.value.retry_after == pytest.approx(left)
        at.at += timedelta(minutes=20)
    assert list(made.values())[:3] == [3, 3, 3]
    midnights = [night + timedelta(days=n) for n in (0, 1)]
    span = midnights[1].astimezone(UTC) - midnights[0].astimezone(UTC)
    assert span == timedelta(hours=hours)


def test_the_planner_learns_when_calls_were_made(database: Database) -> None:
    """Ages and the vendor's midnight are told, so that finishes are foretold to the second."""
    at = Time(datetime(2024, 6, 3, 22, 0, tzinfo=UTC))
    quota = quota_of(database, at)
    limits = [Limit(5, 60.0), Limit(9, DAY, "America/New_York")]
    for _ in range(3):
        quota.acquire("v", limits, 0).done()
        at.at += timedelta(seconds=10)
    quota.acquire("v", limits, 0)  # still out
    state = quota.state("v", limits)
    assert state.ages == ((30.0, 20.0, 10.0, 0.0), (30.0, 20.0, 10.0, 0.0))
    assert state.resets_in[0] is None
    assert state.resets_in[1] == pytest.approx(6 * 3600 - 30)
    foretold = start_times(3, limits, state)
    assert foretold.tolist() == pytest.approx([0.0, 30.0, 40.0])
