"""Small directories, and what is known after one of them."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from stock_platform.domain.catalog import KNOWN, SNAPSHOT, CatalogDiff, compare
from stock_platform.domain.catalog.snapshot import with_kinds

SPRING, SUMMER = date(2025, 3, 28), date(2025, 7, 21)


def directory(*rows: dict[str, Any] | tuple[str, str]) -> pl.DataFrame:
    """SNAPSHOT of (symbol, name) pairs, or of rows that say more."""
    made = [dict(zip(("symbol", "name"), r, strict=True)) if isinstance(r, tuple) else r
            for r in rows]  # fmt: skip
    usual = {"exchange": "XNYS", "asset_class": "stock", "currency": "USD", "active": True,
             "source": "nasdaqtrader"}  # fmt: skip
    frame = pl.DataFrame([usual | row for row in made], schema=SNAPSHOT, orient="row")
    return with_kinds(frame)


def known(snapshot: pl.DataFrame, seen: date | None = SPRING, **changes: pl.Expr) -> pl.DataFrame:
    """KNOWN, where the catalog learned this directory; ids in its order."""
    return (
        snapshot.with_row_index("asset_id", 1)
        .with_columns(
            pl.lit(date(1, 1, 1)).alias("valid_from"),
            pl.lit(seen, dtype=pl.Date).alias("last_seen"),
        )
        .with_columns(**changes)
        .select(pl.col(name).cast(dtype) for name, dtype in KNOWN.items())
    )


def after(known_now: pl.DataFrame, snapshot: pl.DataFrame, **more: Any) -> CatalogDiff:
    """What the summer's directory changes."""
    given = {"as_of": SUMMER, "previous": SPRING} | more
    return compare(known_now, snapshot, **given)


def told(diff: CatalogDiff, *, applied: bool = True) -> list[tuple[str, str, str | None]]:
    """(kind, ticker, former ticker) of the changes."""
    rows = diff.changes.filter(pl.col("applied") == applied)
    return rows.select("kind", "ticker", "former_ticker").rows()
