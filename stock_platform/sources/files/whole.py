"""A file as a whole, with the columns that only validation looks at.

Belongs here: adjusted closes and capital gains beside the bars (yfinance's columns). Does not:
the columns of bars (parse.py), finding files (client.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stock_platform.domain.calendar import ROUND_THE_CLOCK
from stock_platform.sources.base import Answer
from stock_platform.sources.files.client import FilesSource
from stock_platform.sources.files.config import FilesOptions, capabilities
from stock_platform.sources.files.parse import LINE, column_names, parse_table

ADJUSTED = ("adj close", "adj_close", "adjclose", "adjusted close", "adjusted_close")
GAINS = ("capital gains", "capital_gains")


@dataclass(frozen=True)
class WholeFile:
    """One symbol of a file.

    Attributes:
        ticker: canonical.
        answer: bars, actions and rejected rows, as the source ``files`` reads them.
        adjusted: session, adj_close; None where the file has no such column.
        gains: session, capital_gains; None where the file has no such column.
    """

    ticker: str
    answer: Answer
    adjusted: pl.DataFrame | None
    gains: pl.DataFrame | None


def read_whole(
    path: Path, options: FilesOptions, calendar: str | None = None
) -> Iterator[WholeFile]:
    """Every symbol of a file; without a symbol column its name stands for it, whatever it is.

    Args:
        path: the file.
        options: how to read it.
        calendar: whose zone intraday stamps without one are in; None is UTC. Daily bars of
            any day are read, whether it is a session or not.

    Raises:
        Malformed: it cannot be read; names file, line and column.
    """
    calendar = calendar if calendar and options.interval.intraday else ROUND_THE_CLOCK[0]
    source = FilesSource(capabilities(options.interval, options.basis), options, [path])
    for ticker, table in source.tables(path):
        header = [c for c in table.columns if c != LINE]
        columns = column_names(header, options, path.name)

        def read(
            names: dict[str, str],
            table: pl.DataFrame = table,
            ticker: str = ticker,
            calendar: str = calendar,
        ) -> Answer:
            return parse_table(
                table, names, options, symbol=ticker, calendar=calendar, file=path.name
            )

        def beside(
            known: tuple[str, ...],
            name: str,
            header: list[str] = header,
            date: str = columns["date"],
        ) -> pl.DataFrame | None:
            theirs = next((c for c in header if c.strip().lower() in known), None)
            if theirs is None:
                return None
            same = dict.fromkeys(("open", "high", "low", "close"), theirs)
            bars = read({"date": date, **same}).bars
            return bars.select("ts", pl.col("close").alias(name))

        yield WholeFile(
            ticker, read(columns), beside(ADJUSTED, "adj_close"), beside(GAINS, "capital_gains")
        )
