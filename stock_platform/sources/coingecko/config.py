"""CoinGecko as data: what can be asked, how far back, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py).

https://docs.coingecko.com/v3.0.1/reference . Without a key about 5 calls a minute (it varies
with the load), with a free "demo" key 30 a minute and 10,000 a month; history of 365 days.

Bars are days made of the six 4-hour candles of ``/coins/{id}/ohlc`` whose stamps are their
ends. CoinGecko gives 4 hours for ranges of 3 to 30 days, 30 minutes for less and 4 days
beyond, and days themselves to paying customers only: so bars reach 29 whole days back, and
have no volume. ``/market_chart`` reaches 365 days, but is one price at each midnight (and
one now): it has no high and no low, so no bar is made of it. Prices are averages over
exchanges, which nobody traded at: a source for want of better.

A quote's high and low are of the last 24 hours; volumes are in money there, so a quote has
none. Stamps are epoch milliseconds, and ISO 8601 with a Z in ``last_updated``.
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
from stock_platform.domain.symbols import AssetClass

NAME = "coingecko"
BASE_URL = "https://api.coingecko.com/api/v3"
KEY_VARIABLE = "COINGECKO_API_KEY"
KEY_HEADER = "x-cg-demo-api-key"
MONTH_SECONDS = 31 * 86_400.0
"""A sliding window of the longest month: no calendar month can hold more, whenever it begins."""
KEYLESS_CALLS = 5
"""A minute, without a key."""

RANGES = (7, 14, 30, 90, 180, 365)
"""What ``days`` can be; the longest with candles of 4 hours is 30."""

NO_QUOTE = frozenset({"USDT", "USDC"})
"""What coins are quoted in elsewhere, and not here."""

OHLC = Endpoint(
    name="ohlc",
    shape=TileShape.ROW,
    intervals=(Interval.DAY,),
    asset_classes=(AssetClass.CRYPTO,),
    basis=Basis.AS_TRADED,
    depth_days=29,
    complete=False,
)

CAPABILITIES = Capabilities(
    source=NAME,
    endpoints=(OHLC,),
    limits=(Limit(30, 60.0), Limit(10_000, MONTH_SECONDS)),
    preference=75,
    may_use=(KEY_VARIABLE,),
    feeds=(Feed.QUOTE, Feed.PROFILE, Feed.LISTING),
    live=LiveQuotes((AssetClass.CRYPTO,), at_once=250),
)
