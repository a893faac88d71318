"""CoinGecko's coins: their names, and their prices now.

Belongs here: ``list``, ``markets``, ``simple/price``. Does not: the past (``history``).
"""

from __future__ import annotations

from typing import Any

from stock_platform.sandbox.market.others import COINS as WALKS
from stock_platform.sandbox.vendors.base import Answer, Call
from stock_platform.sandbox.vendors.coingecko.wire import (
    COINS,
    CURRENCIES,
    SUPPLY,
    currency,
    error,
    good,
    instrument,
    minutes,
    number,
)

# Coins that share their letters with better known ones.
_NAMESAKES = (
    ("binance-peg-cardano", "ada", "Binance-Peg Cardano"),
    ("batcat", "btc", "batcat"),
    ("osmosis-allsol", "sol", "Osmosis allSOL"),
)


def listing(_call: Call) -> Answer:
    """``/coins/list``: every coin, by id."""
    rows = [(coin, letters.lower(), WALKS[letters].name) for coin, letters in COINS.items()]
    keys = ("id", "symbol", "name")
    return good([dict(zip(keys, row, strict=True)) for row in sorted([*rows, *_NAMESAKES])])


def markets(call: Call) -> Answer:
    """``/coins/markets``: the largest first, 100 a page unless asked, 250 at the most."""
    money = currency(call)
    if isinstance(money, Answer):
        return money
    pages = [
        call.query.get(name, default) for name, default in (("per_page", "100"), ("page", "1"))
    ]
    if not all(text.isdigit() and int(text) for text in pages):
        return error(422, "Invalid value for per_page or page")
    size, page = min(int(pages[0]), 250), int(pages[1])
    ids = [one.strip() for one in call.query.get("ids", "").split(",") if one.strip()]
    made = [_market(call, coin, money) for coin in COINS if not ids or coin in ids]
    made.sort(key=lambda row: -row["market_cap"])
    ranked = [row | {"market_cap_rank": n + 1} for n, row in enumerate(made)]
    return good(ranked[(page - 1) * size : page * size])


def price(call: Call) -> Answer:
    """``/simple/price``: unknown ids and currencies are left out."""
    ids = [one.strip() for one in call.query.get("ids", "").split(",") if one.strip()]
    if not ids:
        return error(422, "Missing parameter ids")
    wanted = [one.strip().lower() for one in call.query.get("vs_currencies", "").split(",")]
    if not any(wanted):
        return error(422, "Missing parameter vs_currencies")
    out: dict[str, dict[str, Any]] = {}
    for coin in ids:
        if coin not in COINS:
            continue
        out[coin] = {}
        for name in wanted:
            if name in CURRENCIES:
                out[coin][name] = _market(call, coin, name.upper())["current_price"]
        if call.query.get("include_last_updated_at") == "true":
            out[coin]["last_updated_at"] = int(call.now.timestamp())
    return good(out)


def _market(call: Call, coin: str, money: str) -> dict[str, Any]:
    one = instrument(call, coin, money)
    if one is None:
        raise LookupError(coin)
    frame = minutes(call, one.symbol, call.now.timestamp() - 86_400)
    first, last = float(frame.prices[0, 0]), float(frame.prices[3, -1])
    supply, history = SUPPLY[one.base], call.market.others.bars(one.symbol, now=call.now)
    change = last - first
    most, least = history.sort("high").row(-1, named=True), history.sort("low").row(0, named=True)
    return {
        "id": coin,
        "symbol": one.base.lower(),
        "name": WALKS[one.base].name,
        "image": f"https://assets.coingecko.com/coins/images/1/large/{coin}.png",
        "current_price": number(last),
        "market_cap": int(last * supply),
        "market_cap_rank": 0,
        "fully_diluted_valuation": int(last * supply * 1.1),
        "total_volume": int(float((frame.volume * frame.prices[3]).sum())),
        "high_24h": number(float(frame.prices[1].max())),
        "low_24h": number(float(frame.prices[2].min())),
        "price_change_24h": round(change, 8),
        "price_change_percentage_24h": round(change / first * 100, 5),
        "market_cap_change_24h": round(change * supply, 4),
        "market_cap_change_percentage_24h": round(change / first * 100, 5),
        "circulating_supply": supply,
        "total_supply": supply * 1.1,
        "max_supply": supply * 1.1,
        "ath": number(most["high"]),
        "ath_change_percentage": round((last / most["high"] - 1) * 100, 5),
        "ath_date": f"{most['session']}T00:00:00.000Z",
        "atl": number(least["low"]),
        "atl_change_percentage": round((last / least["low"] - 1) * 100, 5),
        "atl_date": f"{least['session']}T00:00:00.000Z",
        "roi": None,
        "last_updated": call.now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
