"""``stock-platform prices``: validated prices, adjusted on read, to a terminal or a file.

Belongs here: formats. Does not: reading and adjusting (pipeline/store.py).
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stock_platform.apps.cli.selection import Json
from stock_platform.domain.errors import InputError

if TYPE_CHECKING:
    import polars as pl


class Format(StrEnum):
    """How bars are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")]


def prices(
    tickers: Annotated[list[str], typer.Argument(help="Tickers in any common spelling.")],
    start: Annotated[str | None, typer.Option(help="First session, such as 2024-01-31.")] = None,
    end: Annotated[str | None, typer.Option(help="Last session, inclusive.")] = None,
    interval: Annotated[str, typer.Option(help="1m, 5m, 15m, 1h, 1d, 1wk or 1mo.")] = "1d",
    adjust: Annotated[
        str, typer.Option(help="none: as traded; splits; all: splits and dividends.")
    ] = "none",
    as_of: Annotated[
        str | None,
        typer.Option(help="As this database knew them on that day, or at that time (UTC)."),
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        Format | None, typer.Option(help="Default: the output's suffix, else a table.")
    ] = None,
    output: Output = None,
    *,
    json: Json = False,
) -> None:
    """Print stored prices, or write them to a file.

    Prices are as traded unless adjusted; stamps are UTC at the bar's start; session is the
    exchange's date.
    """
    from stock_platform.apps.cli.selection import read_span, read_tickers
    from stock_platform.pipeline.bulk import as_moment
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.pipeline.store import Store

    chosen = Format.JSON if json else choose_format(format, output)
    first, last = read_span(start, end)
    names = read_tickers(tickers)
    check_interval(interval, adjust)
    moment = as_moment("as-of", as_of)
    with Platform.reading() as platform:
        frame = Store(platform.db).prices(
            names, first, last, adjust=adjust, interval=interval, as_of=moment
        )
    write(frame, chosen, output, hide=hidden(interval))


def hidden(interval: str) -> tuple[str, ...]:
    """Columns that tell a table's reader nothing more, at bars of that length."""
    match interval:
        case "1d":
            return ("ts",)
        case "1wk" | "1mo":
            return ("session", "first_session", "last_session")
    return ("session",)


def check_interval(interval: str, adjust: str) -> None:
    """Raises InputError before anything is connected."""
    from stock_platform.domain.bars import Adjust, Interval
    from stock_platform.pipeline.store import PERIODS

    Adjust.parse(adjust)
    if interval not in PERIODS and interval not in set(Interval):
        raise InputError("interval", interval, f"use one of {', '.join([*Interval, *PERIODS])}")


def choose_format(given: Format | None, output: Path | None) -> Format:
    """The format asked for, or the one the file's name tells. Raises InputError."""
    suffix = output.suffix.lstrip(".").lower() if output else ""
    chosen = given or (Format(suffix) if suffix in set(Format) else Format.TABLE)
    if output is None and chosen is Format.PARQUET and sys.stdout.isatty():
        raise InputError("format", "parquet", "name a file with -o, or use table, csv or json")
    if output is not None and not output.parent.is_dir():
        raise InputError("output", str(output), f"{output.parent} is no folder")
    return chosen


def write(
    frame: pl.DataFrame,
    chosen: Format,
    output: Path | None,
    *,
    unit: str = "bar",
    hide: tuple[str, ...] = (),
) -> None:
    """Write rows, a table without the columns to hide; a file appears whole or not at all."""
    from stock_platform.apps.cli import output as out

    if output is None:
        if chosen is Format.TABLE:
            if frame.height:
                seen = frame.drop(hide, strict=False)
                out.show_table(seen.columns, [_row(row) for row in seen.iter_rows()])
            out.note(out.plural(frame.height, unit))
        elif chosen is Format.JSON:
            out.show_json(frame.to_dicts())
        elif chosen is Format.CSV:
            sys.stdout.write(flat(frame).write_csv())
        else:
            frame.write_parquet(sys.stdout.buffer)
        return
    part = output.with_name(f".{output.name}.part")
    try:
        _save(frame, chosen, part)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    out.note(f"{out.plural(frame.height, unit)} in {output}")


def _save(frame: pl.DataFrame, chosen: Format, path: Path) -> None:
    import json

    from stock_platform.apps.cli.output import clean

    if chosen is Format.PARQUET:
        frame.write_parquet(path)
    elif chosen is Format.JSON:
        path.write_text(json.dumps(clean(frame.to_dicts()), indent=2), encoding="utf-8")
    else:
        flat(frame).write_csv(path)


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with lists as text, for CSV: ``a|b``."""
    import polars as pl
    from polars import selectors as cs

    return frame.with_columns(cs.by_dtype(pl.List(pl.String())).list.join("|"))


def _row(values: tuple[Any, ...]) -> list[Any]:
    """Volumes without decimals where they have none."""
    return [int(v) if isinstance(v, float) and v.is_integer() and v >= 1000 else v for v in values]
