"""The catalog's logic: directories merged, judged, and compared with what is known.

``names`` reads security names, ``snapshot`` merges sources and refuses what cannot be a
directory, ``diff`` tells listings, delistings, renames and reused tickers apart. Pure.
"""

from stock_platform.domain.catalog.diff import CHANGES, KNOWN, CatalogDiff, Kind, compare
from stock_platform.domain.catalog.names import issuer, same_name, share_kind
from stock_platform.domain.catalog.snapshot import SNAPSHOT, Refusal, Sanity, judge, merge

__all__ = [
    "CHANGES",
    "KNOWN",
    "SNAPSHOT",
    "CatalogDiff",
    "Kind",
    "Refusal",
    "Sanity",
    "compare",
    "issuer",
    "judge",
    "merge",
    "same_name",
    "share_kind",
]
