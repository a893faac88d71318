"""CoinGecko's candles and charts.

Belongs here: ``ohlc`` and ``market_chart``. Does not: prices now (``coins``).

As recorded: a candle's stamp is its end, also of the one in progress, whose end is to come;
30 minutes for 1 day, 4 hours up to 30, 4 days beyond. A chart has a point every 5 minutes for
1 day, about every hour up to 90 (stamps are irregular), then one each UTC midnight; the last
point is the present. Volumes are of 24 hours, in the currency.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stock_platform.sandbox.faults import spoil
from stock_platform.sandbox.market.frame import Floats, Frame
from stock_platform.sandbox.market.others import Instrument
from stock_platform.sandbox.vendors.base import Answer, Call
from stock_platform.sandbox.vendors.coingecko.wire import (
    SUPPLY,
    currency,
    error,
    good,
    instrument,
    minutes,
    number,
    refusal,
    value_until,
)

DAY = 86_400
RANGES = (1, 7, 14, 30, 90, 180, 365)
_TOO_FAR = (
    "Your request exceeds the allowed time range. Public API users are limited to querying "
    "historical data within the past 365 days. Upgrade to a paid plan to enjoy full access."
)


def ohlc(call: Call) -> Answer:
    """``/coins/{id}/ohlc``."""
    asked = _asked(call)
    if isinstance(asked, Answer):
        return asked
    one, days = asked
    if days not in RANGES:
        return error(400, "Invalid days parameter")
    if "interval" in call.query:
        return refusal(401, 10_005, "This request is limited to PRO API subscribers.")
    step = 1800 if days == 1 else 4 * 3600 if days <= 30 else 4 * DAY
    since = call.now.timestamp() - days * DAY
    frame = _candles(call, one, since, step)
    columns: dict[str, Floats] = {
        name: frame.prices[at].copy() for at, name in enumerate(("open", "high", "low", "close"))
    } | {"volume": frame.volume.copy()}
    spoil(columns, call.fault)
    names = ("open", "high", "low", "close")
    rows = []
    for at, stamp in enumerate((frame.stamps + step).tolist()):
        cells = [float(columns[name][at]) for name in names]
        rows.append([stamp * 1000, *(None if np.isnan(c) else number(c) for c in cells)])
    return good(rows, cells=len(rows))


def _candles(call: Call, one: Instrument, since: float, step: int) -> Frame:
    """The candles that begin after an instant, stamped with their beginnings."""
    first = -(-int(since) // step) * step
    if step < DAY:
        frame = minutes(call, one.symbol, first)
        return frame.grouped(frame.stamps // step * step)
    bars = call.market.others.bars(one.symbol, live=True, now=call.now)
    days = bars["session"].to_numpy().astype("datetime64[D]").astype(np.int64) * DAY
    prices = np.stack([bars[name].to_numpy() for name in ("open", "high", "low", "close")])
    keep = days >= first
    frame = Frame(days[keep], prices[:, keep], bars["volume"].to_numpy()[keep])
    return frame.grouped(frame.stamps // step * step)


def market_chart(call: Call) -> Answer:
    """``/coins/{id}/market_chart``."""
    asked = _asked(call)
    if isinstance(asked, Answer):
        return asked
    one, days = asked
    interval = call.query.get("interval", "")
    if interval not in ("", "daily"):
        return refusal(401, 10_005, "This request is limited to PRO API subscribers.")
    now, since = call.now.timestamp(), call.now.timestamp() - days * DAY
    if interval == "daily" or days > 90:
        bars = call.market.others.bars(one.symbol, now=call.now)
        ends = (bars["session"].to_numpy().astype("datetime64[D]").astype(np.int64) + 1) * DAY
        keep = ends >= since
        stamps = np.r_[ends[keep] * 1000, int(now * 1000)]
        live = minutes(call, one.symbol, now - 2 * DAY)
        closes = np.r_[bars["close"].to_numpy()[keep], value_until(live, np.array([now]))]
        volume = np.r_[bars["volume"].to_numpy()[keep], _rolling(live, np.array([now]))]
    else:
        step = 300 if days <= 1 else 3600
        frame = minutes(call, one.symbol, since - DAY)
        starts = np.arange(since // step * step + step, now, step)
        late = np.random.default_rng(int(starts[0])).integers(0, step // 20, len(starts))
        instants = np.r_[np.minimum(starts + late, now), now]
        stamps = (instants * 1000).astype(np.int64)
        closes, volume = value_until(frame, instants), _rolling(frame, instants)
    supply = SUPPLY[one.base]
    columns = {"prices": closes, "market_caps": closes * supply, "total_volumes": closes * volume}
    return good(
        {
            name: [[int(t), float(v)] for t, v in zip(stamps, values, strict=True)]
            for name, values in columns.items()
        },
        cells=len(stamps),
    )


def _rolling(frame: Frame, instants: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coins traded in the 24 hours before each instant."""
    total = np.r_[0.0, frame.volume.cumsum()]
    ends = np.searchsorted(frame.stamps, instants, side="left")
    begins = np.searchsorted(frame.stamps, instants - DAY, side="left")
    made: NDArray[np.float64] = total[ends] - total[begins]
    return made


def _asked(call: Call) -> tuple[Instrument, int] | Answer:
    money = currency(call)
    if isinstance(money, Answer):
        return money
    one = instrument(call, call.path["symbol"], money)
    if one is None:
        return error(404, "coin not found")
    days = call.query.get("days", "")
    if days == "max" or (days.isdigit() and int(days) > 365):
        return refusal(401, 10_012, _TOO_FAR)
    if not days.isdigit() or int(days) < 1:
        return error(422, "Missing parameter days")
    return one, int(days)
