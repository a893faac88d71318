"""Whether a bar is worth keeping as the only one: a first look at an answer, before judging.

Belongs here: what can be told of a bar from the answer it came in. Does not: judging with the
session, the actions and other sources (rules.py, choosing.py). Nothing is dropped because of
it: the row is stored as it came, and another source is asked for the cell as well.
"""

from __future__ import annotations

import polars as pl

from stock_platform.domain.bars import PRICE_COLUMNS
from stock_platform.domain.validation.rules import RULES

SHAPE = (
    "missing_price",
    "number_out_of_bounds",
    "price_not_positive",
    "high_below_low",
    "open_outside_range",
    "close_outside_range",
    "volume_negative",
)
"""Rules that need no more than the bar itself."""

UNIT_JUMP = 50.0
"""A bar so many times above, or below, the bars on both of its sides is in another unit."""


def doubtful(bars: pl.DataFrame) -> pl.DataFrame:
    """The bars that cannot be true: ``asset_id`` and ``session`` of each.

    ``bars`` are raw quotes of one answer, with asset_id, interval, ts, session and prices. A
    price in another unit (pence for pounds) is told by both its neighbours in the same answer.
    """
    broken = pl.any_horizontal(*(RULES[name].failing.fill_null(value=False) for name in SHAPE))
    middle = pl.mean_horizontal(*PRICE_COLUMNS)
    before = middle / middle.shift(1).over("asset_id", order_by="ts")
    after = middle / middle.shift(-1).over("asset_id", order_by="ts")
    jump = ((before > UNIT_JUMP) & (after > UNIT_JUMP)) | (
        (before < 1 / UNIT_JUMP) & (after < 1 / UNIT_JUMP) & (middle > 0)
    )
    return bars.filter(broken | jump.fill_null(value=False)).select("asset_id", "session").unique()
