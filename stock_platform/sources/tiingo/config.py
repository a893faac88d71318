"""Tiingo's prices as data: what can be asked, how far back, how often.

Belongs here: capabilities. Does not: how they are asked (client.py) or read (parse.py).

https://www.tiingo.com/documentation/end-of-day , /iex , /crypto . A key is free: 50 requests
an hour, counted anew every full hour, 1,000 a day by New York's date, and 500 symbols a month.

* ``daily``: US shares and funds since 1962, US dollars and shares, as traded, with the split
  and the dividend that went ex on a day beside its prices. Days are dates, stamped at UTC
  midnight; shares are there at 17:30 in New York (corrections until 20:00), funds after
  midnight. A day that is absent may have had no trade, or no data.
* ``iex``: bars of the IEX exchange, stamped in UTC at their start. They are that exchange's
  trades alone, so volumes, if there are any, are not the market's, and are left out. At most
  10,000 bars come in an answer, whence ``max_sessions``. Hours are not served: it is not
  documented where they begin.
* ``crypto`` and ``crypto_intraday``: coins, all exchanges together, days of UTC; volumes in
  coins. The day in progress is there too.

Feeds: who a company is, by its name and exchange; ``listed_on`` is the first day with a price.
"""

from __future__ import annotations

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Capabilities, Endpoint, Feed, Limit, TileShape
from stock_platform.domain.symbols import AssetClass

NAME = "tiingo"
BASE_URL = "https://api.tiingo.com"
KEY_VARIABLE = "TIINGO_API_KEY"
KEYS_AT = "https://www.tiingo.com (free)"
HOUR_SECONDS = 3_600.0
DAY_SECONDS = 86_400.0
ZONE = "America/New_York"

DAILY = Endpoint(
    name="daily",
    shape=TileShape.ROW,
    intervals=(Interval.DAY,),
    asset_classes=(AssetClass.STOCK, AssetClass.ETF, AssetClass.FUND),
    basis=Basis.AS_TRADED,
    complete=False,
    actions=True,
)
IEX = Endpoint(
    name="iex",
    shape=TileShape.ROW,
    intervals=(Interval.MINUTE, Interval.MINUTES_5, Interval.MINUTES_15),
    asset_classes=(AssetClass.STOCK, AssetClass.ETF),
    basis=Basis.AS_TRADED,
    max_sessions=25,
    complete=False,
)
CRYPTO = Endpoint(
    name="crypto",
    shape=TileShape.ROW,
    intervals=(Interval.DAY,),
    asset_classes=(AssetClass.CRYPTO,),
    basis=Basis.AS_TRADED,
    complete=False,
)
CRYPTO_INTRADAY = Endpoint(
    name="crypto_intraday",
    shape=TileShape.ROW,
    intervals=(Interval.MINUTE, Interval.MINUTES_5, Interval.MINUTES_15, Interval.HOUR),
    asset_classes=(AssetClass.CRYPTO,),
    basis=Basis.AS_TRADED,
    max_sessions=3,
    complete=False,
)

CAPABILITIES = Capabilities(
    source=NAME,
    endpoints=(DAILY, IEX, CRYPTO, CRYPTO_INTRADAY),
    limits=(Limit(50, HOUR_SECONDS), Limit(1_000, DAY_SECONDS, ZONE)),
    preference=50,
    concurrency=2,
    needs_key=KEY_VARIABLE,
    feeds=(Feed.PROFILE,),
)
