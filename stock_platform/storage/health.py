"""The health of sources in PostgreSQL, shared by every process and host.

Belongs here: rows of ``source_health`` and ``source_entitlements``. Does not: what they mean
(domain/health.py), acting on them (pipeline/router.py).

Changes of one source are made under its row's lock, so that of several processes one opens the
circuit, and one tries it when its time is up. The time is the server's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import datetime, timedelta

from psycopg import sql

from stock_platform.domain.health import Circuit, Health
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, ints, names, one, run

ENTITLED_AGAIN = timedelta(days=7)
"""How long a refusal for want of entitlement is believed: plans and keys change."""

KNOWN_AGAIN = timedelta(days=7)
"""How long it is believed that a vendor does not know an asset: listings come and go."""

TRUSTED_BARS = 50.0
"""Right bars that a source is credited with before the first comparison."""

_COLUMNS = [f.name for f in fields(Health)]


@dataclass(frozen=True)
class Refusal:
    """An endpoint that the key's plan lacks."""

    source: str
    endpoint: str
    reason: str
    learned_at: datetime
    expires_at: datetime


class HealthBook:
    """What is known of every source's health. Safe to use from several threads.

    Args:
        db: the database, migrated.
        now: the present, aware; None asks the server. Tests pass a clock of their own.
    """

    def __init__(self, db: Database, now: Callable[[], datetime] | None = None) -> None:
        self._db = db
        self._now = now

    def now(self) -> datetime:
        """The server's time."""
        with self._db.connect() as connection:
            return self._clock(connection)

    def all(self) -> dict[str, Health]:
        """Every source with a record, by name."""
        query = sql.SQL("select source, {} from stocks.source_health order by source").format(
            names(_COLUMNS)
        )
        with self._db.connect() as connection:
            return {row[0]: Health(*row[1:]) for row in run(connection, query)}

    def succeeded(self, source: str, seconds: float, calls: int = 1) -> Health:
        """Record calls that were answered, in ``seconds`` together; the circuit closes."""
        return self._change(source, lambda health, now: health.succeeded(now, seconds, calls))

    def failed(self, source: str, error: str, tries: int) -> Health:
        """Record a call that failed in so many requests; the circuit may open."""
        return self._change(source, lambda health, now: health.failed(now, error[:300], tries))

    def may_try(self, source: str) -> bool:
        """Whether a call may be made now; of all who ask, a half-open circuit lets one through."""
        allowed = False

        def decide(health: Health, now: datetime) -> Health:
            nonlocal allowed
            circuit = health.circuit(now)
            allowed = circuit is not Circuit.OPEN
            return health.trying(now) if circuit is Circuit.HALF_OPEN else health

        self._change(source, decide)
        return allowed

    def reset(self, source: str, account: str) -> None:
        """Forget a source's record, what it lacks or does not know, and its account's block.

        Calls that were made still count against the limits.
        """
        with self._db.connect() as connection:
            for table, key in (
                ("source_health", source),
                ("source_entitlements", source),
                ("source_unknown", source),
                ("source_quota", account),
            ):
                run(
                    connection,
                    sql.SQL("delete from {} where source = {}").format(
                        sql.Identifier("stocks", table), sql.Literal(key)
                    ),
                )

    def agreed(self, source: str, share: float, weight: float) -> None:
        """Record that a share of ``weight`` bars agreed with what was chosen of other sources."""

        def blend(health: Health, _now: datetime) -> Health:
            if health.accuracy is None:  # a few bars are not yet much of a proof
                known = (share * weight + TRUSTED_BARS) / (weight + TRUSTED_BARS)
                return replace(health, accuracy=known)
            part = min(1.0, weight / 1000.0)
            return replace(health, accuracy=health.accuracy * (1 - part) + share * part)

        self._change(source, blend)

    def not_entitled(
        self, source: str, endpoint: str, reason: str, believed: timedelta = ENTITLED_AGAIN
    ) -> None:
        """Learn that the plan lacks an endpoint; ``believed`` for so long."""
        with self._db.connect() as connection:
            now = self._clock(connection)
            run(
                connection,
                sql.SQL(
                    "insert into stocks.source_entitlements as e "
                    "(source, endpoint, reason, learned_at, expires_at) values ({}, {}, {}, {}, {})"
                    " on conflict (source, endpoint) do update set reason = excluded.reason, "
                    "learned_at = excluded.learned_at, expires_at = excluded.expires_at"
                ).format(*map(sql.Literal, (source, endpoint, reason[:300], now, now + believed))),
            )

    def unknown_to(self, source: str, asset_ids: Sequence[int]) -> None:
        """Learn that a vendor does not know assets; believed for ``KNOWN_AGAIN``."""
        with self._db.connect() as connection:
            now = self._clock(connection)
            run(
                connection,
                sql.SQL(
                    "insert into stocks.source_unknown as u "
                    "(source, asset_id, learned_at, expires_at) "
                    "select {}, id, {}, {} from unnest({}) id "
                    "on conflict (source, asset_id) do update set "
                    "learned_at = excluded.learned_at, expires_at = excluded.expires_at"
                ).format(
                    sql.Literal(source),
                    sql.Literal(now),
                    sql.Literal(now + KNOWN_AGAIN),
                    ints(list(asset_ids)),
                ),
            )

    def unknown(self) -> set[tuple[str, int]]:
        """(source, asset id) of what vendors said they do not know."""
        query = sql.SQL("select source, asset_id from stocks.source_unknown where expires_at > {}")
        with self._db.connect() as connection:
            now = sql.Literal(self._clock(connection))
            return {(row[0], row[1]) for row in run(connection, query.format(now))}

    def refusals(self) -> list[Refusal]:
        """What is known to be lacking now."""
        query = sql.SQL(
            "select source, endpoint, reason, learned_at, expires_at "
            "from stocks.source_entitlements where expires_at > {} order by source, endpoint"
        )
        with self._db.connect() as connection:
            now = sql.Literal(self._clock(connection))
            return [Refusal(*row) for row in run(connection, query.format(now))]

    def _change(self, source: str, change: Callable[[Health, datetime], Health]) -> Health:
        with self._db.connect() as connection:
            run(
                connection,
                sql.SQL(
                    "insert into stocks.source_health (source) values ({}) on conflict do nothing"
                ).format(sql.Literal(source)),
            )
            row = one(
                connection,
                sql.SQL("select {} from stocks.source_health where source = {} for update").format(
                    names(_COLUMNS), sql.Literal(source)
                ),
            )
            before = Health(*row)
            after = change(before, self._clock(connection))
            if after != before:
                values = [sql.Literal(value) for value in astuple(after)]
                assignments = [
                    sql.SQL("{} = {}").format(sql.Identifier(column), value)
                    for column, value in zip(_COLUMNS, values, strict=True)
                ]
                run(
                    connection,
                    sql.SQL("update stocks.source_health set {} where source = {}").format(
                        sql.SQL(", ").join(assignments), sql.Literal(source)
                    ),
                )
        return after

    def _clock(self, connection: Connection) -> datetime:
        if self._now is not None:
            return self._now()
        now: datetime = one(connection, sql.SQL("select clock_timestamp()"))[0]
        return now
