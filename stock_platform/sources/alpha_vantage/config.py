"""Alpha Vantage as data: what can be asked, how far back, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py, facts.py),
how symbols are spelled (spelling.py).

https://www.alphavantage.co/documentation/ ; everything is one path, ``/query``, and a
``function``. Every failure is HTTP 200 with a sentence inside. The key travels as the
parameter ``apikey``: the vendor takes it in no header.

The free plan, November 2026: 25 calls a day and one a second. When the day ends is not
published, so the 25 are kept within any 24 hours; a vendor that says the day is used up is
left alone until midnight in New York. ``daily`` and ``fx`` bring the last 100 bars (all of
them is premium), ``crypto`` about a year, ``intraday`` a calendar month, and is premium.

Prices as traded: TIME_SERIES_DAILY is raw, TIME_SERIES_INTRADAY is asked with
``adjusted=false``. Daily rows carry the exchange's date, UTC's for currencies and coins;
intraday rows the start of the bar in US Eastern time. Numbers are text. US listings are in
dollars; a listing abroad is in its exchange's currency, which only London mixes (pence,
dollars, euros), so London is not asked.

An answer does not tell a ticker that did not trade from one that the vendor lost, so silence
settles nothing.
"""

from __future__ import annotations

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Capabilities, Endpoint, Feed, Limit, TileShape
from stock_platform.domain.symbols import AssetClass

NAME = "alpha_vantage"
BASE_URL = "https://www.alphavantage.co"
KEY_VARIABLE = "ALPHA_VANTAGE_API_KEY"
KEYS_AT = "https://www.alphavantage.co/support/#api-key (free)"

COMPACT_BARS = 100
STOCK_DAYS = 137
"""Calendar days that 100 sessions reach back at the least: 20 weeks, less a weekend."""

FX_DAYS = 115
"""Of currencies: there may be a bar on Sundays."""

COIN_DAYS = 349
MONTH_SESSIONS = 20
"""A tile of a month or less takes two requests at the most."""

DAY_SECONDS = 86_400.0
ZONE = "America/New_York"

DAILY = Endpoint(
    name="daily",
    shape=TileShape.ROW,
    intervals=(Interval.DAY,),
    asset_classes=(AssetClass.STOCK, AssetClass.ETF),
    basis=Basis.AS_TRADED,
    depth_days=STOCK_DAYS,
    complete=False,
)
INTRADAY = Endpoint(
    name="intraday",
    shape=TileShape.ROW,
    intervals=(Interval.MINUTE, Interval.MINUTES_5, Interval.MINUTES_15, Interval.HOUR),
    asset_classes=(AssetClass.STOCK, AssetClass.ETF),
    basis=Basis.AS_TRADED,
    max_sessions=MONTH_SESSIONS,
    complete=False,
)
FX = Endpoint(
    name="fx",
    shape=TileShape.ROW,
    intervals=(Interval.DAY,),
    asset_classes=(AssetClass.FX,),
    basis=Basis.AS_TRADED,
    depth_days=FX_DAYS,
    complete=False,
)
CRYPTO = Endpoint(
    name="crypto",
    shape=TileShape.ROW,
    intervals=(Interval.DAY,),
    asset_classes=(AssetClass.CRYPTO,),
    basis=Basis.AS_TRADED,
    depth_days=COIN_DAYS,
    complete=False,
)

CAPABILITIES = Capabilities(
    source=NAME,
    endpoints=(DAILY, INTRADAY, FX, CRYPTO),
    limits=(Limit(1, 1.0), Limit(25, DAY_SECONDS)),
    preference=80,
    standby=True,  # 25 calls a day are for what nobody else has
    needs_key=KEY_VARIABLE,
    feeds=(Feed.QUOTE, Feed.PROFILE, Feed.LISTING),
)
