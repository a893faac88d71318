"""The European Central Bank's reference rates of the euro."""

from stock_platform.sources.ecb.client import SPEC

__all__ = ["SPEC"]
