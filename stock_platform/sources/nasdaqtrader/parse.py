"""Reading NASDAQ Trader's symbol files: bytes to a directory, or an error.

Belongs here: the three files, told apart by their header. Does not: asking (client.py). Pure.

Fields are divided by bars, named by the first line, and the last line says when the file was
made, which is how one that was cut short is known:

    nasdaqlisted  Symbol|Security Name|Market Category|Test Issue|...|ETF|NextShares
    otherlisted   ACT Symbol|Security Name|Exchange|CQS Symbol|ETF|...|Test Issue|NASDAQ Symbol
    nasdaqtraded  Nasdaq Traded|Symbol|Security Name|Listing Exchange|...|CQS Symbol|NASDAQ Symbol|...
                  File Creation Time: 0721202521:31|||||||

A file with that last line is taken for whole, however few its rows (but there must be some);
without it, it is refused, however many. Nothing is guessed about values: NA, NAN and TRUE are
tickers. Test issues are left out. NextShares trade like funds of an exchange, and are ETFs
here. "CQS Symbol" and "NASDAQ Symbol" are exact; "Symbol" and "ACT Symbol", which say less
(NE.A is a warrant there), are read only where neither is given.
"""  # noqa: E501 - a header is as long as it is

from __future__ import annotations

import re
from collections.abc import Mapping

import polars as pl

from stock_platform.domain.errors import InputError, Malformed, NotEntitled
from stock_platform.domain.symbols import AssetClass, Vendor, from_vendor
from stock_platform.sources.base import LISTINGS
from stock_platform.sources.gathered import Gathered
from stock_platform.sources.nasdaqtrader.config import NAME
from stock_platform.sources.payload import excerpt, read_text

EXCHANGES = {
    "A": "XASE",
    "N": "XNYS",
    "P": "ARCX",
    "Z": "BATS",
    "V": "IEXG",
    "Q": "XNAS",
}
OWN_EXCHANGE = "XNAS"
"""Of files that name none: nasdaqlisted."""

FEWEST = 1_000
"""Rows of a directory; one without its last line that has fewer is called suspiciously short."""

EXACT: dict[str, Vendor] = {"cqs symbol": "polygon", "nasdaq symbol": "nasdaq"}
INEXACT = ("act symbol", "symbol")
NEEDED = {"security name", "test issue"}
_FOOTER = re.compile(r"file creation time\s*:?\s*\d{8}", re.IGNORECASE)


def parse_directory(status: int, body: bytes) -> tuple[pl.DataFrame, pl.DataFrame]:
    """LISTINGS, sorted by symbol, and REJECTED.

    ``vendor_symbol`` is the file's first symbol column. Everything listed is active, and
    traded in dollars.

    Raises:
        NotEntitled: refused (401, 403). Malformed: another status, a web page, another
            header, cut short, or no row that can be read.
    """
    if status in (401, 403):
        raise NotEntitled(NAME, f"HTTP {status}: {excerpt(body)}")
    if status != 200:
        raise Malformed(NAME, f"the directory was refused, HTTP {status}: {excerpt(body)}")
    text = read_text(NAME, body, "a symbol directory")
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    names = [name.strip().lower() for name in lines[0].split("|")]
    if not set(names) >= NEEDED or not {*EXACT, *INEXACT} & set(names):
        raise Malformed(NAME, f"no header of a symbol directory but: {excerpt(body)}")
    if not _FOOTER.match(lines[-1]):
        count = len(lines) - 1
        short = f", which is suspiciously short (of {FEWEST} at least)" if count < FEWEST else ""
        raise Malformed(
            NAME, f"cut short: {count} rows{short} and no 'File Creation Time' behind them"
        )
    found = Gathered(NAME, "the directory")
    tests = 0
    for line in lines[1:-1]:
        values = [value.strip() for value in line.split("|")]
        row = dict(zip(names, values, strict=False))
        if len(values) != len(names):
            found.reject(line, f"{len(values)} values under a header of {len(names)}")
        elif row["test issue"].upper() == "Y":
            tests += 1
        else:
            _add(found, row)
    frame, rejected = found.frames(LISTINGS)
    if frame.is_empty():
        raise Malformed(
            NAME, f"suspiciously short: a directory of no symbols, and {tests} test issues"
        )
    return frame, rejected


def _add(found: Gathered, row: Mapping[str, str]) -> None:
    try:
        symbol = _symbol(row)
    except InputError as error:
        found.reject(row, str(error))
        return
    code = row.get("exchange", row.get("listing exchange"))
    fund = "Y" in (row.get("etf", "").upper(), row.get("nextshares", "").upper())
    found.add(
        row,
        {
            "symbol": symbol,
            "vendor_symbol": next(row[name] for name in (*INEXACT, *EXACT) if row.get(name)),
            "name": " ".join(row["security name"].split()) or None,
            "exchange": OWN_EXCHANGE if code is None else EXCHANGES.get(code, code or None),
            "asset_class": str(AssetClass.ETF if fund else AssetClass.STOCK),
            "currency": "USD",
            "active": True,
        },
    )


def _symbol(row: Mapping[str, str]) -> str:
    """The canonical ticker. Raises InputError if no spelling of it can be read."""
    exact = [(row[name], vendor) for name, vendor in EXACT.items() if row.get(name)]
    plain: list[tuple[str, Vendor]] = [(row[n], "nasdaq") for n in INEXACT if row.get(n)]
    refused = InputError("ticker", "", "there is none in the row")
    for text, vendor in exact or plain:
        try:
            return from_vendor(text, vendor).ticker
        except InputError as error:
            refused = error
    raise refused
