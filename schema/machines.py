"""What is said of machines, to those who steer."""

from datetime import datetime
from typing import Annotated

import strawberry

import loaders.machines
import models.machines
import resolvers.machines
from models.control import TIMEOUT_SECONDS, TIMEOUT_SECONDS_MAX, WHY_MAX, Order
from models.machines import SPAWN_MAX, MachineState
from resolvers.control import steering
from schema.edges import (
    After,
    Before,
    Connection,
    First,
    Info,
    Last,
    Node,
    Window,
    column,
    paged,
    shown,
    shows,
)
from schema.errors import Refused
from schema.scalars import described, key_of

described(
    MachineState,
    "Where a machine is in its life.",
    WANTED="Somebody asked for it, and nobody has begun to make it.",
    STARTING="It is being made, and takes no traffic yet.",
    READY="It takes traffic.",
    RETIRING="It gets nothing new, and finishes what it is at.",
    GONE="It is no more.",
    FAILED="It never came to take traffic.",
)


@strawberry.type(description="A process that makes machines.")
class Keeper:
    is_type_of = shows(models.machines.Keeper)

    host: str = column("Where it runs.")
    providers: list[str] = column("The kinds of machines it makes: what `spawnMachine` takes for `provider`.")
    started_at: datetime = column("When it started.")
    seen_at: datetime = column("When it last said something.")


@strawberry.type(description="One further back end.")
class Machine(Node):
    is_type_of = shows(models.machines.Machine, loaders.machines.by_id)

    provider: str = column("What kind of machine it is.")
    state: MachineState = column("Where it is in its life.")
    handle: str | None = column("What its provider calls it: the number of a process, the id of a virtual machine.")
    address: str | None = column("Where it listens, as its keeper sees it; nothing as long as that is not known.")
    wanted_by: str = column("Who asked for it.")
    wanted_at: datetime = column("When.")
    began_at: datetime | None = column("When a keeper began to make it.")
    ready_at: datetime | None = column("When it took traffic for the first time.")
    retired_at: datetime | None = column("When it was sent away.")
    ended_at: datetime | None = column("When it was gone, or given up.")
    failure: str | None = column("What went wrong, where it did not go as it was to.")


@strawberry.input(description="How many machines are wanted, and of which kind.")
class SpawnMachineInput:
    provider: str = strawberry.field(description="The kind: one of the `providers` of the `keepers`.")
    count: int = strawberry.field(default=1, description=f"How many: 1 to {SPAWN_MAX}.")
    why: str = strawberry.field(default="", description=f"The reason, in up to {WHY_MAX} characters; it is kept.")
    timeout_seconds: int = strawberry.field(
        default=TIMEOUT_SECONDS,
        description=f"How long to wait for them to take traffic, 0 to {TIMEOUT_SECONDS_MAX}; they come all the same.",
    )


@strawberry.input(description="A machine that is to go.")
class RetireMachineInput:
    id: strawberry.ID = strawberry.field(description="Its id.")
    why: str = strawberry.field(default="", description=f"The reason, in up to {WHY_MAX} characters; it is kept.")
    timeout_seconds: int = strawberry.field(
        default=TIMEOUT_SECONDS,
        description=f"How long to wait for it to be gone, 0 to {TIMEOUT_SECONDS_MAX}; it goes all the same. A machine "
        "that is asked to send itself away answers at once.",
    )


@strawberry.type(description="The machines that were asked for, as they stand now.")
class SpawnedMachines:
    machines: list[Machine] = strawberry.field(description="One for each that was asked for.")


SpawnMachineResult = Annotated[
    SpawnedMachines | Refused,
    strawberry.union("SpawnMachineResult", description="The machines, or the reason why there are none."),
]
RetireMachineResult = Annotated[
    Machine | Refused,
    strawberry.union("RetireMachineResult", description="The machine as it stands now, or the reason why it stays."),
]


@strawberry.type
class MachineQueries:
    @strawberry.field(description="Administrators: the machines, those too that are gone, the latest first.")
    async def machines(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Machine]:
        steering(info.context)
        return shown(await paged(info, loaders.machines.newest, None, Window(first, after, last, before)))

    @strawberry.field(description="Administrators: who makes machines, and of which kinds.")
    async def keepers(self, info: Info) -> list[Keeper]:
        return shown(await resolvers.machines.keepers(info.context))


@strawberry.type
class MachineMutations:
    @strawberry.mutation(
        description="Administrators: have further machines made. Each takes traffic when it is ready, and not before."
    )
    async def spawn_machine(self, info: Info, input: SpawnMachineInput) -> SpawnMachineResult:
        order = Order(why=input.why, timeout_seconds=input.timeout_seconds)
        made = await resolvers.machines.spawn(info.context, order, provider=input.provider, count=input.count)
        return SpawnedMachines(machines=shown(made))

    @strawberry.mutation(
        description="Administrators: send a machine away. It gets nothing new, finishes what it is at, and is gone."
    )
    async def retire_machine(self, info: Info, input: RetireMachineInput) -> RetireMachineResult:
        order = Order(why=input.why, timeout_seconds=input.timeout_seconds)
        return shown(await resolvers.machines.retire(info.context, order, machine_id=key_of("machine", input.id)))
