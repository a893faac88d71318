"""Transactions of portfolios, and the events they leave in the same commit.

Belongs here: rows of ``portfolio_transactions`` and ``portfolio_events``. Does not: what is
allowed beyond one row (the table's triggers say it, for plain SQL too), what events start
(storage/tracking.py).

Events are taken and marked as handled in one transaction with what follows from them
(storage/tracking.py): each is acted on at least once, and its effect is there once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql

from stock_platform.domain.errors import InputError
from stock_platform.domain.portfolio import Side, Transaction
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, ints, one, run

_COLUMNS = (
    "user_id", "asset_id", "side", "quantity", "price", "currency", "fee", "executed_at",
    "trade_date", "external_id",
)  # fmt: skip


@dataclass(frozen=True)
class Entered:
    """What became of a list of transactions.

    Attributes:
        ids: of each, in the order given; a repeated external id has the stored one's id.
        repeated: positions of those that were stored before, with the same content.
    """

    ids: list[int]
    repeated: frozenset[int]


@dataclass(frozen=True)
class Event:
    """A transaction was ``entered`` or ``removed``."""

    event_id: int
    kind: str
    transaction_id: int
    user_id: str
    asset_id: int
    trade_date: date


def enter(db: Database, transactions: Sequence[Transaction]) -> Entered:
    """Store transactions and their events, all or none.

    One whose external id the user has stored already is taken for the same one sent again, and
    changes nothing.

    Raises:
        InputError: one sells more than is held on some day, is in the future, or comes under
            an external id that stands for a different transaction.
    """
    if not transactions:
        return Entered([], frozenset())
    with db.connect() as connection:
        connection.execute("set transaction isolation level read committed")
        _turns(connection, transactions)
        known = _known(connection, transactions)
        ids: list[int | None] = []
        fresh: list[int] = []
        drawn: dict[tuple[str, str], int] = {}
        for at, transaction in enumerate(transactions):
            key = (transaction.user_id, transaction.external_id or "")
            if transaction.external_id and key in drawn:
                _same(transactions[drawn[key]], transaction)
                ids.append(None)
            elif transaction.external_id and key in known:
                _same(known[key], transaction)
                ids.append(known[key].transaction_id)
            else:
                drawn[key] = at
                fresh.append(at)
                ids.append(None)
        made = _insert(connection, [transactions[at] for at in fresh])
        for at, transaction_id in zip(fresh, made, strict=True):
            ids[at] = transaction_id
    repeated = frozenset(range(len(transactions))) - frozenset(fresh)
    for at in repeated:
        key = (transactions[at].user_id, transactions[at].external_id or "")
        if ids[at] is None:
            ids[at] = ids[drawn[key]]
    return Entered([int(i or 0) for i in ids], repeated)


def remove(db: Database, user_id: str, transaction_id: int) -> None:
    """Delete a transaction.

    Raises:
        InputError: the user has none of this id, or sold later what it brought.
    """
    with db.connect() as connection:
        try:
            gone = run(
                connection,
                sql.SQL(
                    "delete from stocks.portfolio_transactions "
                    "where user_id = {} and transaction_id = {}"
                ).format(sql.Literal(user_id), sql.Literal(transaction_id)),
            ).rowcount
        except psycopg.errors.CheckViolation as error:
            raise InputError(
                "transaction", transaction_id, f"delete later sales first ({_said(error)})"
            ) from None
    if not gone:
        raise InputError("transaction", transaction_id, f"use the id of one of {user_id}'s")


@dataclass(frozen=True)
class Place:
    """Where a transaction stands in the order of execution: the key of that order."""

    executed_at: datetime
    side: str
    transaction_id: int

    @classmethod
    def of(cls, transaction: Transaction) -> Place:
        """A stored transaction's."""
        number = transaction.transaction_id or 0
        return cls(transaction.executed_at, str(transaction.side), number)


def transactions(
    db: Database,
    user_id: str | None = None,
    asset_ids: Sequence[int] | None = None,
    *,
    after: Place | None = None,
    limit: int | None = None,
) -> list[Transaction]:
    """Transactions in the order of their execution: those after a place, and at most so many.

    The place need not be one any more: what stood there may be gone.
    """
    conditions: list[sql.Composable] = [sql.SQL("true")]
    if user_id is not None:
        conditions.append(sql.SQL("t.user_id = {}").format(sql.Literal(user_id)))
    if asset_ids is not None:
        conditions.append(sql.SQL("t.asset_id = any({})").format(ints(list(asset_ids))))
    if after is not None:
        place = (after.executed_at, after.side, after.transaction_id)
        conditions.append(
            sql.SQL("(t.executed_at, t.side, t.transaction_id) > ({}::timestamptz, {}, {})").format(
                *map(sql.Literal, place)
            )
        )
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select {}, transaction_id from stocks.portfolio_transactions t where {} "
                "order by executed_at, side, transaction_id limit {}"
            ).format(_names(), sql.SQL(" and ").join(conditions), sql.Literal(limit)),
        ).fetchall()
    return [_read(row) for row in rows]


def has_any(db: Database, user_id: str, transaction_id: int | None = None) -> bool:
    """Whether a user has a transaction: any, or the one of an id."""
    which: sql.Composable = sql.SQL("true")
    if transaction_id is not None:
        which = sql.SQL("transaction_id = {}").format(sql.Literal(transaction_id))
    with db.connect() as connection:
        return bool(
            one(
                connection,
                sql.SQL(
                    "select exists (select from stocks.portfolio_transactions "
                    "where user_id = {} and {})"
                ).format(sql.Literal(user_id), which),
            )[0]
        )


def users(db: Database) -> list[str]:
    """Everybody who has a transaction, by name."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL("select distinct user_id from stocks.portfolio_transactions order by 1"),
        )
        return [row[0] for row in rows]


def take_events(connection: Connection, limit: int = 10_000) -> list[Event]:
    """Events that nobody has acted on, oldest first, marked as handled in this transaction.

    Those that another transaction is handling are left to it.
    """
    rows = run(
        connection,
        sql.SQL(
            "with taken as (select event_id from stocks.portfolio_events "
            "where handled_at is null order by event_id limit {} for update skip locked) "
            "update stocks.portfolio_events e set handled_at = now() from taken "
            "where e.event_id = taken.event_id "
            "returning e.event_id, kind, transaction_id, user_id, asset_id, trade_date"
        ).format(sql.Literal(limit)),
    ).fetchall()
    return [Event(*row) for row in sorted(rows)]


def open_events(db: Database) -> list[Event]:
    """Events that nobody has acted on yet, oldest first."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select event_id, kind, transaction_id, user_id, asset_id, trade_date "
                "from stocks.portfolio_events where handled_at is null order by event_id"
            ),
        ).fetchall()
    return [Event(*row) for row in rows]


def _turns(connection: Connection, wanted: Sequence[Transaction]) -> None:
    """Writers of one user take turns, so that a repeated external id is seen."""
    for user in sorted({t.user_id for t in wanted}):
        run(
            connection,
            sql.SQL("select pg_advisory_xact_lock(hashtextextended({}, 0))").format(
                sql.Literal(f"stock_platform.portfolio:{user}")
            ),
        )


def _known(
    connection: Connection, wanted: Sequence[Transaction]
) -> dict[tuple[str, str], Transaction]:
    external = sorted({t.external_id for t in wanted if t.external_id})
    if not external:
        return {}
    rows = run(
        connection,
        sql.SQL(
            "select {}, transaction_id from stocks.portfolio_transactions t "
            "where user_id = any({}) and external_id = any({})"
        ).format(
            _names(),
            sql.Literal(sorted({t.user_id for t in wanted})),
            sql.Literal(external),
        ),
    ).fetchall()
    found = [_read(row) for row in rows]
    return {(t.user_id, t.external_id or ""): t for t in found}


def _same(stored: Transaction, again: Transaction) -> None:
    for name in ("asset_id", "side", "quantity", "price", "currency", "fee", "executed_at"):
        if getattr(stored, name) != getattr(again, name):
            raise InputError(
                "external_id",
                again.external_id,
                f"use one of its own: it stands for a transaction whose {name} is "
                f"{getattr(stored, name)}, not {getattr(again, name)}",
            )


def _insert(connection: Connection, fresh: Sequence[Transaction]) -> list[int]:
    if not fresh:
        return []
    values = sql.SQL(", ").join(
        sql.SQL("({})").format(
            sql.SQL(", ").join([sql.Literal(getattr(t, name)) for name in _COLUMNS])
        )
        for t in fresh
    )
    try:
        rows = run(
            connection,
            sql.SQL(
                "insert into stocks.portfolio_transactions ({}) values {} returning transaction_id"
            ).format(_names(""), values),
        ).fetchall()
    except psycopg.errors.CheckViolation as error:
        raise _refused(error, fresh) from None
    return [row[0] for row in rows]


def _refused(error: psycopg.Error, fresh: Sequence[Transaction]) -> InputError:
    said = _said(error)
    parameter, _, text = said.partition(": ")
    if error.diag.constraint_name == "sells_what_is_held":
        asset = (error.diag.message_detail or "").removeprefix("asset ")
        sold = [t for t in fresh if str(t.asset_id) == asset and t.side is Side.SELL]
        quantity = f"{sold[-1].quantity.normalize():f}" if sold else "?"
        return InputError("quantity", quantity, f"sell at most what is held: it is {text}")
    return InputError(parameter, text or "?", "see portfolio_transactions' checks")


def _said(error: psycopg.Error) -> str:
    return " ".join((error.diag.message_primary or str(error)).split())


def _names(alias: str = "t") -> sql.Composed:
    parts = [sql.Identifier(alias, c) if alias else sql.Identifier(c) for c in _COLUMNS]
    return sql.SQL(", ").join(parts)


def _read(row: Sequence[Any]) -> Transaction:
    values = dict(zip(_COLUMNS, row[:-1], strict=True))
    values["side"] = Side(values["side"])
    return Transaction(**values, transaction_id=row[-1])
