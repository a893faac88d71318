"""Splits and dividends: what was told, by whom and when, and what is in force.

Belongs here: tables of actions, writing and reading them. Does not: which telling stands
(domain/reconciling.py), prices (writers.py, readers.py).

Every source keeps its own words in ``splits`` and ``dividends``; a word that it changes, or does
not repeat in an answer that should hold it, goes to the table's history. What is in force is
derived from all of them in the same transaction, and kept with its history as well, so that it
can be read as it was known at any moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
from psycopg import sql

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.domain.corporate_actions import DIVIDENDS, SPLITS, TOLD_SPLITS
from stock_platform.domain.reconciling import CONFLICTS, KINDS, VALUE, Kind, reconcile
from stock_platform.storage import rejudging
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import (
    LIST_SEPARATOR,
    Connection,
    copy_in,
    ints,
    names,
    read,
    run,
)
from stock_platform.storage.keyed import DAYS, Bounds, Table
from stock_platform.storage.tables import RAW_TABLES
from stock_platform.storage.upsert import delete, upsert

SCHEMA: dict[Kind, dict[str, pl.DataType]] = {"split": SPLITS, "dividend": DIVIDENDS}

DECIMALS: dict[Kind, int] = {"split": 10, "dividend": 8}

TOLD: dict[Kind, Table] = {
    kind: Table(
        name=f"{kind}s",
        fixed=("source",),
        time="ex_date",
        day="ex_date",
        compared=("ratio",) if kind == "split" else ("amount", "currency"),
        silent=("fetched_at",),
        decimals=DECIMALS[kind],
        since="fetched_at",
        history=f"{kind}s_history",
    )
    for kind in KINDS
}

IN_FORCE: dict[Kind, Table] = {
    kind: Table(
        name=f"{kind}s_in_force",
        fixed=(),
        time="ex_date",
        day="ex_date",
        compared=(*TOLD[kind].compared, "source", "sources"),
        silent=("fetched_at", "recorded_at"),
        decimals=DECIMALS[kind],
        since="recorded_at",
        history=f"{kind}s_in_force_history",
    )
    for kind in KINDS
}

# An action in force as it is shown: ``value`` is a split's ratio or a dividend's cash a share.
ACTIONS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "kind": pl.String(),
    "ex_date": pl.Date(),
    "value": pl.Float64(),
    "currency": pl.String(),
    "source": pl.String(),
    "sources": pl.List(pl.String()),
    "recorded_at": UTC_STAMP,
}

# What a source said, from fetched_at until known_to (null: it still does).
TELLINGS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "kind": pl.String(),
    "ex_date": pl.Date(),
    "source": pl.String(),
    "value": pl.Float64(),
    "currency": pl.String(),
    "fetched_at": UTC_STAMP,
    "known_to": UTC_STAMP,
}


def write_told(
    connection: Connection,
    told: dict[Kind, pl.DataFrame],
    complete: pl.DataFrame,
    at: datetime,
) -> pl.DataFrame:
    """Keep what sources told, and bring to date what is in force.

    Args:
        connection: in a transaction that holds the RAW locks of the assets.
        told: SPLITS and DIVIDENDS; of rows with one key the last stands.
        complete: ANSWERED.
        at: from when on what is in force is known.

    Returns:
        asset_id and day of splits in force that are new, different or gone.
    """
    torn = pl.DataFrame(schema=DAYS)
    for kind in KINDS:
        table, frame = TOLD[kind], told[kind]
        rows = frame.unique(table.key, keep="last", maintain_order=True)
        settled = complete.filter(pl.col("kind") == kind)
        changed = [
            upsert(connection, table, part).days
            for part in (rows.partition_by("source") if rows.height else [])
        ]
        changed += [
            _withdraw(connection, table, part, rows)
            for part in (settled.partition_by("source") if settled.height else [])
        ]
        assets = pl.concat([pl.DataFrame(schema=DAYS), *changed])["asset_id"].unique().sort()
        days = settle(connection, kind, assets.to_list(), at)
        if kind == "split":
            torn = days
    return torn


def settle(connection: Connection, kind: Kind, assets: list[int], at: datetime) -> pl.DataFrame:
    """Derive what is in force for assets from what is told; asset_id and day of what changed."""
    if not assets:
        return pl.DataFrame(schema=DAYS)
    found = reconcile(_told(connection, kind, assets), kind)
    table, everywhere = IN_FORCE[kind], Bounds(assets, date.min, date.max, {})
    changes = upsert(
        connection,
        table,
        found.in_force.with_columns(pl.lit(at).cast(UTC_STAMP).alias("recorded_at")),
        replace=everywhere,
        keep=_days(connection, table, everywhere),
        at=at,
    )
    _write_conflicts(connection, kind, assets, found.conflicts)
    rejudging.note_actions(connection, kind, changes.days)
    return changes.days


def told_assets(connection: Connection) -> list[int]:
    """Every asset of which a split or dividend is told, ascending."""
    rows = run(
        connection,
        sql.SQL(
            "select asset_id from stocks.splits union select asset_id from stocks.dividends "
            "order by asset_id"
        ),
    )
    return [row[0] for row in rows]


def told_splits(db: Database, asset_ids: Sequence[int], sources: Sequence[str]) -> pl.DataFrame:
    """What some sources say and said of splits: TOLD_SPLITS."""
    told = sql.SQL(
        "select asset_id, ex_date, source, ratio, fetched_at at time zone 'UTC', {} from {} "
        "where asset_id = any({}) and source = any({})"
    )
    whose = (ints(list(asset_ids)), sql.Literal(list(sources)))
    table = TOLD["split"]
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL("{} union all {}").format(
                told.format(sql.SQL("null::timestamp"), table.identifier, *whose),
                told.format(
                    sql.SQL("known_to at time zone 'UTC'"),
                    sql.Identifier("stocks", table.history),
                    *whose,
                ),
            ),
            TOLD_SPLITS,
        )


def in_force(
    db: Database, asset_ids: Sequence[int], kind: Kind, as_of: datetime | None = None
) -> pl.DataFrame:
    """The actions in force, now or as they were known, by asset and day: SPLITS or DIVIDENDS."""
    schema = SCHEMA[kind]
    columns = [
        sql.SQL("fetched_at at time zone 'UTC'") if name == "fetched_at" else sql.Identifier(name)
        for name in schema
    ]
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL("select {} from {} r where asset_id = any({}) order by 1, 2").format(
                sql.SQL(", ").join(columns), relation(f"{kind}s", as_of), ints(list(asset_ids))
            ),
            schema,
        )


def relation(what: str, as_of: datetime | None) -> sql.Composable:
    """``stocks.<what>_in_force``, or the function that gives the same as it was known."""
    if as_of is None:
        return sql.Identifier("stocks", f"{what}_in_force")
    return sql.SQL("{}({}::timestamptz)").format(
        sql.Identifier("stocks", f"{what}_as_of"), sql.Literal(as_of)
    )


def actions(db: Database, asset_ids: Sequence[int], as_of: datetime | None = None) -> pl.DataFrame:
    """Splits and dividends in force, now or as they were known, the latest first: ACTIONS."""
    parts = [
        sql.SQL(
            "select asset_id, {kind} as kind, ex_date, {value} as value, {currency} as currency, "
            "source, array_to_string(sources, {mark}), recorded_at at time zone 'UTC' "
            "from {table} r where asset_id = any({ids})"
        ).format(
            kind=sql.Literal(kind),
            value=sql.Identifier(VALUE[kind]),
            currency=sql.SQL("currency" if kind == "dividend" else "null"),
            mark=sql.Literal(LIST_SEPARATOR),
            table=relation(f"{kind}s", as_of),
            ids=ints(list(asset_ids)),
        )
        for kind in KINDS
    ]
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL("{} order by asset_id, ex_date desc, kind").format(
                sql.SQL(" union all ").join(parts)
            ),
            ACTIONS,
        )


def tellings(db: Database, asset_ids: Sequence[int]) -> pl.DataFrame:
    """Everything that sources say and said of assets, the latest ex-date first: TELLINGS."""
    parts = [
        sql.SQL(
            "select asset_id, {kind} as kind, ex_date, source, {value} as value, "
            "{currency} as currency, fetched_at at time zone 'UTC' as told, {until} "
            "from stocks.{table} where asset_id = any({ids})"
        ).format(
            kind=sql.Literal(kind),
            value=sql.Identifier(VALUE[kind]),
            currency=sql.SQL("currency" if kind == "dividend" else "null"),
            until=sql.SQL(
                "known_to at time zone 'UTC' as until" if past else "null::timestamp as until"
            ),
            table=sql.Identifier(TOLD[kind].history if past else TOLD[kind].name),
            ids=ints(list(asset_ids)),
        )
        for kind in KINDS
        for past in (False, True)
    ]
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL("{} order by asset_id, ex_date desc, kind, source, told").format(
                sql.SQL(" union all ").join(parts)
            ),
            TELLINGS,
        )


def conflicts(db: Database, asset_ids: Sequence[int] | None = None) -> pl.DataFrame:
    """Tellings that contradict what is in force, of some assets or of all: CONFLICTS."""
    of: sql.Composable = sql.SQL("true")
    if asset_ids is not None:
        of = sql.SQL("asset_id = any({})").format(ints(list(asset_ids)))
    with db.connect() as connection:
        return _conflicts(connection, of)


@dataclass(frozen=True)
class Answered:
    """Over which days a source has told every action of the market, and when it did last."""

    first_day: date
    last_day: date
    at: datetime


def answered(db: Database, source: str, kind: Kind) -> Answered | None:
    """What a source has answered for the whole market; None: nothing yet."""
    with db.connect() as connection:
        row = run(
            connection,
            sql.SQL(
                "select first_day, last_day, answered_at from stocks.action_answers "
                "where source = {} and kind = {}"
            ).format(sql.Literal(source), sql.Literal(kind)),
        ).fetchone()
    return Answered(*row) if row else None


def first_stored(db: Database, sources: Sequence[str]) -> date | None:
    """The first session of which a daily bar of one of these sources is stored."""
    with db.connect() as connection:
        row = run(
            connection,
            sql.SQL(
                "select make_date(year, 1, 1) + position(B'1' in bit_or(sessions)) - 1 "
                "from stocks.coverage_bits where status = 'stored' and interval = '1d' "
                "and source = any({}) group by year order by year limit 1"
            ).format(sql.Literal(list(sources))),
        ).fetchone()
    return row[0] if row else None


def everything_in_force(db: Database) -> pl.DataFrame:
    """asset_id, kind, ex_date and value of every action in force."""
    schema = {name: ACTIONS[name] for name in ("asset_id", "kind", "ex_date", "value")}
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select asset_id, 'split', ex_date, ratio from stocks.splits_in_force union all "
                "select asset_id, 'dividend', ex_date, amount from stocks.dividends_in_force"
            ),
            schema,
        )


def write_answer(
    db: Database, source: str, kind: Kind, first: date, last: date, at: datetime
) -> None:
    """Record that a source has told every action of the market over some days.

    Days that join or overlap what was answered before extend it; others take its place.
    """
    with db.connect() as connection:
        run(
            connection,
            sql.SQL(
                "insert into stocks.action_answers as a values ({}, {}, {}, {}, {}) "
                "on conflict (source, kind) do update set "
                "first_day = case when excluded.first_day <= a.last_day + 1 "
                "and a.first_day <= excluded.last_day + 1 "
                "then least(a.first_day, excluded.first_day) else excluded.first_day end, "
                "last_day = case when excluded.first_day <= a.last_day + 1 "
                "and a.first_day <= excluded.last_day + 1 "
                "then greatest(a.last_day, excluded.last_day) else excluded.last_day end, "
                "answered_at = greatest(a.answered_at, excluded.answered_at)"
            ).format(*map(sql.Literal, (source, kind, first, last, at))),
        )


def adjusted_before(db: Database, splits: pl.DataFrame, telling: Sequence[str]) -> pl.DataFrame:
    """asset_id, session, interval of raw rows whose source divided them by one of these splits.

    Args:
        db: the database.
        splits: asset_id, ex_date.
        telling: sources whose own words decide, and not these splits.
    """
    latest = splits.group_by("asset_id").agg(pl.col("ex_date").max())
    parts = [
        sql.SQL(
            "select distinct r.asset_id, r.session, r.interval from stocks.{} r "
            "join unnest({}, {}::date[]) as s(asset_id, ex_date) using (asset_id) "
            "where r.basis = 'split_adjusted' and not r.source = any({}) "
            "and r.session < s.ex_date and r.fetched_at >= s.ex_date"
        ).format(
            sql.Identifier(table),
            ints(latest["asset_id"]),
            sql.Literal(latest["ex_date"].to_list()),
            sql.Literal(list(telling)),
        )
        for table in RAW_TABLES
    ]
    schema = {"asset_id": pl.Int32(), "session": pl.Date(), "interval": pl.String()}
    with db.connect() as connection:
        return read(connection, sql.SQL(" union ").join(parts), schema)


def _withdraw(
    connection: Connection, table: Table, complete: pl.DataFrame, told: pl.DataFrame
) -> pl.DataFrame:
    """End what one source told before over days it has complete, and tells no more."""
    source = complete["source"][0]
    first, last = complete["first_day"].min(), complete["last_day"].max()
    bounds = Bounds(complete["asset_id"].unique().sort().to_list(), first, last, {"source": source})
    there = _days(connection, table, bounds)
    now = told.filter(pl.col("source") == source).select("asset_id", pl.col("ex_date").alias("day"))
    gone = (
        there.join(complete, on="asset_id")
        .filter(pl.col("day").is_between("first_day", "last_day"))
        .join(now, on=["asset_id", "day"], how="anti")
        .unique(["asset_id", "day"])
    )
    if not gone.is_empty():
        rows = gone.select("asset_id", pl.col("day").alias("ex_date"))
        delete(connection, table, bounds, rows, gone["fetched_at"].max())  # type: ignore[arg-type]  # a stamp
    return gone.select("asset_id", "day")


def _days(connection: Connection, table: Table, bounds: Bounds) -> pl.DataFrame:
    """asset_id and day of the rows within the bounds."""
    return read(
        connection,
        sql.SQL("select asset_id, ex_date from {} r where {}").format(
            table.identifier, bounds.where(table)
        ),
        DAYS,
    )


def _told(connection: Connection, kind: Kind, assets: list[int]) -> pl.DataFrame:
    schema = SCHEMA[kind]
    columns = [
        sql.SQL("fetched_at at time zone 'UTC'") if name == "fetched_at" else sql.Identifier(name)
        for name in schema
    ]
    return read(
        connection,
        sql.SQL("select {} from {} where asset_id = any({})").format(
            sql.SQL(", ").join(columns), TOLD[kind].identifier, ints(assets)
        ),
        schema,
    )


def _conflicts(connection: Connection, of: sql.Composable) -> pl.DataFrame:
    return read(
        connection,
        sql.SQL(
            "select {} from stocks.action_conflicts where {} "
            "order by asset_id, kind, ex_date, source, told_ex_date"
        ).format(names(list(CONFLICTS)), of),
        CONFLICTS,
    )


def _write_conflicts(
    connection: Connection, kind: Kind, assets: list[int], found: pl.DataFrame
) -> None:
    """Bring the conflicts of assets to what was found; where nothing differs nothing is written."""
    of = sql.SQL("kind = {} and asset_id = any({})").format(sql.Literal(kind), ints(assets))
    key = ["asset_id", "source", "told_ex_date"]
    rounded = found.with_columns(pl.col("value", "told_value").round(10)).sort(key)
    if rounded.equals(_conflicts(connection, of).sort(key)):
        return
    run(connection, sql.SQL("delete from stocks.action_conflicts where {}").format(of))
    copy_in(connection, sql.Identifier("stocks", "action_conflicts"), found)
