"""Yahoo's ``/v7/finance/spark``: the charts of up to twenty symbols, closes alone.

Belongs here: the answer's shape. Does not: the charts (``chart``, ``others``).

As its users describe it: no crumb; ``{"spark": {"result": [{"symbol", "response": [chart]}]}}``
with each chart's meta, stamps and closes; more than twenty symbols are a 400; unknown ones are
left out, and none known is a 404.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from stock_platform.sandbox.vendors.base import Answer, Call, dump
from stock_platform.sandbox.vendors.yahoo import others
from stock_platform.sandbox.vendors.yahoo.chart import HEADERS, JSON_TYPE, chart

MOST = 20


def any_chart(call: Call) -> Answer:
    """The chart of a share, or of a coin, a currency, an index, a future."""
    instrument = others.find(call.market.others, call.path["symbol"])
    return chart(call) if instrument is None else others.chart(call, instrument)


def spark(call: Call) -> Answer:
    """Answer ``/v7/finance/spark?symbols=A,B&range=1d&interval=1d``."""
    symbols = [s for s in call.query.get("symbols", "").split(",") if s]
    if not symbols:
        return _refusal(400, "Bad Request", "Missing required query parameter=symbols")
    if len(symbols) > MOST:
        return _refusal(400, "Bad Request", f"Number of symbols requested exceeds {MOST}")
    query = {"range": "1d", "interval": "1d"} | dict(call.query)
    result = []
    for symbol in dict.fromkeys(symbols):
        one = any_chart(replace(call, path={"symbol": symbol}, query=query))
        if one.status == 200:
            result.append(_of(symbol, json.loads(one.body)["chart"]["result"][0]))
        elif one.status != 404:
            return one
    if not result:
        return _refusal(404, "Not Found", "No data found for spark symbols")
    body = {"spark": {"result": result, "error": None}}
    return Answer(dump(body), 200, JSON_TYPE, HEADERS, len(result))


def _of(symbol: str, told: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"meta": told["meta"]}
    if "timestamp" in told:
        response["timestamp"] = told["timestamp"]
        response["indicators"] = {"quote": [{"close": told["indicators"]["quote"][0]["close"]}]}
    return {"symbol": symbol.upper(), "response": [response]}


def _refusal(status: int, code: str, description: str) -> Answer:
    body = {"spark": {"result": None, "error": {"code": code, "description": description}}}
    return Answer(dump(body), status, JSON_TYPE, HEADERS)
