"""Frames in and out of PostgreSQL by COPY, which is the quickest way there and back.

Belongs here: polars frames to COPY and from COPY, running SQL with literal values. Does not:
tables (upsert.py, writers.py, readers.py).

Values are merged into the text as literals (``ClientCursor``) and not bound: the planner then
sees time bounds and asset lists and can leave out what lies beyond them.

CSV written by polars was the quickest way in of those measured (COPY binary from numpy, ADBC,
unnest, executemany); null is the unquoted empty field, the empty string a quoted one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import psycopg
from psycopg import sql

from stock_platform.domain.bars import UTC_STAMP

Connection = psycopg.Connection[Any]
Statement = sql.SQL | sql.Composed
Values = Sequence[object] | Mapping[str, object]

LIST_SEPARATOR = "\x1f"
"""Between the elements of a text array that is read by COPY (ASCII's unit separator)."""

_ROWS_AT_ONCE = 25_000
_BINARY_HEADER = 19
_BINARY_TRAILER = 2


def run(connection: Connection, statement: Statement, values: Values = ()) -> psycopg.Cursor[Any]:
    """Execute one statement with its values merged in as literals."""
    cursor = psycopg.ClientCursor(connection)
    return cursor.execute(statement, values or None)


def one(connection: Connection, statement: Statement, values: Values = ()) -> tuple[Any, ...]:
    """The only row of a statement's answer."""
    row = run(connection, statement, values).fetchone()
    if row is None:
        raise AssertionError("a statement that always answers gave no row")
    return tuple(row)


def copy_in(connection: Connection, table: sql.Composable, frame: pl.DataFrame) -> int:
    """Append a frame to a table whose columns bear its names; the number of rows."""
    if frame.is_empty():
        return 0
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(table, names(frame.columns))
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    stamps = [name for name, kind in frame.schema.items() if kind == UTC_STAMP]
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for part in frame.iter_slices(_ROWS_AT_ONCE):  # the server reads one, we write the next
            ready = part.with_columns(
                *(_array_literal(part, name) for name in lists),
                *(_stamp_literal(part, name) for name in stamps),
            )
            text = BytesIO()
            ready.write_csv(text, include_header=False)
            copy.write(text.getvalue())
    return frame.height


def read(
    connection: Connection,
    query: Statement,
    schema: Mapping[str, pl.DataType],
    values: Values = (),
) -> pl.DataFrame:
    """The answer of a query as a frame of ``schema``, column by column in that order.

    A ``Datetime`` column must come as ``timestamp`` in UTC (``ts at time zone 'UTC'``), a
    Boolean as text, a list as text joined with ``LIST_SEPARATOR``; ``-infinity`` cannot.
    """
    statement = sql.SQL("copy ({}) to stdout (format csv)").format(query)
    data = _copy_out(connection, statement, values)
    if not data:
        return pl.DataFrame(schema=schema)
    stamped = [name for name, kind in schema.items() if kind == UTC_STAMP]
    listed = [name for name, kind in schema.items() if isinstance(kind, pl.List)]
    plain: dict[str, Any] = dict(schema)
    plain |= dict.fromkeys(stamped, pl.Datetime("us")) | dict.fromkeys(listed, pl.String())
    frame = pl.read_csv(BytesIO(data), has_header=False, new_columns=list(schema), schema=plain)
    return frame.with_columns(
        *(pl.col(name).dt.replace_time_zone("UTC") for name in stamped),
        *(
            pl.when(pl.col(name) == "")
            .then(pl.lit([], dtype=pl.List(pl.String())))
            .otherwise(pl.col(name).str.split(LIST_SEPARATOR))
            .alias(name)
            for name in listed
        ),
    )


def read_binary(
    connection: Connection, query: Statement, dtype: np.dtype[np.void], values: Values = ()
) -> npt.NDArray[np.void]:
    """The answer of a query whose rows all take the same bytes, as COPY sends them.

    ``dtype`` describes a row of COPY's binary format: a 2-byte count of fields, and a 4-byte
    length before each field, all big-endian. No value may be null.
    """
    statement = sql.SQL("copy ({}) to stdout (format binary)").format(query)
    data = _copy_out(connection, statement, values)
    rows = (len(data) - _BINARY_HEADER - _BINARY_TRAILER) // dtype.itemsize
    return np.frombuffer(data, dtype=dtype, count=rows, offset=_BINARY_HEADER)


def read_packed(
    connection: Connection, query: Statement, values: Values = ()
) -> Iterator[list[memoryview]]:
    """The answer of a query by COPY binary, a list of fields a row. No value may be null.

    For few and large rows: receiving a row takes longer than what is in it.
    """
    statement = sql.SQL("copy ({}) to stdout (format binary)").format(query)
    with (
        psycopg.ClientCursor(connection) as cursor,
        cursor.copy(statement, values or None) as copy,
    ):
        for number, message in enumerate(copy):
            fields = _fields(memoryview(message)[0 if number else _BINARY_HEADER :])
            if fields:
                yield fields


def _fields(message: memoryview) -> list[memoryview]:
    """The values of a row in COPY's binary format; none for its trailer."""
    (count,) = struct.unpack_from(">h", message) if len(message) >= 2 else (-1,)
    at, found = 2, []
    for _ in range(count):
        (size,) = struct.unpack_from(">i", message, at)
        found.append(message[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def names(columns: Sequence[str], alias: str = "") -> sql.Composable:
    """``a, b, c``, or ``t.a, t.b, t.c``."""
    parts = [sql.Identifier(alias, c) if alias else sql.Identifier(c) for c in columns]
    return sql.SQL(", ").join(parts)


def ints(values: Sequence[int] | npt.NDArray[Any] | pl.Series) -> sql.Composable:
    """An integer array as a literal."""
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    return sql.SQL("{}::int[]").format(
        sql.Literal("{" + ",".join(map(str, map(int, listed))) + "}")
    )


def dates(values: pl.Series) -> sql.Composable:
    """An array of dates as a literal."""
    return sql.SQL("{}::date[]").format(
        sql.Literal("{" + ",".join(values.dt.to_string("iso").to_list()) + "}")
    )


def _copy_out(connection: Connection, statement: sql.Composed, values: Values) -> bytes:
    parts: list[bytes | bytearray | memoryview] = []
    with (
        psycopg.ClientCursor(connection) as cursor,
        cursor.copy(statement, values or None) as copy,
    ):
        parts.extend(copy)
    return b"".join(parts)


def _stamp_literal(frame: pl.DataFrame, name: str) -> pl.Series:
    """Stamps as text. Each that there is becomes text once: that is what takes the time of CSV."""
    given = frame[name]
    unique = given.unique()
    texts = unique.dt.strftime("%Y-%m-%d %H:%M:%S%.f+00")
    return given.replace_strict(unique, texts, return_dtype=pl.String()).alias(name)


def _array_literal(frame: pl.DataFrame, name: str) -> pl.Series:
    """``{"a","b"}`` of a list of texts; null stays null."""
    if frame[name].list.len().eq(0).fill_null(value=False).all():
        return pl.repeat("{}", frame.height, dtype=pl.String(), eager=True).alias(name)
    escaped = pl.element().str.replace_all(r"([\\\"])", r"\$1")
    joined = pl.col(name).list.eval(escaped).list.join('","')
    return frame.select(
        pl.when(pl.col(name).list.len() == 0)
        .then(pl.lit("{}"))
        .otherwise(pl.concat_str(pl.lit('{"'), joined, pl.lit('"}')))
        .alias(name)
    ).to_series()
