"""The programs of the house, each in a process of its own, as an operator runs them."""

import asyncio
import base64
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from ops import local
from ops.bound import bound

ROOT = Path(__file__).parents[2]
SECONDS = 10.0
"""How long anything may take that should take no time."""
START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02
SIGNING_SEED = bytes(range(32))
SIGNING_KID = "stories"
MACHINE = ("machine", "a password that only the stories know")


async def until(holds: Callable[[], Awaitable[Any]], seconds: float = SECONDS) -> Any:
    """Wait for something to become true, and say what it was."""
    async with asyncio.timeout(seconds):
        while not (found := await holds()):  # noqa: ASYNC110 - other processes set no events of ours
            await asyncio.sleep(POLL_SECONDS)
        return found


def environment(database_url: str, redis_url: str, channel_prefix: str, home: Path) -> dict[str, str]:
    """What the processes of one house are told, and nothing of what this process was told."""
    seed = base64.urlsafe_b64encode(SIGNING_SEED).decode()
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "WORKUP_CHANNEL_PREFIX": channel_prefix,
        "WORKUP_SECRET": "a secret that only the stories know",
        "WORKUP_SIGNING_KEYS": f"{SIGNING_KID}:{seed}",
        "WORKUP_PASSWORD_MEMORY_KIB": "32",
        "WORKUP_LOG_LEVEL": "WARNING",
        "WORKUP_LOG_JSON": "on",
        "WORKUP_HOME": str(home),
        "WORKUP_PAYMENTS_PROVIDER": "sandbox",
        "WORKUP_SANDBOX_SECONDS": "3",
        "UPLOAD_USER": MACHINE[0],
        "UPLOAD_PASSWORD": MACHINE[1],
    }


@dataclass
class Process:
    """`python -m ops <verb …>`, started, stopped and started again."""

    verb: str
    environment: Mapping[str, str]
    log: Path
    running: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                bound([sys.executable, "-m", "ops", *self.verb.split()], ending=signal.SIGTERM),
                cwd=ROOT,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def stop(self) -> int:
        """Ask it to end, and say with which code it did."""
        assert self.running is not None
        self.running.terminate()
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end, and say with which code it came."""
        running, self.running = self.running, None
        assert running is not None
        await until(lambda: asyncio.sleep(0, running.poll() is not None), STOP_SECONDS)
        return running.returncode

    async def kill(self) -> None:
        """End it as a power cut would."""
        assert self.running is not None
        self.running.kill()
        assert await self.ended() == -signal.SIGKILL

    def lines(self) -> list[dict[str, Any]]:
        """What it wrote down; whatever is not one of the house's own lines is worth a look as well."""
        return [_line(text) for text in self.log.read_text().splitlines()]

    def errors(self) -> list[dict[str, Any]]:
        """What it wrote down of errors."""
        return [line for line in self.lines() if line["level"] not in {"debug", "info", "warning"}]


def _line(text: str) -> dict[str, Any]:
    try:
        line: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError:
        return {"level": "unknown", "event": text}
    return line


class Server(Process):
    """A web server on a port of its own."""

    def __init__(self, told: Mapping[str, str], log: Path) -> None:
        self.port = local.free_port()
        super().__init__("serve", {**told, "PORT": str(self.port)}, log)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    async def readiness(self) -> tuple[int, list[str]]:
        """What it says to a load balancer: a status, and what is wrong."""
        seconds = aiohttp.ClientTimeout(total=SECONDS)
        address = f"http://127.0.0.1:{self.port}/readyz"
        async with aiohttp.ClientSession(timeout=seconds) as session, session.get(address) as answer:
            said = await answer.json()
            return answer.status, said.get("problems", [])

    async def is_ready(self) -> bool:
        assert self.running is not None
        assert self.running.poll() is None, self.log.read_text()
        try:
            status, _ = await self.readiness()
        except (aiohttp.ClientError, TimeoutError):
            return False
        return status == 200

    async def ready(self) -> None:
        """Wait until it may take traffic."""
        await until(self.is_ready, START_SECONDS)
