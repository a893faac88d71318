"""``/v1/portfolio``: transactions in, positions and performance out.

Belongs here: parameters and answers. Does not: checks and storing (pipeline/portfolio.py),
measures (pipeline/performance.py). Entering never waits for data.
"""

from __future__ import annotations

import base64
import math
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query
from starlette.responses import Response

from stock_platform.apps.api import models
from stock_platform.apps.api.auth import Reader, Trader
from stock_platform.apps.api.context import Api, the_api
from stock_platform.apps.api.models import UserName
from stock_platform.apps.api.problems import RESPONSES, Problem
from stock_platform.domain.errors import InputError
from stock_platform.domain.portfolio import Side
from stock_platform.domain.portfolio.transactions import read_user
from stock_platform.pipeline.portfolio import Order, check_orders, enter_orders, transaction_row
from stock_platform.pipeline.statements import read_statement_text
from stock_platform.storage import assets as catalog
from stock_platform.storage import portfolio as book

router = APIRouter(prefix="/v1/portfolio", tags=["portfolio"], responses=RESPONSES)

_MOST_ID = 2**63 - 1
_MOST_WRONG = 50

TheApi = Annotated[Api, Depends(the_api)]
User = Annotated[
    UserName | None, Query(description="Whose; default: the token's user, or else me.")
]
InCurrency = Annotated[
    str | None,
    Query(pattern="^[A-Z]{3,5}$", description="Default: STOCK_PLATFORM_PORTFOLIO_CURRENCY."),
]
NewTickers = Annotated[bool, Query(description="Take tickers the catalog does not have.")]


@router.get("/transactions", response_model=models.Transactions)
def transactions(
    api: TheApi,
    caller: Reader,
    user: User = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
    cursor: Annotated[str | None, Query(max_length=100, description="Of the page before.")] = None,
) -> Any:
    """Transactions in the order of their execution."""
    found = book.transactions(
        api.reading.db, caller.portfolio_of(user), after=read_cursor(cursor), limit=limit + 1
    )
    shown = found[:limit]
    known = catalog.by_id(api.reading.db, sorted({t.asset_id for t in shown}))
    tickers = dict(known.select("asset_id", "ticker").iter_rows())
    rows = [transaction_row(t, tickers[t.asset_id]) for t in shown]
    return {
        "transactions": rows,
        "next": make_cursor(book.Place.of(shown[-1])) if len(found) > limit else None,
    }


@router.post("/transactions", response_model=models.Entered, status_code=201)
def enter(api: TheApi, caller: Trader, sent: models.NewTransactions) -> Any:
    """Enter transactions, all or none. What they need of data is fetched afterwards."""
    user = caller.portfolio_of(sent.user)
    orders = [
        Order(
            user, o.ticker, o.side, o.quantity, o.price, o.executed_at, o.currency, o.fee,
            o.external_id,
        )
        for o in sent.transactions
    ]  # fmt: skip
    return _enter(api, orders, new_tickers=sent.new_tickers)


@router.delete("/transactions/{transaction_id}", status_code=204, response_class=Response)
def remove(
    api: TheApi,
    caller: Trader,
    transaction_id: Annotated[int, Path(ge=1, le=_MOST_ID)],
    user: User = None,
) -> Response:
    """Remove a transaction that was entered by mistake."""
    whose = caller.portfolio_of(user)
    if not book.has_any(api.reading.db, whose, transaction_id):
        raise Problem(404, f"{whose} has no transaction {transaction_id}")
    book.remove(api.writing.db, whose, transaction_id)
    return Response(status_code=204)


@router.post(
    "/statements",
    response_model=models.Entered,
    status_code=201,
    responses={415: RESPONSES[422] | {"description": "The body is not text/csv."}},
)
def statement(
    api: TheApi,
    caller: Trader,
    content: Annotated[
        bytes,
        Body(
            media_type="text/csv",
            description="A header and rows: ticker, side, quantity, price, date; and perhaps "
            "currency, fee, user, external_id.",
        ),
    ],
    user: User = None,
    new_tickers: NewTickers = False,
) -> Any:
    """Enter the transactions of a broker's statement, all or none; tells each wrong line."""
    whose = caller.portfolio_of(user)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("file", "(bytes)", "send UTF-8 text") from None
    numbered = read_statement_text(text, "statement", whose)
    orders = [order for _, order in numbered]
    for order in orders:
        caller.portfolio_of(order.user)
    wrong = check_orders(api.reading.db, api.reading.clock, orders, new_tickers=new_tickers)
    if wrong:
        lines = [f"line {numbered[at][0]}: {error}" for at, error in wrong.items()]
        more = f" and {len(lines) - _MOST_WRONG:,} more" if len(lines) > _MOST_WRONG else ""
        raise InputError("statement", f"{len(lines)} lines", "; ".join(lines[:_MOST_WRONG]) + more)
    return _enter(api, orders, new_tickers=new_tickers)


@router.get("/positions", response_model=models.Positions)
def positions(
    api: TheApi,
    caller: Reader,
    user: User = None,
    currency: InCurrency = None,
    closed: Annotated[bool, Query(description="Also what was sold whole.")] = False,
) -> Any:
    """What is held: cost, value and gain, in shares of today."""
    found = _measure(api, caller.portfolio_of(user), currency)
    rows = found.positions.to_dicts()
    return {
        "user": found.summary["user"],
        "currency": found.summary["currency"],
        "positions": [_clean(row) for row in rows if closed or row["quantity"] > 0],
        "problems": found.problems,
    }


@router.get("/performance", response_model=models.Performance)
def performance(
    api: TheApi,
    caller: Reader,
    user: User = None,
    currency: InCurrency = None,
    daily: Annotated[bool, Query(description="Also day by day.")] = False,
) -> Any:
    """Value, gains, and time- and money-weighted returns."""
    found = _measure(api, caller.portfolio_of(user), currency)
    days = [_clean(row) for row in found.days.to_dicts()] if daily else None
    return {**_clean(found.summary), "problems": found.problems, "days": days}


def _measure(api: Api, user: str, currency: str | None) -> Any:
    if not book.has_any(api.reading.db, read_user(user)):
        raise Problem(404, f"{user} has no transaction")
    return api.reading.performance(user, currency)


def _enter(api: Api, orders: list[Order], *, new_tickers: bool) -> dict[str, Any]:
    platform = api.writing
    entered = enter_orders(platform.db, platform.clock, orders, new_tickers=new_tickers)
    return {
        "ids": entered.ids,
        "entered_before": [entered.ids[at] for at in sorted(entered.repeated)],
    }


def _clean(row: Any) -> dict[str, Any]:
    """What is not a number becomes null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def make_cursor(place: book.Place) -> str:
    """A place in the order of transactions as a text that nobody need read."""
    parts = (place.executed_at.astimezone(UTC).isoformat(), place.side, str(place.transaction_id))
    return base64.urlsafe_b64encode("|".join(parts).encode()).decode().rstrip("=")


def read_cursor(text: str | None) -> book.Place | None:
    """The place of a cursor. Raises InputError."""
    if text is None:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        at, side, number = base64.urlsafe_b64decode(padded).decode("ascii").split("|")
        place = book.Place(datetime.fromisoformat(at), str(Side(side)), int(number))
        if place.executed_at.tzinfo is None or not 0 <= place.transaction_id <= _MOST_ID:
            raise ValueError
    except (ValueError, OverflowError):
        raise InputError("cursor", text, "use `next` of the page before") from None
    return place
