"""A portfolio day by day: what it is worth, what went in and out, what it earned.

Belongs here: valuing holdings at daily closes, in one currency. Does not: reading prices,
rates and actions (pipeline/performance.py).

Everything is in shares of today (transactions.py): closes are split-adjusted, a dividend is per
share of today. A dividend goes to what was held before its ex-date. A holding without a close
yet is worth what was last paid for it, and is counted as unpriced. Money of another currency is
converted at its own day's rate: a holding at the day's, a purchase at the day of the purchase.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.portfolio.lots import Holding, Ledger, Method
from stock_platform.domain.portfolio.returns import time_weighted
from stock_platform.domain.portfolio.transactions import Side, Transaction

Rate = Callable[[str, date], float | None]
"""Units of the portfolio's currency for one of another on a day; None: not known."""

DAILY: dict[str, pl.DataType] = {
    "session": pl.Date(),
    "market_value": pl.Float64(),
    "cost": pl.Float64(),
    "contributed": pl.Float64(),
    "withdrawn": pl.Float64(),
    "dividends": pl.Float64(),
    "realised": pl.Float64(),
    "twr": pl.Float64(),
    "unpriced": pl.Int32(),
}

POSITIONS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "quantity": pl.Float64(),
    "cost_fifo": pl.Float64(),
    "cost_average": pl.Float64(),
    "price": pl.Float64(),
    "priced_on": pl.Date(),
    "market_value": pl.Float64(),
    "unrealised": pl.Float64(),
    "realised_fifo": pl.Float64(),
    "realised_average": pl.Float64(),
    "dividends": pl.Float64(),
    "fees": pl.Float64(),
}


@dataclass(frozen=True)
class Account:
    """A portfolio's history.

    Attributes:
        days: DAILY, one row a day on which any of its assets has a close, a trade or a dividend.
        positions: POSITIONS of every asset ever held, in the portfolio's currency; ``price`` is
            the last close of a share of today.
        flows: date and money of each flow out of (below zero) and into the owner's pocket.
        lacking: currencies without a rate on some day it was needed for.
    """

    days: pl.DataFrame
    positions: pl.DataFrame
    flows: list[tuple[date, float]]
    lacking: frozenset[str]


def daily_account(
    transactions: Sequence[Transaction],
    closes: pl.DataFrame,
    dividends: pl.DataFrame,
    currencies: Mapping[int, str],
    rate: Rate,
    last: date,
) -> Account:
    """The account of one user's transactions.

    Args:
        transactions: in order and in shares of today (``in_todays_shares``).
        closes: asset_id, session, close: adjusted for all splits, in the asset's currency.
        dividends: asset_id, ex_date, amount per share of today.
        currencies: of the assets.
        rate: into the portfolio's currency; must be 1 for that currency itself.
        last: the last day of the account.
    """
    if not transactions:
        return Account(pl.DataFrame(schema=DAILY), pl.DataFrame(schema=POSITIONS), [], frozenset())
    lacking: set[str] = set()

    def rated(currency: str, day: date) -> float:
        found = rate(currency, day)
        if found is None:
            lacking.add(currency)
            return 1.0
        return found

    first = min(t.trade_date for t in transactions)
    ids = sorted({t.asset_id for t in transactions})
    closes = closes.filter(
        pl.col("asset_id").is_in(ids), pl.col("session") <= last, pl.col("close").is_not_null()
    )
    dividends = dividends.filter(
        pl.col("asset_id").is_in(ids), pl.col("ex_date").is_between(first, last)
    )
    days = _days(transactions, closes, dividends, first, last)
    made = [
        _of_asset(
            [t for t in transactions if t.asset_id == asset_id],
            closes.filter(pl.col("asset_id") == asset_id).sort("session"),
            dividends.filter(pl.col("asset_id") == asset_id),
            currencies.get(asset_id) or transactions[0].currency,
            rated,
            days,
        )
        for asset_id in ids
    ]
    together = {
        name: np.sum([getattr(part, name) for part in made], axis=0)
        for name in DAILY
        if name not in ("session", "twr")
    }
    twr = time_weighted(
        together["market_value"],
        together["contributed"],
        together["withdrawn"] + together["dividends"],
    )
    frame = pl.DataFrame({"session": days, **together, "twr": twr}).select(
        pl.col(name).cast(kind) for name, kind in DAILY.items()
    )
    net = together["withdrawn"] + together["dividends"] - together["contributed"]
    flows = [
        (day, float(amount))
        for day, amount in zip(frame["session"].to_list(), net, strict=True)
        if amount
    ]
    positions = pl.DataFrame([part.position for part in made], schema=POSITIONS)
    return Account(frame, positions, flows, frozenset(lacking))


@dataclass(frozen=True)
class _Part:
    """One asset's share in the account; arrays have an element a day."""

    market_value: npt.NDArray[np.float64]
    cost: npt.NDArray[np.float64]
    contributed: npt.NDArray[np.float64]
    withdrawn: npt.NDArray[np.float64]
    dividends: npt.NDArray[np.float64]
    realised: npt.NDArray[np.float64]
    unpriced: npt.NDArray[np.int32]
    position: dict[str, object]


def _days(
    transactions: Sequence[Transaction],
    closes: pl.DataFrame,
    dividends: pl.DataFrame,
    first: date,
    last: date,
) -> npt.NDArray[np.datetime64]:
    wanted = {t.trade_date for t in transactions} | set(dividends["ex_date"])
    wanted |= set(closes["session"].filter(closes["session"] >= first))
    return np.array(sorted(day for day in wanted if day <= last), dtype="datetime64[D]")


def _of_asset(
    transactions: Sequence[Transaction],
    closes: pl.DataFrame,
    dividends: pl.DataFrame,
    currency: str,
    rated: Callable[[str, date], float],
    days: npt.NDArray[np.datetime64],
) -> _Part:
    count = len(days)
    held, cost, contributed, withdrawn, realised = (np.zeros(count) for _ in range(5))
    paid = np.full(count, np.nan)  # the last price paid, in the asset's own currency
    fifo, average = Ledger(Method.FIFO), Ledger(Method.AVERAGE)
    for transaction in transactions:
        at = int(np.searchsorted(days, np.datetime64(transaction.trade_date)))
        if at == count:
            continue
        rate = Decimal(repr(rated(transaction.currency, transaction.trade_date)))
        ours = replace(transaction, price=transaction.price * rate, fee=transaction.fee * rate)
        before = replace(fifo.holding)
        fifo.enter(ours)
        average.enter(ours)
        after = fifo.holding
        held[at:] = float(after.quantity)
        cost[at:] = float(after.cost)
        realised[at] += float(after.realised - before.realised)
        if ours.side is Side.BUY:
            contributed[at] += float(after.bought - before.bought)
        else:
            withdrawn[at] += float(after.sold - before.sold)
        own = rated(currency, transaction.trade_date)
        paid[at:] = float(ours.price) / own
    prices, priced_on = _as_of(closes, days)
    unpriced = np.isnan(prices) & (held > 0)
    rates = np.array([rated(currency, day) for day in days.astype(object)])
    value = held * np.nan_to_num(np.where(np.isnan(prices), paid, prices)) * rates
    income = _income(dividends, held, rates, days)
    return _Part(
        market_value=value,
        cost=cost,
        contributed=contributed,
        withdrawn=withdrawn,
        dividends=income,
        realised=realised,
        unpriced=unpriced.astype(np.int32),
        position=_position(
            transactions[0].asset_id, fifo.holding, average.holding, value[-1],
            prices[-1] * rates[-1], priced_on, income,
        ),
    )  # fmt: skip


def _as_of(
    closes: pl.DataFrame, days: npt.NDArray[np.datetime64]
) -> tuple[npt.NDArray[np.float64], date | None]:
    """The last close on each day or before it, NaN before the first; and the last one's day."""
    if closes.is_empty():
        return np.full(len(days), np.nan), None
    sessions = closes["session"].to_numpy().astype("datetime64[D]")
    at = np.searchsorted(sessions, days, side="right") - 1
    values = closes["close"].to_numpy()
    return np.where(at >= 0, values[at], np.nan), closes["session"][-1]


def _income(
    dividends: pl.DataFrame,
    held: npt.NDArray[np.float64],
    rates: npt.NDArray[np.float64],
    days: npt.NDArray[np.datetime64],
) -> npt.NDArray[np.float64]:
    """Dividends of each day: of what was held at the end of the day before."""
    income = np.zeros(len(days))
    for ex_date, amount in dividends.select("ex_date", "amount").iter_rows():
        at = int(np.searchsorted(days, np.datetime64(ex_date)))
        if 0 < at < len(days):
            income[at] += held[at - 1] * amount * rates[at]
    return income


def _position(
    asset_id: int,
    fifo: Holding,
    average: Holding,
    value: float,
    price: float,
    priced_on: date | None,
    income: npt.NDArray[np.float64],
) -> dict[str, object]:
    return {
        "asset_id": asset_id,
        "quantity": float(fifo.quantity),
        "cost_fifo": float(fifo.cost),
        "cost_average": float(average.cost),
        "price": None if np.isnan(price) else price,
        "priced_on": priced_on,
        "market_value": value,
        "unrealised": value - float(fifo.cost),
        "realised_fifo": float(fifo.realised),
        "realised_average": float(average.realised),
        "dividends": float(income.sum()),
        "fees": float(fifo.fees),
    }
