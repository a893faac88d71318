"""``/v1/explain``: why a price is what it is, or why there is none.

Belongs here: parameters and the answer's shape. Does not: gathering (pipeline/explaining.py).
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from stock_platform.apps.api.auth import Reader
from stock_platform.apps.api.context import Api, the_api
from stock_platform.apps.api.models import Answer
from stock_platform.apps.api.problems import RESPONSES
from stock_platform.apps.cli.output import clean
from stock_platform.pipeline.explaining import explain

router = APIRouter(tags=["market"], responses=RESPONSES)

Facts = dict[str, Any]


class Explanation(Answer):
    """Everything known of one cell, as ``stock-platform explain --json`` prints it."""

    asset: Facts
    date: date
    now: str = Field(description="By the market's clock.")
    session: Facts | None = Field(description="Hours of the session; null: there is none.")
    closed_because: str | None
    cell: Facts | None = Field(description="The coverage ledger's row; null: never asked for.")
    quotes: list[Facts] = Field(
        description="Every source's quote, as it came and as traded, with each rule's verdict."
    )
    failed_calls: list[Facts]
    unreadable: list[Facts]
    actions: list[Facts] = Field(description="Splits and dividends in force around the day.")
    decisions: list[Facts] = Field(description="What people decided.")
    price: Facts | None
    why: str = Field(description="Why this price, or why none.")
    adjusted: Facts | None
    story: list[str] = Field(description="The same in sentences.")


@router.get("/v1/explain", response_model=Explanation)
def explanation(
    api: Annotated[Api, Depends(the_api)],
    _reader: Reader,
    ticker: Annotated[str, Query(max_length=40, examples=["AAPL"])],
    day: Annotated[date, Query(alias="date", examples=["2024-01-31"])],
) -> Any:
    """Why a ticker's price of a day is what it is: sources, rules, choice, calls, decisions."""
    return clean(explain(api.reading, ticker, day))
