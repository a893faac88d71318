"""The catalog's refreshes: writing what a directory changed, and telling its history.

Belongs here: reading what is known for a comparison and writing its outcome under the
catalog's lock, in one transaction; the history of refreshes. Does not: deciding what changed
(domain/catalog), who an asset is for a fetch (assets.py).

Nothing is deleted: a delisted asset becomes inactive with a date, a former ticker keeps its
days. The one exception are the days of a ticker that was registered by hand before a directory
told that it was a renamed asset's: those were never its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import polars as pl
from psycopg import sql

from stock_platform.domain.catalog import CHANGES, KNOWN, CatalogDiff, Kind, share_kind
from stock_platform.domain.catalog.past import SPELLS, Past
from stock_platform.domain.catalog.snapshot import SNAPSHOT
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, copy_in, one, read, run
from stock_platform.storage.locks import begin, lock_catalog

Directory = Literal["shares", "crypto", "curated"]

_CLASSES = {
    "shares": "a.calendar = 'XNYS' and a.asset_class in ('stock', 'etf', 'fund')",
    "crypto": "a.asset_class = 'crypto'",
    "curated": "true",
}


@dataclass(frozen=True)
class CatalogRun:
    """What to keep of a refresh.

    Attributes:
        directory: what was refreshed.
        as_of: the day of the directory.
        sources: what each source gave: rows and requests, or why it was refused.
        forced: whether a refusal was overruled.
        run_id: of Dagster.
    """

    directory: Directory
    as_of: date
    sources: Mapping[str, object] = field(default_factory=dict)
    forced: bool = False
    run_id: str | None = None


class CatalogEdit:
    """The catalog while nobody else may write it; see ``editing``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def known(self, directory: Directory) -> pl.DataFrame:
        """KNOWN of the assets that a directory is about, those delisted included."""
        frame = read(self._connection, _KNOWN.format(sql.SQL(_CLASSES[directory])), _KNOWN_READ)
        kinds = [
            share_kind(symbol, name, kind)
            for symbol, name, kind in frame.select("symbol", "name", "asset_class").iter_rows()
        ]
        return frame.with_columns(
            pl.col("active") == "t", pl.Series("kind", kinds, dtype=pl.String)
        ).select(list(KNOWN))

    def previous(self, directory: Directory) -> date | None:
        """The day of the last directory that was applied, or None."""
        row = run(
            self._connection,
            sql.SQL(
                "select max(as_of) from stocks.catalog_runs "
                "where directory = {} and status = 'applied'"
            ).format(sql.Literal(directory)),
        ).fetchone()
        return row[0] if row else None

    def apply(self, made: CatalogRun, diff: CatalogDiff) -> pl.DataFrame:
        """Write what a directory changed; CHANGES, with the ids of new assets."""
        connection = self._connection
        changes = diff.changes.filter("applied")
        renamed = changes.filter(pl.col("kind") == str(Kind.RENAMED))
        left = changes.filter(pl.col("kind").is_in([str(Kind.DELISTED), str(Kind.REUSED)]))
        run(connection, _STAGE)
        copy_in(connection, sql.Identifier("staged_same"), diff.same.select(_SAME))
        copy_in(
            connection,
            sql.Identifier("staged_renames"),
            renamed.select("asset_id", "ticker", pl.col("on").alias("day"), "earliest"),
        )
        copy_in(
            connection,
            sql.Identifier("staged_left"),
            left.select("asset_id", "kind", pl.col("on").alias("day"), "ticker"),
        )
        copy_in(connection, sql.Identifier("staged_new"), diff.new.select(_NEW))
        values = {"as_of": made.as_of}
        for statement in (
            _LEAVE, _HAND_OVER, _NEVER_ITS_OWN, _FREE, _CLOSE, _TAKE, _OPEN, _LEARN, _ADD,
        ):  # fmt: skip
            run(connection, statement, values)
        ids = dict(run(connection, sql.SQL("select symbol, asset_id from staged_ids")).fetchall())
        fresh = pl.DataFrame(
            {"ticker": list(ids), "new_id": list(ids.values())},
            schema={"ticker": pl.String(), "new_id": pl.Int32()},
        )
        told = (
            diff.changes.join(fresh, on="ticker", how="left", maintain_order="left")
            .with_columns(
                pl.when(pl.col("kind") == str(Kind.LISTED))
                .then(pl.coalesce("asset_id", "new_id"))
                .otherwise("asset_id")
                .alias("asset_id")
            )
            .select(list(CHANGES))
        )
        counts = diff.counts()
        if not counts["listed"] and diff.new.height:
            counts["listed"] = diff.new.height  # the first fill, which is no news row by row
        self._record(made, "applied", counts, diff.same.height + diff.new.height, told)
        return told

    def spells(self) -> pl.DataFrame:
        """SPELLS of every US share: which ticker it had when."""
        read_as = {n: pl.String() if n == "active" else t for n, t in SPELLS.items()}
        frame = read(self._connection, _SPELLS, read_as)
        return frame.with_columns(pl.col("active") == "t")

    def learn_past(self, past: Past) -> int:
        """Write what a list of delisted assets teaches; how many assets were added."""
        connection = self._connection
        run(connection, _STAGE_PAST)
        copy_in(connection, sql.Identifier("past_dates"), past.dates)
        copy_in(connection, sql.Identifier("past_begins"), past.begins)
        copy_in(connection, sql.Identifier("past_gone"), past.gone)
        for statement in (_DATES, _BEGINS, _ADD_GONE):
            run(connection, statement)
        return past.gone.height

    def refuse(self, made: CatalogRun) -> None:
        """Keep that a directory was refused."""
        self._record(made, "refused", {}, 0, pl.DataFrame(schema=CHANGES))

    def _record(
        self,
        made: CatalogRun,
        status: str,
        counts: Mapping[str, int],
        symbols: int,
        changes: pl.DataFrame,
    ) -> None:
        (number,) = one(
            self._connection,
            sql.SQL(
                "insert into stocks.catalog_runs (status, directory, as_of, sources, counts, "
                "symbols, forced, run_id) values ({}) returning catalog_run_id"
            ).format(
                sql.SQL(", ").join(
                    map(
                        sql.Literal,
                        (status, made.directory, made.as_of, json.dumps(dict(made.sources)),
                         json.dumps(dict(counts)), symbols, made.forced, made.run_id),
                    )
                )
            ),
        )  # fmt: skip
        copy_in(
            self._connection,
            sql.SQL("stocks.catalog_changes"),
            changes.rename({"on": "on_date"}).with_columns(
                pl.lit(number, dtype=pl.Int64).alias("catalog_run_id")
            ),
        )


@contextmanager
def editing(db: Database) -> Iterator[CatalogEdit]:
    """The catalog for one refresh: read, decide and write; committed at the end."""
    with db.connect() as connection:
        begin(connection)
        lock_catalog(connection)
        yield CatalogEdit(connection)


RUNS: dict[str, pl.DataType] = {
    "catalog_run_id": pl.Int64(),
    "status": pl.String(),
    "directory": pl.String(),
    "as_of": pl.Date(),
    "symbols": pl.Int32(),
    "sources": pl.String(),  # JSON
    "counts": pl.String(),  # JSON
    "finished_at": pl.Datetime("us", "UTC"),
}


def runs(db: Database, limit: int = 20) -> pl.DataFrame:
    """The last refreshes, newest first: RUNS."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select catalog_run_id, status, directory, as_of, symbols, sources::text, "
                "counts::text, finished_at at time zone 'UTC' from stocks.catalog_runs "
                "order by catalog_run_id desc limit {}"
            ).format(sql.Literal(limit)),
            RUNS,
        )


def last_directory(db: Database) -> date | None:
    """The day of the last directory of shares that was applied, or None."""
    with db.connect() as connection:
        return CatalogEdit(connection).previous("shares")


def changes(
    db: Database,
    *,
    kinds: list[str] | None = None,
    asset_id: int | None = None,
    since: date | None = None,
    limit: int = 100,
) -> pl.DataFrame:
    """What refreshes changed, newest first: CHANGES and ``as_of``."""
    conditions: list[sql.Composable] = [sql.SQL("true")]
    if kinds:
        conditions.append(sql.SQL("c.kind = any({})").format(sql.Literal(kinds)))
    if asset_id is not None:
        conditions.append(sql.SQL("c.asset_id = {}").format(sql.Literal(asset_id)))
    if since is not None:
        conditions.append(sql.SQL("r.as_of >= {}").format(sql.Literal(since)))
    query = sql.SQL(
        "select c.kind, c.asset_id, c.ticker, c.former_ticker, c.on_date, c.earliest, c.name, "
        "c.former_name, c.exchange, c.former_exchange, c.evidence, c.score, c.applied::text, "
        "r.as_of from stocks.catalog_changes c join stocks.catalog_runs r using (catalog_run_id) "
        "where {} order by c.change_id desc limit {}"
    ).format(sql.SQL(" and ").join(conditions), sql.Literal(limit))
    schema = {**CHANGES, "applied": pl.String(), "as_of": pl.Date()}
    with db.connect() as connection:
        return read(connection, query, schema).with_columns(pl.col("applied") == "true")


FOUND: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "ticker": pl.String(),  # the current, or the last
    "matched": pl.String(),  # a ticker it has or had, where that was found
    "name": pl.String(),
    "asset_class": pl.String(),
    "exchange": pl.String(),
    "listed_on": pl.Date(),
    "delisted_on": pl.Date(),
    "cik": pl.String(),
    "active": pl.Boolean(),
}


def search(db: Database, text: str, limit: int = 20) -> pl.DataFrame:
    """Assets by ticker, former ticker, part of the name, CIK, FIGI or ISIN: FOUND, best first."""
    word = text.strip()
    pattern = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    given = {"word": word.upper(), "cik": word.zfill(10), "part": pattern, "limit": limit}
    schema = {**FOUND, "active": pl.String()}
    with db.connect() as connection:
        frame = read(connection, _SEARCH, schema, given)
    return frame.with_columns(pl.col("active") == "true")


def tickers_of(db: Database, asset_id: int) -> list[dict[str, Any]]:
    """The tickers an asset has had, oldest first: ticker, valid_from, valid_to, earliest."""
    with db.connect() as connection:
        found = run(
            connection,
            sql.SQL(
                "select ticker, nullif(valid_from, '0001-01-01'), "
                "nullif(valid_to, '9999-12-31'), earliest from stocks.asset_symbols "
                "where asset_id = {} order by asset_symbols.valid_from"
            ).format(sql.Literal(asset_id)),
        ).fetchall()
    names = ("ticker", "valid_from", "valid_to", "earliest")
    return [dict(zip(names, row, strict=True)) for row in found]


def facts_of(db: Database, asset_id: int) -> dict[str, Any]:
    """Everything the catalog knows of one asset."""
    names = (
        "asset_id", "name", "asset_class", "exchange", "calendar", "currency", "cik", "figi",
        "isin", "listed_on", "delisted_on", "active", "first_seen", "last_seen", "shard",
    )  # fmt: skip
    with db.connect() as connection:
        row = one(
            connection,
            sql.SQL("select {} from stocks.assets where asset_id = {}").format(
                sql.SQL(", ").join(map(sql.Identifier, names)), sql.Literal(asset_id)
            ),
        )
    return dict(zip(names, row, strict=True))


def holders(db: Database, ticker: str) -> list[int]:
    """The assets that have or had a ticker, the present holder first."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select asset_id from stocks.asset_symbols where ticker = {} "
                "group by asset_id order by max(valid_to) desc, asset_id"
            ).format(sql.Literal(ticker)),
        ).fetchall()
    return [row[0] for row in rows]


_KNOWN_READ: dict[str, pl.DataType] = {
    name: pl.String() if name == "active" else dtype
    for name, dtype in KNOWN.items()
    if name != "kind"
}

_SAME = [
    "asset_id", "symbol", "name", "exchange", "asset_class", "currency", "cik", "figi", "isin",
    "listed_on", "delisted_on",
]  # fmt: skip
_NEW = [*(c for c in SNAPSHOT if c not in ("kind", "active", "source")), "valid_from"]

_KNOWN = sql.SQL(
    """select a.asset_id, s.ticker, s.valid_from, a.name, a.exchange, a.asset_class, a.cik,
           a.figi, a.listed_on, a.delisted_on, a.active, a.last_seen
    from stocks.assets a
    join (
        select distinct on (asset_id) asset_id, ticker, valid_from
        from stocks.asset_symbols order by asset_id, valid_from desc
    ) s using (asset_id)
    where {} order by a.asset_id"""
)

_SPELLS = sql.SQL(
    """select s.asset_id, s.ticker, s.valid_from, s.valid_to, a.name, a.listed_on,
        a.delisted_on, a.active
    from stocks.asset_symbols s join stocks.assets a using (asset_id)
    where a.calendar = 'XNYS' order by s.ticker, s.valid_from"""
)
_STAGE_PAST = sql.SQL(
    """create temp table past_dates (asset_id int, listed_on date, delisted_on date)
        on commit drop;
    create temp table past_begins (asset_id int, ticker text collate "C", valid_from date)
        on commit drop;
    create temp table past_gone (
        symbol text collate "C", name text, exchange text, asset_class text, currency text,
        listed_on date, delisted_on date, valid_from date, valid_to date
    ) on commit drop"""
)
_DATES = sql.SQL(
    """update stocks.assets a
    set delisted_on = p.delisted_on, listed_on = coalesce(a.listed_on, p.listed_on)
    from past_dates p where p.asset_id = a.asset_id"""
)
_BEGINS = sql.SQL(
    """update stocks.asset_symbols s set valid_from = p.valid_from,
        earliest = case when s.earliest < p.valid_from then s.earliest end
    from past_begins p
    where p.asset_id = s.asset_id and p.ticker = s.ticker
        and s.valid_from < p.valid_from and s.valid_to > p.valid_from"""
)
_ADD_GONE = sql.SQL(
    """with fresh as materialized (
        select g.*, nextval(pg_get_serial_sequence('stocks.assets', 'asset_id'))::int as asset_id
        from (select * from past_gone order by symbol, valid_from) g
    ), added as (
        insert into stocks.assets (asset_id, asset_class, calendar, currency, name, exchange,
            listed_on, delisted_on, active)
        select asset_id, coalesce(asset_class, 'stock'), 'XNYS', currency, name, exchange,
            listed_on, delisted_on, false
        from fresh order by asset_id
    )
    insert into stocks.asset_symbols (asset_id, ticker, valid_from, valid_to)
    select asset_id, symbol, valid_from, valid_to from fresh"""
)

_STAGE = sql.SQL(
    """create temp table staged_same (
        asset_id int, symbol text collate "C", name text, exchange text, asset_class text,
        currency text, cik text, figi text, isin text, listed_on date, delisted_on date
    ) on commit drop;
    create temp table staged_new (
        symbol text collate "C", name text, exchange text, asset_class text, currency text,
        cik text, figi text, isin text, listed_on date, delisted_on date, valid_from date
    ) on commit drop;
    create temp table staged_renames (
        asset_id int, ticker text collate "C", day date, earliest date
    ) on commit drop;
    create temp table staged_left (
        asset_id int, kind text, day date, ticker text collate "C"
    ) on commit drop;
    create temp table staged_ids (symbol text collate "C", asset_id int) on commit drop"""
)

_LEAVE = sql.SQL(
    """update stocks.assets a set active = false, delisted_on = l.day
    from staged_left l where l.asset_id = a.asset_id and a.active"""
)

# Registered by hand, and now known to be a renamed asset: who tracked it tracks that one.
_HAND_OVER = sql.SQL(
    """insert into stocks.tracked_assets (asset_id)
    select r.asset_id from staged_renames r
    join staged_left l on l.ticker = r.ticker and l.kind = 'reused'
    join stocks.tracked_assets t on t.asset_id = l.asset_id
    join stocks.assets a on a.asset_id = l.asset_id and a.last_seen is null
    on conflict do nothing"""
)
_NEVER_ITS_OWN = sql.SQL(
    """update stocks.asset_symbols s set valid_to = s.valid_from + 1
    from staged_left l join stocks.assets a on a.asset_id = l.asset_id and a.last_seen is null
    where l.kind = 'reused' and s.asset_id = l.asset_id and s.valid_to = '9999-12-31'"""
)

# A ticker that changed twice since it was written down: the day in between was nobody's.
_FREE = sql.SQL(
    """delete from stocks.asset_symbols s using staged_renames r
    where s.asset_id = r.asset_id and s.valid_to = '9999-12-31' and s.valid_from >= r.day"""
)
_CLOSE = sql.SQL(
    """update stocks.asset_symbols s set valid_to = r.day from staged_renames r
    where s.asset_id = r.asset_id and s.valid_to = '9999-12-31'"""
)
# A ticker's last holder, delisted or renamed, gives it up to who has it now.
_TAKE = sql.SQL(
    """update stocks.asset_symbols s
    set valid_to = greatest(coalesce(t.day, %(as_of)s), s.valid_from + 1)
    from (
        select symbol as ticker, valid_from as day, null::int as asset_id from staged_new
        union all select ticker, day, asset_id from staged_renames
    ) t
    where s.ticker = t.ticker and s.valid_to = '9999-12-31'
        and s.asset_id is distinct from t.asset_id"""
)
_OPEN = sql.SQL(
    """insert into stocks.asset_symbols (asset_id, ticker, valid_from, earliest)
    select r.asset_id, r.ticker, greatest(r.day, h.until),
        case when r.earliest < greatest(r.day, h.until) then r.earliest end
    from staged_renames r
    cross join lateral (
        select coalesce(max(s.valid_to), '0001-01-01') as until
        from stocks.asset_symbols s where s.ticker = r.ticker
    ) h"""
)
_LEARN = sql.SQL(
    """update stocks.assets a set
        name = coalesce(s.name, a.name), exchange = coalesce(s.exchange, a.exchange),
        asset_class = coalesce(s.asset_class, a.asset_class),
        currency = coalesce(a.currency, s.currency), cik = coalesce(s.cik, a.cik),
        figi = coalesce(s.figi, a.figi), isin = coalesce(s.isin, a.isin),
        listed_on = coalesce(a.listed_on, s.listed_on), delisted_on = s.delisted_on,
        active = true, first_seen = coalesce(a.first_seen, %(as_of)s),
        last_seen = greatest(a.last_seen, %(as_of)s)
    from staged_same s where s.asset_id = a.asset_id"""
)

# Ids are drawn in the order of the tickers, so that they are dense and shards even.
_ADD = sql.SQL(
    """with fresh as materialized (
        select n.*, nextval(pg_get_serial_sequence('stocks.assets', 'asset_id'))::int as asset_id
        from (select * from staged_new order by symbol) n
    ), added as (
        insert into stocks.assets (asset_id, asset_class, calendar, currency, name, exchange,
            cik, figi, isin, listed_on, delisted_on, first_seen, last_seen)
        select asset_id, coalesce(asset_class, 'stock'),
            case asset_class when 'crypto' then '24/7' else 'XNYS' end, currency, name,
            exchange, cik, figi, isin, listed_on, delisted_on, %(as_of)s, %(as_of)s
        from fresh order by asset_id
    ), named as (
        insert into stocks.asset_symbols (asset_id, ticker, valid_from)
        select f.asset_id, f.symbol, greatest(coalesce(f.valid_from, '0001-01-01'), h.until)
        from fresh f
        cross join lateral (
            select coalesce(max(s.valid_to), '0001-01-01') as until
            from stocks.asset_symbols s where s.ticker = f.symbol
        ) h
    )
    insert into staged_ids select symbol, asset_id from fresh"""
)

_SEARCH = sql.SQL(
    r"""with hits as (
        select asset_id, ticker as matched,
            case when ticker = %(word)s and valid_to = '9999-12-31' then 0
                 when ticker = %(word)s then 1 else 3 end as rank
        from stocks.asset_symbols where ticker = %(word)s or ticker like %(word)s || '.%%'
        union all
        select asset_id, null, case when name ilike %(part)s then 4 else 2 end
        from stocks.assets
        where name ilike %(part)s or cik = %(cik)s or figi = %(word)s or isin = %(word)s
    ), best as (
        select distinct on (asset_id) * from hits order by asset_id, rank, matched
    )
    select b.asset_id, s.ticker, nullif(b.matched, s.ticker), a.name, a.asset_class, a.exchange,
        a.listed_on, a.delisted_on, a.cik, a.active::text
    from best b join stocks.assets a using (asset_id)
    join lateral (
        select ticker from stocks.asset_symbols where asset_id = b.asset_id
        order by valid_from desc limit 1
    ) s on true
    order by b.rank, a.active desc, s.ticker limit %(limit)s"""
)
