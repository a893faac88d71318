"""How CoinGecko writes: numbers, errors, and its ids of the market's coins.

Belongs here: what its endpoints share. Does not: data.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np

from stock_platform.sandbox.market.frame import Frame, join
from stock_platform.sandbox.market.others import Instrument
from stock_platform.sandbox.vendors.base import Answer, Call, dump

JSON_TYPE = "application/json; charset=utf-8"
HEADERS = {
    "cache-control": "public, max-age=30",
    "access-control-allow-origin": "*",
    "vary": "Accept-Encoding, Origin",
}
COINS = {
    "bitcoin": "BTC", "ethereum": "ETH", "solana": "SOL", "ripple": "XRP", "dogecoin": "DOGE",
    "cardano": "ADA", "binancecoin": "BNB", "litecoin": "LTC",
}  # fmt: skip
SUPPLY = {
    "BTC": 19_690_000.0, "ETH": 120_100_000.0, "SOL": 446_000_000.0, "XRP": 54_900_000_000.0,
    "DOGE": 144_000_000_000.0, "ADA": 35_600_000_000.0, "BNB": 149_500_000.0,
    "LTC": 74_400_000.0,
}  # fmt: skip
CURRENCIES = ("usd", "eur")


def error(status: int, text: str) -> Answer:
    """An error in words alone."""
    return Answer(dump({"error": text}), status, JSON_TYPE, HEADERS)


def refusal(status: int, code: int, text: str) -> Answer:
    """An error of keys and plans, with a code of its own."""
    stamp = "2024-01-01T00:00:00.000+00:00"
    inner = {"timestamp": stamp, "error_code": code, "error_message": text}
    return Answer(dump({"error": {"status": inner}}), status, JSON_TYPE, HEADERS)


def good(document: object, cells: int = 0) -> Answer:
    """An answer."""
    return Answer(dump(document), 200, JSON_TYPE, HEADERS, cells)


def number(value: float) -> float | int:
    """Whole numbers come without a point."""
    return int(value) if value == int(value) else value


def currency(call: Call, name: str = "vs_currency") -> str | Answer:
    """The currency asked for, in capitals, or the error."""
    asked = call.query.get(name, "").lower()
    if not asked:
        return error(422, f"Missing parameter {name}")
    return asked.upper() if asked in CURRENCIES else error(400, f"invalid {name}")


def instrument(call: Call, coin: str, money: str) -> Instrument | None:
    """The market's instrument of a coin's id; None for an unknown id."""
    letters = COINS.get(coin)
    return call.market.others.find(f"{letters}-{money}") if letters else None


def minutes(call: Call, symbol: str, since: float) -> Frame:
    """Every minute from an instant until now."""
    others = call.market.others
    first = max(datetime.fromtimestamp(since, call.now.tzinfo).date(), others.config.first_date)
    days: list[date] = [
        first + timedelta(days=n) for n in range((call.now.date() - first).days + 1)
    ]
    frame = join([others.minutes(symbol, day, now=call.now) for day in days])
    keep = frame.stamps >= since
    return Frame(frame.stamps[keep], frame.prices[:, keep], frame.volume[keep])


def value_until(frame: Frame, instants: np.ndarray) -> np.ndarray:
    """The last close before each instant."""
    at = np.searchsorted(frame.stamps, instants, side="left") - 1
    closes: np.ndarray = frame.prices[3, np.maximum(at, 0)]
    return closes
