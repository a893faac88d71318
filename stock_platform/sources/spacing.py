"""Bars of another length than was asked for, told by the distance of their stamps.

Belongs here: what answers that do not name their interval have in common. Does not: stamps of
one vendor (sources/<vendor>/parse.py). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise

from stock_platform.domain.bars import Interval
from stock_platform.domain.errors import Malformed

ENOUGH = 8
"""Gaps that tell the distance of bars; fewer may all be of a share that seldom trades."""

FEW = 3
"""Gaps that tell weeks, months and a day's several bars."""

MOST_OF_A_DAY = timedelta(hours=20)
COARSE = {"weeks": (6, 8), "months": (26, 35), "quarters": (84, 98), "years": (360, 370)}
"""Days between bars of what is no day; of a week's end of Thursday to one of Friday, 8."""


def check_spacing(source: str, stamps: Iterable[datetime], interval: Interval) -> None:
    """Raise Malformed where stamps, as the vendor wrote them, are not ``interval`` apart.

    Bars may be missing, stamps may come twice and in any order; few bars tell little.
    """
    asked = f"asked for {interval} bars, was given"
    gaps = [b - a for a, b in pairwise(sorted(set(stamps)))]
    if len(gaps) < FEW:
        return
    if not interval.intraday:
        usual = sorted(gaps)[len(gaps) // 2]
        if usual < MOST_OF_A_DAY:
            raise Malformed(source, f"{asked} several a day, {usual} apart")
        for name, (least, most) in COARSE.items():
            if least <= min(gaps).days and max(gaps).days <= most:
                raise Malformed(source, f"{asked} bars {min(gaps).days} days apart: {name}")
        return
    length = interval.length
    step = timedelta(seconds=math.gcd(*(round(gap.total_seconds()) for gap in gaps)))
    if min(gaps) >= MOST_OF_A_DAY and not step % timedelta(hours=1):
        raise Malformed(source, f"{asked} days")
    if step % length or (step > length and len(gaps) >= ENOUGH):
        raise Malformed(source, f"{asked} bars {step} apart")
