"""The quarantine: rows that were not good enough, with every reason.

Belongs here: writing and clearing entries. Does not: judging rows (domain/validation).

An entry's id is a digest of what identifies the row, so that the same row put aside again is
the same entry. Entries of stage ``parse`` (unreadable, or not storable) stay; those of stage
``validation`` go when the row is judged again and passes, or is gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal

import polars as pl
from psycopg import sql

from stock_platform.domain.batches import QUARANTINE
from stock_platform.domain.cells import CellGrid
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import LIST_SEPARATOR, Connection, copy_in, ints, read, run

Stage = Literal["parse", "validation"]


def put(
    connection: Connection, stage: Stage, rows: pl.DataFrame, fetch_ids: pl.Series | None = None
) -> int:
    """Add or refresh entries (QUARANTINE); the number of entries that are new or changed."""
    if rows.is_empty():
        return 0
    ids = pl.lit(None) if fetch_ids is None else fetch_ids
    frame = rows.select(
        *(pl.col(name).cast(kind) for name, kind in QUARANTINE.items() if name != "row"),
        pl.Series("row", list(map(_json, rows["row"])), dtype=pl.String()),
        ids.alias("fetch_id").cast(pl.Int64),
    ).with_columns(pl.col("ticker").str.replace_all("\0", "", literal=True))
    run(
        connection,
        sql.SQL(
            """create temp table aside (
                asset_id integer, ticker text, interval text, source text, ts timestamptz,
                session date, "row" jsonb, reasons text[], fetch_id bigint
            ) on commit drop"""
        ),
    )
    copy_in(connection, sql.Identifier("aside"), frame)
    identity = _IDENTITY[stage]
    changed = run(
        connection,
        sql.SQL(
            """insert into stocks.quarantine as q (quarantine_id, stage, asset_id, ticker,
                interval, source, ts, session, "row", reasons, fetch_id)
            select distinct on (id) id, {stage}, asset_id, ticker, interval, coalesce(source, ''),
                   ts, session, coalesce("row", 'null'), coalesce(reasons, '{{}}'), fetch_id
            from (
                select encode(sha256(convert_to(
                    jsonb_build_array({stage}, {identity})::text, 'UTF8')), 'hex') as id, a.*
                from aside a
            ) a order by id
            on conflict (quarantine_id) do update
            set "row" = excluded."row", reasons = excluded.reasons, fetch_id = excluded.fetch_id,
                quarantined_at = now()
            where (q."row", q.reasons) is distinct from (excluded."row", excluded.reasons)"""
        ).format(stage=sql.Literal(stage), identity=identity),
    ).rowcount
    run(connection, sql.SQL("drop table aside"))
    return changed


def clear(connection: Connection, grid: CellGrid, rows: pl.DataFrame) -> int:
    """Delete validation entries of the grid's cells that are not in ``rows`` any more."""
    if not grid:
        return 0
    open_entries = read(
        connection,
        sql.SQL(
            "select quarantine_id, asset_id, session, source, ts at time zone 'UTC' "
            "from stocks.quarantine where stage = 'validation' and interval = {} "
            "and session between {} and {} and asset_id = any({})"
        ).format(
            sql.Literal(str(grid.interval)),
            sql.Literal(grid.sessions[0].astype(object)),
            sql.Literal(grid.sessions[-1].astype(object)),
            ints(grid.assets),
        ),
        {"quarantine_id": pl.String(), **{k: QUARANTINE[k] for k in _ROW}},
    )
    if open_entries.is_empty():
        return 0
    gone = open_entries.join(grid.to_frame(), on=["asset_id", "session"], how="semi").join(
        rows.select(_ROW), on=_ROW, how="anti", nulls_equal=True
    )
    if gone.is_empty():
        return 0
    return run(
        connection,
        sql.SQL("delete from stocks.quarantine where quarantine_id = any({})").format(
            sql.Literal(gone["quarantine_id"].to_list())
        ),
    ).rowcount


def failed_daily(db: Database, asset_ids: Sequence[int], first: date, last: date) -> pl.DataFrame:
    """Daily quotes that failed rules: asset_id, session, source, reasons."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select asset_id, session, source, array_to_string(reasons, {}) "
                "from stocks.quarantine where stage = 'validation' and interval = '1d' "
                "and asset_id = any({}) and session between {} and {}"
            ).format(
                sql.Literal(LIST_SEPARATOR), ints(list(asset_ids)),
                sql.Literal(first), sql.Literal(last),
            ),
            {name: QUARANTINE[name] for name in ("asset_id", "session", "source", "reasons")},
        )  # fmt: skip


def assets_of(frames: Iterable[pl.DataFrame]) -> set[int | None]:
    """The assets of entries, None where there is one without."""
    return {a for frame in frames for a in frame["asset_id"].unique().to_list()}


_ROW = ["asset_id", "session", "source", "ts"]

# An unreadable row is its own text; a judged one is known by its key.
_IDENTITY: dict[Stage, sql.SQL] = {
    "parse": sql.SQL('asset_id, ticker, interval, source, session, "row"'),
    "validation": sql.SQL("asset_id, interval, source, session, extract(epoch from ts)"),
}


def _json(text: str | None) -> str:
    """JSON that jsonb takes: no NaN, no NUL; what is not JSON becomes a JSON string."""
    if text is None:
        return "null"
    try:
        value = json.loads(text, parse_constant=str)
    except ValueError:
        value = text
    return json.dumps(value, ensure_ascii=False).replace("\\u0000", "")
