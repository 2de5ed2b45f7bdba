"""The command line: ``python -m sharpness``, and the script ``sharpness``."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import threading

from sharpness import _native

__all__ = ["main"]

#: Set by a parent process that holds the other end of standard input: when it ends, this process saves and
#: ends too.
PARENT = "SHARPNESS_PARENT"


def main() -> int:
    """Run the command line of this process.

    Returns
    -------
    int
        The exit code, as ``sharpness --help`` lists them.
    """
    # Python's own handler would only set a flag, which nothing reads while the command runs.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if os.environ.pop(PARENT, None):
        threading.Thread(target=_stop_with_parent, daemon=True).start()
    return _native.main([_program(), *sys.argv[1:]])


def _program() -> str:
    """How to call this program in a shell."""
    script = sys.argv[0]
    if os.path.basename(script) == "__main__.py":
        return "python -m sharpness"
    found = shutil.which("sharpness")
    is_found = found is not None and os.path.exists(script) and os.path.samefile(found, script)
    return "sharpness" if is_found else shlex.quote(script)


def _stop_with_parent() -> None:
    """Wait for the end of standard input, then ask the command to save and to stop."""
    # `sys.stdin` has a lock that Python needs when it exits.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
