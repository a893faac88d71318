"""Stooq as data: what can be asked, how far back, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py), how
symbols are spelled (spelling.py).

https://stooq.com/q/d/l/?s=aapl.us&i=d&d1=20240102&d2=20241231 answers CSV, oldest first, from
an exchange's first day on; rows carry its local date. No terms for programs are published.
Since 2026 it often answers scripts with a page that wants JavaScript, or a captcha for a key:
neither is worked around here. So it is off unless asked for, and then only stands by. Somebody
who has such a key may set STOOQ_API_KEY; it travels as the parameter ``apikey``.

Limits are not published, but there is one a day ("Exceeded the daily hits limit"), counted by
address until midnight in Warsaw. Those below are ours.

Prices of shares are adjusted for splits and dividends up to the moment of the download, so two
downloads of one day differ; volumes with them. The answer does not tell by what. Indices,
currencies, coins and futures are as quoted. US shares are in dollars, others in their
exchange's currency; London's are not asked, since it mixes pence, dollars and euros without
a word. A ticker it does not know and a range without a bar are the same "No data", so silence
settles nothing. The running session is there, as far as it has come.
"""

from __future__ import annotations

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Capabilities, Endpoint, Limit, TileShape
from stock_platform.domain.symbols import AssetClass

NAME = "stooq"
BASE_URL = "https://stooq.com"
KEY_VARIABLE = "STOOQ_API_KEY"
ZONE = "Europe/Warsaw"
DAY_SECONDS = 86_400.0

DAILY = Endpoint(
    name="daily",
    shape=TileShape.ROW,
    intervals=(Interval.DAY,),
    asset_classes=(
        AssetClass.STOCK,
        AssetClass.ETF,
        AssetClass.INDEX,
        AssetClass.FX,
        AssetClass.CRYPTO,
        AssetClass.COMMODITY,
    ),
    basis=Basis.FULLY_ADJUSTED,
    complete=False,
)

CAPABILITIES = Capabilities(
    source=NAME,
    endpoints=(DAILY,),
    limits=(Limit(10, 60.0), Limit(200, DAY_SECONDS)),
    preference=900,
    may_use=(KEY_VARIABLE,),
    default_on=False,
    standby=True,
)
