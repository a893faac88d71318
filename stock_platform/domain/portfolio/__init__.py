"""Portfolios: transactions, what is held because of them, and what it earned.

Belongs here: pure arithmetic over transactions, corporate actions and prices. Does not: storing
(storage/portfolio.py), what a purchase starts (pipeline/tracking.py).
"""

from stock_platform.domain.portfolio.daily import DAILY, daily_account
from stock_platform.domain.portfolio.lots import Holding, Method, hold
from stock_platform.domain.portfolio.returns import (
    annualised,
    money_weighted,
    time_weighted,
)
from stock_platform.domain.portfolio.transactions import (
    Side,
    Transaction,
    in_todays_shares,
    shortfall,
)

__all__ = [
    "DAILY",
    "Holding",
    "Method",
    "Side",
    "Transaction",
    "annualised",
    "daily_account",
    "hold",
    "in_todays_shares",
    "money_weighted",
    "shortfall",
    "time_weighted",
]
