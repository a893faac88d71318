"""Quotas in PostgreSQL: limits that hold across threads, processes, hosts and restarts.

Belongs here: the shared implementation of the protocol in sources/quota.py, matched by its
shape, as storage may not import sources. Does not: which vendor has which limits.

A grant is a row. While its request is in flight the row's stamp is the latest instant at which
the answer can come (``HOLD_SECONDS`` after the grant); ``done`` moves it back to the present. A
window is full when as many rows as the limit allows lie inside it. The vendor saw a call between
its grant and its answer, so it never counts one too many within its own window, however long the
network held the request. A process that dies leaves its row, which ages like any other: nothing
leaks, and nothing needs to be cleaned up.

One advisory lock a source makes count-and-take atomic; it is held for a millisecond, never while
waiting. The time is the server's, so that hosts with different clocks agree.

pyrate-limiter's PostgresBucket (4.5) was read for this first and falls short: it counts calls
from the grant and not from the answer, knows neither calls in flight nor a vendor's calendar day
nor a Retry-After shared by all, creates a table a source at run time, answers a contended lock
like a full window, and stores zone-less stamps that depend on the session's time zone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from psycopg import sql

from stock_platform.domain.capabilities import Limit, QuotaState
from stock_platform.domain.errors import RateLimited
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, one, run
from stock_platform.storage.locks import begin

HOLD_SECONDS = 120.0
POLL_SECONDS = 0.2
DAY_SECONDS = 86_400.0

_NAMESPACE = 0x57_10  # first key of pg_advisory_xact_lock(int, int)
_LONGEST_BLOCK = 31 * DAY_SECONDS
_KEEP_SECONDS = 2 * DAY_SECONDS  # beyond the longest window, a vendor's calendar day included
_PRUNE_EVERY = 50  # grants of one process
_HURRY = timedelta(microseconds=1)


class PostgresQuota:
    """Limits of all sources, shared by everyone on one database. Safe to use from many threads.

    Args:
        db: the database, migrated.
        now: the present instant, aware; None asks the server. Tests pass a clock of their own.
        sleep: waits so many seconds.
        hold_seconds: how long a request can be in flight at the most.
    """

    def __init__(
        self,
        db: Database,
        *,
        now: Callable[[], datetime] | None = None,
        sleep: Callable[[float], object] = time.sleep,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        self._db = db
        self._now = now
        self._sleep = sleep
        self._hold = timedelta(seconds=hold_seconds)
        self._granted = 0

    def acquire(self, source: str, limits: Sequence[Limit], max_wait: float) -> PostgresGrant:
        """Wait until a request fits into every window of ``limits``, and take a slot.

        Args:
            source: whose limits; slots of one name are counted together.
            limits: all hold at once; empty is unlimited (a block still holds). A limit with a
                zone counts calendar days there, unless its seconds are not a day's (a clock
                that runs faster): then it is a sliding window like the others.
            max_wait: the longest wait in seconds.

        Raises:
            RateLimited: the wait would be longer; ``retry_after`` says how long.
            DatabaseError: the database cannot be reached.
        """
        deadline: datetime | None = None
        while True:
            with self._db.connect() as connection:
                begin(connection)
                _lock(connection, source)
                now = self._clock(connection)
                deadline = deadline or now + timedelta(seconds=max_wait)
                soonest, latest = self._wait(connection, source, limits, now)
                if latest <= 0:
                    call = self._take(connection, source, limits, now)
                    return PostgresGrant(self, call)
            if now + timedelta(seconds=min(soonest, _LONGEST_BLOCK)) > deadline:
                raise RateLimited(source, f"out of quota for {soonest:.0f} s", soonest)
            # Calls in flight free their slots when they are answered, which may be any moment.
            self._sleep(min(latest, max(soonest, POLL_SECONDS)))

    def block(self, source: str, seconds: float) -> None:
        """Give no grants for ``seconds`` from now on (Retry-After); a longer block stays."""
        if not math.isfinite(seconds) or seconds <= 0:
            return
        with self._db.connect() as connection:
            now = self._clock(connection)
            run(
                connection,
                sql.SQL(
                    "insert into stocks.source_quota as q (source, blocked_until) "
                    "values ({}, {}) on conflict (source) do update "
                    "set blocked_until = greatest(q.blocked_until, excluded.blocked_until), "
                    "updated_at = now()"
                ).format(
                    sql.Literal(source),
                    sql.Literal(now + timedelta(seconds=min(seconds, _LONGEST_BLOCK))),
                ),
            )

    def state(self, source: str, limits: Sequence[Limit]) -> QuotaState:
        """What is spent of each limit, calls in flight included."""
        with self._db.connect() as connection:
            now = self._clock(connection)
            blocked = _blocked(connection, source, now)
            spent = tuple(
                int(
                    one(
                        connection,
                        sql.SQL(
                            "select count(*) from stocks.quota_calls where source = {} and at > {}"
                        ).format(sql.Literal(source), sql.Literal(window_start(limit, now))),
                    )[0]
                )
                for limit in limits
            )
        return QuotaState(spent, blocked)

    def _clock(self, connection: Connection) -> datetime:
        if self._now is not None:
            return self._now()
        now: datetime = one(connection, sql.SQL("select clock_timestamp()"))[0]
        return now

    def _wait(
        self, connection: Connection, source: str, limits: Sequence[Limit], now: datetime
    ) -> tuple[float, float]:
        """Seconds until a call fits: at the soonest, and if calls in flight take their longest."""
        soonest = latest = _blocked(connection, source, now)
        for limit in limits:
            if limit.calls <= 0:
                return math.inf, math.inf
            row = run(
                connection,
                sql.SQL(
                    "select at, in_flight from stocks.quota_calls where source = {} and at > {} "
                    "order by at desc, call_id desc offset {} limit 1"
                ).format(
                    sql.Literal(source),
                    sql.Literal(window_start(limit, now)),
                    sql.Literal(limit.calls - 1),
                ),
            ).fetchone()
            if row is not None:
                at, in_flight = row
                latest = max(latest, _until_free(limit, at, now))
                answered = min(at, now) if in_flight else at
                soonest = max(soonest, _until_free(limit, answered, now))
        return soonest, latest

    def _take(
        self, connection: Connection, source: str, limits: Sequence[Limit], now: datetime
    ) -> int | None:
        if not limits:
            return None
        self._granted += 1
        if self._granted % _PRUNE_EVERY == 1:
            longest = max(limit.seconds for limit in limits)
            oldest = now - timedelta(seconds=longest + _KEEP_SECONDS)
            run(
                connection,
                sql.SQL("delete from stocks.quota_calls where source = {} and at < {}").format(
                    sql.Literal(source), sql.Literal(oldest)
                ),
            )
        (call,) = one(
            connection,
            sql.SQL(
                "insert into stocks.quota_calls (source, at) values ({}, {}) returning call_id"
            ).format(sql.Literal(source), sql.Literal(now + self._hold)),
        )
        return int(call)

    def _done(self, call: int) -> None:
        with self._db.connect() as connection:
            run(
                connection,
                sql.SQL(
                    "update stocks.quota_calls set at = {}, in_flight = false "
                    "where call_id = {} and in_flight"
                ).format(sql.Literal(self._clock(connection)), sql.Literal(call)),
            )


class PostgresGrant:
    """Leave for one request."""

    def __init__(self, quota: PostgresQuota, call: int | None) -> None:
        self._quota = quota
        self._call = call

    def done(self) -> None:
        """The answer is here (or the request has failed): the window starts now.

        Further calls do nothing.

        Raises:
            DatabaseError: the database cannot be reached; the slot is then held to the end.
        """
        if self._call is not None:
            self._quota._done(self._call)  # noqa: SLF001 - one class in two halves
            self._call = None


def window_start(limit: Limit, now: datetime) -> datetime:
    """The instant after which calls count."""
    if limit.zone is None or limit.seconds != DAY_SECONDS:
        return now - timedelta(seconds=limit.seconds)
    return _midnight(limit.zone, now, 0) - _HURRY  # midnight itself counts


def _until_free(limit: Limit, at: datetime, now: datetime) -> float:
    if limit.zone is None or limit.seconds != DAY_SECONDS:
        free = at + timedelta(seconds=limit.seconds)
    else:
        free = _midnight(limit.zone, max(at, now), 1)
    return max(0.0, (free - now).total_seconds())


def _midnight(zone: str, at: datetime, days: int) -> datetime:
    """The local midnight that began the day of ``at``, or that many days later, in UTC."""
    place = ZoneInfo(zone)
    day = at.astimezone(place).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    local = day + timedelta(days=days)  # wall time: days of 23 and 25 hours come out right
    return local.astimezone(ZoneInfo("UTC"))


def _blocked(connection: Connection, source: str, now: datetime) -> float:
    row = run(
        connection,
        sql.SQL("select blocked_until from stocks.source_quota where source = {}").format(
            sql.Literal(source)
        ),
    ).fetchone()
    if row is None or row[0] is None:
        return 0.0
    return max(0.0, float((row[0] - now).total_seconds()))


def _lock(connection: Connection, source: str) -> None:
    run(
        connection,
        sql.SQL("select pg_advisory_xact_lock({}, hashtext({}))").format(
            sql.Literal(_NAMESPACE), sql.Literal(source)
        ),
    )
