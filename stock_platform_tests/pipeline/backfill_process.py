"""A backfill in a process of its own, to be killed: fetch, validate, aggregate.

Settings come from the environment. Prints a line after each commit.
"""

from __future__ import annotations

import sys
from datetime import date

from stock_platform.pipeline.runtime import Platform


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(start: str, end: str) -> None:
    with Platform.from_settings() as platform:
        assets = platform.shard_assets()
        grid = platform.cells(assets, platform.sessions(*map(date.fromisoformat, (start, end))))
        stream = platform.fetch(grid, "test")
        for batches in stream:
            platform.write_fetch(batches, "test")
            tell("fetched")
        for batch in platform.validate(grid):
            platform.write_validated(batch)
            tell("validated")
        platform.refresh_indicators(grid)
        tell(f"done {stream.report.total_calls}")


if __name__ == "__main__":
    main(*sys.argv[1:])
