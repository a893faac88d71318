"""How Stooq spells symbols.

Belongs here: canonical tickers to its own, and the currency of their prices. Does not: asking.

    AAPL, BRK.B          aapl.us, brk-b.us     ABR.PRD      abr_d.us (preferred)
    OXY.WS, AAM.U        oxy-ws.us, aam-u.us   SAP.DE       sap.de
    0700.HK, 7203.T      700.hk, 7203.jp       PKN.WA       pkn (Warsaw is at home)
    ^GSPC, ^IXIC         ^spx, ^ndq            GC=F         gc.f
    EUR/USD, BTC-USD     eurusd, btcusd

Only indices and futures that are known to be the same thing, in the same units, are here.
"""

from __future__ import annotations

from stock_platform.domain.errors import UnknownSymbol
from stock_platform.domain.symbols import (
    AssetClass,
    Symbol,
    default_calendar,
    pair_of,
    us_share,
)
from stock_platform.sources.stooq.config import NAME

ABROAD = {
    "DE": (".de", "EUR"),
    "T": (".jp", "JPY"),
    "HK": (".hk", "HKD"),
    "BD": (".hu", "HUF"),
    "WA": ("", "PLN"),
}
"""Exchanges by the canonical suffix: Stooq's, and the currency of all their prices."""

INDICES = {
    "^GSPC": "^spx", "^DJI": "^dji", "^IXIC": "^ndq", "^NDX": "^ndx", "^FTSE": "^ukx",
    "^GDAXI": "^dax", "^FCHI": "^cac", "^N225": "^nkx", "^HSI": "^hsi", "^SSMI": "^smi",
    "^BVSP": "^bvp", "^AEX": "^aex", "^IBEX": "^ibex", "^KS11": "^kospi", "^BSESN": "^snx",
    "^AORD": "^aor", "^STI": "^sti", "^TWII": "^twse", "^JKSE": "^jci", "^KLSE": "^klci",
    "^MXX": "^ipc", "^BFX": "^bel20", "^GSPTSE": "^tsx", "^NZ50": "^nz50",
}  # fmt: skip

FUTURES = frozenset({"GC=F", "CL=F", "NG=F", "PL=F", "PA=F"})
"""Quoted in dollars at both places; others (silver, copper, grain) come in cents at one."""


def spell(symbol: Symbol) -> str:
    """Stooq's symbol. Raises UnknownSymbol where it has none that surely means the same."""
    found = _spelling(symbol)
    if found is None:
        raise UnknownSymbol(NAME, symbol.ticker, _reason(symbol))
    return found.lower()


def currency_of(symbol: Symbol) -> str | None:
    """What prices are in; None for what has none (an index) or is not known."""
    pair = pair_of(symbol)
    if pair is not None:
        return pair[1]
    if symbol.asset_class is AssetClass.INDEX:
        return None
    if symbol.asset_class is AssetClass.COMMODITY or default_calendar(symbol) == "XNYS":
        return "USD"
    return ABROAD.get(symbol.ticker.rpartition(".")[2], (None, None))[1]


def _spelling(symbol: Symbol) -> str | None:
    ticker, pair = symbol.ticker, pair_of(symbol)
    if pair is not None:
        return "".join(pair)
    if symbol.asset_class is AssetClass.INDEX:
        return INDICES.get(ticker)
    if symbol.asset_class is AssetClass.COMMODITY:
        return f"{ticker[:-2]}.f" if ticker in FUTURES else None
    share = us_share(symbol)
    if share is not None:
        if share.tails or (share.kind == "PR" and not share.series):
            return None
        if share.kind == "PR":
            return f"{share.root}_{share.series}.us"
        kind = "" if share.kind == "class" else share.kind
        return "-".join(part for part in (share.root, kind, share.series) if part) + ".us"
    if "." not in ticker:
        return f"{ticker}.us"
    root, _, suffix = ticker.rpartition(".")
    if suffix not in ABROAD:
        return None
    return (root.lstrip("0") if suffix == "HK" else root) + ABROAD[suffix][0]


def _reason(symbol: Symbol) -> str:
    if default_calendar(symbol) == "XLON" and symbol.asset_class is not AssetClass.INDEX:
        return "not asked of Stooq: it does not tell pence from pounds"
    return "not asked of Stooq: no spelling there that surely means the same"
