"""How `up` keeps machines: further web servers of this host, behind its front."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from ops import logs
from ops.app import House
from ops.balancer import Front
from ops.machines.keeper import MachineKeeper
from ops.machines.processes import Processes
from ops.settings import Settings

CONNECTIONS = 3
"""A keeper has little to say to the database."""
WATCH_SECONDS = 0.2


async def keep(processes: Processes, front: Front, told: Mapping[str, str], *, keeper_id: UUID) -> int:
    """Keep them until none is left; answers with which exit code the last one ended."""
    settings = Settings.of(told)
    logs.configure(settings.log_level, as_json=settings.log_json)
    house = House.of(replace(settings, db_connections=CONNECTIONS))
    hearing = asyncio.create_task(front.hear())
    try:
        async with house.open():
            keeper = MachineKeeper(house, [processes], front, keeper_id=keeper_id)
            async with keeper.at_work():
                while True:
                    await processes.present()
                    if (code := processes.last_code()) is not None:
                        return code
                    await asyncio.sleep(WATCH_SECONDS)
    finally:
        hearing.cancel()
