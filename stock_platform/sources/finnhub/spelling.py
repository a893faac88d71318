"""How Finnhub spells symbols.

Belongs here: writing what it expects, reading what it lists. Does not: canonical symbols
(domain/symbols.py).

Shares are spelled as here: AAPL, BRK.B, RC.PRE, VOD.L. Currencies are of a venue,
OANDA:EUR_USD; coins too, BINANCE:BTCUSDT or, against money, COINBASE:BTC-USD. Indices are
Yahoo's, ^GSPC. Futures it has none of.
"""

from __future__ import annotations

from stock_platform.domain.errors import UnknownSymbol
from stock_platform.domain.symbols import (
    FIAT,
    FOREIGN,
    AssetClass,
    Symbol,
    from_vendor,
    pair_of,
    parse_symbol,
)
from stock_platform.sources.finnhub.config import NAME


def spelled(symbol: Symbol) -> str:
    """Finnhub's spelling. Raises UnknownSymbol for futures."""
    pair = pair_of(symbol)
    if symbol.asset_class is AssetClass.COMMODITY:
        raise UnknownSymbol(NAME, symbol.ticker, "Finnhub has no futures")
    if pair is None:
        return symbol.ticker
    base, quote = pair
    if symbol.asset_class is AssetClass.FX:
        return f"OANDA:{base}_{quote}"
    return f"COINBASE:{base}-{quote}" if quote in FIAT else f"BINANCE:{base}{quote}"


def read_us(text: str) -> str:
    """The canonical ticker of a US listing. Raises InputError."""
    return from_vendor(text, "polygon").ticker


def read_any(text: str) -> str:
    """The canonical ticker of a share listed anywhere. Raises InputError."""
    abroad = text.rpartition(".")[2] in FOREIGN and "." in text
    return parse_symbol(text).ticker if abroad else read_us(text)


def currency_of(symbol: Symbol) -> str | None:
    """Of the prices: dollars for US listings, a pair's second; None where it is not told."""
    pair = pair_of(symbol)
    if pair is not None:
        return pair[1]
    abroad = symbol.ticker.rpartition(".")[2] in FOREIGN and "." in symbol.ticker
    return "USD" if symbol.asset_class is not AssetClass.INDEX and not abroad else None


def same_company(given: str, asked: str) -> bool:
    """Whether a profile's ticker may be another share of the company asked for.

    Asked for GOOG or BRK.B, Finnhub tells of GOOGL and BRK.A.
    """
    one, other = sorted((given.partition(".")[0], asked.partition(".")[0]), key=len)
    if one == other or (len(one) > 1 and one == other[:-1]):
        return True
    return len(one) == len(other) >= 5 and one[:-1] == other[:-1]
