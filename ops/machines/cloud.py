"""Machines of a cloud, through libcloud: DigitalOcean, EC2, and what else it knows, by one and the same code.

libcloud waits for the network with its thread, so each call has one of a few threads. It is loaded when first needed.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from string import Template
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from ops.machines import Away, CannotSpawn, Made
from ops.settings import CloudSettings

T = TypeVar("T")

THREADS_MAX = 4
CALL_SECONDS = 60.0
LOOK_SECONDS = 10.0
AWAY = {"terminated", "deleted"}
OUT_OF_SERVICE = AWAY | {"stopped", "error"}
"""What libcloud calls states from which no machine comes back by itself; some are paid for all the same."""


class Kind(NamedTuple):
    """In what one cloud differs from the others, as far as libcloud lets it show."""

    user_data: str
    """The argument that takes what the machine does when it first starts."""
    region_of: str
    """Whether the region is said to the `driver`, or is the `location` of every machine."""
    given: Mapping[str, str] = MappingProxyType({})
    """What else the driver is told."""


KINDS = {
    "digitalocean": Kind("ex_user_data", "location"),
    # libcloud still signs in the old way where it may; Amazon has given that up.
    "ec2": Kind("ex_userdata", "driver", {"signature_version": "4"}),
}


class Cloud:
    """Makes machines of one cloud account; their names carry the ids they were given."""

    dies_with_us = False
    drains_itself = True
    look_seconds = LOOK_SECONDS

    def __init__(self, settings: CloudSettings, driver: Callable[[], Any] | None = None) -> None:
        self.name = settings.name
        self._settings = settings
        self._kind = KINDS[settings.name]
        self._make_driver = driver or partial(driver_of, settings)
        # Drivers are for one thread each.
        self._of_thread = threading.local()
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="cloud")
        self._coming: dict[UUID, asyncio.Future[Any]] = {}

    async def spawn(self, machine_id: UUID) -> Made:
        """Make a machine, unless there is one of this name."""
        for made in await self.present():
            if made.machine_id == machine_id:
                return made
        # Whoever is cancelled meanwhile: the cloud goes on making it, and whoever ends it waits for that.
        coming = self._coming[machine_id] = asyncio.ensure_future(self._call(partial(self._create, machine_id)))
        coming.add_done_callback(partial(self._came, machine_id))
        try:
            node = await asyncio.shield(coming)
        except Away as error:
            raise CannotSpawn(f"{self.name} does not make it: {error}") from error
        return self._made(machine_id, node)

    async def present(self) -> Collection[Made]:
        """Every machine of ours that is there or comes up, as the cloud knows it."""
        found = []
        for node in await self._call(self._nodes):
            machine_id = self._id_in(node.name)
            if machine_id is not None and str(node.state).lower() not in OUT_OF_SERVICE:
                found.append(self._made(machine_id, node))
        return found

    async def end(self, machine_id: UUID, seconds: float) -> bool:  # noqa: ARG002 - it has finished by itself before
        """Give a machine back to the cloud; gone is gone."""
        if coming := self._coming.get(machine_id):
            await asyncio.wait([coming])
        await self._call(partial(self._destroy, machine_id))
        return True

    def last_words(self, machine_id: UUID) -> str:  # noqa: ARG002 - clouds do not say
        """Clouds do not say."""
        return f"{self.name} has it no longer."

    def close(self) -> None:
        """Let go of the threads; what they are at ends by itself."""
        self._threads.shutdown(wait=False)

    def _came(self, machine_id: UUID, coming: asyncio.Future[Any]) -> None:
        self._coming.pop(machine_id, None)
        # Whoever waited for it has been told; if nobody did, the next look shows what came of it.
        if not coming.cancelled():
            coming.exception()

    # In a thread

    def _connected(self) -> Any:
        if not hasattr(self._of_thread, "driver"):
            self._of_thread.driver = self._make_driver()
        return self._of_thread.driver

    def _create(self, machine_id: UUID) -> Any:
        driver, settings = self._connected(), self._settings
        more: dict[str, Any] = {self._kind.user_data: self._user_data(machine_id)}
        if self._kind.region_of == "location":
            more["location"] = _named(driver.list_locations(), settings.region, "region")
        size = _named(driver.list_sizes(), settings.size, "size")
        image = driver.get_image(settings.image)
        return driver.create_node(name=self._name(machine_id), size=size, image=image, **more)

    def _nodes(self) -> list[Any]:
        return [node for node in self._connected().list_nodes() if str(node.state).lower() not in AWAY]

    def _destroy(self, machine_id: UUID) -> None:
        for node in self._nodes():
            if node.name == self._name(machine_id):
                self._connected().destroy_node(node)

    async def _call(self, what: Callable[[], T]) -> T:
        """Ask the cloud; whatever goes wrong there is said in its words."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, what)
        except TimeoutError:
            raise Away(f"{self.name} has not answered within {CALL_SECONDS:.0f} s") from None
        except Exception as error:
            # Every driver has errors of its own, and the transport below them has others.
            raise Away(f"{type(error).__name__}: {error}") from error

    def _user_data(self, machine_id: UUID) -> str:
        return Template(self._settings.user_data).safe_substitute(WORKUP_MACHINE=str(machine_id))

    def _name(self, machine_id: UUID) -> str:
        return f"{self._settings.prefix}-{machine_id.hex}"

    def _id_in(self, name: str) -> UUID | None:
        prefix, _, rest = name.rpartition("-")
        try:
            return UUID(rest) if prefix == self._settings.prefix else None
        except ValueError:
            return None

    def _made(self, machine_id: UUID, node: Any) -> Made:
        places = node.private_ips if self._settings.private else node.public_ips
        return Made(machine_id, str(node.id), f"{places[0]}:{self._settings.port}" if places else None)


def driver_of(settings: CloudSettings) -> Any:
    """Load libcloud, and connect to the account."""
    from libcloud.compute.providers import get_driver

    kind = KINDS[settings.name]
    credentials = [settings.key, *([settings.secret] if settings.secret else [])]
    more = {"region": settings.region} if kind.region_of == "driver" else {}
    connect: Callable[..., Any] = get_driver(settings.name)
    return connect(*credentials, **more, **kind.given)


def _named(things: Collection[Any], wanted: str, what: str) -> Any:
    """The one that is called so, by its id or its name."""
    for thing in things:
        if wanted in {str(thing.id), thing.name}:
            return thing
    raise LookupError(f"there is no {what} {wanted!r}")
