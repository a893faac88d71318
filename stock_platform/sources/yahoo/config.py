"""Yahoo v8 chart as data: what can be asked, how far back, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py).

No official documentation exists; the page that shows the numbers is
https://finance.yahoo.com/quote/AAPL/history. Behaviour as measured, November 2026:

* Daily history reaches back to the first trade. 1m bars: the last 30 days, 7 days a
  request; 5m and 15m: 60 days; 1h: 730 days; older is HTTP 422. Our depths stay a day
  below, since days are counted from the moment of the request.
* Prices and volumes are split-adjusted as of the moment of the answer, later splits
  included, so a range always runs to the present: the splits that undo the adjustment
  are then in the same answer. (1m cannot: 7 days a request; its splits come with the
  daily bars.)
* Quotes come of ``/v7/finance/spark``, twenty symbols a call.
* No limit is published; 429s and bans are real. Ours are an order of magnitude below what
  people report to get away with.
"""

from __future__ import annotations

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import (
    Capabilities,
    Endpoint,
    Feed,
    Limit,
    LiveQuotes,
    TileShape,
)
from stock_platform.domain.symbols import AssetClass, Vendor

NAME: Vendor = "yahoo"
BASE_URL = "https://query2.finance.yahoo.com"

MINUTE_DAYS_PER_REQUEST = 7


def _chart(
    name: str, *intervals: Interval, depth_days: int | None, max_sessions: int | None = None
) -> Endpoint:
    return Endpoint(
        name=name,
        shape=TileShape.ROW,
        intervals=intervals,
        asset_classes=tuple(AssetClass),
        basis=Basis.SPLIT_ADJUSTED,
        depth_days=depth_days,
        max_sessions=max_sessions,
        to_now=max_sessions is None,
        float32=True,
        actions=Interval.DAY in intervals,
    )


CAPABILITIES = Capabilities(
    source=NAME,
    endpoints=(
        _chart("chart", Interval.DAY, depth_days=None),
        _chart("chart_1m", Interval.MINUTE, depth_days=29, max_sessions=5),
        _chart("chart_5m", Interval.MINUTES_5, Interval.MINUTES_15, depth_days=59),
        _chart("chart_1h", Interval.HOUR, depth_days=729),
    ),
    limits=(Limit(60, 60.0), Limit(2000, 3600.0)),
    preference=50,
    concurrency=4,
    feeds=(Feed.QUOTE,),
    live=LiveQuotes(tuple(AssetClass), at_once=20, abroad=True),
)
