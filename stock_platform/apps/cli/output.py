"""How results look: tables for people, JSON for programs.

Belongs here: formatting. Does not: what is shown. Results go to stdout; notes and progress
to stderr, so that output can be piped.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

_PIPE_WIDTH = 200
_GAP = 3


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
    """A terminal, or a pipe that tables are not squeezed for unless COLUMNS says so."""
    from rich.console import Console

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # main() knows what that means; rich would exit with 1

    made = Ours(stderr=stderr, highlight=False)
    if not made.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        made = Ours(stderr=stderr, highlight=False, width=_PIPE_WIDTH)
    return made


def note(text: str) -> None:
    """A remark for people, on stderr."""
    console(stderr=True).print(text, style="dim", markup=False, soft_wrap=True)


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None
) -> None:
    """Print a table; columns of numbers are aligned right, and numbers and dates never broken.

    Without rows nothing is printed.

    What does not fit the terminal's width is first rid of columns that are empty in every row,
    then of space between columns; only then are words broken. A single row that does not fit is
    shown one value a line.
    """
    from rich import box
    from rich.table import Table

    kinds = [list(row) for row in rows]
    if not kinds:
        return  # a head without a body: whoever calls says that there is nothing, and what to do
    screen = console()
    made = [_Column.of(name, [row[i] for row in kinds]) for i, name in enumerate(columns)]
    if kinds and sum(column.width + _GAP for column in made) >= screen.width:
        made = [column for column in made if any(column.texts)]
    least = sum(column.least for column in made)
    if len(kinds) == 1 and least + len(made) >= screen.width:
        show_pairs({column.name: column.texts[0] for column in made}, title=title)
        return
    narrow = least + _GAP * len(made) >= screen.width
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 0) if narrow else (0, 1),
    )
    for column in made:
        table.add_column(
            column.name,
            justify="right" if column.numeric else "left",
            overflow="fold",
            no_wrap=column.firm and least + len(made) < screen.width,
        )
    for index in range(len(kinds)):
        table.add_row(*[_plain(column.texts[index]) for column in made])
    screen.print(table)


@dataclass(frozen=True)
class _Column:
    """One column's texts, and whether they may be broken between words."""

    name: str
    texts: list[str]
    numeric: bool
    firm: bool  # numbers, days, stamps and names without a space

    @classmethod
    def of(cls, name: str, values: list[Any]) -> Self:
        there = [value for value in values if value is not None]
        texts = [_text(value) for value in values]
        numeric = bool(there) and all(isinstance(v, int | float | Decimal) for v in there)
        firm = all(isinstance(v, date) for v in there) or not any(" " in text for text in texts)
        return cls(name, texts, numeric, bool(there) and (numeric or firm))

    @property
    def width(self) -> int:
        """The width at which nothing is wrapped."""
        return max(map(len, [self.name, *self.texts]))

    @property
    def least(self) -> int:
        """The width at which text is wrapped at its words; the name never."""
        words = self.texts if self.firm else [w for text in self.texts for w in text.split()]
        return max(map(len, [*(self.name.split() if not self.firm else [self.name]), *words]))


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
    return _plain(_text(value))


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)


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
