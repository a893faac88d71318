"""Files: a folder of CSV or Parquet that the user already has."""

from stock_platform.sources.files.client import SPEC

__all__ = ["SPEC"]
