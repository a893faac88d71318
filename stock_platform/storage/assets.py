"""The catalog: which assets there are, what they are called, and which are tracked.

Belongs here: identity. An asset keeps its id through renames; a reused ticker is another asset.
Does not: how tickers are spelt (domain/symbols.py), prices.

Tickers are in canonical form. They are valid from a day (inclusive) to a day (exclusive);
``ALWAYS`` and ``FOREVER`` stand for no beginning and no end.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Literal

import polars as pl
from psycopg import sql

from stock_platform.domain.coverage import SHARDS
from stock_platform.domain.errors import InputError, one_of
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, copy_in, ints, one, read, run
from stock_platform.storage.locks import begin, lock_catalog

ALWAYS = date(1, 1, 1)
FOREVER = date(9999, 12, 31)

Scope = Literal["watchlist", "market"]

CATALOG = 100
"""So many assets that nobody tracks came from a list of the market."""

ASSETS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "ticker": pl.String(),
    "asset_class": pl.String(),
    "calendar": pl.String(),
    "currency": pl.String(),
    "name": pl.String(),
    "listed_on": pl.Date(),
    "delisted_on": pl.Date(),
    "shard": pl.Int16(),
}

TICKERS: dict[str, pl.DataType] = {
    "ticker": pl.String(),
    "asset_id": pl.Int32(),
    "valid_from": pl.Date(),
    "valid_to": pl.Date(),
}


@dataclass(frozen=True)
class NewAsset:
    """An asset to register.

    Attributes:
        ticker: canonical form.
        asset_class: stock, etf, fund, crypto, fx, commodity or index.
        calendar: its exchange calendar, such as XNYS.
        listed_on, delisted_on: first and last session, where known.
    """

    ticker: str
    asset_class: str
    calendar: str
    currency: str | None = None
    name: str | None = None
    listed_on: date | None = None
    delisted_on: date | None = None


def register(db: Database, symbols: Iterable[NewAsset]) -> dict[str, int]:
    """The ids of assets by their current tickers; those that are new are added.

    Idempotent, and safe when several processes register the same. Facts that the catalog lacks
    of a known asset (currency, name, listing, delisting) are filled in; others stay. A ticker
    whose holder was delisted before the new one's listing is reused: the new one is another
    asset.
    """
    wanted = {s.ticker: s for s in symbols}  # the last of one ticker stands
    if not wanted:
        return {}
    frame = pl.DataFrame(
        [asdict(s) | {"asset_class": str(s.asset_class)} for s in wanted.values()],
        schema=_NEW,
        orient="row",
    )
    with db.connect() as connection:
        known = _current(connection, wanted)
        if len(known) < len(wanted) or _teaches(frame):
            begin_again(connection)
            run(connection, _STAGE_NEW)
            copy_in(connection, sql.Identifier("incoming"), frame)
            for step in (_RETIRE, _ADD, _LEARN):
                run(connection, step)
            known = _current(connection, wanted)
            run(connection, sql.SQL("drop table incoming"))
    return known


def begin_again(connection: Connection) -> None:
    """End the reading transaction; begin a writing one that holds the catalog's lock."""
    connection.commit()
    begin(connection)
    lock_catalog(connection)


def resolve(db: Database, tickers: Collection[str], on: date | None = None) -> dict[str, int]:
    """The assets that tickers mean now, or meant on a day; unknown tickers are left out."""
    if not tickers:
        return {}
    with db.connect() as connection:
        return _current(connection, tickers, on)


def resolve_any(db: Database, tickers: Collection[str]) -> dict[str, int]:
    """The assets that tickers mean now, or meant last; unknown tickers are left out.

    A ticker whose asset was renamed means that asset as long as no other has it.
    """
    if not tickers:
        return {}
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select distinct on (ticker) ticker, asset_id from stocks.asset_symbols "
                "where ticker = any({}) order by ticker, valid_to desc, valid_from desc"
            ).format(sql.Literal(list(tickers))),
        )
        return {row[0]: row[1] for row in rows}


def by_id(db: Database, asset_ids: Sequence[int]) -> pl.DataFrame:
    """The assets of these ids: ASSETS, by id; unknown ids are left out."""
    return _assets(db, [sql.SQL("a.asset_id = any({})").format(ints(list(asset_ids)))])


def universe(
    db: Database,
    scope: Scope = "market",
    *,
    shards: Sequence[int] | None = None,
    tickers: Sequence[str] | None = None,
    calendar: str | None = None,
    delisted: bool = False,
) -> pl.DataFrame:
    """The assets of a scope: ASSETS, by id. ``ticker`` is the current, or the last, one.

    Args:
        db: the database.
        scope: ``watchlist``, the tracked assets, or ``market``, every share and coin.
        shards: only these shards of the market scope, 0 to 31.
        tickers: only the assets that currently have these tickers.
        calendar: only the assets of this exchange calendar.
        delisted: those of the market that are no longer listed, too. Of several assets that
            had one ticker each has its own id.

    Raises:
        InputError: an unknown scope or shard.
    """
    if scope not in ("watchlist", "market"):
        raise InputError("scope", scope, one_of(["watchlist", "market"]))
    conditions: list[sql.Composable] = [
        sql.SQL("a.asset_id in (select asset_id from stocks.tracked_assets)")
        if scope == "watchlist"
        else sql.SQL("a.asset_class not in ('index', 'fx', 'commodity')")
    ]
    if scope == "market" and not delisted:
        conditions.append(sql.SQL("a.active"))
    if shards is not None:
        for shard in shards:
            if not 0 <= shard < SHARDS:
                raise InputError("shard", shard, f"use a number from 0 to {SHARDS - 1}")
        conditions.append(sql.SQL("a.shard = any({})").format(ints(list(shards))))
    if calendar is not None:
        conditions.append(sql.SQL("a.calendar = {}").format(sql.Literal(calendar)))
    if tickers is not None:
        conditions.append(sql.SQL("s.ticker = any({})").format(sql.Literal(list(tickers))))
    return _assets(db, conditions)


def ticker_map(
    db: Database, start: date, end: date, asset_ids: Sequence[int] | None = None
) -> pl.DataFrame:
    """Which ticker meant which asset on some day of start..end: TICKERS, by ticker and day.

    Where a directory told of a rename but not of its day, both tickers mean the asset between
    the last directory and that one, so far as they were nobody else's: days on which a ticker
    may have been either of two assets' are left out. ``asset_ids``: of these alone.
    """
    only: sql.Composable = sql.SQL("true")
    if asset_ids is not None:
        only = sql.SQL("s.asset_id = any({})").format(ints(list(asset_ids)))
    with db.connect() as connection:
        return read(
            connection, _TICKER_MAP.format(only=only), TICKERS, {"start": start, "end": end}
        )


def count(db: Database) -> int:
    """Assets in the catalog."""
    with db.connect() as connection:
        return int(one(connection, sql.SQL("select count(*) from stocks.assets"))[0])


def has_catalog(db: Database) -> bool:
    """Whether the market is known, so that a ticker that is not there is likely a typing error."""
    with db.connect() as connection:
        others = sql.SQL(
            "select count(*) from (select from stocks.assets a where not exists ("
            "select from stocks.tracked_assets t where t.asset_id = a.asset_id) limit {}) x"
        ).format(sql.Literal(CATALOG))
        return int(one(connection, others)[0]) == CATALOG


def similar(db: Database, ticker: str, limit: int = 3) -> list[str]:
    """Current tickers that look like ``ticker``, the likest first."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL("select ticker from stocks.asset_symbols where valid_to = {}").format(
                sql.Literal(FOREVER)
            ),
        ).fetchall()
    return difflib.get_close_matches(ticker, [row[0] for row in rows], n=limit, cutoff=0.6)


def unknown_ticker(db: Database, ticker: str) -> InputError:
    """The error that a ticker is not in the database: near ones, or how it gets there."""
    near = similar(db, ticker)
    hint = f"did you mean {', '.join(near)}?" if near else ""
    command = f"to fetch it: stock-platform backfill {ticker} --start 2024-01-02"
    return InputError("ticker", ticker, f"use a ticker that is in the database; {hint or command}")


def rename(db: Database, asset_id: int, new_ticker: str, from_date: date) -> None:
    """Give an asset a new ticker from a day on. Doing it again changes nothing.

    A ticker whose holder was delisted before that day is free to take.

    Raises:
        InputError: no such asset, the ticker is another asset's, or the day is not after the
            day from which the present ticker holds.
    """
    with db.connect() as connection:
        begin_again(connection)
        row = run(
            connection,
            sql.SQL(
                "select ticker, valid_from from stocks.asset_symbols "
                "where asset_id = {} order by valid_from desc limit 1"
            ).format(sql.Literal(asset_id)),
        ).fetchone()
        if row is None:
            raise InputError("asset_id", asset_id, "use the id of an asset in the catalog")
        ticker, valid_from = row
        if ticker == new_ticker:
            return
        if from_date <= valid_from:
            raise InputError("from_date", str(from_date), f"use a day after {valid_from}")
        run(connection, _FREE, {"ticker": new_ticker, "day": from_date, "forever": FOREVER})
        holders = _current(connection, [new_ticker])
        if holders:
            raise InputError("new_ticker", new_ticker, "use a ticker that no asset has now")
        for statement in (_CLOSE_SYMBOL, _OPEN_SYMBOL):
            run(
                connection,
                statement,
                {
                    "asset_id": asset_id,
                    "ticker": new_ticker,
                    "day": from_date,
                    "forever": FOREVER,
                },
            )


def set_listing(
    db: Database, asset_id: int, *, listed_on: date | None = None, delisted_on: date | None = None
) -> None:
    """Record an asset's first or last session; None leaves what is known."""
    with db.connect() as connection:
        begin_again(connection)
        run(
            connection,
            sql.SQL(
                "update stocks.assets set listed_on = coalesce({}, listed_on), "
                "delisted_on = coalesce({}, delisted_on) where asset_id = {}"
            ).format(sql.Literal(listed_on), sql.Literal(delisted_on), sql.Literal(asset_id)),
        )


def track(db: Database, asset_ids: Sequence[int]) -> int:
    """Put assets on the watchlist; how many were not on it.

    Raises:
        InputError: an id that is not in the catalog.
    """
    wanted = sorted(set(asset_ids))
    known = set(by_id(db, wanted)["asset_id"].to_list())
    for asset_id in wanted:
        if asset_id not in known:
            raise InputError("asset_id", asset_id, "use the id of an asset in the catalog")
    with db.connect() as connection:
        return run(
            connection,
            sql.SQL(
                "insert into stocks.tracked_assets (asset_id) select unnest({}) "
                "on conflict do nothing"
            ).format(ints(wanted)),
        ).rowcount


def untrack(db: Database, asset_ids: Sequence[int]) -> int:
    """Take assets off the watchlist; how many left it. Their data stay, and what is held stays."""
    with db.connect() as connection:
        return run(
            connection,
            sql.SQL(
                "delete from stocks.tracked_assets where asset_id = any({}) and holders = 0"
            ).format(ints(sorted(set(asset_ids)))),
        ).rowcount


def tracked(db: Database) -> list[int]:
    """The ids on the watchlist, ascending."""
    with db.connect() as connection:
        rows = run(
            connection, sql.SQL("select asset_id from stocks.tracked_assets order by asset_id")
        )
        return [row[0] for row in rows]


def _assets(db: Database, conditions: Sequence[sql.Composable]) -> pl.DataFrame:
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                """select a.asset_id, s.ticker, a.asset_class, a.calendar, a.currency, a.name,
                       a.listed_on, a.delisted_on, a.shard
                from stocks.assets a
                join (
                    select distinct on (asset_id) asset_id, ticker
                    from stocks.asset_symbols order by asset_id, valid_from desc
                ) s on s.asset_id = a.asset_id
                where {} order by a.asset_id"""
            ).format(sql.SQL(" and ").join(conditions)),
            ASSETS,
        )


def _current(
    connection: Connection, tickers: Collection[str], on: date | None = None
) -> dict[str, int]:
    day = sql.SQL("valid_to = {}").format(sql.Literal(FOREVER))
    if on is not None:
        day = sql.SQL("valid_from <= {0} and valid_to > {0}").format(sql.Literal(on))
    rows = run(
        connection,
        sql.SQL(
            "select ticker, asset_id from stocks.asset_symbols where {} and ticker = any({})"
        ).format(day, sql.Literal(list(tickers))),
    )
    return {row[0]: row[1] for row in rows}


def _teaches(frame: pl.DataFrame) -> bool:
    return any(
        frame[name].is_not_null().any() for name in ("currency", "name", "listed_on", "delisted_on")
    )


_TICKER_MAP = sql.SQL(
    """with spans as (
        select ticker, asset_id, valid_from, least(valid_to, coalesce((
            select n.earliest from stocks.asset_symbols n
            where n.ticker = s.ticker and n.asset_id <> s.asset_id and n.valid_from = s.valid_to
        ), valid_to)) as valid_to
        from stocks.asset_symbols s
        where valid_from <= %(end)s and valid_to > %(start)s and {only}
        union all
        select ticker, asset_id, earliest, valid_from from stocks.asset_symbols s
        where earliest <= %(end)s and valid_from > %(start)s and {only} and not exists (
            select from stocks.asset_symbols o
            where o.ticker = s.ticker and o.asset_id <> s.asset_id
                and o.valid_from < s.valid_from and o.valid_to > s.earliest
        )
    )
    select ticker, asset_id, valid_from, valid_to from spans
    where valid_from <= %(end)s and valid_to > %(start)s
    order by ticker, valid_from"""
)

_NEW: dict[str, pl.DataType] = {
    "ticker": pl.String(),
    "asset_class": pl.String(),
    "calendar": pl.String(),
    "currency": pl.String(),
    "name": pl.String(),
    "listed_on": pl.Date(),
    "delisted_on": pl.Date(),
}

_STAGE_NEW = sql.SQL(
    """create temp table incoming (
        ticker text collate "C", asset_class text, calendar text, currency text, name text,
        listed_on date, delisted_on date
    ) on commit drop"""
)

# A delisted holder gives its ticker up to an asset listed after it.
_RETIRE = sql.SQL(
    """update stocks.asset_symbols s set valid_to = i.listed_on
    from incoming i, stocks.assets a
    where s.ticker = i.ticker and s.valid_to = '9999-12-31' and a.asset_id = s.asset_id
        and a.delisted_on < i.listed_on and s.valid_from < i.listed_on"""
)

# Ids are drawn in the order of the tickers, so that they are dense and shards even.
_ADD = sql.SQL(
    """with fresh as materialized (
        select i.*, nextval(pg_get_serial_sequence('stocks.assets', 'asset_id'))::int as asset_id
        from (select * from incoming order by ticker) i
        where not exists (
            select from stocks.asset_symbols s
            where s.ticker = i.ticker and s.valid_to = '9999-12-31'
        )
    ), added as (
        insert into stocks.assets
            (asset_id, asset_class, calendar, currency, name, listed_on, delisted_on)
        select asset_id, asset_class, calendar, currency, name, listed_on, delisted_on
        from fresh order by asset_id
    )
    insert into stocks.asset_symbols (asset_id, ticker, valid_from)
    select f.asset_id, f.ticker, coalesce(
        (select max(s.valid_to) from stocks.asset_symbols s where s.ticker = f.ticker),
        '0001-01-01'
    ) from fresh f order by f.asset_id"""
)

_LEARN = sql.SQL(
    """update stocks.assets a
    set currency = coalesce(a.currency, i.currency), name = coalesce(a.name, i.name),
        listed_on = coalesce(a.listed_on, i.listed_on),
        delisted_on = coalesce(a.delisted_on, i.delisted_on)
    from incoming i
    join stocks.asset_symbols s on s.ticker = i.ticker and s.valid_to = '9999-12-31'
    where a.asset_id = s.asset_id
        and ((a.currency is null and i.currency is not null)
            or (a.name is null and i.name is not null)
            or (a.listed_on is null and i.listed_on is not null)
            or (a.delisted_on is null and i.delisted_on is not null))"""
)

_FREE = sql.SQL(
    "update stocks.asset_symbols s set valid_to = %(day)s from stocks.assets a "
    "where s.ticker = %(ticker)s and s.valid_to = %(forever)s and a.asset_id = s.asset_id "
    "and a.delisted_on < %(day)s and s.valid_from < %(day)s"
)
_CLOSE_SYMBOL = sql.SQL(
    "update stocks.asset_symbols set valid_to = %(day)s "
    "where asset_id = %(asset_id)s and valid_to = %(forever)s"
)
_OPEN_SYMBOL = sql.SQL(
    "insert into stocks.asset_symbols (asset_id, ticker, valid_from) "
    "values (%(asset_id)s, %(ticker)s, %(day)s)"
)
