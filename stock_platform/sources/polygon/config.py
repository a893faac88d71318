"""Polygon/Massive aggregates as data: what can be asked, how far back, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py).

https://massive.com/docs/rest/stocks/aggregates/daily-market-summary and
https://massive.com/docs/rest/stocks/aggregates/custom-bars. The free plan, November 2026:
5 calls a minute, two years back, end of day. Both are asked with ``adjusted=false``, so
prices are as traded.

A day of ``grouped`` names every ticker that traded, so one that is missing did not trade.
``range`` answers an unknown ticker like one that did not trade (200 and no results), so
its silence settles nothing.

Feeds, https://massive.com/docs/rest/stocks : splits and dividends of one ticker or of all,
from the ticker directory who there is and who a company is, and for a quote the previous
close: the free plan has nothing later. They share the limit; lists come 1,000 a page.
"""

from __future__ import annotations

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Capabilities, Endpoint, Feed, Limit, TileShape
from stock_platform.domain.symbols import AssetClass, Vendor

NAME: Vendor = "polygon"
BASE_URL = "https://api.polygon.io"
KEY_VARIABLE = "POLYGON_API_KEY"
KEYS_AT = "https://massive.com (free)"

DEPTH_DAYS = 729
BARS_PER_PAGE = 50_000
ROWS_PER_PAGE = 1_000

GROUPED = Endpoint(
    name="grouped",
    shape=TileShape.COLUMN,
    intervals=(Interval.DAY,),
    asset_classes=(AssetClass.STOCK, AssetClass.ETF),
    basis=Basis.AS_TRADED,
    depth_days=DEPTH_DAYS,
    max_sessions=1,
)
RANGE = Endpoint(
    name="range",
    shape=TileShape.ROW,
    intervals=tuple(Interval),
    asset_classes=(AssetClass.STOCK, AssetClass.ETF, AssetClass.CRYPTO, AssetClass.FX),
    basis=Basis.AS_TRADED,
    depth_days=DEPTH_DAYS,
    complete=False,
    tickers_then=True,
)

CAPABILITIES = Capabilities(
    source=NAME,
    endpoints=(GROUPED, RANGE),
    limits=(Limit(5, 60.0),),
    preference=40,
    concurrency=2,
    needs_key=KEY_VARIABLE,
    feeds=(Feed.QUOTE, Feed.PROFILE, Feed.LISTING, Feed.SPLITS, Feed.DIVIDENDS),
    market_feeds=(Feed.LISTING, Feed.SPLITS, Feed.DIVIDENDS),
)
