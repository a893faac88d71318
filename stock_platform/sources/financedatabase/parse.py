"""Reading FinanceDatabase's files: bytes to a directory or to profiles, or an error.

Belongs here: the CSV of equities and of funds, told apart by their header. Does not: asking
(client.py). Pure.

    equities  symbol,name,summary,currency,sector,industry_group,industry,exchange,mic,market,
              country,...,website,market_cap,isin,cusip,figi,composite_figi,...,delisted
    etfs      symbol,name,currency,summary,category_group,category,family,exchange,mic,isin

A summary may run over several lines, within quotes. ``market_cap`` is a size in words (Nano
Cap), which is no number, so it is left out. ``mic`` is believed before ``exchange``, Yahoo's
code. Tickers are Yahoo's, but for some of NASDAQ's own spelling: ``ABR^D`` is a preferred
share (and ``DCOM^`` one without a series), ``BRK/B`` a class. ``^ADFI-IV`` is an index.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence

from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
)
from stock_platform.domain.symbols import AssetClass, parse_symbol
from stock_platform.sources.financedatabase.config import NAME
from stock_platform.sources.gathered import Gathered
from stock_platform.sources.payload import excerpt, read_text

Row = Mapping[str, str]
NEEDED = {"symbol", "name", "currency"}
FUNDS = {"category_group", "family"}
"""Columns that files of funds have and files of equities lack."""

ACTIVE = {"false": True, "true": False}
_PREFERRED = re.compile(r"([A-Z][A-Z0-9]{0,5})\^([A-Z]?)")


def read_rows(status: int, body: bytes, what: str) -> list[Row]:
    """The rows of one file, by column.

    Raises:
        NoData: a header alone. NotEntitled: 401, 403. Malformed: no such file, a page, no
            header, cut short in the middle of a row.
    """
    if status in (401, 403):
        raise NotEntitled(NAME, f"{what}: HTTP {status}: {excerpt(body)}")
    if status != 200:
        raise Malformed(NAME, f"{what}: there is no such file, HTTP {status}: {excerpt(body)}")
    text = read_text(NAME, body)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        cut = "cut short" if "unexpected end" in str(error) else "broken"
        raise Malformed(NAME, f"{what}: CSV {cut} after {len(body)} bytes: {error}") from None
    header = [name.strip().lower() for name in lines[0]]
    if not set(header) >= NEEDED:
        raise Malformed(NAME, f"{what}: no CSV header but: {excerpt(body)}")
    if not text.endswith(("\n", "\r")):
        raise Malformed(NAME, f"{what}: CSV cut short after {len(body)} bytes")
    found: list[Row] = [dict(zip(header, line, strict=False)) for line in lines[1:] if line]
    if not found:
        raise NoData(NAME, f"{what}: a header alone")
    return found


def gather(found: Gathered, rows: Sequence[Row]) -> None:
    """Add rows by the names of LISTINGS and PROFILES, both; reject those that cannot be read."""
    for raw in rows:
        try:
            row = _row(raw)
        except (InputError, ValueError) as error:
            found.reject({k: v for k, v in raw.items() if k != "summary"}, str(error))
        else:
            found.add(raw, row)


def read_symbol(text: str) -> tuple[str, AssetClass]:
    """The canonical ticker of a spelling, and its class as far as that tells. Raises InputError."""
    preferred = _PREFERRED.fullmatch(text)
    symbol = parse_symbol(f"{preferred[1]}.PR{preferred[2]}" if preferred else text)
    return symbol.ticker, symbol.asset_class


def _row(raw: Row) -> dict[str, object]:
    """Raises InputError or ValueError."""
    if "isin" not in raw:
        raise ValueError(f"a row of {len(raw)} values")
    text = raw["symbol"].strip()
    symbol, kind = read_symbol(text)
    if kind is AssetClass.STOCK and set(raw) >= FUNDS:
        kind = AssetClass.ETF
    return {
        "symbol": symbol,
        "vendor_symbol": text,
        "name": _text(raw, "name"),
        "exchange": _text(raw, "mic") or _text(raw, "exchange"),
        "asset_class": str(kind),
        "currency": _text(raw, "currency"),
        "country": _text(raw, "country"),
        "sector": _text(raw, "sector"),
        "industry": _text(raw, "industry"),
        "website": _text(raw, "website"),
        "isin": _text(raw, "isin"),
        "figi": _text(raw, "composite_figi") or _text(raw, "figi"),
        "active": ACTIVE.get(raw.get("delisted", "").strip().lower()),
    }


def _text(raw: Row, name: str) -> str | None:
    return " ".join(raw.get(name, "").split()) or None
