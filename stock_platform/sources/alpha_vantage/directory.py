"""Reading Alpha Vantage's directories, and the words they share with its profiles.

Belongs here: LISTING_STATUS (every US listing, CSV), SYMBOL_SEARCH (best matches of a word,
JSON). Does not: asking (client.py), errors (answers.py), one symbol's facts (facts.py). Pure.

What is missing is ``None``, ``-`` or ``null`` in words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

import polars as pl

from stock_platform.domain.bars import conform
from stock_platform.domain.errors import InputError, Malformed, NoData
from stock_platform.domain.symbols import AssetClass
from stock_platform.sources.alpha_vantage.answers import Asked, document, table
from stock_platform.sources.alpha_vantage.config import NAME
from stock_platform.sources.alpha_vantage.spelling import read
from stock_platform.sources.base import LISTINGS
from stock_platform.sources.payload import as_list, as_mapping, rejected_frame, rejected_row

MICS = {
    "NYSE": "XNYS",
    "NASDAQ": "XNAS",
    "NYSE ARCA": "ARCX",
    "NYSE MKT": "XASE",
    "NYSE AMERICAN": "XASE",
    "AMEX": "XASE",
    "BATS": "BATS",
}
CLASSES = {
    "stock": AssetClass.STOCK,
    "equity": AssetClass.STOCK,
    "common stock": AssetClass.STOCK,
    "etf": AssetClass.ETF,
    "mutual fund": AssetClass.FUND,
}
PENCE = {"GBX": "GBP", "GBp": "GBP", "ZAC": "ZAR", "ILA": "ILS"}
"""Directories name the currency only; the major unit's is told."""

NOTHING = frozenset({"", "none", "null", "-", "n/a"})
DIRECTORY = {"symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status"}


def parse_listing(status: int, body: bytes, asked: Asked) -> tuple[pl.DataFrame, pl.DataFrame]:
    """LISTINGS and REJECTED of a LISTING_STATUS, which is CSV.

    Raises:
        NoData: a header alone. Malformed: no CSV, or no row of it can be read. As ``document``.
    """
    rows: list[dict[str, object]] = []
    rejected: list[dict[str, object]] = []
    for raw in table(status, body, asked, DIRECTORY):
        text = str(raw["symbol"] or "")
        try:
            if "" in raw:
                raise ValueError(f"a row with more values than columns: {raw['']!r}")
            if raw["status"] is None:
                raise ValueError(f"a row of {sum(v is not None for v in raw.values())} values")
            rows.append(
                {
                    "symbol": read(text).ticker,
                    "vendor_symbol": text,
                    "name": words(raw["name"]),
                    "exchange": exchange(raw["exchange"]),
                    "asset_class": asset_class(raw["assetType"]),
                    "currency": "USD",
                    "listed_on": _day(raw["ipoDate"]),
                    "delisted_on": _day(raw["delistingDate"]),
                    "active": raw["status"].strip().lower() == "active",
                }
            )
        except (InputError, ValueError) as error:
            rejected.append(rejected_row(raw, str(error)))
    return _many(rows, rejected, asked)


def parse_search(status: int, body: bytes, asked: Asked) -> tuple[pl.DataFrame, pl.DataFrame]:
    """LISTINGS and REJECTED of a SYMBOL_SEARCH, best match first; ``exchange`` is a region.

    Raises:
        NoData: no match. Malformed. As ``document``.
    """
    found = document(status, body, asked)
    if "bestMatches" not in found:
        raise Malformed(NAME, f"{asked.what}: no matches but {', '.join(list(found)[:5])}")
    rows: list[dict[str, object]] = []
    rejected: list[dict[str, object]] = []
    for raw in as_list(NAME, found["bestMatches"], "bestMatches"):
        match = plain(as_mapping(NAME, raw, "a match"))
        text = str(match.get("symbol") or "")
        try:
            currency = words(match.get("currency"))
            rows.append(
                {
                    "symbol": read(text).ticker,
                    "vendor_symbol": text,
                    "name": words(match.get("name")),
                    "exchange": words(match.get("region")),
                    "asset_class": asset_class(match.get("type")),
                    "currency": PENCE.get(currency or "", currency),
                    "active": True,
                }
            )
        except InputError as error:
            rejected.append(rejected_row(raw, str(error)))
    return _many(rows, rejected, asked)


def _many(
    rows: list[dict[str, object]], rejected: list[dict[str, object]], asked: Asked
) -> tuple[pl.DataFrame, pl.DataFrame]:
    if rejected and not rows:
        first = rejected[0]["reasons"]
        raise Malformed(NAME, f"none of {len(rejected)} rows can be read: {first}")
    if not rows:
        raise NoData(NAME, f"{asked.what}: nothing is listed")
    frame = pl.DataFrame(rows, schema=LISTINGS, orient="row")
    return conform(frame, LISTINGS), rejected_frame(rejected)


def plain(found: Mapping[str, object]) -> dict[str, object]:
    """The same without the numbers before the names."""
    return {re.sub(r"^\d+\. ", "", name): value for name, value in found.items()}


def words(value: object) -> str | None:
    """The text of a value; None for the vendor's words for nothing."""
    text = str(value).strip() if value is not None else ""
    return None if text.lower() in NOTHING else text


def exchange(value: object) -> str | None:
    """The MIC of an exchange's name, or the vendor's word."""
    word = words(value)
    return MICS.get(word.upper(), word) if word else None


def asset_class(value: object) -> str | None:
    """Our word for a kind of instrument, or the vendor's."""
    word = words(value)
    return str(CLASSES.get(word.lower(), word)) if word else None


def _day(value: object) -> date | None:
    text = words(value)
    return date.fromisoformat(text) if text else None
