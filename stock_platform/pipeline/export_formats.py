"""The files of an export: Parquet, CSV and SQL that psql loads.

Belongs here: one part's file, and one file out of parts. Does not: which parts there are
(export.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import polars as pl
from polars import selectors as cs


class Kind(StrEnum):
    """How prices are written."""

    PARQUET = "parquet"
    CSV = "csv"
    SQL = "sql"

    @property
    def suffix(self) -> str:
        """Of a part's file; SQL is put together from CSV."""
        return "parquet" if self is Kind.PARQUET else "csv"


SUFFIXES = tuple(f".{kind}" for kind in Kind)

_TYPES = {
    pl.Int32(): "integer",
    pl.String(): "text",
    pl.Date(): "date",
    pl.Float64(): "double precision",
    pl.Int64(): "bigint",
    pl.UInt32(): "bigint",
    pl.Datetime("us", "UTC"): "timestamptz",
    pl.List(pl.String()): "text[]",
}


def write_part(kind: Kind, frame: pl.DataFrame, path: Path) -> None:
    """A part's file; lists are ``a|b`` in CSV, and arrays in what becomes SQL."""
    if kind is Kind.PARQUET:
        frame.write_parquet(path)
    elif kind is Kind.CSV:
        _flat(frame).write_csv(path)
    else:
        _arrays(frame).write_csv(path, include_header=False)


def assemble(
    kind: Kind, parts: Sequence[Path], path: Path, empty: pl.DataFrame, *, title: str
) -> None:
    """One file out of the parts, in the memory of one.

    Args:
        kind: the format.
        parts: in order; without any the file has the columns of ``empty`` and no row.
        path: where to.
        empty: a frame of the parts' columns.
        title: a comment at the head of SQL.
    """
    if kind is Kind.PARQUET:
        if parts:
            pl.scan_parquet(list(parts), hive_partitioning=False).sink_parquet(path)
        else:
            empty.clear().write_parquet(path)
        return
    with path.open("wb") as whole:
        if kind is Kind.SQL:
            whole.write(_preamble(empty, title).encode())
        else:
            whole.write(_flat(empty.clear()).write_csv().encode())
        for part in parts:
            with part.open("rb") as file:
                if kind is Kind.CSV:
                    file.readline()
                shutil.copyfileobj(file, whole, 1 << 20)
        if kind is Kind.SQL:
            whole.write(b"\\.\n\ncommit;\n")


def _preamble(frame: pl.DataFrame, title: str) -> str:
    """The table and the head of its rows, for ``psql -f``."""
    time = "period" if "period" in frame.columns else "ts"
    columns = [f'    "{name}" {_TYPES[kind]}' for name, kind in frame.schema.items()]
    listed = ", ".join(f'"{name}"' for name in frame.columns)
    return (
        f"-- {title}\n-- Load with: psql DATABASE -v ON_ERROR_STOP=1 -f THIS_FILE\n\n"
        "begin;\n\ncreate table prices (\n"
        + ",\n".join(columns)
        + f',\n    primary key ("asset_id", "{time}")\n);\n\n'
        f"copy prices ({listed}) from stdin (format csv);\n"
    )


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(cs.by_dtype(pl.List(pl.String())).list.join("|"))


def _arrays(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists as PostgreSQL writes arrays: ``{"a","b"}``."""
    quoted = pl.element().str.replace_all(r"([\\\"])", r"\$1")
    return frame.with_columns(
        pl.when(pl.col(name).list.len() == 0)
        .then(pl.lit("{}"))
        .otherwise(
            pl.concat_str(
                pl.lit('{"'), pl.col(name).list.eval(quoted).list.join('","'), pl.lit('"}')
            )
        )
        .alias(name)
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.List)
    )
