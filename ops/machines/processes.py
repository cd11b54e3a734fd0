"""Machines that are processes of this host: a complete further server each, bound to the life of this one."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Collection, Mapping
from typing import NamedTuple
from uuid import UUID

from ops import local
from ops.children import Children
from ops.machines import Made

HERE = "127.0.0.1"
SERVE = ("-m", "ops", "serve")
END_POLL_SECONDS = 0.02


class _Running(NamedTuple):
    made: Made
    name: str
    process: subprocess.Popen[bytes]


class Processes:
    """Starts and ends web servers on ports of their own; `children` ends what is left when all of it ends."""

    name = "process"
    dies_with_us = True
    drains_itself = False
    look_seconds = 0.1

    def __init__(self, children: Children, environment: Mapping[str, str]) -> None:
        self._children = children
        self._environment = environment
        self._running: dict[UUID, _Running] = {}
        self._ended: dict[UUID, int] = {}

    def adopt(self, machine_id: UUID, name: str, address: str) -> Made:
        """Take on a child that serves already."""
        process = self._children.release(name)
        made = Made(machine_id, str(process.pid), address)
        self._running[machine_id] = _Running(made, name, process)
        return made

    async def spawn(self, machine_id: UUID) -> Made:
        """Start a server, unless it runs already."""
        if machine_id in self._running:
            return self._running[machine_id].made
        port = local.free_port()
        told = {
            **self._environment,
            "HOST": HERE,
            "PORT": str(port),
            # One process each: there can be as many machines as one likes.
            "WORKUP_WORKERS": "1",
            "WORKUP_MACHINE": str(machine_id),
        }
        name = f"machine {machine_id}"
        self._children.start(name, SERVE, told, may_end=True)
        return self.adopt(machine_id, name, f"{HERE}:{port}")

    async def present(self) -> Collection[Made]:
        """Those that run."""
        for machine_id, running in list(self._running.items()):
            if running.process.poll() is not None:
                self._bury(machine_id)
        return [running.made for running in self._running.values()]

    async def end(self, machine_id: UUID, seconds: float) -> bool:
        """Let it finish as every server does when it is told to stop, and kill it when it takes too long."""
        if machine_id not in self._running:
            return True
        process = self._running[machine_id].process
        process.terminate()
        try:
            async with asyncio.timeout(seconds):
                while process.poll() is None:  # noqa: ASYNC110 - a process sets no event of ours
                    await asyncio.sleep(END_POLL_SECONDS)
            in_time = True
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait)
            in_time = False
        self._bury(machine_id)
        return in_time

    def last_words(self, machine_id: UUID) -> str:
        """With which code it ended."""
        return f"It ended by itself, with exit code {self._ended.get(machine_id)}."

    def last_code(self) -> int | None:
        """The exit code of the one that ended last, if none is left."""
        return None if self._running else next(reversed(self._ended.values()), None)

    def _bury(self, machine_id: UUID) -> None:
        running = self._running.pop(machine_id)
        self._children.forget(running.name)
        self._ended[machine_id] = running.process.returncode
