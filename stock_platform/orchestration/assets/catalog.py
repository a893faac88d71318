"""The catalog of symbols, as an asset.

Belongs here: the asset. Does not: how symbols are learnt (pipeline/catalog.py).
"""

from dagster import AssetExecutionContext, AssetKey, MaterializeResult, asset

from stock_platform.orchestration.assets.scoped import CODE_VERSION, OWNERS
from stock_platform.orchestration.assets.texts import describe
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.resources import PlatformResource

CATALOG = AssetKey("catalog")


@asset(
    key=CATALOG,
    description=describe("catalog"),
    group_name="catalog",
    owners=OWNERS,
    kinds={"postgres", "api"},
    code_version=CODE_VERSION,
    metadata={"dagster/table_name": "stocks.assets"},
)
def catalog(context: AssetExecutionContext, platform: PlatformResource) -> MaterializeResult[None]:
    """See texts.py."""
    with clear_failures():
        report = platform.get().refresh_catalog(context.run.run_id)
    return MaterializeResult(
        metadata={
            "dagster/row_count": report.total,
            "assets_added": report.added,
            "calls_made": report.calls.total(),
            "session": report.session or "none",
        }
    )
