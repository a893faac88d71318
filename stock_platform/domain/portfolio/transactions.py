"""Transactions: what they are, what is allowed, and their quantities in shares of today.

Belongs here: checks that need no database. Does not: lots (lots.py).

Quantities and prices are as traded that day. All arithmetic that spans days is done in shares
of today: a quantity times, and a price divided by, every split after its day. So a split
changes no value, and no event has to be replayed for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from stock_platform.domain.errors import InputError, one_of

DUST = Decimal("0.000001")
"""Shares that rounding may leave, or lack: splits turn shares into fractions."""

_LARGEST = Decimal(10) ** 12


class Side(StrEnum):
    """Whether shares came or went."""

    BUY = "buy"
    SELL = "sell"

    @classmethod
    def parse(cls, text: str) -> Side:
        """A side by its name. Raises InputError."""
        try:
            return cls(text.strip().lower())
        except ValueError:
            raise InputError("side", text, one_of(list(cls))) from None


@dataclass(frozen=True)
class Transaction:
    """A purchase or a sale.

    Attributes:
        user_id: whose.
        asset_id: of what.
        side: buy or sell.
        quantity: shares (coins, units), of that day; above zero.
        price: of one share, as traded; zero or more.
        currency: of price and fee.
        fee: zero or more; makes a purchase dearer and a sale worth less.
        executed_at: the instant, UTC.
        trade_date: the exchange's local date.
        external_id: the other system's own number, unique for a user; None where there is none.
        transaction_id: ours; None before it is stored.
    """

    user_id: str
    asset_id: int
    side: Side
    quantity: Decimal
    price: Decimal
    currency: str
    fee: Decimal
    executed_at: datetime
    trade_date: date
    external_id: str | None = None
    transaction_id: int | None = None

    @property
    def order(self) -> tuple[datetime, bool, int]:
        """Sorts by time; of one instant purchases go first."""
        return self.executed_at, self.side is Side.SELL, self.transaction_id or 2**62

    @property
    def signed(self) -> Decimal:
        """The change of what is held."""
        return self.quantity if self.side is Side.BUY else -self.quantity


def read_number(
    parameter: str, value: str | float | Decimal, *, zero: bool = False, places: int = 8
) -> Decimal:
    """A finite number above zero (``zero``: or zero), of at most ``places`` decimals.

    Raises:
        InputError: it is none.
    """
    try:
        number = Decimal(str(value).strip().replace(",", ""))
    except InvalidOperation:
        raise InputError(parameter, value, "use a number such as 12.5") from None
    if not number.is_finite() or number < 0 or (number == 0 and not zero) or number >= _LARGEST:
        raise InputError(
            parameter, value, f"use a number {'of zero or more' if zero else 'above zero'}"
        )
    if number != round(number, places):
        raise InputError(parameter, value, f"use at most {places} decimals")
    return number


def read_user(value: str) -> str:
    """A user's name: 1 to 100 printable characters without spaces. Raises InputError."""
    name = value.strip()
    if not re.fullmatch(r"[!-~]{1,100}", name):
        raise InputError("user", value, "use 1 to 100 letters, digits and signs without spaces")
    return name


def read_currency(value: str) -> str:
    """A currency's code, in capitals. Raises InputError."""
    code = value.strip().upper()
    if not re.fullmatch(r"[A-Z]{3,5}", code):
        raise InputError("currency", value, "use a code such as USD or EUR")
    return code


def check_not_future(executed_at: datetime, now: datetime) -> None:
    """Raises InputError where a trade is yet to come."""
    if executed_at > now:
        raise InputError(
            "executed_at", executed_at.isoformat(), f"use a time up to now, {now.isoformat()}"
        )


def in_todays_shares(
    transactions: Iterable[Transaction], splits: Mapping[int, Sequence[tuple[date, Decimal]]]
) -> list[Transaction]:
    """The transactions in order, quantities and prices in shares of today.

    Args:
        transactions: of any assets.
        splits: by asset: ex-date and ratio (4-for-1: 4).
    """
    scaled = []
    for transaction in sorted(transactions, key=lambda t: t.order):
        ratio = later_ratio(splits.get(transaction.asset_id, ()), transaction.trade_date)
        scaled.append(
            replace(
                transaction,
                quantity=transaction.quantity * ratio,
                price=transaction.price / ratio,
            )
        )
    return scaled


def later_ratio(splits: Sequence[tuple[date, Decimal]], day: date) -> Decimal:
    """The product of the ratios of splits with an ex-date after a day."""
    product = Decimal(1)
    for ex_date, ratio in splits:
        if ex_date > day:
            product *= ratio
    return product


def shortfall(
    transactions: Iterable[Transaction],
    splits: Mapping[int, Sequence[tuple[date, Decimal]]],
    key: Callable[[Transaction], object] = lambda t: (t.user_id, t.asset_id),
) -> tuple[Transaction, Decimal] | None:
    """The first sale of more than was held, and by how many shares of that day; or None."""
    held: dict[object, Decimal] = {}
    for transaction in in_todays_shares(transactions, splits):
        name = key(transaction)
        held[name] = held.get(name, Decimal(0)) + transaction.signed
        if held[name] < -DUST:
            ratio = later_ratio(splits.get(transaction.asset_id, ()), transaction.trade_date)
            return transaction, -held[name] / ratio
    return None
