"""What is held, what it cost, and what sales realised.

Belongs here: cost by first in, first out, and by average. Does not: market values (daily.py).

Fees are part of it: a purchase costs its fee besides, a sale brings its proceeds less its fee.
FIFO: a sale takes the oldest shares (the default of US Treas. Reg. 1.1012-1(c)). Average: a sale
takes a part of the whole cost, whatever its age (1.1012-1(e)).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from stock_platform.domain.errors import InputError, one_of
from stock_platform.domain.portfolio.transactions import DUST, Side, Transaction

ZERO = Decimal(0)


class Method(StrEnum):
    """Which shares a sale takes."""

    FIFO = "fifo"
    AVERAGE = "average"

    @classmethod
    def parse(cls, text: str) -> Method:
        """A method by its name. Raises InputError."""
        try:
            return cls(text.strip().lower())
        except ValueError:
            raise InputError("method", text, one_of(list(cls))) from None


@dataclass
class Holding:
    """One asset of one user after some transactions, in the transactions' currency.

    Attributes:
        quantity: shares of today.
        cost: of what is held, fees included, by the method.
        realised: what sales brought beyond the cost of what they took.
        fees: of all transactions.
        bought, sold: money paid and received, fees included.
    """

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    bought: Decimal = ZERO
    sold: Decimal = ZERO

    @property
    def unit_cost(self) -> Decimal | None:
        """The cost of one share that is held."""
        return self.cost / self.quantity if self.quantity else None


class Ledger:
    """The lots of one asset of one user; give it transactions in order, in shares of today."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.holding = Holding()
        self._lots: deque[list[Decimal]] = deque()  # shares and cost of each, oldest first

    def enter(self, transaction: Transaction) -> None:
        """Take one transaction into account.

        Raises:
            InputError: it sells more than is held.
        """
        ours = self.holding
        money = transaction.quantity * transaction.price
        ours.fees += transaction.fee
        if transaction.side is Side.BUY:
            paid = money + transaction.fee
            self._lots.append([transaction.quantity, paid])
            ours.quantity += transaction.quantity
            ours.cost += paid
            ours.bought += paid
            return
        if transaction.quantity > ours.quantity + DUST:
            raise InputError(
                "quantity", transaction.quantity, f"sell at most what is held, {ours.quantity}"
            )
        received = money - transaction.fee
        taken = self._take(min(transaction.quantity, ours.quantity))
        ours.sold += received
        ours.realised += received - taken
        ours.cost -= taken
        ours.quantity -= transaction.quantity
        if ours.quantity <= DUST:
            ours.realised -= ours.cost  # what rounding left
            ours.quantity = ours.cost = ZERO
            self._lots.clear()

    def _take(self, quantity: Decimal) -> Decimal:
        """Remove shares; what they cost."""
        if self.method is Method.AVERAGE:
            return self.holding.cost * quantity / self.holding.quantity
        cost = ZERO
        while quantity > 0 and self._lots:
            lot = self._lots[0]
            part = min(quantity, lot[0])
            share = lot[1] * part / lot[0]
            cost += share
            lot[0] -= part
            lot[1] -= share
            quantity -= part
            if lot[0] <= 0:
                self._lots.popleft()
        return cost


def hold(transactions: Iterable[Transaction], method: Method = Method.FIFO) -> Holding:
    """What transactions of one asset of one user, in shares of today and in order, come to.

    Raises:
        InputError: one sells more than is held then.
    """
    ledger = Ledger(method)
    for transaction in transactions:
        ledger.enter(transaction)
    return ledger.holding
