"""``make bench``: run the benchmarks named (all by default) and print their tables.

A benchmark is a module of this package with ``main()``; it prints rates as ratios to a
limit that it measures in the same run.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

from stock_platform_tests import benchmarks


def main(names: list[str]) -> int:
    known = [
        m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_")
    ]
    for name in names or known:
        if name not in known:
            sys.stderr.write(f"error: benchmark: {name!r} is not known; use {', '.join(known)}\n")
            return 2
        sys.argv = [name]  # its options are its own: python -m stock_platform_tests.benchmarks.NAME
        importlib.import_module(f"{benchmarks.__name__}.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
