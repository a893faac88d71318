"""Alpaca's market data as data: what can be asked, how far back, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py).

https://docs.alpaca.markets/reference/stockbars,
https://docs.alpaca.markets/reference/stocksnapshots and .../stocksnapshotsingle. The free
("Basic") plan: 200 calls a minute; bars of the consolidated tape (``feed=sip``) since January
2016, once they are 15 minutes old; the present from IEX alone. Two keys make an account: the
key's id and its secret.

Prices in US dollars, asked with ``adjustment=raw``: as traded. Stamps are RFC 3339 in UTC at
a bar's start; a day's is New York's midnight. Minutes run from 4:00 to 20:00 in New York, and
a day's volume counts the trades after the close too: one asked for before 20:00 lacks some.
History is asked for under today's ticker and reaches back through renames.

A ticker that Alpaca does not know is only absent from the answer, so silence settles nothing:
``complete`` is False.

Not here: ``/v2/assets`` (the directory) is on the trading host, paper and live apart.
"""

from __future__ import annotations

from datetime import date, timedelta

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

NAME = "alpaca"
BASE_URL = "https://data.alpaca.markets"
KEY_VARIABLE = "ALPACA_API_KEY"
SECRET_VARIABLE = "ALPACA_API_SECRET"  # noqa: S105 - the variable's name
KEYS_AT = "https://alpaca.markets (free)"

BARS_A_REQUEST = 10_000
MOST_SYMBOLS = 100
SINCE = date(2016, 1, 1)

DELAY = timedelta(minutes=16)
"""How old bars of the tape must be on the free plan: 15 minutes, and one for clocks that differ."""

BARS = Endpoint(
    name="bars",
    shape=TileShape.BLOCK,
    intervals=tuple(Interval),
    asset_classes=(AssetClass.STOCK, AssetClass.ETF),
    basis=Basis.AS_TRADED,
    since=SINCE,
    max_symbols=MOST_SYMBOLS,
    bars_a_request=BARS_A_REQUEST,
    complete=False,
)

CAPABILITIES = Capabilities(
    source=NAME,
    endpoints=(BARS,),
    limits=(Limit(200, 60.0),),
    preference=30,
    concurrency=4,
    needs_key=KEY_VARIABLE,
    also_needs=(SECRET_VARIABLE,),
    feeds=(Feed.QUOTE,),
    live=LiveQuotes((AssetClass.STOCK, AssetClass.ETF), at_once=MOST_SYMBOLS, one_venue=True),
)
