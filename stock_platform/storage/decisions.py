"""People's decisions about rows in quarantine.

Belongs here: finding an entry by its id, recording a decision, voiding it, reading what was
decided. Does not: what a decision does (domain/validation/decisions.py), the entries themselves
(quarantine.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal

import polars as pl
from psycopg import sql
from psycopg.rows import dict_row

from stock_platform.domain.bars import Interval
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import InputError
from stock_platform.domain.validation.decisions import DECISIONS
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, ints, read, run
from stock_platform.storage.tables import raw_table

Decision = Literal["accept", "reject"]

SHORTEST = 6
"""Of an entry's id, so many characters are enough where they name one entry only."""

_KEPT = sql.SQL("stage, asset_id, ticker, interval, source, ts, session, row, reasons")
_ENTRIES = sql.SQL(
    "select quarantine_id, {}, fetch_id, quarantined_at from stocks.quarantine "
    "where quarantine_id like %s limit 2"
).format(_KEPT)
_DECIDED = sql.SQL(
    "select decision_id, quarantine_id, verdict, reason, decided_by, decided_at, "
    "voided_at, voided_why, {} from stocks.quarantine_decisions"
).format(_KEPT)
_DECISIONS_LIKE = sql.SQL("{} where quarantine_id like %s order by decision_id desc").format(
    _DECIDED
)
_DECISIONS_ABOUT = sql.SQL(
    "{} where asset_id = %s and session = %s order by decision_id desc"
).format(_DECIDED)
_COPIED = (
    "quarantine_id", "stage", "asset_id", "ticker", "interval", "source", "ts", "session", "row",
    "reasons",
)  # fmt: skip


def entry(db: Database, quarantine_id: str) -> dict[str, Any]:
    """A row in quarantine, with ``decisions``; or one that a person took out of it.

    Args:
        db: the database.
        quarantine_id: the id, or its first characters.

    Raises:
        InputError: no row, or several, begin with these characters.
    """
    start = quarantine_id.strip().lower()
    known = "use an id, or its first characters, from `stock-platform quarantine list`"
    if len(start) < SHORTEST or not start.isalnum():
        raise InputError("id", quarantine_id, f"{known} ({SHORTEST} or more)")
    with db.connect() as connection:
        pattern = [f"{start}%"]
        found = _dicts(connection, _ENTRIES, pattern)
        decided = _dicts(connection, _DECISIONS_LIKE, pattern)
    ids = {r["quarantine_id"] for r in (*found, *decided)}
    if len(ids) != 1:
        raise InputError("id", quarantine_id, "give more of it" if ids else known)
    shown = found[0] if found else {k: decided[0][k] for k in _COPIED}
    return {**shown, "in_quarantine": bool(found), "decisions": decided}


def decide(
    db: Database, quarantine_id: str, verdict: Decision, reason: str, by: str, at: datetime
) -> None:
    """Record a decision about an entry, in place of the one that stood.

    Raises:
        InputError: there is no such entry, or no raw quote that could be accepted.
    """
    given = entry(db, quarantine_id)
    with db.connect() as connection:
        run(
            connection,
            sql.SQL(
                "update stocks.quarantine_decisions set voided_at = %s, voided_why = %s "
                "where quarantine_id = %s and voided_at is null"
            ),
            [at, f"decided again by {by}", given["quarantine_id"]],
        )
        interval = given["interval"] or str(Interval.DAY)
        made = run(
            connection,
            sql.SQL(
                "insert into stocks.quarantine_decisions (verdict, reason, decided_by, "
                "decided_at, quarantine_id, {kept}, open, high, low, close, volume, basis) "
                "select {verdict}, {reason}, {by}, {at}, q.*, "
                "r.open, r.high, r.low, r.close, r.volume, r.basis "
                "from (select quarantine_id, {kept} from {rows} where quarantine_id = {id} "
                "limit 1) q {side} join stocks.{raw} r on r.asset_id = q.asset_id "
                "and r.interval = q.interval and r.source = q.source and r.ts = q.ts"
            ).format(
                kept=_KEPT,
                verdict=sql.Literal(verdict),
                reason=sql.Literal(reason),
                by=sql.Literal(by),
                at=sql.Literal(at),
                rows=sql.SQL("stocks.quarantine" if given["in_quarantine"] else _JUDGED),
                id=sql.Literal(given["quarantine_id"]),
                side=sql.SQL("left" if verdict == "reject" else ""),
                raw=sql.Identifier(raw_table(interval)),
            ),
        )
        if made.rowcount != 1:
            raise InputError("id", quarantine_id, "reject it: there is no raw quote to accept")


_JUDGED = "(select * from stocks.quarantine_decisions order by decision_id desc) as judged"


def _dicts(
    connection: Connection, statement: sql.Composed, values: list[Any]
) -> list[dict[str, Any]]:
    return connection.cursor(row_factory=dict_row).execute(statement, values).fetchall()


def of_cells(db: Database, grid: CellGrid) -> pl.DataFrame:
    """The decisions that stand about quotes of some cells: DECISIONS."""
    grid = grid.trimmed()
    if not grid:
        return pl.DataFrame(schema=DECISIONS)
    columns = [
        sql.SQL("ts at time zone 'UTC'") if name == "ts" else sql.Identifier(name)
        for name in DECISIONS
    ]
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from stocks.quarantine_decisions where voided_at is null "
                "and stage = 'validation' and interval = {} and session between {} and {} "
                "and asset_id = any({})"
            ).format(
                sql.SQL(", ").join(columns),
                sql.Literal(str(grid.interval)),
                sql.Literal(grid.sessions[0].astype(object)),
                sql.Literal(grid.sessions[-1].astype(object)),
                ints(grid.assets),
            ),
            DECISIONS,
        )


def void(connection: Connection, ids: Sequence[int], at: datetime) -> int:
    """End decisions whose raw quote changed; the number that stood until now."""
    if not ids:
        return 0
    return run(
        connection,
        sql.SQL(
            "update stocks.quarantine_decisions set voided_at = {}, voided_why = {} "
            "where decision_id = any({}) and voided_at is null"
        ).format(sql.Literal(at), sql.Literal("the source says otherwise now"), ints(list(ids))),
    ).rowcount


def about(db: Database, asset_id: int, session: date) -> list[dict[str, Any]]:
    """Every decision about quotes of an asset's session, former ones too, the latest first."""
    with db.connect() as connection:
        return _dicts(connection, _DECISIONS_ABOUT, [asset_id, session])


def listed(db: Database, ids: Sequence[str]) -> dict[str, str]:
    """The decisions that stand about entries: accept or reject, by entry."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select quarantine_id, verdict from stocks.quarantine_decisions "
                "where voided_at is null and quarantine_id = any({}::text[])"
            ).format(sql.Literal(list(ids))),
        )
        return {str(a): str(b) for a, b in rows}
