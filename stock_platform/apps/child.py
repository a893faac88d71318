"""Start a program that ends when its parent does, however the parent ends.

Belongs here: the few lines between fork and exec. Run as
``python -m stock_platform.apps.child PARENT_PID PROGRAM ARGUMENTS...``.

On Linux the kernel sends SIGTERM when the parent dies, by ``kill -9`` too. Elsewhere only an
orderly end of the parent takes its children along.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Ask for the signal, see whether the parent is still there, become the program."""
    parent, program = int(argv[0]), argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606 - our own command, no shell wanted


if __name__ == "__main__":
    main(sys.argv[1:])
