"""The assets of a scope, from one factory: the same five over the same tables.

Belongs here: assets that ask the platform and return what it promises. Does not: draining and
writing (io_managers.py), descriptions (texts.py).
"""

from collections.abc import Callable, Sequence
from typing import Any

from dagster import (
    AssetDep,
    AssetExecutionContext,
    AssetIn,
    AssetKey,
    AssetsDefinition,
    BackfillPolicy,
    Config,
    DagsterType,
    asset,
)
from pydantic import Field

from stock_platform.orchestration.assets.texts import describe
from stock_platform.orchestration.cells import cells_of, keys_of
from stock_platform.orchestration.demand import wider_demand
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.handles import (
    DERIVED,
    RAW_STREAM,
    SCHEMAS,
    VALIDATED_STREAM,
    Cells,
    Derived,
    RawQuotes,
    ValidatedPrices,
)
from stock_platform.orchestration.partitions import Scope
from stock_platform.orchestration.progress import teller
from stock_platform.orchestration.resources import PlatformResource

OWNERS = ["team:market-data"]
CODE_VERSION = "1"


class FetchConfig(Config):
    """What a run may do differently."""

    retry_failed: bool = Field(
        default=False,
        description="Ask now for cells that failed or wait, whatever their retry time.",
    )
    ask_again: bool = Field(
        default=False,
        description="Ask for cells that are stored, too: vendors correct what they told.",
    )


def scope_assets(scope: Scope, *, deps: Sequence[AssetKey] = ()) -> list[AssetsDefinition]:
    """The five assets of a scope; ``deps`` are what its raw quotes come after."""

    def ours(
        name: str, *kinds: str, dagster_type: DagsterType, **more: Any
    ) -> Callable[[Callable[..., Any]], AssetsDefinition]:
        decorate: Callable[..., Any] = asset
        made: Callable[[Callable[..., Any]], AssetsDefinition] = decorate(
            key=AssetKey([scope.name, name]),
            description=describe(name, scope.name),
            partitions_def=scope.partitions,
            backfill_policy=BackfillPolicy.single_run(),
            group_name=scope.name,
            owners=OWNERS,
            kinds={"postgres", *kinds},
            code_version=CODE_VERSION,
            metadata={
                "dagster/column_schema": SCHEMAS[name],
                "dagster/table_name": f"stocks.{name}",
            },
            tags={"stock_platform/scope": scope.name},
            dagster_type=dagster_type,
            **more,
        )
        return made

    raw_key = AssetKey([scope.name, "raw_quotes"])
    validated_key = AssetKey([scope.name, "validated_prices"])

    @ours("raw_quotes", "api", dagster_type=RAW_STREAM, deps=[*map(AssetDep, deps)])
    def raw_quotes(
        context: AssetExecutionContext, config: FetchConfig, platform: PlatformResource
    ) -> Any:
        with clear_failures():
            current = platform.get()
            grid = cells_of(current, scope.name, keys_of(context))
            wider, asked = None, grid.trimmed()
            if not config.ask_again:
                wider = wider_demand(current, scope, context, raw_key)
                asked = current.missing(grid, retry_failed=config.retry_failed).trimmed()
            stream = current.fetch(
                grid,
                context.run.run_id,
                wider=wider,
                retry_failed=config.retry_failed,
                again=config.ask_again,
                progress=teller(context.log),
            )
        return RawQuotes(grid, stream, per_ticker_calls=len(asked.assets))

    @ours(
        "validated_prices",
        "polars",
        dagster_type=VALIDATED_STREAM,
        ins={"raw": AssetIn(raw_key)},
    )
    def validated_prices(raw: Cells, platform: PlatformResource) -> Any:
        return ValidatedPrices(raw.grid, platform.get().validate(raw.grid))

    validated = {"validated": AssetIn(validated_key)}

    @ours("weekly_prices", dagster_type=DERIVED, ins=validated)
    def weekly_prices(validated: Cells, platform: PlatformResource) -> Any:
        with clear_failures():
            changed = platform.get().refresh_periods(validated.grid, "weekly")
        return Derived(validated.grid, "weekly_prices", changed)

    @ours("monthly_prices", dagster_type=DERIVED, ins=validated)
    def monthly_prices(validated: Cells, platform: PlatformResource) -> Any:
        with clear_failures():
            changed = platform.get().refresh_periods(validated.grid, "monthly")
        return Derived(validated.grid, "monthly_prices", changed)

    @ours("indicators", "polars", dagster_type=DERIVED, ins=validated)
    def indicators(validated: Cells, platform: PlatformResource) -> Any:
        with clear_failures():
            changed = platform.get().refresh_indicators(validated.grid)
        return Derived(validated.grid, "indicators", changed)

    return [raw_quotes, validated_prices, weekly_prices, monthly_prices, indicators]
