"""Reading the events of Yahoo's v8 chart: splits, dividends, and the unit of money.

Belongs here: ``events`` and ``currency`` of the answer. Does not: bars (parse.py). Pure.

* ``splits``: numerator shares for denominator; ``date`` is the opening of the ex-date.
* ``dividends`` and ``capitalGains``: cash per share, split-adjusted by every later split like
  the prices; multiplied by those splits they are as paid. Yahoo gives six decimals, so
  0.094643 before a 28-for-1 is known to four: 2.6500.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime

import polars as pl

from stock_platform.sources.base import PARSED_DIVIDENDS, PARSED_SPLITS
from stock_platform.sources.money import Money, as_paid
from stock_platform.sources.payload import instant, number, rejected_row

SessionOf = Callable[[datetime], date]
Rejected = list[dict[str, object]]


def read_splits(
    events: object, symbol: str, session_of: SessionOf
) -> tuple[pl.DataFrame, Rejected]:
    """PARSED_SPLITS, and the entries that could not be read."""
    ratios: dict[date, float] = defaultdict(lambda: 1.0)
    rejected: Rejected = []
    for key, entry in _entries(events, "splits"):
        try:
            day = session_of(instant(entry.get("date", key)))
            ratio = _ratio(entry)
        except ValueError as error:
            rejected.append(rejected_row(entry, f"split: {error}", symbol=symbol))
        else:
            ratios[day] *= ratio
    days = sorted(ratios)
    frame = pl.DataFrame(
        {"symbol": [symbol] * len(days), "ex_date": days, "ratio": [ratios[d] for d in days]},
        schema=PARSED_SPLITS,
    )
    return frame, rejected


def read_dividends(
    events: object, symbol: str, session_of: SessionOf, splits: pl.DataFrame, money: Money
) -> tuple[pl.DataFrame, Rejected]:
    """PARSED_DIVIDENDS as paid, one row a day, and the entries that could not be read."""
    later = list(splits.select("ex_date", "ratio").iter_rows())
    amounts: dict[date, float] = defaultdict(float)
    currencies: dict[date, str | None] = {}
    rejected: Rejected = []
    for kind in ("dividends", "capitalGains"):
        for key, entry in _entries(events, kind):
            try:
                day = session_of(instant(entry.get("date", key)))
                amount = number(entry.get("amount"))
                if amount is None or amount < 0:
                    raise ValueError(f"amount is {entry.get('amount')!r}")
            except ValueError as error:
                rejected.append(rejected_row(entry, f"{kind}: {error}", symbol=symbol))
                continue
            paid_in = Money.of(entry["currency"]) if entry.get("currency") else money
            ratio = math.prod(r for ex_date, r in later if ex_date > day)
            paid = as_paid(paid_in.price(amount) or 0.0, ratio)
            amounts[day] = round(amounts[day] + paid, 10)
            currencies[day] = paid_in.currency
    days = sorted(amounts)
    frame = pl.DataFrame(
        {
            "symbol": [symbol] * len(days),
            "ex_date": days,
            "amount": [amounts[d] for d in days],
            "currency": [currencies[d] for d in days],
        },
        schema=PARSED_DIVIDENDS,
    )
    return frame, rejected


def _entries(events: object, kind: str) -> Iterator[tuple[str, dict[str, object]]]:
    """The entries of one kind: a dict by stamp, or (seen in some answers) a list."""
    held = events.get(kind) if isinstance(events, dict) else None
    if isinstance(held, dict):
        pairs = list(held.items())
    elif isinstance(held, list):
        pairs = [("", entry) for entry in held]
    else:
        pairs = []
    for key, entry in pairs:
        if isinstance(entry, dict):
            yield str(key), entry


def _ratio(entry: dict[str, object]) -> float:
    """Shares after for one share before. Raises ValueError."""
    above, below = number(entry.get("numerator")), number(entry.get("denominator"))
    if above is None or below is None:
        text = str(entry.get("splitRatio", ""))
        left, mark, right = text.replace("/", ":").partition(":")
        if not mark:
            raise ValueError(f"ratio is {text!r}")
        above, below = number(left), number(right)
    if not above or not below or above < 0 or below < 0:
        raise ValueError(f"ratio is {above}:{below}")
    return above / below
