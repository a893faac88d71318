"""yfinance itself, on a leash: our session, no caches of its own, no word lost.

Belongs here: everything that knows yfinance's and curl_cffi's classes; the only module that
imports them, itself imported when first needed. Does not: HTTP (asking.py, curl.py), frames
of ours (bars.py, facts.py).

The library would keep one session, cookie and crumb for the whole process, remember answers
for ever (``cache_get``), ask for the time zone, the cookie and the crumb before each first
question, and write databases into the user's cache folder. Here every question has data of
its own, which asks through our session and nothing else.

Its warnings (pandas, and its own deprecations) are silenced while it runs. That is a switch
of the whole process, so one question is asked at a time.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from stock_platform.domain.bars import Interval
from stock_platform.domain.errors import (
    Malformed,
    NoData,
    RateLimited,
    SourceError,
    UnknownSymbol,
)
from stock_platform.sources.payload import utc_midnight
from stock_platform.sources.yfinance_library.asking import Asking
from stock_platform.sources.yfinance_library.bars import History
from stock_platform.sources.yfinance_library.config import NAME

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import yfinance
    from curl_cffi.requests import Response, Session
    from yfinance import exceptions
    from yfinance.data import YfData
    from yfinance.scrapers.history import PriceHistory
    from yfinance.scrapers.quote import Quote

T = TypeVar("T")
Asked = TypeVar("Asked")

_RUNNING = threading.RLock()
MODULES = ["assetProfile", "price", "summaryDetail", "defaultKeyStatistics", "quoteType"]


def history(
    asking: Asking[Asked],
    ticker: str,
    *,
    zone: str,
    start: datetime,
    end: datetime,
    interval: Interval,
) -> History:
    """``Ticker.history``: split-adjusted bars and actions from ``start`` until before ``end``.

    Raises:
        SourceError: what the vendor answered instead; Malformed where the library stumbles.
    """

    def work() -> History:
        asked = _ticker(asking, ticker, zone)
        frame = asked.history(
            start=start,
            end=end,
            interval=str(interval),
            auto_adjust=False,
            back_adjust=False,
            actions=True,
            prepost=False,
            repair=False,
            raise_errors=True,
        )
        kept = asked._price_history  # noqa: SLF001 - its public getters would ask again
        return History(
            frame=frame,
            dividends=list(_cash(kept._dividends, "Dividends")),  # noqa: SLF001
            gains=list(_cash(kept._capital_gains, "Capital Gains")),  # noqa: SLF001
            splits=[(at.date(), float(ratio)) for at, ratio in kept._splits.items()],  # noqa: SLF001
        )

    return _run(asking, ticker, work)


def options(asking: Asking[Asked], ticker: str, expiry: date | None) -> tuple[Any, Any]:
    """``Ticker.option_chain``: frames of calls and puts; None without an expiry is the nearest.

    Raises:
        SourceError: as ``history``.
    """

    def work() -> tuple[Any, Any]:
        asked = _ticker(asking, ticker, "UTC")
        if expiry is None:
            chain = asked.option_chain()
        else:
            # The library would ask for the list of expiries first, to find this stamp in it.
            asked._expirations = {str(expiry): int(utc_midnight(expiry).timestamp())}  # noqa: SLF001
            chain = asked.option_chain(str(expiry))
        return chain.calls, chain.puts

    return _run(asking, ticker, work)


def quote(asking: Asking[Asked], ticker: str) -> None:
    """The quote that is part of ``Ticker.info``; its answer is in ``asking.values``.

    ``Ticker.fast_info`` would make it of a year of bars and a week of hours.
    """
    _run(asking, ticker, lambda: Quote(_data(asking), ticker)._fetch_additional_info())  # noqa: SLF001


def profile(asking: Asking[Asked], ticker: str) -> None:
    """The summary that is part of ``Ticker.info``; its answer is in ``asking.values``."""
    _run(asking, ticker, lambda: Quote(_data(asking), ticker)._fetch(MODULES))  # noqa: SLF001


class OurSession(Session[Response]):
    """What yfinance takes for its session: every request is asked by ours."""

    def __init__(self, asking: Asking[Asked]) -> None:
        super().__init__()
        self._asking = asking

    def request(  # type: ignore[override]  # yfinance names three of its forty arguments
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        **_others: Any,
    ) -> Response:
        """Ask, and dress the body as the library expects it; see Asking.ask."""
        answer = Response()
        answer.url = url
        answer.content = self._asking.ask(method, url, params)
        answer.status_code = HTTPStatus.OK
        return answer


class _Data(YfData):  # type: ignore[misc]  # an untyped library
    """yfinance's way to Yahoo without cookies, crumbs and memory: asking.py sees to those."""

    def _get_cookie_and_crumb(self, timeout: float = 30) -> tuple[None, str]:  # noqa: ARG002
        return None, "basic"

    def _set_cookie_strategy(self, strategy: str, have_lock: bool = False) -> None:
        """Never the form that agrees to Yahoo's terms in somebody's name."""

    def cache_get(self, url: str, params: Any = None, timeout: float = 30) -> Any:
        """Ask: whether an answer may be used again is for our cache to say."""
        return self.get(url, params, timeout)


def _data(asking: Asking[Asked]) -> Any:
    """One question's data; the class would hand out one object to the whole process."""
    return type.__call__(_Data, session=OurSession(asking))


def _ticker(asking: Asking[Asked], ticker: str, zone: str) -> Any:
    """A Ticker that asks through our session and knows its zone."""
    made = yfinance.Ticker(ticker)
    made._data = _data(asking)  # noqa: SLF001
    made._price_history = PriceHistory(made._data, ticker, zone)  # noqa: SLF001
    return made


def _run(asking: Asking[Asked], ticker: str, work: Callable[[], T]) -> T:
    """Let the library work; whatever goes wrong is a SourceError in the end."""
    with _quietly():
        try:
            found = work()
        except SourceError:
            raise
        except Exception as error:
            raise asking.failure or _meaning(error, ticker) from error
    if asking.failure is not None:  # the library hid it
        raise asking.failure
    return found


@contextmanager
def _quietly() -> Iterator[None]:
    with _RUNNING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _meaning(error: Exception, ticker: str) -> SourceError:
    """The error of ours that one of the library's stands for."""
    said = str(error).strip()
    if isinstance(error, exceptions.YFRateLimitError):
        return RateLimited(NAME, said)
    if isinstance(error, exceptions.YFTzMissingError):
        return UnknownSymbol(NAME, ticker, said)
    if isinstance(error, exceptions.YFPricesMissingError | exceptions.YFInvalidPeriodError):
        return NoData(NAME, said)
    return Malformed(NAME, f"yfinance cannot read the answer: {type(error).__name__}: {said}")


def _cash(kept: Any, column: str) -> Iterator[tuple[date, float, str | None]]:
    """Events of cash: a series of amounts, or a frame where the currencies are told."""
    if not hasattr(kept, "columns"):
        yield from ((at.date(), float(amount), None) for at, amount in kept.items())
        return
    for at, row in kept.iterrows():
        currency = row["currency"]
        told = currency if isinstance(currency, str) and currency else None
        yield at.date(), float(row[column]), told
