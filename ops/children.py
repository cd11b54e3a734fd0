"""The processes that `up` runs: started here, watched here, and ended with it in good order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ops.bound import bound

ROOT = Path(__file__).parents[1]
# Longer than the children give themselves.
DRAIN_SECONDS = 45.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Children:
    """Processes by the names they have for people; whichever way the block ends, they end with it."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._may_end: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        arguments: Iterable[str],
        environment: Mapping[str, str],
        *,
        gate: int | None = None,
        is_spoken_to: bool = False,
        may_end: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Run `python <arguments>`; one that is spoken to has its standard input and output connected to us.

        Of one that may end, somebody else takes note.
        Call it from the main thread: the child ends with the thread that started it.
        """
        ours: IO[bytes] | int | None = subprocess.PIPE if is_spoken_to else None
        child = subprocess.Popen(  # noqa: S603 - our own command line
            bound([sys.executable, *arguments], ending=signal.SIGTERM),
            cwd=ROOT,
            env=environment,
            stdin=ours or subprocess.DEVNULL,
            stdout=ours,
            pass_fds=[] if gate is None else [gate],
            # Ctrl-C is for us: we stop them in order.
            start_new_session=True,
        )
        self._running[name] = child
        if may_end:
            self._may_end.add(name)
        return child

    def release(self, name: str) -> subprocess.Popen[bytes]:
        """Leave it to somebody else to take note of its end; it ends with us all the same."""
        self._may_end.add(name)
        return self._running[name]

    def forget(self, name: str) -> None:
        """Let go of one that has ended."""
        self._running.pop(name, None)
        self._may_end.discard(name)

    def ended(self) -> tuple[str, int] | None:
        """Name one that ended although it should not have, with its exit code."""
        for name, child in self._running.items():
            if name not in self._may_end and (code := child.poll()) is not None:
                return name, code
        return None

    def stop(self) -> None:
        """Let them finish what they are at, within a deadline; another Ctrl-C cuts it short."""
        for number in STOPPING:
            signal.signal(number, lambda *_: self.kill())
        # In the order in which they were started: whoever takes requests first takes no more of them.
        for child in self._running.values():
            child.terminate()
        deadline = time.monotonic() + DRAIN_SECONDS
        for name, child in self._running.items():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f"The {name} did not finish in {DRAIN_SECONDS:.0f} s and is made to.", file=sys.stderr)
                self.kill()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()

    def kill(self) -> None:
        """End them and whatever they started, without waiting for anything."""
        for child in self._running.values():
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
