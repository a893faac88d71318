"""Numbers for metrics and health, each from one quick statement.

Belongs here: counts over the tables of calls, queue, coverage and prices. Does not: what they
are called for Prometheus (apps/api/metrics.py), what is too much (pipeline/alerting.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from psycopg import sql

from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, one, run

SETTLES = 600
"""Seconds that an event of a portfolio may wait to be acted on, at the most."""


@dataclass(frozen=True)
class Calls:
    """Calls of one source and status since the database began; seconds are of those not cached."""

    source: str
    status: str
    calls: int
    requests: int
    cached: int
    rows: int
    seconds: float


@dataclass(frozen=True)
class QueueState:
    """The queue of histories.

    Attributes:
        states: jobs by state.
        oldest_due: since when the job that waits longest could have been taken; None: none does.
        oldest_taken: when the job under way that was touched least was touched.
        open_events: events of portfolios that nobody has acted on.
        oldest_event: the first of them.
    """

    states: dict[str, int]
    oldest_due: datetime | None
    oldest_taken: datetime | None
    open_events: int
    oldest_event: datetime | None


@dataclass(frozen=True)
class Gauges:
    """See the functions of their names."""

    calls: list[Calls]
    queue: QueueState
    coverage: dict[tuple[str, str], int]
    newest: dict[str, tuple[date, datetime]]
    quarantined: int
    tracked: int
    assets: int
    alerts: dict[str, int]


def gauges(db: Database) -> Gauges:
    """All of them, of one moment."""
    with db.connect() as connection:
        connection.execute("set transaction isolation level repeatable read")
        tracked, assets, quarantined = one(
            connection,
            sql.SQL(
                "select (select count(*) from stocks.tracked_assets), "
                "(select count(*) from stocks.assets), (select count(*) from stocks.quarantine)"
            ),
        )
        open_alerts = run(
            connection,
            sql.SQL(
                "select kind, count(*) from stocks.alerts where resolved_at is null group by kind"
            ),
        ).fetchall()
        return Gauges(
            _calls(connection),
            _queue(connection),
            _coverage(connection),
            _newest(connection),
            int(quarantined),
            int(tracked),
            int(assets),
            {kind: int(count) for kind, count in open_alerts},
        )


def queue(db: Database) -> QueueState:
    """The state of the queue now."""
    with db.connect() as connection:
        return _queue(connection)


def last_sessions(db: Database, tracked_before: datetime) -> dict[int, date | None]:
    """The last session with a validated daily price, of each asset tracked since before then."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select i.asset_id, (select p.session from stocks.validated_prices p "
                "where p.asset_id = i.asset_id and p.interval = '1d' order by p.ts desc limit 1) "
                "from stocks.tracked_assets i where i.tracked_since <= {}"
            ).format(sql.Literal(tracked_before)),
        ).fetchall()
    return {int(asset): session for asset, session in rows}


def failing(db: Database, since: datetime) -> dict[str, tuple[int, int, str | None]]:
    """Calls, those that failed, and the last error, by source, since a time.

    An answer of no data, or of an unknown symbol, is none that failed; nor is a spent quota.
    """
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select source, count(*), count(*) filter (where bad), "
                "(array_agg(error order by fetch_id desc) filter (where bad))[1] from ("
                "select *, status not in ('ok', 'no_data', 'unknown_symbol', 'rate_limited') bad "
                "from stocks.fetch_log where finished_at >= {}) x group by source order by source"
            ).format(sql.Literal(since)),
        ).fetchall()
    return {row[0]: (int(row[1]), int(row[2]), row[3]) for row in rows}


def migration(db: Database) -> str | None:
    """The version of the tables, such as 0009."""
    with db.connect() as connection:
        row = run(connection, sql.SQL("select version_num from stocks.alembic_version")).fetchone()
    return None if row is None else str(row[0])


def _calls(connection: Connection) -> list[Calls]:
    found = run(
        connection,
        sql.SQL(
            "select source, status, sum(calls), sum(requests), sum(cached), sum(rows), "
            "sum(seconds) from (select source, status, count(*) as calls, "
            "sum(requests) as requests, count(*) filter (where cached) as cached, "
            "sum(rows) as rows, coalesce(sum(latency_ms) filter (where not cached), 0) / 1000.0 "
            "as seconds from stocks.fetch_log group by source, status "
            "union all select source, status, calls, requests, cached, rows, seconds "
            "from stocks.pruned_calls) c group by source, status order by source, status"
        ),
    ).fetchall()
    return [
        Calls(source, status, int(calls), int(requests), int(cached), int(rows), float(seconds))
        for source, status, calls, requests, cached, rows, seconds in found
    ]


def _queue(connection: Connection) -> QueueState:
    states = dict.fromkeys(("pending", "in_progress", "rate_limited", "completed", "failed"), 0)
    states |= {
        state: int(count)
        for state, count in run(
            connection, sql.SQL("select state, count(*) from stocks.backfill_queue group by state")
        )
    }
    due, taken = one(
        connection,
        sql.SQL(
            "select min(greatest(updated_at, coalesce(retry_after, '-infinity'))) "
            "filter (where state in ('pending', 'rate_limited') "
            "and coalesce(retry_after, '-infinity') <= now()), "
            "min(updated_at) filter (where state = 'in_progress') from stocks.backfill_queue"
        ),
    )
    count, oldest = one(
        connection,
        sql.SQL(
            "select count(*), min(created_at) from stocks.portfolio_events where handled_at is null"
        ),
    )
    return QueueState(states, due, taken, int(count), oldest)


def _coverage(connection: Connection) -> dict[tuple[str, str], int]:
    rows = run(
        connection,
        sql.SQL(
            "select interval, status, sum(length(replace(sessions::text, '0', ''))) "
            "from stocks.coverage_bits group by 1, 2"
        ),
    )
    return {(interval, status): int(cells) for interval, status, cells in rows}


def _newest(connection: Connection) -> dict[str, tuple[date, datetime]]:
    """The newest session and stamp of validated prices by interval, of what is tracked."""
    rows = run(
        connection,
        sql.SQL(
            "select i.interval, max(p.session), max(p.ts) "
            "from (values ('1d'), ('1h'), ('15m'), ('5m'), ('1m')) i(interval) "
            "cross join stocks.tracked_assets t cross join lateral ("
            "select session, ts from stocks.validated_prices r where i.interval = '1d' "
            " and r.asset_id = t.asset_id and r.interval = i.interval "
            " union all "
            "select session, ts from stocks.intraday_prices r where i.interval <> '1d' "
            " and r.asset_id = t.asset_id and r.interval = i.interval "
            "order by ts desc limit 1) p group by 1"
        ),
    )
    return {interval: (session, stamp) for interval, session, stamp in rows}
