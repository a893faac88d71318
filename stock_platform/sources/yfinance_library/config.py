"""What yfinance can tell of Yahoo, as data: what can be asked, how far back, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (chart.py, bars.py,
facts.py).

https://ranaroussi.github.io/yfinance/reference/index.html ; the host is that of the source
``yahoo`` (https://query2.finance.yahoo.com), and so are its limits, counted together with
it. On standby: ``yahoo`` asks the same chart with less in between. What the chart cannot
give comes from here: quotes, profiles, options.

* ``/v8/finance/chart`` (bars, splits, dividends) needs no crumb. Daily history reaches back
  to the first trade; 1m bars the last 30 days, 7 days a request; 5m and 15m 60 days; 1h 730
  days; older is HTTP 422. Our depths stay a day below. Prices and volumes are split-adjusted
  as of the moment of the answer, so a range always runs to the present.
* ``/v7/finance/quote``, ``/v7/finance/options`` and ``/v10/finance/quoteSummary`` may want a
  crumb (``/v1/test/getcrumb``) and the cookie of https://fc.yahoo.com : three requests more,
  the first time.
* Stamps are epoch seconds: a daily bar's is its session's opening, or local midnight; the
  library makes the exchange's date of it. London's prices are in pence.
* No limit is published; 429s and bans are real.
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

NAME = "yfinance"
HOST: Vendor = "yahoo"
"""Whose spelling of symbols it takes, and whose limits it shares."""

BASE_URL = "https://query2.finance.yahoo.com"
COOKIE_URL = "https://fc.yahoo.com"

MINUTE_DAYS_PER_REQUEST = 7


def _history(
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
        _history("history", Interval.DAY, depth_days=None),
        _history("history_1m", Interval.MINUTE, depth_days=29, max_sessions=5),
        _history("history_5m", Interval.MINUTES_5, Interval.MINUTES_15, depth_days=59),
        _history("history_1h", Interval.HOUR, depth_days=729),
    ),
    limits=(Limit(60, 60.0), Limit(2000, 3600.0)),
    preference=60,
    concurrency=1,
    live=LiveQuotes(tuple(AssetClass), abroad=True),
    feeds=(Feed.QUOTE, Feed.PROFILE, Feed.SPLITS, Feed.DIVIDENDS, Feed.OPTIONS),
    standby=True,
    bucket=HOST,
)
