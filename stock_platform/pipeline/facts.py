"""Facts of cells from what is stored, for what was touched since: the base of all scores.

Belongs here: reading quotes, prices, quarantine and opinions, a byte a cell. Does not: scores
(scoring.py), bits (domain/quality.py).

An asset's year is read again as a whole where anything in it was judged or compared; all else
stays. So a night's run reads one year of the assets that traded, not their history.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.comparing import Opinion
from stock_platform.domain.quality import PROMPT_HOURS, Fact, differs, doubts
from stock_platform.storage import assets as catalog
from stock_platform.storage import price_checks, quality, quarantine, readers
from stock_platform.storage.bits import DAYS

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

CELLS_PER_READ = 100_000
NEVER = date(9999, 12, 31)


def refresh_facts(platform: Platform) -> int:
    """Read again what was touched; the number of cells that were looked at."""
    touched = quality.touched(platform.db)
    looked = 0
    for part in _parts(touched):
        known = catalog.by_id(platform.db, part["asset_id"].unique().to_list())
        first, last = int(part["year"].min()), int(part["year"].max())  # type: ignore[arg-type]
        facts, findings = _facts(platform, known, first, last)
        quality.write_facts(platform.db, facts, findings, part["touch_id"].to_list())
        looked += known.height * 366 * (last - first + 1)
    return looked


def facts_now(platform: Platform, assets: pl.DataFrame) -> dict[str, quality.YearFacts]:
    """Facts of a few assets (ASSETS) as of now, whether they were scored since or not.

    Nothing is written.
    """
    ids = assets["asset_id"].to_list()
    found = quality.facts(platform.db, ids)
    touched = quality.touched(platform.db).filter(pl.col("asset_id").is_in(ids))
    if touched.is_empty():
        return found
    first, last = int(touched["year"].min()), int(touched["year"].max())  # type: ignore[arg-type]
    frame, _ = _facts(platform, assets, first, last)
    for source in sorted({*found, *frame["source"].to_list()}):
        rows = frame.filter(pl.col("source") == source)
        new = quality.YearFacts(
            rows["asset_id"].to_numpy(),
            rows["year"].cast(pl.Int64).to_numpy(),
            np.frombuffer(bytes.fromhex("".join(rows["facts"])), np.uint8).reshape(-1, DAYS),
            rows["first_fetched"].to_numpy().astype("datetime64[D]"),
        )
        old = found.get(source)
        found[source] = new if old is None else old.without(first, last).joined(new)
    return found


def _parts(touched: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Touches of assets with the same span of years, of about CELLS_PER_READ cells each."""
    spans = touched.group_by("asset_id").agg(
        pl.col("year").min().alias("first"), pl.col("year").max().alias("last")
    )
    for (first, last), group in sorted(spans.group_by("first", "last"), key=lambda g: g[0]):
        years = int(last) - int(first) + 1
        step = max(1, CELLS_PER_READ // (DAYS * years))
        for part in group.sort("asset_id").iter_slices(step):
            yield touched.join(part, on="asset_id", how="semi")


def _facts(
    platform: Platform, known: pl.DataFrame, first_year: int, last_year: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of ``quality_facts`` and ``quality_findings`` of assets and whole years."""
    db, first, last = platform.db, date(first_year, 1, 1), date(last_year, 12, 31)
    ids = np.sort(known["asset_id"].to_numpy())
    listed = ids.tolist()
    shape = (len(ids), (last - first).days + 1)
    made: dict[str, npt.NDArray[np.uint8]] = {"": np.zeros(shape, dtype=np.uint8)}

    def put(frame: pl.DataFrame, fact: Fact, *, source: bool = True, cell: bool = True) -> None:
        if frame.is_empty():
            return
        rows = np.searchsorted(ids, frame["asset_id"].to_numpy())
        columns = (frame["session"] - first).dt.total_days().to_numpy()
        if cell:
            made[""][rows, columns] |= np.uint8(fact)
        if source:
            names = frame["source"]
            for name in names.unique().to_list():
                matrix = made.setdefault(name, np.zeros(shape, dtype=np.uint8))
                at = (names == name).to_numpy()
                matrix[rows[at], columns[at]] |= np.uint8(fact)

    quotes = readers.quote_times(db, listed, first, last)
    put(quotes, Fact.STORED)
    put(_prompt(quotes, known, first, last), Fact.PROMPT)
    prices = readers.price_flags(db, listed, first, last)
    put(prices, Fact.PRICED)
    put(prices.filter(doubts()), Fact.DOUBTED)
    put(prices.filter(differs()), Fact.APART | Fact.COMPARED, source=False)
    aside = quarantine.failed_daily(db, listed, first, last)
    put(aside, Fact.ASIDE)
    checks = price_checks.of_assets(db, listed, first, last)
    heard = checks.filter(pl.col("opinion") != str(Opinion.ABSENT))
    put(heard, Fact.COMPARED)
    apart = [str(Opinion.OUTVOTED), str(Opinion.UNDECIDED)]
    put(heard.filter(pl.col("opinion").is_in(apart)), Fact.APART)
    absent = checks.filter(opinion=str(Opinion.ABSENT))
    put(absent, Fact.ABSENT, cell=False)
    return _rows(made, ids, first_year, last_year, _first_fetched(quotes)), _findings(prices, aside)


def _prompt(quotes: pl.DataFrame, known: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    """The quotes that were fetched within PROMPT_HOURS of their session's close."""
    if quotes.is_empty():
        return quotes
    closes = pl.concat(
        get_calendar(name).table(first, last).select(
            "session", "closes", pl.lit(name).alias("calendar")
        )
        for name in known["calendar"].unique().sort()
    )  # fmt: skip
    late = pl.col("closes") + timedelta(hours=PROMPT_HOURS)
    return (
        quotes.join(known.select("asset_id", "calendar"), on="asset_id")
        .join(closes, on=["calendar", "session"])
        .filter(pl.col("fetched_at") <= late)
    )


def _first_fetched(quotes: pl.DataFrame) -> dict[tuple[int, int, str], date]:
    """The first day on which anything of an asset's year was fetched, by source and at all."""
    dated = quotes.select(
        "asset_id", pl.col("session").dt.year().alias("year"), "source",
        pl.col("fetched_at").dt.date().alias("day"),
    )  # fmt: skip
    both = pl.concat([dated, dated.with_columns(pl.lit("").alias("source"))])
    found = both.group_by("asset_id", "year", "source").agg(pl.col("day").min())
    return {(a, y, s): day for a, y, s, day in found.iter_rows()}


def _rows(
    made: dict[str, npt.NDArray[np.uint8]],
    ids: npt.NDArray[np.int32],
    first_year: int,
    last_year: int,
    first_fetched: dict[tuple[int, int, str], date],
) -> pl.DataFrame:
    """One row an asset, year and source, with its facts as hex."""
    rows = []
    start = date(first_year, 1, 1)
    for year in range(first_year, last_year + 1):
        begin = (date(year, 1, 1) - start).days
        days = (date(year, 12, 31) - date(year, 1, 1)).days + 1
        for source, matrix in made.items():
            block = np.zeros((len(ids), DAYS), dtype=np.uint8)
            block[:, :days] = matrix[:, begin : begin + days]
            some = block.any(axis=1) | (source == "")
            rows += [
                (
                    int(ids[at]), year, source, block[at].tobytes().hex(),
                    first_fetched.get((int(ids[at]), year, source), NEVER),
                )
                for at in np.flatnonzero(some)
            ]  # fmt: skip
    return pl.DataFrame(
        rows,
        schema={
            "asset_id": pl.Int32(), "year": pl.Int16(), "source": pl.String(),
            "facts": pl.String(), "first_fetched": pl.Date(),
        },
        orient="row",
    )  # fmt: skip


def _findings(prices: pl.DataFrame, aside: pl.DataFrame) -> pl.DataFrame:
    """Sessions by asset, year and the rule that found fault with them."""
    told = pl.concat(
        [
            prices.select("asset_id", "session", pl.col("flags").alias("rule")),
            aside.select("asset_id", "session", pl.col("reasons").alias("rule")),
        ]
    ).explode("rule").drop_nulls().unique()  # fmt: skip
    return (
        told.with_columns(pl.col("session").dt.year().cast(pl.Int16).alias("year"))
        .group_by("asset_id", "year", "rule")
        .agg(pl.len().cast(pl.Int64).alias("sessions"))
        .select(list(quality.FINDINGS))
    )
