"""The exchanges as data: what can be asked of each, how it spells pairs, how its rows look.

Belongs here: capabilities and shapes. Does not: how it is asked (client.py, bridge.py) or
read (parse.py).

* Binance, https://developers.binance.com/docs/binance-spot-api-docs/rest-api : a kline is an
  array, its stamp the opening in epoch milliseconds, numbers are text; 1,000 a page from the
  first that exists. 6,000 weight a minute for an address, klines weigh 2; beyond it 429, then
  418 with the ban's end in its text; 451 where Binance may not serve. No pair in dollars.
* Kraken, https://docs.kraken.com/api/docs/rest-api/get-ohlc-data : stamps in epoch seconds,
  the latest 720 candles and no older; the last one is live. About one call a second.
* Coinbase, https://docs.cdp.coinbase.com/api-reference/advanced-trade-api : objects, newest
  first, stamps in epoch seconds as text; 300 a page; candles without a trade are left out.
  10 calls a second.

Days are UTC's. Nothing splits, so prices are as traded. A quote's open, high, low and volume
are of the last 24 hours: these markets have no session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import (
    Capabilities,
    Endpoint,
    Feed,
    Limit,
    LiveQuotes,
    Meter,
    TileShape,
)
from stock_platform.domain.symbols import AssetClass

FINE = (Interval.HOUR, Interval.MINUTES_15, Interval.MINUTES_5, Interval.MINUTE)

LIVE = LiveQuotes((AssetClass.CRYPTO,))


@dataclass(frozen=True)
class Exchange:
    """One exchange.

    Attributes:
        name: of the source, and of the class in ccxt.
        base_url: scheme and host; ccxt writes the path.
        fields: where our columns stand in a row: a place in an array, or a key.
        stamp: where the row's stamp stands; stamp_unit is seconds a step.
        closes: where the row's last instant stands, if it has one.
        rows_in: the key of the rows; None where the whole answer is rows.
        page: candles of one request.
        windows: whether pages are spans of time asked one by one (else each page goes on
            where the one before ended, and a short one is the last).
        renamed: coins whose name is another here.
        joint: between the coin and its currency.
        lacking: currencies in which nothing is quoted here, and what to ask instead.
    """

    name: str
    base_url: str
    capabilities: Capabilities
    fields: Mapping[str, int | str]
    stamp: int | str
    stamp_unit: float
    page: int
    closes: int | None = None
    rows_in: str | None = None
    windows: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)
    joint: str = ""
    lacking: Mapping[str, str] = field(default_factory=dict)


def _endpoint(
    name: str, page: int, *intervals: Interval, depth: int | None = None, complete: bool = True
) -> Endpoint:
    return Endpoint(
        name=name,
        shape=TileShape.ROW,
        intervals=intervals,
        asset_classes=(AssetClass.CRYPTO,),
        basis=Basis.AS_TRADED,
        depth_days=depth,
        max_sessions=None if Interval.DAY in intervals else 31,
        bars_a_request=page,
        complete=complete,
    )


BINANCE = Exchange(
    name="binance",
    base_url="https://api.binance.com",
    capabilities=Capabilities(
        source="binance",
        endpoints=(
            _endpoint("klines", 1000, Interval.DAY),
            _endpoint("klines_intraday", 1000, *FINE),
        ),
        limits=(Limit(2400, 60.0),),
        preference=35,
        concurrency=4,
        live=LIVE,
        feeds=(Feed.QUOTE, Feed.LISTING),
        meter=Meter("x-mbx-used-weight-1m", most=6000.0, seconds=60.0, each=2.0),
    ),
    fields={"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "trades": 8},
    stamp=0,
    stamp_unit=0.001,
    closes=6,
    page=1000,
    lacking={"USD": "Binance quotes no dollars: ask for {base}-USDT, or kraken or coinbase"},
)
KRAKEN = Exchange(
    name="kraken",
    base_url="https://api.kraken.com",
    capabilities=Capabilities(
        source="kraken",
        # never complete: what is older than the latest 720 candles is silently not there
        endpoints=(
            _endpoint("ohlc", 720, Interval.DAY, depth=719, complete=False),
            _endpoint("ohlc_1h", 720, Interval.HOUR, depth=29, complete=False),
            _endpoint("ohlc_15m", 720, Interval.MINUTES_15, depth=6, complete=False),
            _endpoint("ohlc_5m", 720, Interval.MINUTES_5, depth=1, complete=False),
        ),
        limits=(Limit(1, 1.0),),
        preference=37,
        live=LIVE,
        feeds=(Feed.QUOTE,),
    ),
    fields={"open": 1, "high": 2, "low": 3, "close": 4, "vwap": 5, "volume": 6, "trades": 7},
    stamp=0,
    stamp_unit=1.0,
    rows_in="result",
    page=720,
    renamed={"BTC": "XBT", "DOGE": "XDG"},
)
COINBASE = Exchange(
    name="coinbase",
    base_url="https://api.coinbase.com",
    capabilities=Capabilities(
        source="coinbase",
        endpoints=(
            _endpoint("candles", 300, Interval.DAY),
            _endpoint("candles_intraday", 300, *FINE),
        ),
        limits=(Limit(10, 1.0),),
        preference=36,
        concurrency=4,
        live=LIVE,
        feeds=(Feed.QUOTE,),
    ),
    fields={"open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume"},
    stamp="start",
    stamp_unit=1.0,
    rows_in="candles",
    page=300,
    windows=True,
    joint="-",
)
EXCHANGES = (BINANCE, KRAKEN, COINBASE)
