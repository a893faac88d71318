"""How Alpha Vantage spells symbols.

Belongs here: canonical tickers to its own and back. Does not: asking.

US shares: BRK-B (a class), BAC-P-B (a preferred), OXY-WS (a warrant), AAM-U (a unit), CELG-R
(a right). Abroad: an exchange's mark of its own, SHOP.TRT. Currencies and coins are two codes.
"""

from __future__ import annotations

import re

from stock_platform.domain.errors import UnknownSymbol
from stock_platform.domain.symbols import (
    AssetClass,
    Symbol,
    default_calendar,
    pair_of,
    parse_symbol,
    us_share,
)
from stock_platform.sources.alpha_vantage.config import NAME

ABROAD = {
    "TO": ("TRT", "CAD"),
    "DE": ("DEX", "EUR"),
    "F": ("FRK", "EUR"),
    "BO": ("BSE", "INR"),
    "SS": ("SHH", "CNY"),
    "SZ": ("SHZ", "CNY"),
    "SA": ("SAO", "BRL"),
}
"""Exchanges by the canonical suffix: Alpha Vantage's mark, and the currency of all prices."""

_MARKS = {mark: suffix for suffix, (mark, _) in ABROAD.items()} | {"LON": "L"}
_PREFERRED = re.compile(r"([A-Z]{1,6})-P-?([A-Z]?)")
_SHARES = (AssetClass.STOCK, AssetClass.ETF, AssetClass.FUND)


def spell(symbol: Symbol) -> str:
    """The ticker of a share. Raises UnknownSymbol where the vendor has no spelling for it."""
    if symbol.asset_class not in _SHARES:
        raise UnknownSymbol(NAME, symbol.ticker, f"Alpha Vantage has no {symbol.asset_class} bars")
    share = us_share(symbol)
    if share is not None:
        kind = {"PR": "P"}.get(share.kind, share.kind if share.kind != "class" else "")
        return "-".join(part for part in (share.root, kind, share.series, *share.tails) if part)
    if default_calendar(symbol) == "XNYS" and "." not in symbol.ticker:
        return symbol.ticker
    root, _, suffix = symbol.ticker.rpartition(".")
    if suffix not in ABROAD:
        reason = "it does not tell pence from pounds" if suffix == "L" else "it is not covered"
        raise UnknownSymbol(NAME, symbol.ticker, f"not asked of Alpha Vantage: {reason}")
    return f"{root}.{ABROAD[suffix][0]}"


def currency_of(symbol: Symbol) -> str | None:
    """What prices are in: dollars for US shares, the second currency of a pair."""
    pair = pair_of(symbol)
    if pair is not None:
        return pair[1]
    _, _, suffix = symbol.ticker.rpartition(".")
    if default_calendar(symbol) == "XNYS":
        return "USD"
    return ABROAD[suffix][1] if suffix in ABROAD else None


def codes(symbol: Symbol) -> tuple[str, str]:
    """The two codes of a currency pair or a coin. Raises UnknownSymbol for anything else."""
    pair = pair_of(symbol)
    if pair is None:
        raise UnknownSymbol(NAME, symbol.ticker, "not a pair of currencies")
    return pair


def read(text: str) -> Symbol:
    """The symbol that the vendor's ticker means. Raises InputError where it means none."""
    ticker = text.strip().upper()
    root, _, mark = ticker.rpartition(".")
    if root and mark in _MARKS:
        return parse_symbol(f"{root}.{_MARKS[mark]}")
    preferred = _PREFERRED.fullmatch(ticker)
    if preferred is not None:
        return parse_symbol(f"{preferred[1]}.PR{preferred[2]}")
    return parse_symbol(ticker)
