"""MarketWatch as data: what can be asked, how far back, how often, how it spells symbols.

Belongs here: capabilities, addresses of symbols. Does not: how it is asked (client.py) or
read (parse.py).

https://www.marketwatch.com/investing/stock/aapl/download-data : the link "Download data" of
that page is asked for bars (``downloaddatapartial``), the page of the stock for its quote.

* Bars: a year a request at the most, more is silently cut. Days of the exchange, prices in
  its currency with two decimals, split-adjusted as of the moment of the answer. The answer
  holds no splits: those that undo the adjustment must come from elsewhere. That a session is
  missing settles nothing.
* US shares (/stock/) and mutual funds (/fund/) alone. ETFs live under /fund/ too, and /stock/
  redirects there; a ticker does not tell which it is, so ETFs are not served.
* The site is behind a captcha wall (DataDome) that answers most programs with 401, 403 or a
  captcha page: ``Unavailable``, never worked around. Off by default and on standby. Its
  robots.txt is obeyed.
* No limit is published; ours is that of a person who reads.
"""

from __future__ import annotations

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Capabilities, Endpoint, Feed, Limit, TileShape
from stock_platform.domain.errors import InputError
from stock_platform.domain.symbols import (
    FOREIGN,
    AssetClass,
    Symbol,
    default_calendar,
    pair_of,
    us_share,
)

NAME = "marketwatch"
BASE_URL = "https://www.marketwatch.com"
ACCEPT = "text/html,text/csv"

DAYS_PER_REQUEST = 365

INDICES = {
    "^GSPC": "spx", "^DJI": "djia", "^IXIC": "comp", "^NDX": "ndx", "^RUT": "rut", "^VIX": "vix",
}  # fmt: skip

DOWNLOAD = Endpoint(
    name="download",
    shape=TileShape.ROW,
    intervals=(Interval.DAY,),
    asset_classes=(AssetClass.STOCK, AssetClass.FUND),
    basis=Basis.SPLIT_ADJUSTED,
    max_sessions=250,
    complete=False,
)

CAPABILITIES = Capabilities(
    source=NAME,
    endpoints=(DOWNLOAD,),
    limits=(Limit(1, 5.0), Limit(300, 86_400.0)),
    preference=92,
    default_on=False,
    feeds=(Feed.QUOTE,),
    standby=True,
)


def place_of(symbol: Symbol) -> str:
    """Kind and name of a symbol in MarketWatch's addresses: ``stock/aapl``.

    Raises:
        InputError: it has no address that is known.
    """
    ticker, pair, share = symbol.ticker, pair_of(symbol), us_share(symbol)
    if pair is not None:
        kind = "currency" if symbol.asset_class is AssetClass.FX else "cryptocurrency"
        return f"{kind}/{''.join(pair).lower()}"
    if ticker in INDICES:
        return f"index/{INDICES[ticker]}"
    if symbol.asset_class is AssetClass.FUND:
        return f"fund/{ticker.lower()}"
    plain = symbol.asset_class is AssetClass.STOCK and "." not in ticker
    if plain or (share is not None and share.kind == "class" and not share.tails):
        return f"stock/{ticker.lower()}"
    abroad = ticker.partition(".")[2] in FOREIGN and default_calendar(symbol) != "XNYS"
    why = "US listings only" if abroad else "no address of it is known"
    raise InputError("ticker", ticker, f"{NAME}: {why}")
