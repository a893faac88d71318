"""Quotas in PostgreSQL: limits that hold across threads, processes, hosts and restarts.

Belongs here: the shared implementation of the protocol in sources/quota.py, matched by its
shape, as storage may not import sources. Does not: which vendor has which limits.

A grant is a row. While its request is in flight the row's stamp is the latest instant at which
the answer can come (``HOLD_SECONDS`` after the grant); ``done`` moves it back to the present. A
window is full when as many rows as the limit allows lie inside it. The vendor saw a call between
its grant and its answer, so it never counts one too many within its own window, however long the
network held the request.

A process that dies leaves its calls in flight. Each names its holder, and whoever waits for such
a slot looks whether the holder lives (holders.py): a dead one's requests can be on their way for
``GRACE_SECONDS`` more, and are then taken for answered. Of a host that vanished nothing is heard;
its calls age out after ``HOLD_SECONDS``. Nothing leaks, and nothing needs to be cleaned up.

What a vendor says is left of a limit is heeded for all processes at once: calls it has counted
and we have not (someone else uses the key) are written down as calls, and stand until the reset
it named.

One advisory lock a source makes count-and-take atomic; it is held for a millisecond, never while
waiting. The time is the server's, so that hosts with different clocks agree.

pyrate-limiter's PostgresBucket (4.5.1) was read for this first and falls short: it counts calls
from the grant and not from the answer, knows neither calls in flight nor a vendor's calendar day
nor a Retry-After shared by all, takes a call's stamp before it has the lock, locks whole tables,
which it creates one a source at run time, answers a contended lock like a full window (NOWAIT),
and stores zone-less stamps that depend on the session's time zone.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from psycopg import sql

from stock_platform.domain.capabilities import Limit, QuotaState, Reading
from stock_platform.domain.errors import RateLimited
from stock_platform.domain.planning.quota import limit_meant
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, one, run
from stock_platform.storage.holders import Holder, alive
from stock_platform.storage.locks import begin

HOLD_SECONDS = 120.0
GRACE_SECONDS = 2.0
"""What the network may take to deliver the last request of a process that died."""
POLL_SECONDS = 0.2
LOOK_SECONDS = 1.0
"""The longest sleep while calls are in flight: one may be answered, or its holder dead."""
DAY_SECONDS = 86_400.0

_NAMESPACE = 0x57_10  # first key of pg_advisory_xact_lock(int, int)
_LONGEST_BLOCK = 31 * DAY_SECONDS
_KEEP_SECONDS = 2 * DAY_SECONDS  # beyond the longest window, a vendor's calendar day included
_FLYING = -2  # marks the row of a call in flight
_PRUNE_EVERY = 50  # grants of one process
_HURRY = timedelta(microseconds=1)


class PostgresQuota:
    """Limits of all sources, shared by everyone on one database. Safe to use from many threads.

    Args:
        db: the database, migrated.
        now: the present instant, aware; None asks the server. Tests pass a clock of their own.
        sleep: waits so many seconds.
        hold_seconds: how long a request can be in flight at the most.
        grace_seconds: how long a request of a dead process can be under way.
    """

    def __init__(
        self,
        db: Database,
        *,
        now: Callable[[], datetime] | None = None,
        sleep: Callable[[float], object] = time.sleep,
        hold_seconds: float = HOLD_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._db = db
        self._holder = Holder(db)
        self._grace = timedelta(seconds=grace_seconds)
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
        holder = self._holder.number() if limits else None
        while True:
            with self._db.connect() as connection:
                begin(connection)
                now = _lock(connection, source)
                if self._now is not None:
                    now = self._now()
                deadline = deadline or now + timedelta(seconds=max_wait)
                soonest, latest, flying = self._wait(connection, source, limits, now)
                # A dead call may stand behind the one that is waited for, and hold the next.
                if latest > 0 and flying and self._bury(connection, source, now):
                    soonest, latest, flying = self._wait(connection, source, limits, now)
                if latest <= 0:
                    call = self._take(connection, source, limits, now, holder)
                    return PostgresGrant(self, call)
            if now + timedelta(seconds=min(soonest, _LONGEST_BLOCK)) > deadline:
                raise RateLimited(source, f"out of quota for {soonest:.0f} s", soonest)
            nap = min(latest, max(soonest, POLL_SECONDS))
            self._sleep(min(nap, LOOK_SECONDS) if flying else nap)

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

    def heed(
        self,
        source: str,
        limits: Sequence[Limit],
        readings: Sequence[Reading],
        seconds: float = 0.0,
    ) -> None:
        """Take note of what a vendor said is left; see Quota.heed in sources/quota.py."""
        for reading in readings:
            limit = limit_meant(reading, limits)
            if reading.remaining < 1 and reading.resets_in:
                longest = DAY_SECONDS if limit is None else limit.seconds
                self.block(source, min(reading.resets_in, longest))
            if limit is None:
                continue
            with self._db.connect() as connection:
                if self._uncounted(connection, source, limit, reading, seconds) <= 0:
                    continue
            with self._db.connect() as connection:
                begin(connection)
                _lock(connection, source)
                more = self._uncounted(connection, source, limit, reading, seconds)
                if more > 0:
                    self._count_others(connection, source, limit, reading, more)

    def state(self, source: str, limits: Sequence[Limit]) -> QuotaState:
        """What is spent of each limit, calls in flight included."""
        with self._db.connect() as connection:
            now = self._clock(connection)
            blocked = _blocked(connection, source, now)
            oldest = min((window_start(limit, now) for limit in limits), default=now)
            stamps = (
                [
                    min(at, now)
                    for (at,) in run(
                        connection,
                        sql.SQL(
                            "select at from stocks.quota_calls "
                            "where source = {} and at > {} order by at"
                        ).format(sql.Literal(source), sql.Literal(oldest)),
                    )
                ]
                if limits
                else []
            )
        inside = [stamps[bisect_right(stamps, window_start(limit, now)) :] for limit in limits]
        return QuotaState(
            spent=tuple(len(part) for part in inside),
            blocked_seconds=blocked,
            ages=tuple(tuple((now - at).total_seconds() for at in part) for part in inside),
            resets_in=tuple(
                None if is_sliding(limit) else _until_free(limit, now, now) for limit in limits
            ),
        )

    def _clock(self, connection: Connection) -> datetime:
        if self._now is not None:
            return self._now()
        now: datetime = one(connection, sql.SQL("select clock_timestamp()"))[0]
        return now

    def _wait(
        self, connection: Connection, source: str, limits: Sequence[Limit], now: datetime
    ) -> tuple[float, float, bool]:
        """Seconds until a call fits: at the soonest, and if calls in flight take their longest.

        And whether any call is in flight.
        """
        if any(limit.calls <= 0 for limit in limits):
            return math.inf, math.inf, False
        parts = [
            sql.SQL(
                "(select {} as limited, at, in_flight from stocks.quota_calls "
                "where source = {} and at > {} order by at desc, call_id desc offset {} limit 1)"
            ).format(
                sql.Literal(n),
                sql.Literal(source),
                sql.Literal(window_start(limit, now)),
                sql.Literal(limit.calls - 1),
            )
            for n, limit in enumerate(limits)
        ]
        block = sql.SQL(
            "(select -1, blocked_until, false from stocks.source_quota "
            "where source = {} and blocked_until is not null)"
        ).format(sql.Literal(source))
        flights = sql.SQL(
            "(select {}, at, true from stocks.quota_calls "
            "where source = {} and at > {} and in_flight limit 1)"
        ).format(sql.Literal(_FLYING), sql.Literal(source), sql.Literal(now))
        soonest, latest, flying = 0.0, 0.0, False
        query = sql.SQL(" union all ").join([*parts, block, flights])
        for n, at, in_flight in run(connection, query):
            if n == _FLYING:
                flying = True
                continue
            if n < 0:
                early = late = max(0.0, (at - now).total_seconds())
            else:
                answered = min(at, now) if in_flight else at
                early = _until_free(limits[n], answered, now)
                late = _until_free(limits[n], at, now)
            soonest, latest = max(soonest, early), max(latest, late)
        return soonest, latest, flying

    def _bury(self, connection: Connection, source: str, now: datetime) -> bool:
        """Let calls in flight of dead processes end; whether there were any."""
        end = sql.Literal(now + self._grace)
        return bool(
            run(
                connection,
                sql.SQL(
                    "update stocks.quota_calls set at = {end}, in_flight = false "
                    "where source = {source} and at > {end} and in_flight and holder is not null "
                    "and not {alive}"
                ).format(
                    end=end, source=sql.Literal(source), alive=alive(sql.Identifier("holder"))
                ),
            ).rowcount
        )

    def _uncounted(
        self,
        connection: Connection,
        source: str,
        limit: Limit,
        reading: Reading,
        seconds: float,
    ) -> int:
        """Calls that the vendor has counted and we have not.

        Ours in flight may be among its own or not: they are taken to be, and its next answer
        tells better. The window is the one before the request was made, ``seconds`` ago.
        """
        start = window_start(limit, self._clock(connection)) - timedelta(seconds=seconds)
        (ours,) = one(
            connection,
            sql.SQL("select count(*) from stocks.quota_calls where source = {} and at > {}").format(
                sql.Literal(source), sql.Literal(start)
            ),
        )
        return math.ceil(limit.calls - int(ours) - reading.remaining)

    def _count_others(
        self, connection: Connection, source: str, limit: Limit, reading: Reading, calls: int
    ) -> None:
        at = self._clock(connection)
        if is_sliding(limit) and reading.resets_in is not None:
            at -= timedelta(seconds=max(0.0, limit.seconds - reading.resets_in))
        run(
            connection,
            sql.SQL(
                "insert into stocks.quota_calls (source, at, in_flight) "
                "select {}, {}, false from generate_series(1, {})"
            ).format(sql.Literal(source), sql.Literal(at), sql.Literal(min(calls, limit.calls))),
        )

    def _take(
        self,
        connection: Connection,
        source: str,
        limits: Sequence[Limit],
        now: datetime,
        holder: int | None,
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
        number = sql.Literal(holder)
        call, held = one(
            connection,
            sql.SQL(
                "insert into stocks.quota_calls (source, at, holder) "
                "select {}, {}, case when {} then {} end returning call_id, holder"
            ).format(
                sql.Literal(source),
                sql.Literal(now + self._hold),
                alive(number) if holder is not None else sql.SQL("false"),
                number,
            ),
        )
        if holder is not None and held is None:
            self._holder.lost()
        return int(call)

    def _done(self, call: int) -> None:
        with self._db.connect() as connection:
            run(
                connection,
                sql.SQL(
                    "update stocks.quota_calls set in_flight = false, "
                    "at = case when in_flight then {now} else greatest(at, {now}) end "
                    "where call_id = {call}"
                ).format(now=sql.Literal(self._clock(connection)), call=sql.Literal(call)),
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


def is_sliding(limit: Limit) -> bool:
    """Whether its window is any so many seconds, not a vendor's calendar day."""
    return limit.zone is None or limit.seconds != DAY_SECONDS


def window_start(limit: Limit, now: datetime) -> datetime:
    """The instant after which calls count."""
    if limit.zone is None or is_sliding(limit):
        return now - timedelta(seconds=limit.seconds)
    return _midnight(limit.zone, now, 0) - _HURRY  # midnight itself counts


def _until_free(limit: Limit, at: datetime, now: datetime) -> float:
    if limit.zone is None or is_sliding(limit):
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


def _lock(connection: Connection, source: str) -> datetime:
    """Wait for the source's turn; the server's time then."""
    (_, now) = one(
        connection,
        sql.SQL("select pg_advisory_xact_lock({}, hashtext({})), clock_timestamp()").format(
            sql.Literal(_NAMESPACE), sql.Literal(source)
        ),
    )
    got: datetime = now
    return got
