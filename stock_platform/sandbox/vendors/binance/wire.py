"""How Binance writes: numbers, errors, weights, and which pairs it has.

Belongs here: what its endpoints share. Does not: data.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from time import time
from weakref import WeakKeyDictionary

from stock_platform.sandbox.market.market import Market
from stock_platform.sandbox.market.others import Instrument, Kind, Others
from stock_platform.sandbox.vendors.base import Answer, Call, dump

JSON_TYPE = "application/json;charset=UTF-8"
QUOTES = ("USDT", "EUR")
_LEGAL = re.compile(r"[A-Z0-9-_.]{1,20}")
_used: WeakKeyDictionary[Market, tuple[int, int]] = WeakKeyDictionary()
_lock = threading.Lock()


def failure(status: int, code: int, text: str) -> Answer:
    """An error."""
    return Answer(dump({"code": code, "msg": text}), status, JSON_TYPE)


def weighed(weight: int, handle: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
    """An endpoint whose answers tell the weight used in this minute, of all addresses."""

    def answer(call: Call) -> Answer:
        minute = int(time() * call.config.clock_rate // 60)
        with _lock:
            then, used = _used.get(call.market, (minute, 0))
            used = weight + (used if then == minute else 0)
            _used[call.market] = minute, used
        made = handle(call)
        headers = {"x-mbx-uuid": "sandbox", "x-mbx-used-weight": str(used)}
        headers["x-mbx-used-weight-1m"] = str(used)
        return replace(made, headers={**made.headers, **headers})

    return answer


def amount(value: float) -> str:
    """A number as Binance writes it."""
    return f"{value:.8f}"


def pairs(others: Others) -> list[Instrument]:
    """Coins in tether and euros; none in dollars."""
    coins = (one for one in others.symbols() if one.asset_class is Kind.CRYPTO)
    return [one for one in coins if one.quote in QUOTES]


def name(instrument: Instrument) -> str:
    """Binance's spelling."""
    return instrument.base + instrument.quote


def find(call: Call) -> Instrument | Answer:
    """The pair that ``symbol`` names, or the error."""
    symbol = call.query.get("symbol", "")
    if not symbol:
        said = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
        return failure(400, -1102, said)
    if not _LEGAL.fullmatch(symbol):
        said = (
            "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."
        )
        return failure(400, -1100, said)
    for instrument in pairs(call.market.others):
        if name(instrument) == symbol:
            return instrument
    return failure(400, -1121, "Invalid symbol.")
