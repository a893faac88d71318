"""The IO manager: it drains what assets promise, one transaction a batch.

Belongs here: draining, progress in the log, what is attached to the output. Does not: SQL
(storage/writers.py), what a batch holds (pipeline/).

Memory is bounded by a batch, and a run that is killed keeps every batch before: the next run
finds them in the ledger and asks for the rest. What it hands to the next asset is the cells,
not the rows: these are in the database.
"""

from collections.abc import Generator
from contextlib import closing
from typing import assert_never, cast

from dagster import (
    ConfigurableIOManager,
    Failure,
    InputContext,
    OutputContext,
    ResourceDependency,
)

from stock_platform.domain.batches import FetchBatch, ValidatedBatch, WriteReport
from stock_platform.orchestration import metadata
from stock_platform.orchestration.cells import cells_of
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.handles import (
    RAW_FRAME,
    VALIDATED_FRAME,
    Cells,
    Derived,
    RawQuotes,
    ValidatedPrices,
    check_frame,
)
from stock_platform.orchestration.partitions import scope_of
from stock_platform.orchestration.progress import Every, fetched
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.runtime import Platform
from stock_platform.storage import readers


class TimescaleIOManager(ConfigurableIOManager):
    """Writes streams of batches to the price database; hands cells to the next asset."""

    platform: ResourceDependency[PlatformResource]

    def handle_output(
        self, context: OutputContext, obj: RawQuotes | ValidatedPrices | Derived
    ) -> None:
        """Drain and commit what an asset promised.

        Raises:
            Failure: the database refused, or a frame breaks its contract; what was
                committed before stays.
        """
        platform = self.platform.get()
        with clear_failures():
            match obj:
                case RawQuotes():
                    self._raw(context, platform, obj)
                case ValidatedPrices():
                    self._validated(context, platform, obj)
                case Derived():
                    self._derived(context, platform, obj)
                case _:
                    assert_never(obj)

    def load_input(self, context: InputContext) -> Cells:
        """The cells that the run is about."""
        keys = [str(key) for key in context.asset_partition_keys]
        with clear_failures():
            return Cells(cells_of(self.platform.get(), scope_of(context.asset_key), keys), keys)

    def _raw(self, context: OutputContext, platform: Platform, obj: RawQuotes) -> None:
        stream, run_id = obj.stream, context.run_id
        written = WriteReport()
        with closing(cast("Generator[list[FetchBatch]]", iter(stream))) as batches:
            for batch in batches:
                written += platform.write_fetch(batch, run_id)
        report = stream.report
        fetched(obj.grid, report)
        context.log.info(metadata.summary_of_fetch(report))
        coverage = platform.coverage(obj.grid)
        keys = [str(k) for k in context.asset_partition_keys]
        sample = readers.raw(platform.db, metadata.sample_cells(obj.grid))
        account = {
            **metadata.of_fetch(report, obj.per_ticker_calls),
            **metadata.of_written(written),
            **metadata.of_grid(obj.grid),
            **metadata.of_coverage(coverage),
            "sample": metadata.sample_table(platform.db, sample),
            "sample_is_sound": check_frame(
                RAW_FRAME, metadata.plain(metadata.named(platform.db, sample)).to_pandas()
            ).success,
        }
        scope = scope_of(context.asset_key)
        metadata.attach(
            context, account, metadata.of_partitions(platform.db, scope, coverage, keys)
        )

    def _validated(self, context: OutputContext, platform: Platform, obj: ValidatedPrices) -> None:
        written, cells, flagged = WriteReport(), 0, 0
        say = Every(context.log)
        with closing(cast("Generator[ValidatedBatch]", obj.batches)) as batches:
            for batch in batches:
                broken = check_frame(VALIDATED_FRAME, batch.prices)
                if not broken.success:
                    raise Failure(
                        description=f"validated prices break their contract: {broken.description}",
                        metadata=broken.metadata,
                        allow_retries=False,
                    )
                written += platform.write_validated(batch)
                cells += len(batch.grid)
                flagged += batch.prices.filter(batch.prices["flags"].list.len() > 0).height
                say(f"{cells:,} of {len(obj.grid):,} cells judged")
        account = {
            **metadata.of_grid(obj.grid),
            **metadata.of_written(written),
            "rows_flagged": flagged,
            "sample": metadata.sample_table(
                platform.db, metadata.sample_prices(platform.db, obj.grid)
            ),
        }
        metadata.attach(context, account)

    def _derived(self, context: OutputContext, platform: Platform, obj: Derived) -> None:
        sample = metadata.sample_derived(platform.db, obj.table, obj.grid)
        account = {
            **metadata.of_grid(obj.grid),
            "rows_changed": obj.changed,
            "sample": metadata.sample_table(platform.db, sample),
        }
        metadata.attach(context, account)
