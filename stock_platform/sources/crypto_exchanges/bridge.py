"""ccxt as the writer of requests and the knower of errors; every request is our HTTP client's.

Belongs here: ccxt's classes with our transport, its exceptions in our words. Does not:
reading bars (parse.py): ccxt turns numbers it cannot read into None and leaves rows out in
silence. ccxt is imported when the first call is made.

Markets are given, not asked for (``set_markets``), so one unified call is one request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from stock_platform.domain.errors import (
    Malformed,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.crypto_exchanges.config import Exchange
from stock_platform.sources.http import Call, Response
from stock_platform.sources.payload import excerpt, read_json
from stock_platform.sources.transport import retry_after

Check = Callable[[object, Response], None]

_BANNED_UNTIL = re.compile(r"until (\d{13})")
_PLACE = re.compile(r"restricted location|your country|not available in your", re.IGNORECASE)
_UNKNOWN = re.compile(
    r"product_?id\b.*(not be found|required|invalid)|unknown asset pair", re.IGNORECASE
)

_PASSES = re.compile(r"internal error|try again|timed? ?out|unavailable", re.IGNORECASE)


def connect(exchange: Exchange) -> Any:
    """A ccxt exchange whose ``fetch`` is ours. Used by one call at a time; see ``ask``."""
    return _class_of(exchange.name)({"enableRateLimit": False})


def ask(
    ccxt_exchange: Any,
    exchange: Exchange,
    call: Call,
    symbol: str,
    check: Check,
    unified: Callable[[Any], Any],
    *,
    wall: Callable[[], float],
    settled_at: datetime | None = None,
) -> Any:
    """What ``unified`` gives, calling one of ccxt's methods with one request behind it.

    Args:
        ccxt_exchange: of ``connect``.
        exchange: which it is.
        call: counts the request.
        symbol: canonical, for messages; its market is the only one ccxt knows.
        check: is given the answer's document before ccxt sees it; raises a SourceError.
        unified: the call.
        wall: the time by which a ban's end is counted.
        settled_at: see Call.get; None keeps no answer.

    Raises:
        SourceError: of the answer, or Malformed where ccxt cannot make anything of it.
    """

    def fetch(url: str, method: str = "GET") -> object:
        def read(response: Response) -> object:
            document = _document(ccxt_exchange, exchange.name, symbol, url, response, wall())
            check(document, response)
            return document

        if method != "GET":
            raise Malformed(exchange.name, f"ccxt wants to {method}")
        parts = urlsplit(url)
        params = dict(parse_qsl(parts.query))
        cached = settled_at is not None
        return call.get(parts.path, params, read, cache=cached, settled_at=settled_at)

    ccxt_exchange.through = fetch
    try:
        return unified(ccxt_exchange)
    except SourceError:
        raise
    except Exception as error:  # noqa: BLE001 - ccxt raises anything on answers it did not expect
        raise _meaning(error, exchange.name, symbol, str(error), None) from None
    finally:
        ccxt_exchange.through = None


def market_of(ccxt_exchange: Any, exchange: Exchange, base: str, quote: str) -> str:
    """Let ccxt know the pair, and no other; its unified name."""
    renamed = exchange.renamed.get(base, base), exchange.renamed.get(quote, quote)
    unified = f"{base}/{quote}"
    market = ccxt_exchange.safe_market_structure(
        {
            "id": exchange.joint.join(renamed), "symbol": unified, "base": base, "quote": quote,
            "baseId": renamed[0], "quoteId": renamed[1], "type": "spot", "spot": True,
            "margin": False, "swap": False, "future": False, "option": False, "contract": False,
            "active": True,
        }
    )  # fmt: skip
    ccxt_exchange.set_markets([market])
    return unified


class _Ours:
    """What of a ccxt exchange is ours. Mixed in before its class."""

    through: Any = None

    def fetch(
        self, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> object:  # ccxt's signature
        del headers, body
        return self.through(url, method)

    def parse_ohlcvs(self, ohlcvs: Any, *_: Any, **__: Any) -> Any:
        return ohlcvs


@cache
def _class_of(name: str) -> Any:
    import ccxt

    return type(name, (_Ours, getattr(ccxt, name)), {})


def _document(
    ccxt_exchange: Any, source: str, symbol: str, url: str, response: Response, now: float
) -> object:
    """The answer's JSON, once neither ccxt nor its status calls it an error."""
    status, text = response.status, response.body.decode("utf-8", errors="replace")
    document: Any = None
    if status == HTTPStatus.OK:
        document = read_json(source, response.body)
    else:
        try:
            document = json.loads(text)
        except ValueError:
            document = None  # a page, or words
    said = _words(document) or excerpt(response.body) or f"HTTP {status}"
    if status == HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS or (
        status != HTTPStatus.OK and _PLACE.search(text)
    ):
        raise NotEntitled(source, f"HTTP {status}: {said}")
    try:
        reason = ""
        ccxt_exchange.handle_errors(status, reason, url, "GET", {}, text, document, {}, None)
        if status != HTTPStatus.OK:
            ccxt_exchange.handle_http_status_code(status, reason, url, "GET", text)
    except Exception as error:  # noqa: BLE001 - see ask
        ban = _BANNED_UNTIL.search(text)
        pause = retry_after(response.headers, now)
        if pause is None and ban is not None:
            pause = max(0.0, int(ban[1]) / 1000 - now)
        raise _meaning(error, source, symbol, said, pause) from None
    if status != HTTPStatus.OK:
        raise Malformed(source, f"HTTP {status}: {said}")
    return document


def _words(document: Any) -> str:
    """An error's own words: Binance's msg, Coinbase's message, Kraken's list."""
    if not isinstance(document, dict):
        return ""
    said = document.get("msg") or document.get("message") or document.get("error") or ""
    return ", ".join(map(str, said)) if isinstance(said, list) else str(said)


def _meaning(
    error: Exception, source: str, symbol: str, said: str, pause: float | None
) -> SourceError:
    """One of ccxt's exceptions in our words."""
    import ccxt

    words = isinstance(error, ccxt.BaseError) and _UNKNOWN.search(said)
    if isinstance(error, ccxt.BadSymbol) or words:
        return UnknownSymbol(source, symbol, said)
    if isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection):
        return RateLimited(source, f"too many calls: {said}", pause)
    if isinstance(error, ccxt.AuthenticationError):
        return NotEntitled(source, said)
    passes = isinstance(error, ccxt.BaseError) and _PASSES.search(said)
    if isinstance(error, ccxt.NetworkError) or passes:  # ExchangeNotAvailable is the former
        return Unavailable(source, said)
    if isinstance(error, ccxt.BaseError):
        return Malformed(source, f"the request for {symbol} was refused: {said}")
    return Malformed(
        source, f"{symbol}: not the documented answer ({type(error).__name__}: {said})"
    )
