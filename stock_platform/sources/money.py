"""Money as vendors write it: pence for pounds, the noise of float32, adjusted dividends.

Belongs here: what prices and dividends of several vendors have in common. Does not: exchange
rates, reading answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

DECIMALS = 6
"""Of Yahoo's split-adjusted dividends."""

MINOR_UNITS = {
    "GBp": "GBP",
    "GBX": "GBP",
    "ILA": "ILS",
    "ZAc": "ZAR",
    "ZAC": "ZAR",
}


@dataclass(frozen=True)
class Money:
    """A currency and how many of the vendor's units make one of it."""

    currency: str | None
    units: int = 1

    @classmethod
    def of(cls, name: object) -> Money:
        """The money a vendor's currency code stands for; pence and the like become pounds."""
        if not isinstance(name, str) or not name:
            return cls(None)
        if name in MINOR_UNITS:
            return cls(MINOR_UNITS[name], 100)
        return cls(name)

    def price(self, value: float | None) -> float | None:
        """A price in the major unit. float32 noise is removed before dividing, not after."""
        if value is None or self.units == 1:
            return value
        return round(without_float32_noise(value) / self.units, 10)


def without_float32_noise(value: float) -> float:
    """The shortest number that is the same float32; other numbers stay as they are."""
    single = np.float32(value)
    return float(str(single)) if float(single) == value else value


def as_paid(amount: float, ratio: float) -> float:
    """A split-adjusted amount times the later splits, to the decimals that are then known."""
    if ratio == 1.0 or amount == 0.0:
        return amount
    given = max(DECIMALS, len(repr(amount).partition(".")[2]))
    return round(amount * ratio, math.floor(given - math.log10(ratio)))
