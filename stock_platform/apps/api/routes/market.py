"""``/v1/assets``, ``/v1/quotes``, ``/v1/coverage``: what there is, what it costs, what is stored.

Belongs here: parameters and answers. Does not: gathering (storage/serving.py, pipeline/).
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from stock_platform.apps.api import models
from stock_platform.apps.api.auth import Reader
from stock_platform.apps.api.context import Api, the_api
from stock_platform.apps.api.problems import RESPONSES
from stock_platform.apps.api.routes.prices import unknown
from stock_platform.domain.errors import InputError
from stock_platform.domain.symbols import parse_symbol
from stock_platform.pipeline.runtime import Platform
from stock_platform.storage import assets as catalog
from stock_platform.storage.serving import latest_quotes, search_assets

router = APIRouter(tags=["market"], responses=RESPONSES)

MOST_TICKERS = 500
_MOST_REASONS = 50
_KEPT_SECONDS = 30.0

Tickers = Annotated[
    str | None,
    Query(max_length=20_000, description="Separated by commas; default: what is tracked."),
]
Text = Annotated[str | None, Query(max_length=100, description="A part of the ticker or name.")]


@router.get("/v1/assets", response_model=models.Assets)
def assets(
    api: Annotated[Api, Depends(the_api)],
    _reader: Reader,
    search: Text = None,
    asset_class: Annotated[
        Literal["stock", "etf", "fund", "crypto", "fx", "commodity", "index"] | None, Query()
    ] = None,
    tracked: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=60, description="Of the page before.")] = None,
) -> Any:
    """Assets by their current ticker."""
    after = parse_symbol(cursor).ticker if cursor else ""
    found = search_assets(
        api.reading.db,
        _text("search", search),
        asset_class=asset_class,
        tracked=tracked,
        after=after,
        limit=limit + 1,
    )
    shown = found.head(limit).to_dicts()
    more = found.height > limit
    return {"assets": shown, "next": shown[-1]["ticker"] if more else None}


@router.get("/v1/quotes", response_model=models.Quotes)
def quotes(api: Annotated[Api, Depends(the_api)], _reader: Reader, tickers: Tickers = None) -> Any:
    """The newest price of each ticker: a live quote, or else the last close."""
    names = _tickers(tickers)
    if names is None:
        known = api.reading.watchlist_assets()
        ids = dict(known.select("ticker", "asset_id").iter_rows())
    else:
        ids = _resolve(api, names)
    found = latest_quotes(api.reading.db, list(ids.values()))
    return {
        "quotes": found.to_dicts(),
        "missing": sorted(set(ids) - set(found["ticker"].to_list())),
    }


@router.get("/v1/coverage", response_model=models.Coverage)
def coverage(
    api: Annotated[Api, Depends(the_api)],
    _reader: Reader,
    tickers: Tickers = None,
    scope: Literal["watchlist", "market"] = "watchlist",
    start: Annotated[date | None, Query(description="Default: STOCK_PLATFORM_START_DATE.")] = None,
    end: Annotated[date | None, Query(description="Default: the last completed session.")] = None,
) -> Any:
    """Sessions of assets by state; by ticker for those named, or tracked.

    Settled are those that need no further call. The market's numbers are at most 30 seconds old.
    """
    names = _tickers(tickers)
    if names is not None and scope == "market":
        raise InputError("scope", scope, "leave out the tickers, or use watchlist")
    if names is None and scope == "market":
        return api.kept(
            f"coverage {start} {end}", _KEPT_SECONDS, lambda: _market(api.reading, start, end)
        )
    if names is None:
        chosen = api.reading.watchlist_assets()
    else:
        chosen = catalog.by_id(api.reading.db, list(_resolve(api, names).values()))
    return _coverage(api.reading, chosen, start, end, each=True)


def _market(platform: Platform, start: date | None, end: date | None) -> dict[str, Any]:
    calendar = platform.settings.calendar
    found = catalog.universe(platform.db, "market", calendar=calendar)
    return _coverage(platform, found, start, end, each=False)


def _coverage(
    platform: Platform, chosen: Any, start: date | None, end: date | None, *, each: bool
) -> dict[str, Any]:
    from stock_platform.apps.cli.selection import completed_sessions
    from stock_platform.apps.cli.status import first_day, scope

    first = start or first_day(platform.settings, end)
    sessions = completed_sessions(platform.settings, first, end)
    told = scope(platform, chosen, sessions, each=each)
    return {
        "start": sessions[0].astype(object),
        "end": sessions[-1].astype(object),
        "tickers": [],
        **told,
        "reasons": told["reasons"][:_MOST_REASONS],
    }


def _tickers(text: str | None) -> list[str] | None:
    """Canonical tickers of a list; None: none was given. Raises InputError."""
    if text is None:
        return None
    words = [word for word in text.split(",") if word.strip()]
    if not 1 <= len(words) <= MOST_TICKERS:
        raise InputError("tickers", text[:60], f"name 1 to {MOST_TICKERS}, separated by commas")
    return list(dict.fromkeys(parse_symbol(word).ticker for word in words))


def _resolve(api: Api, names: list[str]) -> dict[str, int]:
    found = catalog.resolve(api.reading.db, names)
    for name in names:
        if name not in found:
            raise unknown(api, name)
    return {name: found[name] for name in names}


def _text(parameter: str, text: str | None) -> str | None:
    """Text that PostgreSQL takes. Raises InputError."""
    if text and not text.isprintable():
        raise InputError(parameter, text, "use printable characters")
    return text
