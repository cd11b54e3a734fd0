"""Whether a process is alive, and whether it may take traffic."""

import asyncio
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from media.storage import Storage
from ops import migrate
from ops.control import Agent
from ops.database import Database
from ops.hub import RedisHub

PATIENCE_SECONDS = 3.0
"""How long to wait for a database that does not answer; whoever asks has a deadline too."""


@dataclass
class Health:
    """What a load balancer and a supervisor ask."""

    database: Database
    hub: RedisHub | None
    """Where there is one; a server of files alone has none."""
    storage: Storage
    agent: Agent
    is_closing: bool = False

    def close(self) -> None:
        """Take no traffic any more."""
        self.is_closing = True

    async def problems(self) -> list[str]:
        """List what keeps this process from taking traffic."""
        found = ["closing"] if self.is_closing else []
        if self.agent.desired.is_frozen_wholly:
            # What it would be asked next is closed on purpose.
            return [*found, "frozen"]
        if self.hub is not None and not self.hub.connected:
            found.append("redis")
        if not self.storage.is_at_hand:
            found.append("storage")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self.database.reading() as session:
                revision = await session.scalar(text("select version_num from alembic_version"))
        except (SQLAlchemyError, OSError):
            return [*found, "database"]
        if revision != migrate.newest():
            found.append("migrations")
        elif not self.agent.is_steered:
            found.append("control")
        return found

    async def alive(self, _: Request) -> JSONResponse:
        """GET /healthz: it answers, so it lives."""
        return JSONResponse({"status": "alive"})

    async def ready(self, _: Request) -> JSONResponse:
        """GET /readyz: 200 when it may take traffic, 503 with the reasons when it may not."""
        problems = await self.problems()
        if problems:
            return JSONResponse({"status": "unready", "problems": problems}, 503)
        return JSONResponse({"status": "ready"})

    def routes(self) -> list[Route]:
        """Where the two are asked."""
        return [Route("/healthz", self.alive), Route("/readyz", self.ready)]
