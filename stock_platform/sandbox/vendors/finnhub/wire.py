"""How Finnhub writes: errors, plans, spellings.

Belongs here: what its endpoints share. Does not: data.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

from stock_platform.sandbox.market.asset import Asset
from stock_platform.sandbox.vendors.base import Answer, Call, dump

TYPE = "application/json; charset=utf-8"
SIGNATURE = "sandbox-signature"
NO_ACCESS = "You don't have access to this resource."
NOT_SUPPORTED = "Symbol not supported"

PLAN: ContextVar[str] = ContextVar("finnhub_plan", default="free")
"""Of the request in hand; its key may be in a header, which endpoints do not see."""

_ABROAD = {
    "L", "PA", "AS", "DE", "F", "MI", "MC", "SW", "ST", "CO", "OL", "T", "HK", "SS", "SZ", "KS",
    "TW", "NS", "AX", "TO", "V", "SA", "MX",
}  # fmt: skip


def good(value: object, cells: int = 0) -> Answer:
    """A good answer."""
    return Answer(dump(value), 200, TYPE, cells=cells)


def error(status: int, said: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error under ``error``."""
    return Answer(dump({"error": said}), status, TYPE, headers or {})


def abroad(symbol: str) -> bool:
    """Whether a symbol is listed on an exchange outside the United States."""
    root, _, suffix = symbol.rpartition(".")
    return bool(root) and suffix in _ABROAD


def asset_of(call: Call) -> Asset | None:
    """The asset that carries ``symbol`` and still trades: AAPL, BRK.B, RC.PRE."""
    symbol = call.query.get("symbol", "").upper()
    started = call.market.time.opened(call.now)
    asset = call.market.carrying(symbol, started - 1) if symbol and started else None
    return asset if asset is not None and asset.delisted >= started else None


def pair_of(symbol: str) -> str | None:
    """The market's name of OANDA:EUR_USD, BINANCE:BTCUSDT, COINBASE:BTC-USD."""
    venue, _, name = symbol.partition(":")
    if venue == "OANDA":
        return name.replace("_", "/") if name.count("_") == 1 else None
    if venue == "COINBASE":
        return name if name.count("-") == 1 else None
    if venue == "BINANCE" and name.endswith("USDT"):
        return f"{name.removesuffix('USDT')}-USDT"
    return None
