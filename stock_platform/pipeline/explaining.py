"""Why a price is what it is, or why there is none: everything known of one cell.

Belongs here: gathering the cell's quotes, verdicts, choice, actions, calls and decisions as plain
data. Does not: wording (narrating.py), rules (domain/validation), showing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from stock_platform.domain.bars import PRICE_COLUMNS, RAW_QUOTES, Adjust, Basis, Interval
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.corporate_actions import apply_adjustments
from stock_platform.domain.errors import InputError
from stock_platform.domain.symbols import parse_symbol
from stock_platform.domain.validation import Level
from stock_platform.domain.validation.choosing import as_traded
from stock_platform.domain.validation.decisions import DECISIONS, standing
from stock_platform.domain.validation.verdicts import rule_verdicts
from stock_platform.pipeline.narrating import chosen_because, story
from stock_platform.pipeline.rejudging import EVER
from stock_platform.pipeline.validating import (
    neighbours,
    session_table,
    tells_its_splits,
    with_local_dates,
)
from stock_platform.storage import actions, assets, decisions, ledger, readers, rejudging

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

AROUND = timedelta(days=30)
"""Actions so near to the day are told; and later splits, which adjusted prices are divided by."""

BAR = (*PRICE_COLUMNS, "volume")


def explain(platform: Platform, ticker: str, day: date) -> dict[str, Any]:
    """Everything known of a ticker's daily price of a day.

    The ticker means the asset that had it on that day, or else has it now. Times are UTC; quotes
    are given as they came and, where their basis allows it, as traded.

    Returns:
        asset (ticker, asset_id, name, asset_class, currency, calendar, listed_on, delisted_on),
        date, session (opens, closes, half_day; null), closed_because, cell (the ledger's row;
        null), quotes, failed_calls, unreadable, actions, decisions, price (null), why, adjusted,
        story.

    Raises:
        InputError: the ticker is not in the database, or the day is beyond the calendars.
    """
    db = platform.db
    name = parse_symbol(ticker).ticker
    ids = assets.resolve(db, [name], day) or assets.resolve_any(db, [name])
    if not ids:
        near = assets.similar(db, name)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise InputError("ticker", name, f"use a ticker that is in the database{hint}")
    asset_id = ids[name]
    asset = assets.by_id(db, [asset_id]).row(0, named=True)
    calendar = get_calendar(asset["calendar"])
    closed = calendar.closed_because(day)
    session = None
    if closed is None:
        opens, closes = calendar.open_close(day)
        session = {"opens": opens, "closes": closes, "half_day": calendar.is_half_day(day)}
    cells = ledger.cells(db, asset_id, day, day, Interval.DAY)
    prices = readers.prices(db, [asset_id], day, day)
    price = prices.row(0, named=True) if prices.height else None
    aside = readers.quarantined(db, [asset_id], day, day).filter(
        pl.col("interval").fill_null("1d") == "1d"
    )
    facts: dict[str, Any] = {
        "asset": {"asked": name, **{k: asset.get(k) for k in _ASSET}},
        "date": day,
        "now": platform.clock.now(),
        "session": session,
        "closed_because": closed,
        "cell": cells.drop("asset_id", "interval").row(0, named=True) if cells.height else None,
        "quotes": _quotes(platform, asset, day, price, aside),
        "failed_calls": [
            _call(row)
            for row in readers.failed_calls(db, list({name, asset["ticker"]}), day).to_dicts()
        ],
        "unreadable": aside.filter(stage="parse")
        .select("quarantine_id", "source", "reasons", "row", "quarantined_at")
        .to_dicts(),
        "actions": _actions(platform, asset_id, day),
        "decisions": decisions.about(db, asset_id, day),
        "price": price and {k: price[k] for k in (*BAR, "vwap", "source", "flags")},
        "adjusted": _adjusted(platform, prices) if price else None,
    }
    facts["why"] = chosen_because(facts, _preference(platform))
    facts["story"] = story(facts)
    return facts


_ASSET = (
    "ticker", "asset_id", "name", "asset_class", "currency", "calendar", "listed_on",
    "delisted_on",
)  # fmt: skip


def _preference(platform: Platform) -> list[str]:
    known = sorted(platform.capabilities.values(), key=lambda c: c.preference)
    return [c.source for c in known]


def _span(raw: pl.DataFrame) -> CellGrid:
    ends = raw.select(pl.col("session").min().alias("a"), pl.col("session").max().alias("b"))
    return CellGrid.rectangle(raw["asset_id"].unique(), ends.row(0))


def _quotes(
    platform: Platform,
    asset: Mapping[str, Any],
    day: date,
    price: Mapping[str, Any] | None,
    aside: pl.DataFrame,
) -> list[dict[str, Any]]:
    """Every source's quote of the day, with every rule's verdict on it."""
    db, ids = platform.db, [int(asset["asset_id"])]
    one = CellGrid.from_pairs([(ids[0], day)])
    whole = not rejudging.open_levels(db, ids, one.interval).is_empty()
    around = CellGrid.rectangle(ids, EVER if whole else neighbours(one))
    raw = readers.raw(db, around, between=True)
    today = raw.filter(pl.col("session") == day)
    if today.is_empty():
        return []
    calendars = assets.by_id(db, ids).select("asset_id", "calendar")
    everyone = platform.capabilities.values()
    tellers = sorted(c.source for c in everyone if any(map(tells_its_splits, c.endpoints)))
    noisy = frozenset(c.source for c in everyone if any(e.float32 for e in c.endpoints))
    splits = readers.splits(db, ids)
    told = actions.told_splits(db, ids, tellers) if tellers else None
    traded = as_traded(with_local_dates(raw, calendars), splits, noisy, told, frozenset(tellers))
    verdicts = rule_verdicts(
        traded,
        day,
        splits=splits,
        dividends=readers.dividends(db, ids),
        sessions=session_table(calendars, _span(raw) if whole else around),
        classes={ids[0]: asset["asset_class"]},
        rulebook=platform.settings.rulebook,
        level=Level(platform.settings.validation_level),
        now=platform.clock.now(),
        whole=whole,
    )
    stands = decisions.of_cells(db, one)
    decided = (
        standing(raw, stands) if stands.height else standing(raw, pl.DataFrame(schema=DECISIONS))
    )
    by_person = {(r["source"], r["ts"]): r["_decided"] for r in decided.standing.to_dicts()}
    put = {(r["source"], r["ts"]): r for r in aside.filter(stage="validation").to_dicts()}
    calls = readers.calls(db, today["fetch_id"].drop_nulls().unique().to_list())
    by_call = {r["fetch_id"]: r for r in calls.to_dicts()}
    after = traded.filter(pl.col("session") == day)
    rows = {(r["source"], r["ts"]): r for r in after.to_dicts()}
    found = []
    for row in today.sort("source", "ts").to_dicts():
        key = (row["source"], row["ts"])
        reached = row["basis"] != str(Basis.FULLY_ADJUSTED)
        entry = put.get(key)
        is_price = (
            price is not None and price["source"] == row["source"] and (price["ts"] == row["ts"])
        )
        found.append(
            {
                "source": row["source"],
                "ts": row["ts"],
                "basis": row["basis"],
                "fetched_at": row["fetched_at"],
                "as_it_came": {k: row[k] for k in RAW_QUOTES if k in (*BAR, "vwap")},
                "as_traded": {k: rows[key][k] for k in BAR} if reached else None,
                "outcome": "chosen"
                if is_price
                else "quarantined"
                if entry
                else "not chosen"
                if price
                else "not judged yet",
                "reasons": entry["reasons"] if entry else [],
                "flags": price["flags"] if is_price and price else [],
                "quarantine_id": entry["quarantine_id"] if entry else None,
                "decision": by_person.get(key),
                "rules": verdicts.get(key, []),
                "call": _call(by_call.get(row["fetch_id"])),
            }
        )
    return found


def _call(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    names = (
        "fetch_id", "source", "endpoint", "tile", "status", "http_status", "requests", "rows",
        "cached", "error", "run_id", "finished_at",
    )  # fmt: skip
    return {name: row[name] for name in names}


def _actions(platform: Platform, asset_id: int, day: date) -> list[dict[str, Any]]:
    """Actions in force around a day, and every split after it, by ex-date."""
    known = actions.actions(platform.db, [asset_id]).filter(
        pl.col("ex_date").is_between(day - AROUND, day + AROUND)
        | ((pl.col("kind") == "split") & (pl.col("ex_date") > day))
    )
    return known.sort("ex_date", "kind").drop("asset_id").to_dicts()


def _adjusted(platform: Platform, prices: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """The price adjusted for splits, and for all."""
    db, ids = platform.db, prices["asset_id"].unique().to_list()
    splits, paid = readers.splits(db, ids), readers.dividends(db, ids)
    closes = readers.closes_before_dividends(db, ids)
    made = {
        str(mode): apply_adjustments(prices, splits, paid, mode, closes=closes)
        for mode in (Adjust.SPLITS, Adjust.ALL)
    }
    return {mode: frame.select(BAR).row(0, named=True) for mode, frame in made.items()}
