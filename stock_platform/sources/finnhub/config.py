"""Finnhub as data: what can be asked, how far back, how often.

Belongs here: capabilities. Does not: how it is asked (client.py) or read (parse.py, facts.py).

https://finnhub.io/docs/api : quotes, company profiles and the directory of US symbols are
free, at 60 calls a minute and, on every plan, 30 a second.

Candles are not: a free key is answered 403, "You don't have access to this resource.". They
are declared for keys that have them and stand by behind every other source, so that a free
key's refusal costs a call once, when nobody else has the bars, and is remembered.

* ``candle``: shares by day, adjusted for splits as of the request. Which splits, the answer
  does not tell.
* ``candle_intraday``: shares by minutes, as traded; a month an answer, so 20 sessions a call.
* ``forex_candle``: pairs of OANDA; ``crypto_candle``: of Binance (USDT and other coins) and
  Coinbase (money). Prices in the pair's second currency.

Stamps are epoch seconds of a bar's start. A day of shares starts at midnight, of the
exchange or of UTC; a currency's at 17:00 in New York of the day before (22:00 UTC in winter);
a coin's at midnight UTC. Unknown tickers and days without trades both answer ``no_data``, so
silence settles nothing: ``complete`` is False.
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

NAME = "finnhub"
BASE_URL = "https://finnhub.io/api/v1"
KEY_VARIABLE = "FINNHUB_API_KEY"
KEYS_AT = "https://finnhub.io/register (free)"

LISTING_PATH = "/stock/symbol"
MINUTES = tuple(interval for interval in Interval if interval.intraday)
SHARES = (AssetClass.STOCK, AssetClass.ETF, AssetClass.FUND)
SESSIONS_A_MONTH = 20


def _endpoint(
    name: str,
    classes: tuple[AssetClass, ...],
    basis: Basis = Basis.AS_TRADED,
    intervals: tuple[Interval, ...] = tuple(Interval),
    max_sessions: int | None = None,
) -> Endpoint:
    return Endpoint(
        name=name,
        shape=TileShape.ROW,
        intervals=intervals,
        asset_classes=classes,
        basis=basis,
        max_sessions=max_sessions,
        complete=False,
    )


ENDPOINTS = (
    _endpoint("candle", SHARES, Basis.SPLIT_ADJUSTED, (Interval.DAY,)),
    _endpoint("candle_intraday", SHARES, intervals=MINUTES, max_sessions=SESSIONS_A_MONTH),
    _endpoint("forex_candle", (AssetClass.FX,), intervals=(Interval.DAY,)),
    _endpoint(
        "forex_candle_intraday",
        (AssetClass.FX,),
        intervals=MINUTES,
        max_sessions=SESSIONS_A_MONTH,
    ),
    _endpoint("crypto_candle", (AssetClass.CRYPTO,), intervals=(Interval.DAY,)),
    _endpoint(
        "crypto_candle_intraday",
        (AssetClass.CRYPTO,),
        intervals=MINUTES,
        max_sessions=SESSIONS_A_MONTH,
    ),
)
PATHS = {
    "candle": "/stock/candle",
    "candle_intraday": "/stock/candle",
    "forex_candle": "/forex/candle",
    "forex_candle_intraday": "/forex/candle",
    "crypto_candle": "/crypto/candle",
    "crypto_candle_intraday": "/crypto/candle",
}

CAPABILITIES = Capabilities(
    source=NAME,
    endpoints=ENDPOINTS,
    limits=(Limit(30, 1.0), Limit(60, 60.0)),
    preference=950,
    concurrency=4,
    needs_key=KEY_VARIABLE,
    feeds=(Feed.QUOTE, Feed.PROFILE, Feed.LISTING),
    live=LiveQuotes((AssetClass.STOCK, AssetClass.ETF)),
    standby=True,
)
