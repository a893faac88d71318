"""Exports: prices into files, in parts that are kept, so that an export can be resumed.

Belongs here: what the parts are, what has been done, and in which order files appear. Does
not: formats (export_formats.py), prices (store.py), the command line (apps/cli/export.py).

A part is a calendar year of some tickers, small enough to hold in memory. It is written under
a temporary name, flushed to disk, renamed, and then noted in a journal in a hidden folder
beside the target: what the journal names is whole, whatever killed the export. One file is put
together from its parts and renamed into place at the end. When all is done the hidden folder is
deleted. Each part is of one moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from stock_platform.domain.bars import Adjust, Interval
from stock_platform.domain.errors import InputError
from stock_platform.pipeline.export_formats import SUFFIXES, Kind, assemble, write_part
from stock_platform.pipeline.store import PERIODS, Store
from stock_platform.storage import assets as catalog
from stock_platform.storage import readers
from stock_platform.storage.connection import Database

ROWS_PER_PART = 500_000
QUERY, JOURNAL = "query.json", "parts.jsonl"
_BARS_A_YEAR = {"1m": 98_280, "5m": 19_656, "15m": 6_552, "1h": 1_764, "1d": 252, "1wk": 52}
_NAMES: dict[str, pl.DataType] = {"asset_id": pl.Int32(), "ticker": pl.String()}
_LONG_AFTER = 2999  # a year without bars
_AROUND_THE_CLOCK = 4  # at most so many times the bars of an exchange's day


@dataclass(frozen=True)
class Request:
    """What is exported.

    Attributes:
        target: a file with one of the formats' suffixes, or a folder for files by year.
        kind: parquet, csv or sql.
        tickers: canonical; what the parts are made of.
        assets: the tickers' assets, one a ticker, where a ticker alone would not tell: it was
            another asset's before. Empty: whom the tickers mean now, or meant last.
        start: first session; None is the first there is.
        end: last session, inclusive.
        interval: as for ``Store.prices``.
        adjust: as for ``Store.prices``.
    """

    target: Path
    kind: Kind
    tickers: tuple[str, ...]
    start: date | None
    end: date | None
    interval: str = "1d"
    adjust: str = "none"
    assets: tuple[int, ...] = ()

    @property
    def single(self) -> bool:
        """Whether it ends as one file."""
        return self.target.suffix.lower() in SUFFIXES

    @property
    def state(self) -> Path:
        """The hidden folder that is there while an export is not finished."""
        return self.target.with_name(f".{self.target.name}.export")

    @property
    def folder(self) -> Path:
        """Where the parts are: the target, or beside the one file."""
        return self.state / "parts" if self.single else self.target

    def described(self) -> dict[str, Any]:
        """The question, to tell whether a folder holds parts of the same one."""
        names = "\n".join([*self.tickers, *map(str, self.assets)]).encode()
        return {
            "format": str(self.kind),
            "tickers": len(self.tickers),
            "tickers_sha256": hashlib.sha256(names).hexdigest(),
            "start": self.start and self.start.isoformat(),
            "end": self.end and self.end.isoformat(),
            "interval": self.interval,
            "adjust": self.adjust,
        }


@dataclass
class Summary:
    """What an export did; ``resumed`` are parts found finished, ``seconds`` are of this run."""

    target: str
    format: str
    interval: str
    adjust: str
    tickers: int
    parts: int = 0
    resumed: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


Tell = Callable[[int, int, int], object]
"""Called with parts done, parts in all and rows so far."""


def check_target(request: Request, *, resume: bool, overwrite: bool) -> None:
    """Refuse what would overwrite, before anything is written.

    Raises:
        InputError: see ``stock-platform export --help``.
    """
    target = request.target
    if not target.parent.is_dir():
        raise InputError("target", str(target), f"{target.parent} is no folder")
    if resume and overwrite:
        raise InputError("resume", "yes", "use it without --overwrite")
    if request.kind is Kind.SQL and not request.single:
        raise InputError("target", str(target), "name a file that ends in .sql")
    if request.single and target.is_dir():
        raise InputError("target", str(target), "it is a folder: name a file, or another folder")
    if not request.single and target.exists() and not target.is_dir():
        raise InputError(
            "target", str(target), f"name a folder, or a file in {', '.join(SUFFIXES)}"
        )
    begun = (request.state / QUERY).is_file()
    if resume and begun:
        if json.loads((request.state / QUERY).read_text())["query"] != request.described():
            raise InputError("target", str(target), "resume with the options that began the export")
        return
    there = target.exists() and (request.single or any(target.iterdir()))
    if resume and there:
        raise InputError("target", str(target), "nothing to resume: use --overwrite, or another")
    if (there or begun) and not overwrite:
        hint = "use --resume or --overwrite" if begun else "use --overwrite, or another"
        raise InputError("target", str(target), f"it is not empty: {hint}")
    if there and not request.single and not all(map(_is_ours, target.rglob("*"))):
        raise InputError("target", str(target), "it holds what no export wrote: empty it yourself")


def run_export(
    db: Database,
    request: Request,
    *,
    resume: bool = False,
    overwrite: bool = False,
    tell: Tell | None = None,
) -> Summary:
    """Write the files; see the module's docstring.

    Raises:
        InputError: the target is in the way, or a ticker unknown; nothing is written then.
        OSError: the disk; what is finished stays, and can be resumed.
    """
    began = time.monotonic()
    check_target(request, resume=resume, overwrite=overwrite)
    store = Store(db)
    names = _names(store, request)
    parts = list(_parts(db, request, names))
    folder, state = request.folder, request.state
    if overwrite:
        for old in (state, *([] if request.single else [folder])):
            shutil.rmtree(old, ignore_errors=True)
    state.mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    _atomically(state / QUERY, json.dumps({"query": request.described()}, indent=1).encode())
    finished = _finished(request)
    summary = Summary(
        str(request.target), str(request.kind), request.interval, request.adjust,
        len(request.tickers), parts=len(parts),
    )  # fmt: skip
    for done, (name, year, some) in enumerate(parts):
        if tell is not None:
            tell(done, len(parts), summary.rows)
        if name in finished:
            summary.rows += finished[name]
            summary.resumed += 1
            continue
        frame = _bars(store, request, year, some)
        _write(request, name, frame)
        summary.rows += frame.height
    files = [path for name, _, _ in parts if (path := folder / name).is_file()]
    if request.single:
        empty = _bars(store, request, _LONG_AFTER, names[:1])
        whole = state / "whole"
        assemble(request.kind, files, whole, empty, title=_title(request))
        _flush(whole)
        whole.replace(request.target)
        files = [request.target]
    summary.bytes = sum(file.stat().st_size for file in files)
    shutil.rmtree(state)
    if tell is not None:
        tell(len(parts), len(parts), summary.rows)
    summary.seconds = round(time.monotonic() - began, 3)
    return summary


def _names(store: Store, request: Request) -> pl.DataFrame:
    """asset_id and ticker, one row an asset. Raises InputError for an unknown ticker."""
    tickers, ids = list(request.tickers), list(request.assets)
    if not ids:
        found = store.resolve(tickers)
        tickers, ids = list(found), list(found.values())
    return (
        pl.DataFrame({"asset_id": ids, "ticker": tickers}, schema=_NAMES)
        .unique("asset_id", keep="first", maintain_order=True)
        .sort("ticker", "asset_id")
    )


def _parts(
    db: Database, request: Request, names: pl.DataFrame
) -> Iterator[tuple[str, int, pl.DataFrame]]:
    """File, year and assets of each part, by year."""
    ids = names["asset_id"].to_list()
    interval = Interval.DAY if request.interval in PERIODS else Interval.parse(request.interval)
    span = readers.session_span(db, ids, interval)
    if span is None:
        return
    first = max(span[0], request.start or span[0])
    last = min(span[1], request.end or span[1])
    calendars = catalog.by_id(db, ids)["calendar"]
    bars = _BARS_A_YEAR.get(request.interval, 12)
    if interval.intraday and (calendars == "24/7").any():
        bars *= _AROUND_THE_CLOCK
    size = max(1, ROWS_PER_PART // bars)
    chunks = list(names.iter_slices(size))
    for year in range(first.year, last.year + 1):
        for number, chunk in enumerate(chunks):
            yield f"year={year}/part-{number:05}.{request.kind.suffix}", year, chunk


def _bars(store: Store, request: Request, year: int, names: pl.DataFrame) -> pl.DataFrame:
    """The bars of a year; a week that lies in two belongs to that of its last session."""
    first = max(date(year, 1, 1), request.start or date.min)
    last = min(date(year, 12, 31), request.end or date.max)
    first = min(first, last)
    mode = Adjust.parse(request.adjust)
    frame = store.of_assets(names, first, last, mode, request.interval)
    if request.interval not in PERIODS:
        return frame
    at_end = request.end is not None and year == request.end.year
    of_year = pl.col("session").dt.year()
    return frame.filter((of_year == year) | ((of_year > year) & at_end))


def _write(request: Request, name: str, frame: pl.DataFrame) -> None:
    size = 0
    if frame.height:
        path = request.folder / name
        path.parent.mkdir(exist_ok=True)
        partial = request.state / f"{os.getpid()}.part"
        write_part(request.kind, frame, partial)
        _flush(partial)
        size = partial.stat().st_size
        partial.replace(path)
    line = json.dumps({"part": name, "rows": frame.height, "bytes": size})
    with (request.state / JOURNAL).open("a", encoding="utf-8") as journal:
        journal.write(f"\n{line}\n")  # an empty line parts it from one that was torn


def _finished(request: Request) -> dict[str, int]:
    """Rows by part, of the parts that the journal names and that are as it says."""
    found: dict[str, int] = {}
    journal = request.state / JOURNAL
    if not journal.is_file():
        return found
    for line in journal.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        path = request.folder / entry["part"]
        size = path.stat().st_size if path.is_file() else 0
        if size == entry["bytes"]:
            found[entry["part"]] = entry["rows"]
    return found


def _is_ours(path: Path) -> bool:
    """Whether an export may have written it."""
    if path.is_dir():
        return re.fullmatch(r"year=\d{4}", path.name) is not None
    return re.fullmatch(r"part-\d{5}\.(parquet|csv)", path.name) is not None


def _title(request: Request) -> str:
    return f"stock_platform prices, interval {request.interval}, adjust {request.adjust}"


def _atomically(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    _flush(partial)
    partial.replace(path)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
