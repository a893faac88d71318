"""Stooq's ``/q/d/l/``: a history of days, weeks or months.

Belongs here: spellings, which rows a request selects, adjustment, how numbers are written.
Does not: the histories (``market``).

Prices of shares are adjusted for every split and dividend up to the call, volumes the other
way, and rounded to five digits or to the cent's hundredth; others are as quoted. The running
day is there, as far as it has come. Unknown, delisted, or nothing in the range: ``No data``.
"""

from __future__ import annotations

import re
from datetime import date, datetime

import numpy as np
import polars as pl

from stock_platform.sandbox.faults import spoil
from stock_platform.sandbox.market.asset import Asset
from stock_platform.sandbox.market.intraday import so_far
from stock_platform.sandbox.market.others import Others
from stock_platform.sandbox.vendors.base import Answer, Call

TEXT = "text/plain; charset=utf-8"
CSV = "text/csv"
_GROUPS = {"d": None, "w": "1w", "m": "1mo", "q": "1q", "y": "1y"}
_INDICES = {
    "^spx": "^GSPC", "^dji": "^DJI", "^ndq": "^IXIC", "^ukx": "^FTSE", "^nkx": "^N225",
}  # fmt: skip
_PRICES = ("open", "high", "low", "close")


def history(call: Call) -> Answer:
    """Answer one download."""
    symbol = call.query.get("s", "").lower()
    span = _days(call.query.get("d1")), _days(call.query.get("d2"))
    every = _GROUPS.get(call.query.get("i", "d"), "")
    table = None if every == "" else _table(call, symbol)
    if table is None:
        return Answer(b"No data", 200, TEXT)
    if span[0] is not None:
        table = table.filter(pl.col("session") >= span[0])
    if span[1] is not None:
        table = table.filter(pl.col("session") <= span[1])
    if every is not None:
        table = _grouped(table, every)
    return _written(call, table) if table.height else Answer(b"No data", 200, TEXT)


def _days(text: str | None) -> date | None:
    try:
        return datetime.strptime(text or "", "%Y%m%d").date()  # noqa: DTZ007 - a date
    except ValueError:
        return None


def _table(call: Call, symbol: str) -> pl.DataFrame | None:
    """Session, prices and, but for currencies, volume; None where nothing is called so."""
    other = _other(call.market.others, symbol)
    if other is not None:
        table = call.market.others.bars(other, live=True, now=call.now)
        return table.drop("volume") if "/" in other else table
    root = symbol.removesuffix(".us")
    if root == symbol or not root:
        return None
    canonical = re.sub(r"_([a-z])$", r".pr\1", root).replace("-", ".").upper()
    started = call.market.time.opened(call.now)
    asset = call.market.carrying(canonical, started - 1)
    return None if asset is None or asset.delisted < started else _share(call, asset, started)


def _other(others: Others, symbol: str) -> str | None:
    """The canonical symbol of an index, a future, a currency pair or a coin."""
    upper = symbol.upper()
    tries = [_INDICES.get(symbol, ""), f"{upper[:-2]}=F" if upper.endswith(".F") else ""]
    tries += [f"{upper[:-3]}{mark}{upper[-3:]}" for mark in "/-"]
    return next((name for name in tries if name and others.find(name) is not None), None)


def _share(call: Call, asset: Asset, started: int) -> pl.DataFrame:
    market, last = call.market, started - 1
    found = market.history(asset)
    sessions = found.traded(asset.listed, started)
    prices, volume = found.values(sessions)
    if len(sessions) and sessions[-1] == last and call.now.timestamp() < market.time.closes[last]:
        running = so_far(market, asset, last, call.now.timestamp())
        keep = slice(None) if len(running.stamps) else slice(-1)
        if len(running.stamps):
            prices[:, -1], volume[-1] = running.prices[:, 0], running.volume[0]
        sessions, prices, volume = sessions[keep], prices[:, keep], volume[keep]
    splits = found.split_factor(sessions, last)
    paid = found.dividend_factor(sessions, last)
    rows = dict(zip(_PRICES, prices * paid / splits, strict=True))
    days = pl.Series("session", market.time.days[sessions]).cast(pl.Date)
    return pl.DataFrame({"session": days, **rows, "volume": np.rint(volume * splits / paid)})


def _grouped(table: pl.DataFrame, every: str) -> pl.DataFrame:
    """Weeks, months and so on; a row carries the last day of its period that traded."""
    sums = [pl.col("volume").sum()] if "volume" in table.columns else []
    return (
        table.sort("session")
        .with_columns(pl.col("session").alias("start"))
        .group_by_dynamic("start", every=every)
        .agg(
            pl.col("session").last(),
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            *sums,
        )
        .drop("start")
    )


def _written(call: Call, table: pl.DataFrame) -> Answer:
    names = table.columns[1:]
    columns = {name: table[name].to_numpy().astype(np.float64).copy() for name in names}
    columns.setdefault("volume", np.zeros(table.height))
    spoil(columns, call.fault)
    texts = [[str(day) for day in table["session"]]]
    texts += [[_number(value, name) for value in columns[name].tolist()] for name in names]
    head = ",".join(["Date", *(name.title() for name in names)])
    body = "".join(f"{','.join(row)}\r\n" for row in zip(*texts, strict=True))
    named = re.sub(r"[^a-z0-9]", "_", call.query["s"].lower())
    headers = {"content-disposition": f"attachment;filename={named}_d.csv"}
    return Answer(f"{head}\r\n{body}".encode(), 200, CSV, headers, cells=table.height)


def _number(value: float, name: str) -> str:
    """Five digits of a small price, four decimals of a large one; no zeros behind."""
    if np.isnan(value):
        return ""
    if name == "volume":
        return f"{value:.5f}".rstrip("0").rstrip(".")
    text = f"{value:.4f}" if value >= 10 else f"{value:.5f}"
    return text.rstrip("0").rstrip(".")
