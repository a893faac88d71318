"""Finding and opening the user's files.

Belongs here: which file holds which symbol, and reading files into tables. Does not: what
columns mean (parse.py), options (config.py).

Files are looked at once, when the first tile is asked for. CSV is read as text, so that
tickers such as NA and TRUE stay tickers; Parquet is filtered by symbol as it is read.
"""

from __future__ import annotations

import csv
import gzip
import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from stock_platform.domain.capabilities import Capabilities, Tile
from stock_platform.domain.errors import InputError, Malformed, NoData, UnknownSymbol
from stock_platform.domain.symbols import default_calendar, parse_symbol
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.files.config import CAPABILITIES, NAME, FilesOptions, capabilities
from stock_platform.sources.files.parse import LINE, column_names, parse_table
from stock_platform.sources.spec import Setup, SourceSpec

logger = logging.getLogger(__name__)

CSV = (".csv", ".csv.gz", ".tsv", ".txt")
PARQUET = (".parquet", ".pq")
SEPARATORS = (",", ";", "\t", "|")
TABLES_HELD = 2
"""CSV files of many symbols that are kept in memory, split by symbol."""


@dataclass(frozen=True)
class Holding:
    """A file that has rows of a symbol, and how the symbol is spelled there.

    ``spelling`` is None where the file's name is the ticker.
    """

    path: Path
    spelling: str | None


@dataclass
class FilesSource:
    """A folder of files as a Source."""

    capabilities: Capabilities
    options: FilesOptions
    paths: list[Path]
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _index: dict[str, list[Holding]] | None = None
    _tables: dict[Path, dict[str, pl.DataFrame]] = field(default_factory=dict)

    def fetch(self, tile: Tile) -> Answer:
        """The bars of one symbol between ``tile.start`` and ``tile.end``.

        Raises:
            UnknownSymbol: no file has it. NoData: none in the range. Malformed: a file
                cannot be read; names file, line and column.
        """
        if tile.symbol is None:
            raise InputError("symbol", None, "name one: files answer for one symbol at a time")
        symbol = parse_symbol(tile.symbol)
        holdings = self.index().get(symbol.ticker)
        if not holdings:
            raise UnknownSymbol(NAME, symbol.ticker, f"in none of {len(self.paths)} files")
        calendar = default_calendar(symbol)
        read = []
        for holding in holdings:
            table = self._table(holding)
            shown = holding.path.name
            columns = column_names([c for c in table.columns if c != LINE], self.options, shown)
            read.append(
                parse_table(
                    table,
                    columns,
                    self.options,
                    symbol=symbol.ticker,
                    calendar=calendar,
                    file=shown,
                )
            )
        wanted = pl.col("session").is_between(tile.start, tile.end)
        bars = pl.concat([a.bars for a in read]).unique(["symbol", "ts"], keep="first")
        bars = bars.filter(wanted).sort("ts")
        rejected = pl.concat([a.rejected for a in read])
        rejected = rejected.filter(wanted | pl.col("session").is_null())
        if bars.is_empty() and rejected.is_empty():
            raise NoData(NAME, f"{symbol.ticker}: no rows in {tile.start}..{tile.end}")
        return replace(
            read[0],
            bars=bars,
            splits=pl.concat([a.splits for a in read]).unique("ex_date").sort("ex_date"),
            dividends=pl.concat([a.dividends for a in read]).unique("ex_date").sort("ex_date"),
            rejected=rejected,
        )

    def ask(self, question: Question) -> Facts:
        """Raises InputError: files hold bars alone. See Source.ask."""
        raise InputError("feed", str(question.feed), "files has no such thing; use one of bars")

    def symbols(self) -> list[str]:
        """The canonical tickers that the files have, sorted."""
        return sorted(self.index())

    def tables(self, path: Path) -> Iterator[tuple[str, pl.DataFrame]]:
        """Every symbol of one file as it is spelled there, with its rows."""
        for spelling in self._spellings(path):
            yield spelling or ticker_of(path), self._table(Holding(path, spelling))

    def close(self) -> None:
        """Let go of tables held in memory."""
        with self._lock:
            self._tables.clear()

    def index(self) -> dict[str, list[Holding]]:
        """Canonical ticker -> the files that have rows of it."""
        with self._lock:
            if self._index is None:
                found: dict[str, list[Holding]] = defaultdict(list)
                for path in self.paths:
                    for spelling in self._spellings(path):
                        text = spelling if spelling is not None else ticker_of(path)
                        try:
                            ticker = parse_symbol(text).ticker
                        except InputError as error:
                            logger.warning("%s: left out: %s", path.name, error)
                            continue
                        found[ticker].append(Holding(path, spelling))
                self._index = dict(found)
            return self._index

    def _spellings(self, path: Path) -> Iterator[str | None]:
        """The tickers in a file's symbol column, or one None where it has none."""
        header = _header(path)
        column = column_names(header, self.options, path.name).get("symbol")
        if column is None:
            yield None
        elif _is_parquet(path):
            tickers = _lazily(path).select(pl.col(column).cast(pl.String).unique().sort())
            yield from (t for t in tickers.collect().to_series() if t is not None)
        else:
            yield from sorted(self._parts(path, column))

    def _table(self, holding: Holding) -> pl.DataFrame:
        path = holding.path
        if holding.spelling is None:
            return _lazily(path).collect() if _is_parquet(path) else read_csv(path)
        column = column_names(_header(path), self.options, path.name)["symbol"]
        if _is_parquet(path):
            own = pl.col(column).cast(pl.String) == holding.spelling
            return _lazily(path).filter(own).collect()
        return self._parts(path, column)[holding.spelling]

    def _parts(self, path: Path, column: str) -> dict[str, pl.DataFrame]:
        """A CSV's rows by the text of its symbol column; rows without one are left out."""
        with self._lock:
            if path not in self._tables:
                table = read_csv(path).with_columns(pl.col(column).str.strip_chars())
                lost = table.filter(pl.col(column).is_null()).height
                if lost:
                    logger.warning("%s: %d rows without a symbol are left out", path.name, lost)
                parts = table.drop_nulls(column).partition_by(column, as_dict=True)
                while len(self._tables) >= TABLES_HELD:
                    self._tables.pop(next(iter(self._tables)))
                self._tables[path] = {str(key[0]): part for key, part in parts.items()}
            return self._tables[path]


def find_files(path: str) -> list[Path]:
    """The CSV and Parquet files of a file, folder or glob, sorted.

    Raises:
        InputError: nothing is there, or no file of these kinds.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        found: Iterable[Path] = place.rglob("*")
    elif place.is_file():
        found = [place]
    else:
        found = _matches(place)
    kinds = CSV + PARQUET
    files = sorted(p for p in found if p.is_file() and p.name.lower().endswith(kinds))
    if not files:
        raise InputError(
            "files path", path, f"use a file, a folder or a glob that has {', '.join(kinds)} files"
        )
    return files


def _matches(pattern: Path) -> Iterable[Path]:
    """The paths a glob stands for, from its first part with a wildcard on."""
    parts = pattern.parts
    wild = next((i for i, part in enumerate(parts) if any(c in part for c in "*?[")), None)
    if wild is None:
        return []
    return Path(*parts[:wild]).glob("/".join(parts[wild:]))


def ticker_of(path: Path) -> str:
    """The ticker that a file's name stands for: ``BRK.B`` of ``BRK.B.csv``."""
    name = path.name
    for ending in sorted(CSV + PARQUET, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def read_csv(path: Path) -> pl.DataFrame:
    """A CSV file as text, with a column of line numbers.

    Raises:
        Malformed: names the file, the line and what is wrong there.
    """
    header = _header(path)
    try:
        table = pl.read_csv(
            path,
            separator=_separator(path),
            infer_schema=False,
            row_index_name=LINE,
            row_index_offset=2,
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise Malformed(NAME, f"{path.name}: {_fault(path, len(header)) or error}") from None
    return table.rename({name: name.strip() for name in table.columns})


def _fault(path: Path, fields: int) -> str | None:
    """The first line that is not like the header, or not text, in words."""
    rows = csv.reader(_lines(path), delimiter=_separator(path))
    try:
        for row in rows:
            if len(row) > fields:
                return f"line {rows.line_num}: {len(row)} fields where the header has {fields}"
    except UnicodeDecodeError as error:
        return f"line {rows.line_num + 1}: not UTF-8 text: {error.reason}"
    except (csv.Error, OSError, EOFError) as error:
        return f"line {rows.line_num + 1}: {error}"
    return None


def _header(path: Path) -> list[str]:
    if _is_parquet(path):
        return [name for name in _lazily(path).collect_schema() if name != LINE]
    first = _first_line(path)
    names = next(csv.reader([first], delimiter=_separator(path)), [])
    if not any(name.strip() for name in names):
        raise Malformed(NAME, f"{path.name}: line 1: no header")
    return [name.strip() for name in names]


def _separator(path: Path) -> str:
    first = _first_line(path)
    return max(SEPARATORS, key=first.count)


def _first_line(path: Path) -> str:
    try:
        return next(_lines(path), "").strip("\r\n")
    except UnicodeDecodeError as error:
        raise Malformed(NAME, f"{path.name}: line 1: not UTF-8 text: {error.reason}") from None
    except (OSError, EOFError) as error:
        raise Malformed(NAME, f"{path.name}: {error}") from None


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file, decoded one by one."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as file:
        for number, line in enumerate(file):
            yield line.decode("utf-8" if number else "utf-8-sig")


def _lazily(path: Path) -> pl.LazyFrame:
    try:
        frame = pl.scan_parquet(path)
        frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise Malformed(NAME, f"{path.name}: not a Parquet file: {error}") from None
    return frame.with_row_index(LINE, offset=1)


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(PARQUET)


def build(setup: Setup) -> FilesSource:
    """The source, wired. Raises InputError for options that are not allowed."""
    options = FilesOptions.read(setup.options)
    return FilesSource(
        capabilities(options.interval, options.basis), options, find_files(options.path)
    )


SPEC = SourceSpec(CAPABILITIES, build)
