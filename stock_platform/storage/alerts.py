"""Alerts: what was found wrong, and whether somebody was told.

Belongs here: rows of ``alerts``. Does not: finding (pipeline/alerting.py), telling
(pipeline/notifying.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import sql

from stock_platform.storage.connection import Database
from stock_platform.storage.frames import one, run

KEPT = timedelta(days=90)
"""How long alerts that are over stay in the table."""

_LOCK = 7_305_170_901_226_119
_COLUMNS = sql.SQL(
    "alert_id, kind, subject, message, opened_at, seen_at, told_at, times_told, resolved_at, "
    "recovery_told_at"
)


@dataclass(frozen=True)
class Alert:
    """Something wrong, open until ``resolved_at``. Stamps are UTC."""

    alert_id: int
    kind: str
    subject: str
    message: str
    opened_at: datetime
    seen_at: datetime
    told_at: datetime | None
    times_told: int
    resolved_at: datetime | None
    recovery_told_at: datetime | None


def seen(db: Database, kind: str, subject: str, message: str, now: datetime) -> None:
    """Open an alert, or bring the open one of this kind and subject up to date."""
    with db.connect() as connection:
        run(
            connection,
            sql.SQL(
                "insert into stocks.alerts (kind, subject, message, opened_at, seen_at) "
                "values ({}) on conflict (kind, subject) where resolved_at is null "
                "do update set message = excluded.message, seen_at = excluded.seen_at"
            ).format(sql.SQL(", ").join(map(sql.Literal, (kind, subject, message, now, now)))),
        )


def resolve(db: Database, alert_ids: Sequence[int], now: datetime) -> None:
    """Close alerts. Those that nobody was told of need no word of their end."""
    if not alert_ids:
        return
    with db.connect() as connection:
        run(
            connection,
            sql.SQL(
                "update stocks.alerts set resolved_at = {0}, "
                "recovery_told_at = case when told_at is null then {0}::timestamptz end "
                "where alert_id = any({1}) and resolved_at is null"
            ).format(sql.Literal(now), sql.Literal(list(alert_ids))),
        )


def open_alerts(db: Database) -> list[Alert]:
    """Those that are not over, the oldest first."""
    return _where(db, sql.SQL("resolved_at is null"))


def recent(db: Database, limit: int = 100) -> list[Alert]:
    """The latest ones, over or not, the last one first."""
    return list(reversed(_where(db, sql.SQL("true"), limit)))


def untold(db: Database, repeat: timedelta, now: datetime) -> list[Alert]:
    """Those to tell of: new ones, those last told of too long ago, and those that are over."""
    return _where(
        db,
        sql.SQL(
            "(resolved_at is null and (told_at is null or told_at <= {})) "
            "or (resolved_at is not null and recovery_told_at is null)"
        ).format(sql.Literal(now - repeat)),
    )


def told(db: Database, alerts: Sequence[Alert], now: datetime) -> None:
    """Somebody was told of these."""
    if not alerts:
        return
    with db.connect() as connection:
        run(
            connection,
            sql.SQL(
                "update stocks.alerts set told_at = {0}, times_told = times_told + 1, "
                "recovery_told_at = case when alert_id = any({2}) then {0}::timestamptz end "
                "where alert_id = any({1})"
            ).format(
                sql.Literal(now),
                sql.Literal([a.alert_id for a in alerts]),
                sql.Literal([a.alert_id for a in alerts if a.resolved_at is not None]),
            ),
        )


def prune(db: Database, now: datetime) -> int:
    """Delete those that have been over for long; how many."""
    with db.connect() as connection:
        return run(
            connection,
            sql.SQL("delete from stocks.alerts where resolved_at < {}").format(
                sql.Literal(now - KEPT)
            ),
        ).rowcount


@contextmanager
def turn(db: Database) -> Iterator[bool]:
    """Whether it is this process's turn to tell; one process at a time has it."""
    with db.connect() as connection:
        yield bool(
            one(
                connection,
                sql.SQL("select pg_try_advisory_xact_lock({})").format(sql.Literal(_LOCK)),
            )[0]
        )


def _where(db: Database, condition: sql.Composable, limit: int = 10_000) -> list[Alert]:
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select * from (select {} from stocks.alerts where {} "
                "order by alert_id desc limit {}) x order by alert_id"
            ).format(_COLUMNS, condition, sql.Literal(limit)),
        ).fetchall()
    return [Alert(*row) for row in rows]
