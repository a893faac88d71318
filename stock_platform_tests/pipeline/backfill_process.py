"""A backfill in a process of its own, to be killed: fetch, validate, aggregate.

Settings come from the environment. Prints a line after each commit.
"""

from __future__ import annotations

import sys
from datetime import date

from stock_platform.pipeline.runtime import Platform


def main(start: str, end: str) -> None:
    with Platform.from_settings() as platform:
        assets = platform.shard_assets()
        grid = platform.cells(assets, platform.sessions(*map(date.fromisoformat, (start, end))))
        stream = platform.fetch(grid, "test")
        for batches in stream:
            platform.write_fetch(batches, "test")
            print("fetched", flush=True)
        for batch in platform.validate(grid):
            platform.write_validated(batch)
            print("validated", flush=True)
        platform.refresh_indicators(grid)
        print("done", stream.report.total_calls, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
