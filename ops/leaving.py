"""How a machine of a cloud goes when it is sent away: it sees to that itself, for its keeper cannot look into it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

import resolvers.machines
from models.control import STEERED, Actor
from models.errors import Refusal
from models.machines import NOTICE_SECONDS, Machine, MachineState

if TYPE_CHECKING:
    from ops.app import House

log = structlog.get_logger(__name__)

ITSELF = Actor(None, "machine", "", "")
LOOK_SECONDS = 5.0
"""How often to look whether one has been sent away; nobody waits for it to be sooner."""


async def leave_when_told(
    house: "House", machine_id: UUID, unready: Callable[[], None], drain: Callable[[], Awaitable[None]]
) -> None:
    """Finish when this machine is sent away, and say so; what is bound to a keeper is told to stop by it instead.

    It says at once that it takes no traffic, and takes it for a while all the same: load balancers need a moment.
    """
    machine = await _sent_away(house, machine_id)
    if machine is None:
        return
    unready()
    await asyncio.sleep(house.tuning.config[NOTICE_SECONDS])
    await drain()
    await house.gate.drained(STEERED)
    while not await _said(house, machine_id):  # noqa: ASYNC110 - the database sets no event of ours
        await asyncio.sleep(LOOK_SECONDS)
    log.info("machine_finished", machine=str(machine_id))


async def _sent_away(house: "House", machine_id: UUID) -> Machine | None:
    while True:
        try:
            found = await resolvers.machines.find(house.context(operator=ITSELF), machine_id=machine_id)
            if found is not None and found.dies_with_keeper:
                return None
            if found is not None and found.state is MachineState.RETIRING:
                return found
        except (Refusal, SQLAlchemyError, OSError) as error:
            log.warning("machine_not_heard", reason=str(error).partition("\n")[0])
        await asyncio.sleep(LOOK_SECONDS)


async def _said(house: "House", machine_id: UUID) -> bool:
    try:
        await resolvers.machines.finish(house.context(operator=ITSELF), machine_id=machine_id)
    except (Refusal, SQLAlchemyError, OSError) as error:
        log.warning("machine_finished_in_silence", reason=str(error).partition("\n")[0])
        return False
    return True
