"""What a portfolio is worth and has earned, from stored prices and actions.

Belongs here: gathering the inputs of the daily account, and keeping the stored one true. Does
not: arithmetic (domain/portfolio), SQL (storage/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import polars as pl

from stock_platform.domain.bars import Adjust
from stock_platform.domain.corporate_actions import apply_adjustments, later_product
from stock_platform.domain.errors import InputError
from stock_platform.domain.portfolio import (
    Transaction,
    annualised,
    daily_account,
    in_todays_shares,
    money_weighted,
)
from stock_platform.domain.portfolio.daily import Account, Rate
from stock_platform.storage import assets, performance, quotes, readers
from stock_platform.storage import portfolio as book
from stock_platform.storage.connection import Database


@dataclass(frozen=True)
class Performance:
    """A portfolio's account and its measures, in one currency; returns are fractions.

    Attributes:
        days: DAILY.
        positions: POSITIONS with ticker and name.
        summary: user, currency, first, last, market_value, cost, unrealised, realised,
            dividends, contributed, withdrawn, twr, twr_annual, mwr, unpriced.
        problems: what keeps the numbers from being right, in words.
    """

    days: pl.DataFrame
    positions: pl.DataFrame
    summary: dict[str, object]
    problems: list[str]


def measure(db: Database, user_id: str, currency: str, last: date) -> Performance:
    """The performance of a user's portfolio up to a day, at live prices where they are newer.

    Raises:
        InputError: the user has no transaction.
    """
    inputs = _inputs(db, user_id, currency)
    account = inputs.account(last, live=True)
    named = assets.by_id(db, account.positions["asset_id"].to_list())
    positions = (
        account.positions.join(named.select("asset_id", "ticker", "name"), on="asset_id")
        .select("ticker", "name", pl.exclude("ticker", "name", "asset_id"))
        .sort("market_value", "ticker", descending=[True, False])
    )
    return Performance(
        account.days, positions, _summary(user_id, currency, account), _problems(account, positions)
    )


def refresh(db: Database, user_id: str, currency: str, last: date) -> bool:
    """Bring the stored account of a user up to date; whether anything had to be done.

    Raises:
        InputError: the user has no transaction.
    """
    inputs = _inputs(db, user_id, currency)
    digest = f"{last} {performance.digest(db, user_id, inputs.priced)}"
    if digest == performance.built_from(db, user_id, currency):
        return False
    performance.write(db, user_id, currency, inputs.account(last).days, digest)
    return True


@dataclass(frozen=True)
class _Inputs:
    """Read once: transactions in shares of today, closes, dividends, currencies, rates."""

    db: Database
    transactions: Sequence[Transaction]
    currencies: Mapping[int, str]
    rates: Mapping[str, int]
    currency: str

    @property
    def held(self) -> list[int]:
        return sorted({t.asset_id for t in self.transactions})

    @property
    def priced(self) -> list[int]:
        return sorted({*self.held, *map(abs, self.rates.values())})

    def account(self, last: date, *, live: bool = False) -> Account:
        first = min(t.trade_date for t in self.transactions)
        # An announced split is none yet: neither shares nor prices are other than they were.
        splits = readers.splits(self.db, self.held).filter(pl.col("ex_date") <= last)
        known = _by_asset(splits)
        closes = apply_adjustments(
            readers.prices(self.db, self.held, None, last), splits, _NO_DIVIDENDS, Adjust.SPLITS
        ).select("asset_id", "session", "close")
        if live:
            newer = newer_quotes(quotes.latest(self.db, self.held), closes)
            newer = apply_adjustments(newer, splits, _NO_DIVIDENDS, Adjust.SPLITS)
            closes = pl.concat([closes, newer])
        dividends = readers.dividends(self.db, self.held).filter(pl.col("ex_date") >= first)
        ratio = later_product(dividends, splits, "ex_date", "ratio")
        return daily_account(
            in_todays_shares(self.transactions, known),
            closes,
            dividends.with_columns(pl.col("amount") / ratio),
            self.currencies,
            self._rate(first, last),
            last,
        )

    def _rate(self, first: date, last: date) -> Rate:
        tables: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for currency, pair in self.rates.items():
            frame = readers.latest(self.db, [abs(pair)], until=first).vstack(
                readers.prices(self.db, [abs(pair)], first, last)
            )
            frame = frame.unique("session").sort("session")
            values = frame["close"].to_numpy()
            tables[currency] = (
                frame["session"].to_numpy().astype("datetime64[D]"),
                values if pair > 0 else 1.0 / values,
            )
        return _lookup(self.currency, tables)


def newer_quotes(latest: pl.DataFrame, closes: pl.DataFrame) -> pl.DataFrame:
    """Quotes of sessions after an asset's last close, in place of closes to come."""
    known = closes.group_by("asset_id").agg(pl.col("session").max().alias("known"))
    return (
        latest.join(known, on="asset_id", how="left")
        .filter(pl.col("known").is_null() | (pl.col("session") > pl.col("known")))
        .select("asset_id", "session", pl.col("price").alias("close"))
    )


_NO_DIVIDENDS = pl.DataFrame(
    schema={"asset_id": pl.Int32, "ex_date": pl.Date, "amount": pl.Float64}
)


def _lookup(own: str, tables: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Rate:
    def rate(currency: str, day: date) -> float | None:
        if currency == own:
            return 1.0
        sessions, values = tables.get(currency, (_NONE, _NONE))
        at = int(np.searchsorted(sessions, np.datetime64(day), side="right")) - 1
        at = max(at, 0)  # before the first rate there is, the first one is nearest
        return float(values[at]) if len(values) else None

    return rate


_NONE = np.array([], dtype="datetime64[D]")


def _by_asset(splits: pl.DataFrame) -> dict[int, list[tuple[date, Decimal]]]:
    found: dict[int, list[tuple[date, Decimal]]] = {}
    for asset_id, ex_date, ratio in splits.select("asset_id", "ex_date", "ratio").iter_rows():
        found.setdefault(asset_id, []).append((ex_date, Decimal(repr(ratio))))
    return found


def _inputs(db: Database, user_id: str, currency: str) -> _Inputs:
    transactions = book.transactions(db, user_id)
    if not transactions:
        near = ", ".join(book.users(db)[:5])
        first = "enter one first: stock-platform portfolio buy AAPL 10 --price 190.5"
        raise InputError("user", user_id, f"use one with a transaction: {near}" if near else first)
    table = assets.by_id(db, sorted({t.asset_id for t in transactions}))
    own = {t.asset_id: t.currency for t in transactions}
    currencies = own | {
        a: c for a, c in table.select("asset_id", "currency").iter_rows() if c is not None
    }
    wanted = {*currencies.values(), *(t.currency for t in transactions)} - {currency}
    return _Inputs(db, transactions, currencies, rates_of(db, wanted, currency), currency)


def rate_tickers(currency: str, own: str) -> tuple[str, str]:
    """The pairs that tell a rate: units of ``own`` for one of ``currency``, and its inverse."""
    return f"{currency}/{own}", f"{own}/{currency}"


def rates_of(db: Database, currencies: set[str], own: str) -> dict[str, int]:
    """The asset that tells each currency's rate into ``own``; below zero: its inverse does."""
    pairs = {c: rate_tickers(c, own) for c in currencies}
    known = assets.resolve(db, [t for pair in pairs.values() for t in pair])
    found = {}
    for currency, (direct, inverse) in pairs.items():
        if direct in known:
            found[currency] = known[direct]
        elif inverse in known:
            found[currency] = -known[inverse]
    return found


def _summary(user_id: str, currency: str, account: Account) -> dict[str, object]:
    days, positions = account.days, account.positions
    first, last = days["session"][0], days["session"][-1]
    worth = float(days["market_value"][-1])
    twr = float(days["twr"][-1])
    flows = [*account.flows, (last, worth)]
    return {
        "user": user_id,
        "currency": currency,
        "first": first,
        "last": last,
        "market_value": worth,
        "cost": float(days["cost"][-1]),
        "unrealised": worth - float(days["cost"][-1]),
        "realised": float(positions["realised_fifo"].sum()),
        "dividends": float(days["dividends"].sum()),
        "contributed": float(days["contributed"].sum()),
        "withdrawn": float(days["withdrawn"].sum()),
        "twr": twr,
        "twr_annual": annualised(twr, first, last),
        "mwr": money_weighted([day for day, _ in flows], [amount for _, amount in flows]),
        "unpriced": int(days["unpriced"][-1]),
    }


def _problems(account: Account, positions: pl.DataFrame) -> list[str]:
    found = [f"no rate for {c}: its money is counted one for one" for c in sorted(account.lacking)]
    unpriced = positions.filter(pl.col("quantity") > 0, pl.col("price").is_null())["ticker"]
    if len(unpriced):
        found.append(f"no price yet, valued at what was paid: {', '.join(unpriced)}")
    return found


__all__ = ["Performance", "measure", "rate_tickers", "rates_of", "refresh"]
