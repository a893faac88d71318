"""FinanceDatabase: names, sectors and identifiers, as people gathered them on GitHub."""

from stock_platform.sources.financedatabase.client import SPEC

__all__ = ["SPEC"]
