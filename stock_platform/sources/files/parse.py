"""Reading tables: columns of text or of types to bars, row by row accounted for.

Belongs here: what a table's columns mean. Does not: opening files (client.py). Pure: works
on frames.

A table has a column ``LINE`` besides the file's own: the line of the file, or the row of
a Parquet file, counted from 1. Columns may be text (CSV) or typed (Parquet).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, UTC_STAMP, Interval, conform
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.errors import Malformed
from stock_platform.sources.base import Answer
from stock_platform.sources.files.actions import read_actions
from stock_platform.sources.files.config import (
    KNOWN_NAMES,
    NAME,
    NEEDED,
    NUMBERS,
    FilesOptions,
)
from stock_platform.sources.payload import openings, rejected_frame, rejected_row

NULLS = ("", "nan", "null", "none", "n/a", "#n/a", "na", "-")
LINE = "__line__"


def column_names(header: Sequence[str], options: FilesOptions, file: str) -> dict[str, str]:
    """Our column name -> the file's, for those the file has.

    Raises:
        Malformed: a needed column, or one that was named, is not there.
    """
    found: dict[str, str] = {}
    by_lower = {name.strip().lower(): name for name in reversed(header)}
    for ours, known in KNOWN_NAMES.items():
        named = options.columns.get(ours)
        if named is not None:
            theirs = named if named in header else by_lower.get(named.lower())
            if theirs is None:
                raise Malformed(NAME, f"{file}: no column {named!r}; it has {_shown(header)}")
            found[ours] = theirs
            continue
        for name in known:
            if name in by_lower:
                found[ours] = by_lower[name]
                break
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise Malformed(
            NAME,
            f"{file}: line 1: no column for {', '.join(missing)}; it has {_shown(header)}; "
            "say which is which in the column mapping",
        )
    return found


def parse_table(
    table: pl.DataFrame,
    columns: Mapping[str, str],
    options: FilesOptions,
    *,
    symbol: str,
    calendar: str,
    file: str,
) -> Answer:
    """The bars of one symbol's rows, its actions, and the rows that could not be read.

    Args:
        table: the symbol's rows, with ``LINE``.
        columns: our name -> the table's.
        options: how to read them.
        symbol: canonical ticker.
        calendar: of the symbol.
        file: its name, for messages.

    Returns:
        Bars sorted by ts without duplicates, splits, dividends, rejected rows.
    """
    texts = {ours: theirs for ours, theirs in columns.items() if ours != "symbol"}
    blank = pl.all_horizontal(pl.col(name).is_null() for name in texts.values())
    rows = table.filter(~blank)
    numbers = [n for n in NUMBERS if n in texts]
    typed = rows.with_columns(
        *_when(rows, texts["date"], options, calendar),
        *(_number(rows, texts[name], options).alias(f"_{name}") for name in numbers),
    ).with_columns(_reasons(texts, numbers))
    good = typed.filter(pl.col("_reasons").list.len() == 0)
    bad = typed.filter(pl.col("_reasons").list.len() > 0)

    stamped = good.select(
        pl.col(LINE),
        pl.lit(symbol).alias("symbol"),
        _stamp(good, options.interval, calendar).alias("ts"),
        pl.col("_session").alias("session"),
        *(pl.col(f"_{name}").alias(name) for name in numbers),
    )
    bars = stamped.unique("ts", keep="first", maintain_order=True)
    doubled = _doubled(stamped, bars, numbers)
    rejected = [
        rejected_row(
            {"file": file, "line": row[LINE]} | {k: row[k] for k in texts.values()},
            *row["_reasons"],
            symbol=symbol,
            session=row["_session"],
        )
        for row in bad.iter_rows(named=True)
    ]
    rejected += [
        rejected_row(
            {"file": file, "line": row[LINE]} | {k: row[k] for k in numbers},
            f"line {row[LINE]}: another row of the same time, after line {row['first_line']}",
            symbol=symbol,
            ts=row["ts"],
            session=row["session"],
        )
        for row in doubled.iter_rows(named=True)
    ]
    splits, dividends = read_actions(stamped, symbol, options.basis, options.currency)
    return Answer(
        bars=conform(bars.sort("ts"), PARSED_BARS),
        basis=options.basis,
        splits=splits,
        dividends=dividends,
        rejected=rejected_frame(rejected),
        currency=options.currency,
        requests=0,
    )


def _number(table: pl.DataFrame, column: str, options: FilesOptions) -> pl.Expr:
    if table.schema[column].is_numeric():
        value = pl.col(column).cast(pl.Float64)
        return pl.when(value.is_finite()).then(value)
    point, group = (",", ".") if options.decimal_comma else (".", ",")
    text = _trimmed(column)
    grouped = text.str.contains(rf"^[+-]?\d{{1,3}}(\{group}\d{{3}})+(\{point}\d*)?$")
    plain = pl.when(grouped).then(text.str.replace_all(group, "", literal=True)).otherwise(text)
    if options.decimal_comma:
        plain = plain.str.replace(",", ".", literal=True)
    value = plain.cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def _when(
    table: pl.DataFrame, column: str, options: FilesOptions, calendar: str
) -> tuple[pl.Expr, ...]:
    """Columns _ts (UTC, intraday only) and _session."""
    zone = get_calendar(calendar).zone
    kind = table.schema[column]
    if options.interval is Interval.DAY:
        return (pl.lit(None).cast(UTC_STAMP).alias("_ts"), _day(kind, column, options, zone))
    stamp = _instant(kind, column, options, zone)
    return (stamp.alias("_ts"), stamp.dt.convert_time_zone(zone).dt.date().alias("_session"))


def _day(kind: pl.DataType, column: str, options: FilesOptions, zone: str) -> pl.Expr:
    """The session of a daily row: the date as written, whatever time stands behind it."""
    if isinstance(kind, pl.Datetime):
        there = pl.col(column).dt.convert_time_zone(zone) if kind.time_zone else pl.col(column)
        return there.dt.date().alias("_session")
    if kind == pl.Date:
        return pl.col(column).alias("_session")
    text = _trimmed(column)
    if options.date_format is not None:
        day = text.str.to_date(options.date_format, strict=False)
    else:
        epoch = _epoch(text).dt.convert_time_zone(zone).dt.date()
        compact = pl.when(text.str.contains(r"^\d{8}(\D|$)")).then(text.str.slice(0, 8))
        day = pl.coalesce(
            text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False),
            text.str.slice(0, 10).str.to_date("%Y/%m/%d", strict=False),
            compact.str.to_date("%Y%m%d", strict=False),
            epoch,
        )
    return day.alias("_session")


def _instant(kind: pl.DataType, column: str, options: FilesOptions, zone: str) -> pl.Expr:
    """The UTC instant of an intraday row; stamps without a zone are in the option's."""
    local = options.zone or zone
    if isinstance(kind, pl.Datetime):
        return _placed(pl.col(column), local) if kind.time_zone is None else _utc(pl.col(column))
    text = _trimmed(column)
    if options.date_format is not None:
        if "%z" in options.date_format:
            return _utc(text.str.to_datetime(options.date_format, strict=False, time_zone="UTC"))
        return _placed(text.str.to_datetime(options.date_format, strict=False), local)
    spaced = text.str.replace("T", " ", literal=True).str.replace("Z", "+00:00", literal=True)
    naive = pl.coalesce(
        spaced.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False),
        spaced.str.to_datetime("%Y-%m-%d %H:%M", strict=False),
        spaced.str.to_datetime("%Y%m%d %H:%M:%S", strict=False),
        spaced.str.to_datetime("%Y%m%d %H:%M", strict=False),
    )
    aware = pl.coalesce(
        spaced.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%z", strict=False, time_zone="UTC"),
        spaced.str.to_datetime("%Y-%m-%d %H:%M%z", strict=False, time_zone="UTC"),
    )
    return pl.coalesce(_utc(aware), _placed(naive, local), _epoch(text))


def _placed(naive: pl.Expr, zone: str) -> pl.Expr:
    placed = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return _utc(placed)


def _utc(aware: pl.Expr) -> pl.Expr:
    return aware.dt.convert_time_zone("UTC").cast(UTC_STAMP)


def _epoch(text: pl.Expr) -> pl.Expr:
    """Epoch seconds (10 digits) or milliseconds (13)."""
    digits = text.cast(pl.Int64, strict=False)
    milliseconds = (
        pl.when(text.str.contains(r"^\d{10}$")).then(digits * 1000)
        .when(text.str.contains(r"^\d{13}$")).then(digits)
    )  # fmt: skip
    return pl.from_epoch(milliseconds, time_unit="ms").dt.replace_time_zone("UTC").cast(UTC_STAMP)


def _trimmed(column: str) -> pl.Expr:
    """The text of a column; what stands for nothing is null."""
    text = pl.col(column).cast(pl.String).str.strip_chars()
    return pl.when(~text.str.to_lowercase().is_in(NULLS)).then(text)


def _reasons(texts: Mapping[str, str], numbers: list[str]) -> pl.Expr:
    """Why a row cannot be read: one text a column."""
    line = pl.format("line {}: ", pl.col(LINE))
    when = _trimmed(texts["date"])
    found = [
        pl.when(pl.col("_session").is_null()).then(
            pl.when(when.is_null())
            .then(pl.format("{}date is missing", line))
            .otherwise(pl.format("{}date: '{}' is not a date of the format", line, when))
        )
    ]
    for name in numbers:
        said = _trimmed(texts[name])
        unread = pl.col(f"_{name}").is_null()
        what = pl.format(f"{{}}{name}: '{{}}' is not a number", line, said)
        reason = pl.when(unread & said.is_not_null()).then(what)
        if name in NEEDED:
            missing = pl.format(f"{{}}{name} is missing", line)
            reason = pl.when(unread).then(pl.when(said.is_null()).then(missing).otherwise(what))
        found.append(reason)
    return pl.concat_list(found).list.drop_nulls().alias("_reasons")


def _stamp(rows: pl.DataFrame, interval: Interval, calendar: str) -> pl.Expr:
    if interval.intraday:
        return pl.col("_ts")
    days: list[date] = rows["_session"].unique().to_list()
    opened = openings(days, calendar)
    return pl.col("_session").replace_strict(
        list(opened), list(opened.values()), return_dtype=UTC_STAMP
    )


def _doubled(stamped: pl.DataFrame, bars: pl.DataFrame, numbers: list[str]) -> pl.DataFrame:
    """Rows that give another bar for a time already seen; equal ones are no news."""
    firsts = bars.select("ts", pl.col(LINE).alias("first_line"))
    others = stamped.join(firsts, on="ts").filter(pl.col(LINE) != pl.col("first_line"))
    return others.join(bars, on=["ts", *numbers], how="anti", nulls_equal=True)


def _shown(header: Sequence[str]) -> str:
    return ", ".join(header)
