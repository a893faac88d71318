"""``python -m stock_platform``: the same as the command ``stock-platform``."""

from __future__ import annotations

import sys

from stock_platform.apps.cli import main

if __name__ == "__main__":
    sys.exit(main())
