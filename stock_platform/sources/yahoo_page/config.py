"""Yahoo's web pages as data: what can be asked, how far back, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (history.py,
quote.py).

https://finance.yahoo.com/quote/AAPL/ and https://finance.yahoo.com/quote/AAPL/history/ .
A stand-in for the API (source ``yahoo``), so it is off by default and on standby where it is
on: it is asked only for what nobody else can tell. Its robots.txt is obeyed.

* History: daily rows as people see them, from ``period1`` to ``period2`` (epoch seconds, the
  second exclusive), newest first, dates of the exchange, prices with two decimals. "Close
  price adjusted for splits": open, high, low, close and volume are split-adjusted as of the
  moment of the page, and so are dividends. The range always runs to the present, so that the
  splits that undo the adjustment stand in the same page.
* A page may hold fewer rows than were asked for, so its silence settles nothing.
* From the European Union every page redirects to consent.yahoo.com: ``Unavailable``. So does
  an unknown ticker, to /lookup: a redirect does not say why.
* No limit is published; ours is that of a person who reads.
"""

from __future__ import annotations

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Capabilities, Endpoint, Feed, Limit, TileShape
from stock_platform.domain.symbols import AssetClass

NAME = "yahoo_page"
BASE_URL = "https://finance.yahoo.com"
ACCEPT = "text/html,application/xhtml+xml"

HISTORY = Endpoint(
    name="history",
    shape=TileShape.ROW,
    intervals=(Interval.DAY,),
    asset_classes=tuple(AssetClass),
    basis=Basis.SPLIT_ADJUSTED,
    to_now=True,
    complete=False,
)

CAPABILITIES = Capabilities(
    source=NAME,
    endpoints=(HISTORY,),
    limits=(Limit(1, 5.0), Limit(400, 86_400.0)),
    preference=90,
    default_on=False,
    feeds=(Feed.QUOTE, Feed.PROFILE),
    standby=True,
    bucket=NAME,
)
"""A bucket of its own: the pages' host is not the API's."""
