"""Quality, as an asset: scores, gaps, a picture.

Belongs here: the asset, its job and schedule, what it shows. Does not: scoring
(pipeline/scoring.py), checks (orchestration/quality_checks.py).
"""

import base64
from typing import Any

import polars as pl
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSelection,
    DefaultScheduleStatus,
    MaterializeResult,
    MetadataValue,
    ScheduleDefinition,
    asset,
    define_asset_job,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from stock_platform.domain.quality import SCORES
from stock_platform.orchestration.assets.scoped import CODE_VERSION, OWNERS
from stock_platform.orchestration.assets.texts import describe
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.handles import table_schema
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.heatmap import Picture, draw, of_shards, of_tickers
from stock_platform.pipeline.runtime import Platform
from stock_platform.pipeline.scoring import Scored, score
from stock_platform.storage import quality as stored

QUALITY = AssetKey("quality")
JOB = "quality_job"
WORST = 20
TREND_DAYS = 14

COLUMNS = {
    "kind": "scope, ticker, source, day or partition",
    "session": "of a day or partition",
    "shard": "of a partition of the market",
    "asset_id": "of a ticker, or of a partition of the watchlist",
    "completeness": "of the cells that should be there, those that are; 0 to 100",
    "accuracy": "of the stored cells, those with a price no rule doubts; 0 to 100",
    "consistency": "of the cells several sources were heard on, those in which they agree",
    "timeliness": "of the cells that fell due, those that came within a day",
    "overall": "the weighted mean of the four",
}


def quality_asset() -> AssetsDefinition:
    """Scores of the whole store."""

    @asset(
        key=QUALITY,
        deps=[AssetKey([scope, "validated_prices"]) for scope in ("watchlist", "market")],
        description=describe("quality"),
        group_name="quality",
        owners=OWNERS,
        kinds={"postgres", "polars"},
        code_version=CODE_VERSION,
        metadata={
            "dagster/table_name": "stocks.quality_scores",
            "dagster/column_schema": table_schema(stored.ROWS, COLUMNS, tuple(stored.NOBODY)),
        },
    )
    def quality(
        context: AssetExecutionContext, platform: PlatformResource
    ) -> MaterializeResult[None]:
        """See texts.py."""
        ours = platform.get()
        with clear_failures():
            scored = score(ours)
        context.log.info(
            "%d cells read again, %d scores changed, %d gaps",
            scored.cells_read, scored.changed, scored.gaps.height,
        )  # fmt: skip
        return MaterializeResult(metadata=metadata_of(ours, scored))

    return quality


def metadata_of(platform: Platform, scored: Scored) -> dict[str, Any]:
    """What a scoring found, for the UI."""
    rows = scored.rows
    scopes = rows.filter(pl.col("kind") == "scope")
    told: dict[str, Any] = {
        "dagster/row_count": rows.height,
        "cells_read_again": scored.cells_read,
        "scores_changed": scored.changed,
        "gaps": scored.gaps.height,
        "sessions_in_gaps": int(scored.gaps["sessions"].sum()),
    }
    for row in scopes.to_dicts():
        told |= {f"{row['scope']}_{s}": row[s] for s in SCORES if row[s] is not None}
    told["scopes"] = MetadataValue.md(score_table("scope", scopes, "scope"))
    tickers = worst(scored)
    told["worst_tickers"] = MetadataValue.md(score_table("ticker", tickers, "ticker"))
    sources = rows.filter(pl.col("kind") == "source").sort("source")
    told["sources"] = MetadataValue.md(score_table("source", sources, "source"))
    told["gaps_by_reason"] = MetadataValue.md(gap_table(scored.gaps))
    told["trend"] = MetadataValue.md(trend_table(platform))
    for name, picture in pictures(platform, scored).items():
        told[name] = MetadataValue.md(as_markdown(picture))
    return told


def worst(scored: Scored, most: int = WORST) -> pl.DataFrame:
    """The tickers with the lowest overall scores."""
    names = scored.board.assets.select("asset_id", "ticker")
    tickers = scored.rows.filter(pl.col("kind") == "ticker").join(names, on="asset_id")
    return tickers.sort("overall", "ticker").head(most)


def pictures(platform: Platform, scored: Scored) -> dict[str, Picture]:
    """The heatmaps: of tracked tickers, and of the market's shards where it was asked for."""
    tracked = platform.watchlist_assets()["asset_id"].to_list()
    market = platform.known_market()["asset_id"].to_list()
    found = {}
    tickers = scored.rows.filter(
        pl.col("kind") == "ticker", pl.col("asset_id").is_in(tracked)
    ).sort("overall", "asset_id")  # fmt: skip
    if tickers.height:
        found["freshness_watchlist"] = of_tickers(scored.board, tickers["asset_id"].to_list())
    if set(scored.board.grid.assets.tolist()) & (set(market) - set(tracked)):
        found["freshness_market"] = of_shards(scored.board, market)
    return found


def as_markdown(picture: Picture) -> str:
    """A picture within markdown, as the UI shows it."""
    data = base64.b64encode(draw(picture)).decode()
    return f"![{picture.title}](data:image/png;base64,{data})"


def score_table(title: str, rows: pl.DataFrame, name: str) -> str:
    """Scores as a markdown table."""
    lines = [
        f"| {title} | overall | complete | accurate | consistent | timely | cells | newest |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for r in rows.to_dicts():
        values = [_number(r[s]) for s in ("overall", *SCORES[:-1])]
        lines.append(
            f"| {r[name]} | {' | '.join(values)} | {r['expected']:,} | {r['last_session'] or ''} |"
        )
    return "\n".join(lines) if rows.height else "nothing was asked for yet"


def gap_table(gaps: pl.DataFrame) -> str:
    """Gaps by reason as a markdown table."""
    by = gaps.group_by("reason").agg(
        pl.len().alias("gaps"), pl.col("sessions").sum(), pl.col("asset_id").n_unique()
    )
    lines = ["| reason | gaps | sessions | assets |", "|---|--:|--:|--:|"]
    lines += [
        f"| {reason} | {count:,} | {sessions:,} | {assets:,} |"
        for reason, count, sessions, assets in by.sort("sessions", descending=True).iter_rows()
    ]
    return "\n".join(lines) if by.height else "none"


def trend_table(platform: Platform) -> str:
    """The overall scores of the scopes, the last days on which they changed."""
    lines = ["| day | scope | overall | complete | accurate | consistent | timely |",
             "|---|---|--:|--:|--:|--:|--:|"]  # fmt: skip
    for scope in ("watchlist", "market"):
        rows = stored.trend(platform.db, "scope", scope=scope).tail(TREND_DAYS).to_dicts()
        lines += [
            f"| {r['day']} | {scope} | "
            + " | ".join(_number(r[s]) for s in ("overall", *SCORES[:-1])) + " |"
            for r in rows
        ]  # fmt: skip
    return "\n".join(lines) if len(lines) > 2 else "none yet"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def quality_job() -> UnresolvedAssetJobDefinition:
    """Score the store, and check it."""
    return define_asset_job(
        JOB,
        AssetSelection.assets(QUALITY),
        description="Scores what was judged since the last run, finds gaps, checks the store.",
    )


def quality_schedule(zone: str) -> ScheduleDefinition:
    """In the evening, once prices are in, and in the morning, once they were compared."""
    return ScheduleDefinition(
        name="quality_twice_daily",
        job_name=JOB,
        cron_schedule="0 5,19 * * *",
        execution_timezone=zone,
        default_status=DefaultScheduleStatus.RUNNING,
        description="Scores, gaps and checks of the whole store; asks no vendor.",
    )
