"""How a process is bound to the one that started it: run as a script, it becomes the command it is given.

    python -I -S bound.py <parent> <signal> <uid> <command> …

A small program of its own instead of a `preexec_fn`, because running Python between fork and exec can
deadlock a launcher that has threads. Imports nothing of the house: it must start in a blink.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def bound(command: Sequence[str], *, ending: signal.Signals, uid: int | None = None) -> list[str]:
    """Wrap a command so that it runs as `uid` and gets `ending` when its starter dies.

    The kernel means the *thread* that started it: start bound processes from the main thread.
    """
    user = os.geteuid() if uid is None else uid
    script = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(ending)), str(user)]
    return [*script, *command]


def become(parent: int, ending: int, uid: int, command: list[str]) -> None:
    """Drop root's rights if asked to, ask the kernel for the signal, and turn into the command."""
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    # Only now: changing the user clears the request.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ending)
    # A starter that died before the request was made will not be reported any more.
    if os.getppid() != parent:
        sys.exit(f"{command[0]}: the process that started this is gone")
    os.execv(command[0], command)  # noqa: S606 - turning into it is the point


if __name__ == "__main__":
    become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
