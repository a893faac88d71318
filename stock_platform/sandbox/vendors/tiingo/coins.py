"""Tiingo's coins: days and minutes of pairs, all exchanges together.

Belongs here: which pairs, and their bars. Does not: shares (``rows``), forms (``wire``).

A stamp is a bar's start with ``+00:00``; the day in progress is there as far as it has come.
Of minutes the end of a span is the instant at which that date begins.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from stock_platform.sandbox.market.frame import Frame, join
from stock_platform.sandbox.vendors.base import Answer, Call, dump
from stock_platform.sandbox.vendors.tiingo.wire import (
    PARTS,
    SECONDS,
    STEP,
    Span,
    error,
    midnight,
    newest,
    read_span,
    spoilt,
    stamp_text,
)


def crypto(call: Call) -> Answer:
    """``/tiingo/crypto/prices``: pairs it does not know are absent."""
    names = [name for name in call.query.get("tickers", "").lower().split(",") if name]
    if not names:
        return error(400, "Error: please supply tickers")
    span = read_span(call)
    if isinstance(span, Answer):
        return span
    step = STEP.fullmatch(call.query.get("resampleFreq", "5min"))
    if step is None or not int(step[1]) or (step[2].lower() == "day" and step[1] != "1"):
        return error(400, "Error: resampleFreq must be in 'Min', 'Hour' or 'Day' only")
    length = int(step[1]) * SECONDS[step[2].lower()]
    known = {
        one.symbol.replace("-", "").lower(): one
        for one in call.market.others.symbols()
        if "-" in one.symbol
    }
    coins, cells = [], 0
    for name in names:
        if name not in known:
            continue
        frame = _coin(call, known[name].symbol, span, length)
        columns, keep = spoilt(frame.prices, frame.volume, call)
        made = [
            {
                "date": stamp_text(stamp, "%Y-%m-%dT%H:%M:%S+00:00"),
                **{part: float(columns[part][n]) for part in PARTS},
                "volume": float(columns["volume"][n]),
                "volumeNotional": float(columns["volume"][n] * columns["close"][n]),
                "tradesDone": float(int(columns["volume"][n] / 0.11) + 1),
            }
            for n, stamp in enumerate(frame.stamps.tolist())
            if keep[n]
        ]
        cells += len(made)
        base, quote = known[name].base.lower(), known[name].quote.lower()
        coins.append(
            {"ticker": name, "baseCurrency": base, "quoteCurrency": quote, "priceData": made}
        )
    return Answer(dump(coins), cells=cells)


def _coin(call: Call, symbol: str, span: Span, length: int) -> Frame:
    """Bars of one coin; of minutes the end of the span is the instant at which it begins."""
    others = call.market.others
    if length >= SECONDS["day"]:
        table = others.bars(symbol, span.start, span.end, live=True, now=call.now)
        if not span.whole:
            table = table.tail(1)
        stamps = [midnight(day) for day in table["session"].to_list()]
        prices = table.select("open", "high", "low", "close").to_numpy().T.reshape(4, -1)
        return Frame(np.array(stamps, dtype=np.int64), prices, table["volume"].to_numpy())
    start = span.start if span.whole else call.now.date()
    until = midnight(span.end) if "endDate" in call.query else call.now.timestamp()
    days = range(min((min(span.end, call.now.date()) - start).days + 1, 40))
    frames = [others.minutes(symbol, start + timedelta(days=n), now=call.now) for n in days]
    fine = join(frames)
    keep = fine.stamps <= until
    fine = Frame(fine.stamps[keep], fine.prices[:, keep], fine.volume[keep])
    return newest(fine.grouped(fine.stamps // length * length))
