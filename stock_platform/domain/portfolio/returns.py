"""Returns of a portfolio: time-weighted and money-weighted.

Belongs here: the two measures of CFA Institute's Global Investment Performance Standards.
Does not: the values and flows that they are of (daily.py).

A return is a fraction: 0.1 is 10 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt

DAYS_A_YEAR = 365.0

Numbers = Sequence[float] | npt.NDArray[np.float64]


def time_weighted(values: Numbers, inflows: Numbers, outflows: Numbers) -> npt.NDArray[np.float64]:
    """The return since the beginning at the end of each period, flows left out of account.

    Sub-period returns are linked (GIPS Handbook, "Time-weighted rate of return"): money comes in
    at a period's beginning and goes out at its end, so a period's return is
    ``(value + outflow) / (value before + inflow) - 1``. A period that begins with nothing has
    none.

    Args:
        values: of the portfolio at the end of each period.
        inflows: money put in during each period (purchases with their fees).
        outflows: money that came out (proceeds less fees, dividends).

    Returns:
        As many numbers: 0.1 is 10 % since the beginning.
    """
    worth = np.asarray(values, dtype=np.float64)
    before = np.concatenate([[0.0], worth[:-1]]) + np.asarray(inflows, dtype=np.float64)
    after = worth + np.asarray(outflows, dtype=np.float64)
    growth = np.ones_like(worth)
    held = before > 0
    growth[held] = after[held] / before[held]
    linked: npt.NDArray[np.float64] = np.cumprod(growth).astype(np.float64) - 1.0
    return linked


def money_weighted(dates: Sequence[date], flows: Sequence[float]) -> float | None:
    """The yearly rate at which all flows are worth nothing together (IRR), or None.

    Days are of a year of 365, as in spreadsheets' XIRR. None where there is no such rate: all
    flows are of one sign, or of one day.

    Args:
        dates: of the flows.
        flows: money out of the pocket below zero, into it above; the portfolio's value on the
            last day is a flow into it.

    Source: pyxirr (Newton's method with a bracketing fallback), https://anexen.github.io/pyxirr .
    """
    import pyxirr

    signs = {amount > 0 for amount in flows if amount}
    if len(signs) < 2 or len({day for day, amount in zip(dates, flows, strict=True) if amount}) < 2:
        return None
    rate = pyxirr.xirr(list(dates), list(flows))
    return float(rate) if rate is not None and np.isfinite(rate) else None


def annualised(total: float, first: date, last: date) -> float | None:
    """A return over first..last as one a year; None for less than a year (GIPS forbids it)."""
    days = (last - first).days
    if days < DAYS_A_YEAR or total <= -1:
        return None
    return float((1.0 + total) ** (DAYS_A_YEAR / days) - 1.0)
