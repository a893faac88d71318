"""Our errors as Dagster shows them: one clear line, and no retry that cannot help.

Belongs here: turning errors into failures. Does not: deciding what a failed call means for
its cells (pipeline/fetching.py); those end in the ledger, not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import Failure

from stock_platform.domain.errors import StockPlatformError


@contextmanager
def clear_failures() -> Iterator[None]:
    """Within it, an error of ours fails the step with its own words.

    Raises:
        Failure: in place of a StockPlatformError.
    """
    try:
        yield
    except StockPlatformError as error:
        raise Failure(description=str(error), allow_retries=False) from error
