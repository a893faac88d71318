"""``stock-platform actions``: splits and dividends, who told them, and who says otherwise.

Belongs here: gathering and showing, refreshing. Does not: asking (pipeline/actions.py), which
telling stands (domain/reconciling.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stock_platform.apps.cli.selection import Json
from stock_platform.domain.errors import InputError

if TYPE_CHECKING:
    from datetime import datetime

    from stock_platform.pipeline.runtime import Platform


def actions(
    ticker: Annotated[str, typer.Argument(help="A ticker in any common spelling.")],
    as_of: Annotated[
        str | None, typer.Option(help="As they were known on this day, or at this time.")
    ] = None,
    *,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Ask for what is new first (STOCK_PLATFORM_SOURCES)."),
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Also every source's words, former ones among them.")
    ] = False,
    json: Json = False,
) -> int:
    """Show a ticker's splits and dividends in force, by whom they were told, and conflicts."""
    from stock_platform.apps.cli import DONE, PARTLY
    from stock_platform.apps.cli import output as out
    from stock_platform.apps.cli.selection import read_tickers
    from stock_platform.pipeline.bulk import as_moment
    from stock_platform.pipeline.runtime import Platform

    (name,) = read_tickers([ticker])
    moment = as_moment("as-of", as_of)
    if refresh and moment is not None:
        raise InputError("refresh", "--refresh", "leave out --as-of: the past is not asked for")
    failures: dict[str, str] = {}
    with Platform.from_settings() if refresh else Platform.reading() as platform:
        asset_id = int(platform.assets_for([name], register=False)["asset_id"][0])
        if refresh:
            report = platform.refresh_actions("watchlist")
            failures = report.failures
            out.note(f"{out.plural(report.changed.height, 'action')} new, different or gone")
        facts = {"ticker": name, **gather(platform, asset_id, moment, history=history)}
    if json:
        out.show_json(facts)
    else:
        _show(facts)
    for what, why in failures.items():
        typer.echo(f"error: {what}: {why}", err=True)
    return PARTLY if failures else DONE


def gather(
    platform: Platform, asset_id: int, as_of: datetime | None, *, history: bool
) -> dict[str, Any]:
    """What is known of an asset's actions. ``factor`` multiplies earlier prices."""
    import polars as pl

    from stock_platform.domain.corporate_actions import dividend_factors
    from stock_platform.storage import actions as store
    from stock_platform.storage import readers

    db = platform.db
    known = store.actions(db, [asset_id], as_of)
    splits = readers.splits(db, [asset_id], as_of)
    factors = dividend_factors(
        readers.dividends(db, [asset_id], as_of),
        splits,
        readers.closes_before_dividends(db, [asset_id], as_of),
    ).select("ex_date", "factor")
    split, dividend = known.filter(kind="split"), known.filter(kind="dividend")
    told = ["source", "sources", "recorded_at"]
    found: dict[str, Any] = {
        "as_of": as_of,
        "splits": split.select(
            "ex_date", pl.col("value").alias("ratio"), (1 / pl.col("value")).alias("factor"), *told
        ).to_dicts(),
        "dividends": dividend.join(factors, on="ex_date", how="left", maintain_order="left")
        .select("ex_date", pl.col("value").alias("amount"), "currency", "factor", *told)
        .to_dicts(),
    }
    if as_of is None:
        found["conflicts"] = store.conflicts(db, [asset_id]).drop("asset_id").to_dicts()
    if history:
        found["told"] = store.tellings(db, [asset_id]).drop("asset_id").to_dicts()
    return found


def _show(facts: dict[str, Any]) -> None:
    from stock_platform.apps.cli import output as out

    then = f" as of {facts['as_of']:%Y-%m-%d %H:%MZ}" if facts["as_of"] else ""
    if not facts["splits"] and not facts["dividends"]:
        out.note(f"no split or dividend of {facts['ticker']} is known{then}")
    if facts["splits"]:
        out.show_table(
            ["ex-date", "split", "told by"],
            [
                (row["ex_date"], split_words(row["ratio"]), ", ".join(row["sources"]))
                for row in facts["splits"]
            ],
            title=f"Splits of {facts['ticker']}{then}",
        )
    if facts["dividends"]:
        out.show_table(
            ["ex-date", "cash a share", "currency", "factor", "told by"],
            [
                (
                    row["ex_date"],
                    row["amount"],
                    row["currency"],
                    f"{row['factor']:.6f}" if row["factor"] else "no price before it",
                    ", ".join(row["sources"]),
                )
                for row in facts["dividends"]
            ],
            title=f"Dividends of {facts['ticker']}{then}",
        )
    if facts.get("conflicts"):
        out.show_table(
            ["action", "ex-date", "value", "but", "says", "ex-date of", "differs in"],
            [
                (
                    row["kind"],
                    row["ex_date"],
                    row["value"],
                    row["source"],
                    row["told_value"],
                    row["told_ex_date"],
                    row["what"],
                )
                for row in facts["conflicts"]
            ],
            title="Conflicts: told, and not in force",
        )
    if facts.get("told"):
        out.show_table(
            ["ex-date", "kind", "source", "value", "told at", "until"],
            [
                tuple(
                    row[n] for n in ("ex_date", "kind", "source", "value", "fetched_at", "known_to")
                )
                for row in facts["told"]
            ],
            title="What sources say, and said",
        )


def split_words(ratio: float) -> str:
    """``4 for 1``, ``1 for 10``, ``3 for 2``."""
    from fractions import Fraction

    found = Fraction(ratio).limit_denominator(1000)
    if abs(float(found) - ratio) > 1e-6 * ratio:
        return f"{ratio:g} for 1"
    return f"{found.numerator} for {found.denominator}"
