"""What assets hand to the IO manager, and the types that describe it.

Belongs here: the lazy results of assets, and their Dagster types. Does not: draining and
writing them (io_managers.py), what metadata they leave (metadata.py).

Assets hold no frames. They hand over a promise: the cells, and a stream that fetches or judges
them batch by batch when it is drained, so that memory is bounded and a run that dies keeps
what it had.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import polars as pl
from dagster import (
    DagsterType,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
    TypeCheck,
    TypeCheckContext,
)
from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type
from dagster_pandera import pandera_schema_to_dagster_type

from stock_platform.domain.bars import RAW_QUOTES, VALIDATED_PRICES
from stock_platform.domain.batches import ValidatedBatch
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.validation.schema import ValidatedBars
from stock_platform.pipeline.fetching import FetchStream
from stock_platform.storage.periods import PERIOD_PRICES
from stock_platform.storage.readers import INDICATORS


@dataclass(frozen=True)
class RawQuotes:
    """A fetch that runs when it is drained.

    Attributes:
        grid: the cells of the run.
        stream: yields what to commit; its report is complete in the end.
        per_ticker_calls: calls that one call a ticker would take.
    """

    grid: CellGrid
    stream: FetchStream
    per_ticker_calls: int


@dataclass(frozen=True)
class ValidatedPrices:
    """Judgements that are made when they are drained."""

    grid: CellGrid
    batches: Iterator[ValidatedBatch]


@dataclass(frozen=True)
class Derived:
    """Rows derived from validated prices, in the database already: one transaction each batch.

    Attributes:
        grid: the cells of the run.
        table: the table in schema stocks.
        changed: rows that differ from what was there.
    """

    grid: CellGrid
    table: str
    changed: int


@dataclass(frozen=True)
class Cells:
    """What an asset finds of the asset before it: where to look, not the rows."""

    grid: CellGrid
    keys: list[str] = field(repr=False)


def table_schema(
    schema: dict[str, pl.DataType], descriptions: dict[str, str], key: tuple[str, ...]
) -> TableSchema:
    """A polars schema as Dagster shows it."""
    return TableSchema(
        columns=[
            TableColumn(
                name,
                type=str(kind),
                description=descriptions.get(name),
                constraints=TableColumnConstraints(nullable=name not in key),
            )
            for name, kind in schema.items()
        ]
    )


WORDS = {
    "asset_id": "the asset, whatever its ticker was",
    "interval": "length of the bar: 1d",
    "source": "the vendor it comes from",
    "ts": "start of the bar, UTC; a day starts at its session's opening",
    "session": "the exchange's local date",
    "open": "in the asset's currency",
    "volume": "shares, coins or contracts",
    "vwap": "volume-weighted average price, where the source gives it",
    "trades": "number of trades, where the source gives it",
    "basis": "as_traded, split_adjusted or fully_adjusted as of fetched_at",
    "fetched_at": "when the vendor gave it",
    "flags": "names of the rules that warn",
    "date": "the day, or the first of the period, that the value is of",
    "market_value": "of what is held at the day's end",
    "cost": "of what is held, first in, first out, fees included",
    "contributed": "paid for purchases that day, with fees",
    "withdrawn": "proceeds of sales that day, less fees",
    "dividends": "of that ex-date",
    "realised": "gain of that day's sales",
    "twr": "time-weighted return since the first day; 0.1 is 10 %",
    "unpriced": "holdings valued at what was last paid for them",
    "value": "in the series' units; null where it was published as missing",
    "known_from": "the day it was published",
    "period": "first calendar day of the week (Monday) or month",
    "sessions": "sessions with a price",
    "simple_return": "adjusted close over the session before's, minus 1",
    "log_return": "its logarithm",
    "volatility_21": "of 21 log returns, annualised by sqrt(252)",
    "volatility_63": "of 63 log returns, annualised by sqrt(252)",
}

SCHEMAS = {
    "raw_quotes": table_schema(RAW_QUOTES, WORDS, ("asset_id", "interval", "source", "ts")),
    "validated_prices": table_schema(VALIDATED_PRICES, WORDS, ("asset_id", "interval", "ts")),
    "weekly_prices": table_schema(PERIOD_PRICES, WORDS, ("asset_id", "period")),
    "monthly_prices": table_schema(PERIOD_PRICES, WORDS, ("asset_id", "period")),
    "indicators": table_schema(INDICATORS, WORDS, ("asset_id", "session")),
}

VALIDATED_FRAME: DagsterType = pandera_schema_to_dagster_type(ValidatedBars)
"""A frame of validated prices. No frame that breaks it is written."""


_columns: Any = PandasColumn  # dagster-pandas has no types
_frame_type: Any = create_dagster_pandas_dataframe_type

RAW_FRAME: DagsterType = _frame_type(
    name="RawQuotesSample",
    description="Raw quotes as a vendor gave them, in the form that yfinance users know: pandas.",
    columns=[
        _columns.string_column("ticker", non_nullable=True),
        _columns.string_column("session", non_nullable=True),
        _columns.string_column("source", non_nullable=True),
        _columns.categorical_column(
            "basis", {"as_traded", "split_adjusted", "fully_adjusted"}, of_types={"object", "str"}
        ),
        *(
            _columns.float_column(name, ignore_missing_vals=True)
            for name in ("open", "high", "low", "close", "volume")
        ),
    ],
)
"""A sample of raw quotes; the rows in a materialization's metadata have passed it."""


def check_frame(kind: DagsterType, frame: Any) -> TypeCheck:
    """A type's verdict on a frame, without a run around it."""
    return kind.type_check(cast("TypeCheckContext", None), frame)


def _stream_type(
    name: str, kind: type[Any], text: str, frame: DagsterType | None = None
) -> DagsterType:
    return DagsterType(
        type_check_fn=lambda _, value: isinstance(value, kind),
        name=name,
        description=text,
        typing_type=kind,
        metadata=dict(frame.metadata) if frame is not None else None,
    )


RAW_STREAM = _stream_type(
    "RawQuotesStream",
    RawQuotes,
    "A fetch that the IO manager drains: one transaction a batch of calls.",
)
VALIDATED_STREAM = _stream_type(
    "ValidatedPricesStream",
    ValidatedPrices,
    "Validated prices, judged and committed batch by batch; every frame fulfils this schema.",
    VALIDATED_FRAME,
)
DERIVED = _stream_type(
    "DerivedRows", Derived, "Rows derived from validated prices, already committed."
)
