"""How Tiingo spells symbols.

Belongs here: canonical tickers to its own and back. Does not: asking.

https://www.tiingo.com/documentation/appendix/symbology : BRK-B (a class), SPG-P-J (a
preferred), and, as its list of tickers has them, ACHR-WS (a warrant), AAM-U (a unit). Coins
are both codes in one: btcusd. Of listings abroad it has none that we could name.
"""

from __future__ import annotations

import re

from stock_platform.domain.errors import InputError, UnknownSymbol
from stock_platform.domain.symbols import (
    AssetClass,
    Symbol,
    from_vendor,
    pair_of,
    parse_symbol,
    us_share,
)
from stock_platform.sources.tiingo.config import NAME

SHARES = (AssetClass.STOCK, AssetClass.ETF, AssetClass.FUND)
_KINDS = {"class": "", "PR": "P", "WS": "WS", "U": "U", "R": "R"}
_PREFERRED = re.compile(r"([A-Z][A-Z0-9]{0,5})-P(?:-([A-Z]))?")


def spell(symbol: Symbol) -> str:
    """The ticker of a share. Raises UnknownSymbol where the vendor has no spelling for it."""
    if symbol.asset_class not in SHARES:
        raise UnknownSymbol(NAME, symbol.ticker, f"not asked of Tiingo: a {symbol.asset_class}")
    share = us_share(symbol)
    if share is None:
        if "." in symbol.ticker:
            raise UnknownSymbol(NAME, symbol.ticker, "not asked of Tiingo: a listing abroad")
        return symbol.ticker
    if share.tails or share.kind not in _KINDS:
        raise UnknownSymbol(NAME, symbol.ticker, "Tiingo documents no spelling for it")
    return "-".join(part for part in (share.root, _KINDS[share.kind], share.series) if part)


def spell_coin(symbol: Symbol) -> str:
    """``btcusd`` for BTC-USD. Raises UnknownSymbol for what is no coin."""
    pair = pair_of(symbol)
    if pair is None or symbol.asset_class is not AssetClass.CRYPTO:
        raise UnknownSymbol(NAME, symbol.ticker, "not a coin in a currency")
    return "".join(pair).lower()


def read(text: str) -> Symbol:
    """The share that the vendor's ticker means. Raises InputError where it means none."""
    ticker = text.strip().upper()
    preferred = _PREFERRED.fullmatch(ticker)
    if preferred is not None:
        return parse_symbol(f"{preferred[1]}.PR{preferred[2] or ''}")
    return from_vendor(ticker, "polygon")  # dashes are read as people write them


def check_ticker(given: object, symbol: str) -> bool:
    """Whether an answer about ``given`` is about ``symbol``; so is one that does not say."""
    if not isinstance(given, str):
        return True
    try:
        return read(given).ticker == symbol
    except InputError:
        return False
