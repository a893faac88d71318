"""The JSON of answers and of what is sent, as pydantic models: they make the OpenAPI.

Belongs here: names, types and their meaning. Does not: gathering.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """What all answers share."""

    model_config = ConfigDict(extra="forbid")


Cursor = Annotated[
    str | None, Field(description="Give it as `cursor` for the next page; null: this is the last.")
]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Health(Answer):
    """Whether the platform works."""

    status: Literal["ok", "degraded", "down"]
    version: str
    database: bool
    migration: str | None = None
    problems: list[str] = Field(default_factory=list, description="What is open as an alert.")


class Job(Answer):
    """A history to fill."""

    job_id: int
    ticker: str | None
    first_day: date
    last_day: date
    state: str
    reason: str
    attempts: int
    retry_after: datetime | None
    run_id: str | None = Field(description="Of the Dagster run that has it, or had it last.")
    error: str | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class Queue(Answer):
    """The queue of histories to fill."""

    states: dict[str, int]
    oldest_due: datetime | None = Field(description="Since when the next job could have begun.")
    open_events: int = Field(description="Events of portfolios that nobody has acted on yet.")
    jobs: list[Job] = Field(description="The latest ones.")


class Limit(Answer):
    """One limit of a source."""

    calls: int
    seconds: float
    spent: int
    left: int


class Quota(Answer):
    """What is left of a source's limits."""

    blocked_seconds: float
    limits: list[Limit]


class Source(Answer):
    """A source: whether it is asked, how it fares, what is left of its quota."""

    source: str
    on: bool
    state: str
    standby: bool
    tells: list[str]
    needs: str | None = Field(description="The variable of its key.")
    key_set: bool | None
    circuit: Literal["closed", "open", "half_open"]
    success_rate: float | None
    latency_seconds: float | None
    accuracy: float | None
    failures_in_row: int
    last_error: str | None
    last_error_at: datetime | None
    last_success_at: datetime | None
    next_try: datetime | None
    not_entitled: dict[str, str]
    quota: Quota


class Sources(Answer):
    """Every source there is, those that are on first."""

    sources: list[Source]


class Asset(Answer):
    """An asset by its current ticker."""

    ticker: str
    asset_id: int
    name: str | None
    asset_class: str
    calendar: str
    currency: str | None
    listed_on: date | None
    delisted_on: date | None
    tracked: bool


class Assets(Answer):
    """A page of assets, by ticker."""

    assets: list[Asset]
    next: Cursor = None


class Bar(Answer):
    """A price; weeks and months have `period`, `sessions` and `last_session`, others the rest."""

    ticker: str
    session: date = Field(description="The exchange's date; of a week or month: its last session.")
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    ts: datetime | None = Field(default=None, description="UTC, where the bar begins.")
    vwap: float | None = None
    source: str | None = None
    flags: list[str] | None = None
    period: date | None = Field(default=None, description="The first calendar day.")
    sessions: int | None = None
    first_session: date | None = None
    last_session: date | None = None


class Prices(Answer):
    """A page of prices of one ticker, in the order of time."""

    ticker: str
    interval: str
    adjust: str
    next: Cursor = None
    prices: list[Bar]


class Quote(Answer):
    """The newest price of an asset."""

    ticker: str
    kind: Literal["quote", "close"] = Field(
        description="quote: of a session that has no validated close yet; close: the last one."
    )
    price: float
    session: date
    quoted_at: datetime = Field(description="UTC; of a close: where its bar begins.")
    previous_close: float | None = Field(description="As traded then.")
    volume: float | None
    currency: str | None
    source: str


class Quotes(Answer):
    """The newest prices, by ticker."""

    quotes: list[Quote]
    missing: list[str] = Field(description="Tickers asked for that have no price yet.")


class Reason(Answer):
    """Why cells are not stored."""

    status: str
    reason: str | None
    source: str | None
    cells: int


class TickerCoverage(Answer):
    """Sessions of one ticker by state."""

    ticker: str
    stored: int
    no_data: int
    not_listed: int
    waiting: int
    failed: int
    missing: int


class Coverage(Answer):
    """What is stored of what should be, in sessions of assets."""

    start: date
    end: date
    assets: int
    expected: int
    settled: int
    share: Fraction
    states: dict[str, int]
    reasons: list[Reason]
    tickers: list[TickerCoverage]


class Transaction(Answer):
    """A stored transaction."""

    id: int
    user: str
    ticker: str
    side: Literal["buy", "sell"]
    quantity: float
    price: float
    fee: float
    currency: str
    date: date
    executed_at: datetime
    external_id: str | None


class Transactions(Answer):
    """A page of transactions in the order of their execution."""

    transactions: list[Transaction]
    next: Cursor = None


Decimal = Annotated[
    str | float,
    Field(description="A number, or text of one for exact decimals.", examples=["12.5"]),
]
UserName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[!-~]+$")]


class NewTransaction(BaseModel):
    """A transaction to enter."""

    model_config = ConfigDict(extra="forbid")

    ticker: str = Field(min_length=1, max_length=40, examples=["AAPL"])
    side: Literal["buy", "sell"]
    quantity: Decimal
    price: Decimal
    executed_at: str | None = Field(
        default=None,
        max_length=40,
        description="2024-01-31, or 2024-01-31T15:30:00-05:00; null: now.",
        examples=["2024-01-31"],
    )
    currency: str | None = Field(default=None, pattern="^[A-Z]{3,5}$")
    fee: Decimal = 0
    external_id: str | None = Field(
        default=None, max_length=200, description="Your own number: sent again, it is entered once."
    )


class NewTransactions(BaseModel):
    """Transactions to enter, all or none."""

    model_config = ConfigDict(extra="forbid")

    user: UserName | None = None
    transactions: list[NewTransaction] = Field(min_length=1, max_length=5000)
    new_tickers: bool = Field(default=False, description="Take tickers the catalog does not have.")


class Entered(Answer):
    """What became of transactions, in the order given."""

    ids: list[int]
    entered_before: list[int] = Field(description="Those of the ids that were there already.")


class Position(Answer):
    """What is held of one asset, in shares of today and the portfolio's currency."""

    model_config = ConfigDict(extra="allow")

    ticker: str
    name: str | None
    quantity: float


class Positions(Answer):
    """What is held."""

    user: str
    currency: str
    positions: list[Position]
    problems: list[str]


class Performance(Answer):
    """Value, gains and returns; returns are fractions."""

    user: str
    currency: str
    first: date
    last: date
    market_value: float | None
    cost: float | None
    unrealised: float | None
    realised: float | None
    dividends: float | None
    contributed: float | None
    withdrawn: float | None
    twr: float | None = Field(description="Time-weighted return, in all.")
    twr_annual: float | None
    mwr: float | None = Field(description="Money-weighted return, a year.")
    unpriced: int
    problems: list[str]
    days: list[dict[str, Any]] | None = Field(default=None, description="With `daily`.")


class Done(Answer):
    """What an operator asked for was done."""

    done: str
