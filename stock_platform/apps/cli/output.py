"""How results look: tables for people, JSON for programs.

Belongs here: formatting. Does not: what is shown. Results go to stdout; notes and progress
to stderr, so that output can be piped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

_PIPE_WIDTH = 200


def show_json(data: Any) -> None:
    """Print data as JSON: ISO dates, null for what is not a number."""
    json.dump(clean(data), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def clean(value: Any) -> Any:
    """A value as JSON knows it."""
    match value:
        case None | bool() | int():
            return value
        case Enum() | Path():
            return str(value)
        case str():
            return value
        case float():
            return value if value == value and abs(value) != float("inf") else None  # noqa: PLR0124 - NaN
        case Decimal():
            return float(value)
        case datetime() | date():
            return value.isoformat()
        case Mapping():
            return {str(k): clean(v) for k, v in value.items()}
        case Iterable():
            return [clean(v) for v in value]
        case _:
            return str(value)


def console(*, stderr: bool = False) -> Console:
    """A terminal, or a pipe that tables are not squeezed for."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made = Console(stderr=stderr, highlight=False, width=_PIPE_WIDTH)
    return made


def note(text: str) -> None:
    """A remark for people, on stderr."""
    console(stderr=True).print(text, style="dim", markup=False, soft_wrap=True)


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None
) -> None:
    """Print a table; columns of numbers are aligned right."""
    from rich import box
    from rich.table import Table

    texts = [[cell(value) for value in row] for row in rows]
    kinds = list(rows) if isinstance(rows, Sequence) else []
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, name in enumerate(columns):
        values = [row[index] for row in kinds if row[index] is not None]
        numeric = bool(values) and all(isinstance(v, int | float | Decimal) for v in values)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in texts:
        table.add_row(*row)
    console().print(table)


def show_pairs(pairs: Mapping[str, Any], *, title: str | None = None) -> None:
    """Print names and values, one a line."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in pairs.items():
        grid.add_row(name, cell(value))
    if title:
        console().print(title, style="bold", markup=False)
    console().print(grid)


def cell(value: Any) -> Any:
    """A value for a table: nothing for None, digits in groups, stamps to the second."""
    from rich.text import Text

    return Text(_text(value))


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            whole, _, decimals = f"{value:,.4f}".partition(".")
            return f"{whole}.{decimals.rstrip('0'):0<2}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%SZ")
        case list() | tuple() | set() | frozenset():
            return ", ".join(_text(v) for v in value)
        case _:
            return str(value)


def duration(seconds: float) -> str:
    """A span of time: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``20 h 05 min``, ``2 d 3 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400:,} d {whole % 86_400 // 3600} h"


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 call``, ``2 calls``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def show_frame(frame: pl.DataFrame) -> None:
    """Print a frame as a table."""
    show_table(frame.columns, frame.rows())
