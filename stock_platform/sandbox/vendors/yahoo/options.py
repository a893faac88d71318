"""Yahoo's ``/v7/finance/options/{symbol}``.

Belongs here: a chain of options priced from the market's last price. Does not: the quote
beside it (``quotes``).

Expiries are the next eight Fridays and the third Fridays of a year, as epoch seconds of their
UTC midnight; strikes lie around the price. Prices are Black and Scholes' with a smile, so that
calls and puts agree with each other; contracts far from the price have no bid, and some no
volume. Without ``date`` the nearest expiry is served; a date without contracts comes back with
none. Shares with a suffix have no options here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import erf, exp, log, sqrt
from typing import Any

from stock_platform.sandbox.market.timeline import Timeline
from stock_platform.sandbox.vendors.base import Answer, Call
from stock_platform.sandbox.vendors.yahoo.quotes import Company, answer, company, quote_of, refusal

RATE = 0.02
_FRIDAY = 4
_YEAR = 365.25


def options(call: Call) -> Answer:
    """Answer one request for a chain."""
    refused = refusal(call)
    if refused is not None:
        return refused
    one = company(call, call.path["symbol"])
    if one is None:
        return answer("optionChain", [])
    today = Timeline.local(call.now).date()
    expiries = [] if "-" in one.symbol else _expiries(today)
    strikes = _strikes(one.price) if expiries else []
    try:
        asked = int(call.query.get("date", "0"))
    except ValueError:
        asked = 0
    chosen = asked or (_stamp(expiries[0]) if expiries else 0)
    chain: list[dict[str, Any]] = []
    if chosen:
        chain = [{"expirationDate": chosen, "hasMiniOptions": False, "calls": [], "puts": []}]
    for expiry in expiries:
        if _stamp(expiry) == chosen:
            for side in ("calls", "puts"):
                chain[0][side] = [
                    _contract(_Terms(call, one, expiry, strike, side == "calls", today))
                    for strike in strikes
                ]
    result = {
        "underlyingSymbol": one.symbol,
        "expirationDates": [_stamp(expiry) for expiry in expiries],
        "strikes": strikes,
        "hasMiniOptions": False,
        "quote": quote_of(call, one),
        "options": chain,
    }
    return answer("optionChain", [result])


@dataclass(frozen=True)
class _Terms:
    call: Call
    one: Company
    expiry: date
    strike: float
    is_call: bool
    today: date


def _expiries(today: date) -> list[date]:
    first = today + timedelta(days=(_FRIDAY - today.weekday()) % 7)
    weekly = {first + timedelta(weeks=n) for n in range(8)}
    months = {first + timedelta(weeks=n) for n in range(52)}
    return sorted(weekly | {day for day in months if 15 <= day.day <= 21})


def _strikes(price: float) -> list[float]:
    step = next(s for limit, s in ((5, 0.5), (25, 1.0), (100, 2.5), (1e9, 5.0)) if price < limit)
    middle = round(price / step)
    return [round(n * step, 4) for n in range(max(middle - 20, 1), middle + 21)]


def _contract(terms: _Terms) -> dict[str, Any]:
    """One contract. Its numbers follow from its terms: the same question, the same answer."""
    price, strike = terms.one.price, terms.strike
    sigma = 0.25 + terms.one.asset.number % 20 / 100 + 0.4 * log(strike / price) ** 2
    years = max((terms.expiry - terms.today).days, 0.5) / _YEAR
    value = _worth(price, strike, years, sigma, is_call=terms.is_call)
    spread = max(0.01, round(value * 0.01, 2))
    seed = int(strike * 1000) * 31 + terms.expiry.toordinal() * 7 + terms.is_call
    mark = "C" if terms.is_call else "P"
    made: dict[str, Any] = {
        "contractSymbol": f"{terms.one.symbol}{terms.expiry:%y%m%d}{mark}{strike * 1000:08.0f}",
        "strike": strike,
        "currency": "USD",
        "lastPrice": max(0.01, round(value, 2)),
        "change": 0.0,
        "percentChange": 0.0,
        "volume": seed % 997 + 1,
        "openInterest": seed % 4999,
        "bid": max(0.0, round(value - spread, 2)),
        "ask": max(0.01, round(value + spread, 2)),
        "contractSize": "REGULAR",
        "expiration": _stamp(terms.expiry),
        "lastTradeDate": terms.one.told["regularMarketTime"] - seed % 3600,
        "impliedVolatility": round(sigma, 6),
        "inTheMoney": price > strike if terms.is_call else price < strike,
    }
    if seed % 11 == 0:  # Yahoo leaves out what it does not know
        del made["volume"]
    return made


def _worth(price: float, strike: float, years: float, sigma: float, *, is_call: bool) -> float:
    """Black and Scholes' value of an option on a share without dividends."""
    spread = sigma * sqrt(years)
    d1 = (log(price / strike) + (RATE + sigma**2 / 2) * years) / spread
    d2, owed = d1 - spread, strike * exp(-RATE * years)
    if is_call:
        return price * _normal(d1) - owed * _normal(d2)
    return owed * _normal(-d2) - price * _normal(-d1)


def _normal(x: float) -> float:
    return (1 + erf(x / sqrt(2))) / 2


def _stamp(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
