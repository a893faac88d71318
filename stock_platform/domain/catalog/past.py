"""Assets that were delisted before the catalog began, from a vendor's list of them.

Belongs here: telling which of them are known, and whose a ticker was when. Does not: what
is listed now (snapshot.py, diff.py). Pure.

A ticker has one holder at a time, so a company that had it until 2011 says that today's holder
did not have it before: that is how a reused ticker's old prices stay with the old company.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from stock_platform.domain.catalog.names import issuer

Row = Mapping[str, Any]

ALWAYS = date(1, 1, 1)
NEAR = timedelta(days=120)
"""Between the day a directory missed an asset and the day of a vendor's list."""

SPELLS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "ticker": pl.String(),
    "valid_from": pl.Date(),
    "valid_to": pl.Date(),
    "name": pl.String(),
    "listed_on": pl.Date(),
    "delisted_on": pl.Date(),
    "active": pl.Boolean(),
}

DATES: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "listed_on": pl.Date(),
    "delisted_on": pl.Date(),
}

BEGINS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "ticker": pl.String(),
    "valid_from": pl.Date(),  # the day it has the ticker from, as known now
}

GONE: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "name": pl.String(),
    "exchange": pl.String(),
    "asset_class": pl.String(),
    "currency": pl.String(),
    "listed_on": pl.Date(),
    "delisted_on": pl.Date(),
    "valid_from": pl.Date(),
    "valid_to": pl.Date(),
}


@dataclass(frozen=True)
class Past:
    """What a list of the delisted teaches.

    Attributes:
        dates: DATES of known assets whose last day is told better.
        begins: BEGINS of holders that cannot have had their ticker before.
        gone: GONE, assets that were unknown.
        skipped: rows that contradict what is known.
    """

    dates: pl.DataFrame
    begins: pl.DataFrame
    gone: pl.DataFrame
    skipped: int


def settle(spells: pl.DataFrame, delisted: pl.DataFrame) -> Past:
    """What ``delisted`` (LISTINGS) teaches a catalog whose tickers are ``spells`` (SPELLS)."""
    held: dict[str, list[dict[str, Any]]] = {}
    for row in spells.iter_rows(named=True):
        held.setdefault(row["ticker"], []).append(dict(row))
    dates: list[dict[str, Any]] = []
    begins: dict[tuple[int, str], date] = {}
    gone: list[dict[str, Any]] = []
    skipped = 0
    told = delisted.filter(pl.col("delisted_on").is_not_null()).sort("symbol", "delisted_on")
    for row in told.iter_rows(named=True):
        mine = held.setdefault(row["symbol"], [])
        same = next((s for s in mine if _same(s, row)), None)
        if same is not None:
            if not same["active"] and same["delisted_on"] != row["delisted_on"]:
                first = same["listed_on"] or row["listed_on"]
                dates.append(
                    {
                        "asset_id": same["asset_id"],
                        "listed_on": first,
                        "delisted_on": row["delisted_on"],
                    }
                )
            continue
        end = row["delisted_on"] + timedelta(days=1)
        later = [s for s in mine if s["valid_to"] > end]
        if any(s["listed_on"] and s["listed_on"] < end for s in later):
            skipped += 1  # it says another had the ticker while its holder was listed
            continue
        ends = [s["valid_to"] for s in mine if s["valid_to"] <= end]
        start = max([row["listed_on"] or ALWAYS, *ends])
        if start >= end:
            skipped += 1
            continue
        for spell in later:
            if spell["valid_from"] < end:
                spell["valid_from"] = end
                begins[spell["asset_id"], row["symbol"]] = end
        made = {name: row.get(name) for name in GONE}
        gone.append(made | {"valid_from": start, "valid_to": end})
        mine.append({**made, "asset_id": 0, "active": False, "valid_from": start, "valid_to": end})
    return Past(
        pl.DataFrame(dates, schema=DATES, orient="row"),
        pl.DataFrame(
            [(asset, ticker, day) for (asset, ticker), day in begins.items()],
            schema=BEGINS,
            orient="row",
        ).filter(pl.col("asset_id") > 0),
        pl.DataFrame(gone, schema=GONE, orient="row"),
        skipped,
    )


def _same(spell: Row, row: Row) -> bool:
    """Whether a holder of a ticker is the company that a list says lost it."""
    named = bool(spell["name"] and row["name"])
    if named and issuer(spell["name"]) != issuer(row["name"]):
        return False
    if spell["active"]:
        return named  # a move to another exchange is told as a delisting
    last = spell["delisted_on"]
    return named or last is None or abs(last - row["delisted_on"]) <= NEAR
