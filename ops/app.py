"""The only place where everything meets."""

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import Any
from uuid import UUID

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

import loaders.accounts
import resolvers.control
import resolvers.media
import schema.root
from loaders.batch import Loaders
from loaders.pages import Seal
from loaders.together import Together
from loaders.work import read_steadily
from media.depot import Depot
from media.press import Press
from media.server import Credentials, Desk, MediaServer
from media.storage import Storage
from media.tickets import Addresses
from media.workshop import Workshop
from models.accounts import Account
from models.config import Config
from models.control import RESERVE_CONNECTIONS, Desired, Kind, NodeKind, Service
from models.media import Upload
from ops import graphiql, logs, wire
from ops.auth import Argon2, BadToken, Claims, KeyRing, bearer, keep
from ops.clock import HouseClock
from ops.code import ProcessCodebook
from ops.contracts import Archive
from ops.control import Agent
from ops.database import Database
from ops.demo import PASSWORD
from ops.gate import HouseGate
from ops.health import Health
from ops.hub import RedisHub
from ops.leaving import leave_when_told
from ops.payments import Till
from ops.sandbox import Sandbox
from ops.settings import Settings
from ops.transport import GraphQLApp
from ops.transport.http import PREFLIGHTED, Caller
from ops.transport.record import REQUEST_ID
from resolvers.context import Context

GRAPHQL_PATH = "/graphql"

GARBAGE_OBJECTS = 10_000
"""How many more objects there are than a moment ago when garbage is collected."""


SEEING = frozenset({"submitProposal"})
"""Commands that are carried out by a statement which sees for itself whether whoever gives them is signed in yet."""


def wall_clock() -> datetime:
    """What time it is, for the whole house."""
    return datetime.now(UTC)


@dataclass
class Tuning:
    """What operators may change while the house stands."""

    config: Config = field(default_factory=Config)


@dataclass(frozen=True)
class House:
    """What lives as long as the process, and the contexts that are made of it."""

    settings: Settings
    database: Database
    reserve: Database
    """What the house is steered through, beside the pool, which may be full, or closed."""
    hub: RedisHub
    gate: HouseGate
    keys: KeyRing
    passwords: Argon2
    seal: Seal
    depot: Depot
    press: Press
    clock: HouseClock
    codebook: ProcessCodebook
    provider: Sandbox | None = None
    guests: dict[str, Context] = field(default_factory=dict)
    """Whom an Authorization named when it was last looked up, as a context for reads."""
    tuning: Tuning = field(default_factory=Tuning)
    together: Together = field(default_factory=Together)

    @classmethod
    def of(cls, settings: Settings, world: Callable[[], datetime] = wall_clock) -> "House":
        """Make everything ready to be opened."""
        seal = Seal(settings.secret)
        database = Database.at(settings.database_url, connections=settings.db_connections, role=settings.db_role)
        reserve = Database.at(settings.database_url, connections=RESERVE_CONNECTIONS, role=settings.db_role)
        clock = HouseClock(world, reserve.reading, is_sandbox=settings.sandbox_clock)
        return cls(
            settings,
            database,
            reserve,
            RedisHub(settings.redis_url, prefix=settings.channel_prefix),
            HouseGate(schema.root.commands()),
            KeyRing(settings.signing_keys),
            Argon2(settings.password_memory_kib),
            seal,
            Depot(
                Storage.at(settings.media_url, endpoint=settings.media_endpoint),
                Workshop(),
                Addresses(seal, settings.media_origin),
                settings.media_spool,
            ),
            Press(),
            clock,
            ProcessCodebook(settings.code_key, schema.root.verbs),
            Sandbox.of(settings, clock) if settings.payments_provider else None,
        )

    @asynccontextmanager
    async def open(self, *, with_bell: bool = True) -> AsyncIterator["House"]:
        """Listen to the bell, unless nobody here does, and let go of everything at the end."""
        if with_bell:
            await self.hub.start()
        following = asyncio.ensure_future(self.clock.follow(self.hub)) if with_bell and self.clock.is_sandbox else None
        try:
            yield self
        finally:
            if following is not None:
                following.cancel()
                await asyncio.wait([following])
            if with_bell:
                await self.hub.stop()
            if self.provider is not None:
                await self.provider.close()
            await self.depot.close()
            await self.press.close()
            await self.database.close()
            await self.reserve.close()

    def context(self, viewer: Account | None = None, database: Database | None = None, **more: Any) -> Context:
        """The surroundings of one operation."""
        chosen = database or self.database
        given = {"session_id": None, "expires_at": None, "address": "", "agent": ""} | more
        return Context(
            viewer=viewer,
            now=self.clock,
            config=self.tuning.config,
            reading=chosen.reading,
            transactions=chosen.writing,
            loaders=Loaders(chosen.reading, viewer, self.clock),
            answers=chosen.lines,
            deeds=chosen.pens,
            hub=self.hub,
            together=self.together,
            seal=self.seal,
            depot=self.depot,
            tokens=self.keys,
            passwords=self.passwords,
            provider=self.provider,
            commands=self.gate.commands,
            codebook=self.codebook,
            machine_id=self.settings.machine,
            **given,
        )

    def database_for(self, commands: frozenset[str]) -> Database:
        """What these commands are done with: the pool, unless they steer the house, or it is closed."""
        steers = bool(commands) and all(self.gate.commands.get(name) is Service.CONTROL for name in commands)
        return self.reserve if steers or self.gate.is_shut else self.database

    async def context_for(
        self, caller: Caller, authorization: str | None, commands: frozenset[str] = frozenset()
    ) -> Context:
        """The surroundings of an operation that came over the network, with whoever its token names."""
        database = self.database_for(commands)
        token = bearer(authorization)
        if token is None:
            keep(self.guests, "", self.context(database=self.database_for(frozenset())))
            return self.context(database=database, address=caller.address, agent=caller.agent)
        claims = self.keys.verify(token, at=self.clock.wall())
        viewer = await self.account_of(claims.session_id, database)
        if viewer is None:
            raise BadToken
        recalled = self._context_of(viewer, claims, caller, database=self.database_for(frozenset()), is_recalled=True)
        keep(self.guests, authorization or "", recalled)
        return self._context_of(viewer, claims, caller, database=database)

    def recall(self, authorization: str | None) -> Context | None:
        """The surroundings of a read of whoever came with this before, without asking anybody; if she did.

        Nothing is shown on the strength of it: it chooses the statement that answers, and the statement itself sees
        whether the session lives, and whether its account has the same roles (`loaders.accounts.IS_STILL_SIGNED_IN`).
        """
        known = self.guests.get(authorization or "")
        if known is None or (known.expires_at is not None and known.expires_at <= self.clock.wall()):
            return None
        as_it_was = known.config is self.tuning.config and known.answers is self.database_for(frozenset()).lines
        return known if as_it_was else None

    def recall_to_write(self, caller: Caller, authorization: str | None, commands: frozenset[str]) -> Context | None:
        """The same for a mutation whose commands all see for themselves whether she is signed in yet."""
        known = self.recall(authorization) if commands <= SEEING else None
        if known is None or known.viewer is None:
            return None
        loaders = Loaders(self.database.reading, known.viewer, self.clock)
        return known.renewed(address=caller.address, agent=caller.agent, loaders=loaders, remarks={})

    def _context_of(self, viewer: Account, claims: Claims, caller: Caller, **more: Any) -> Context:
        return self.context(
            viewer,
            session_id=claims.session_id,
            expires_at=claims.expires_at,
            address=caller.address,
            agent=caller.agent,
            **more,
        )

    async def account_of(self, session_id: UUID, database: Database | None = None) -> Account | None:
        """Who is signed in with a session, if it is live."""
        owner = partial(loaders.accounts.signed_in, session_id=session_id, at=self.clock.wall())
        return await read_steadily((database or self.database).reading, owner)

    def agent(self, kind: NodeKind) -> Agent:
        """Whoever steers this process."""
        settings = self.settings
        where = f"{settings.host}:{settings.port}" if kind is not NodeKind.WORKER else ""
        name = settings.node or f"{socket.gethostname()}:{settings.port if where else 'worker'}"
        return Agent(self, kind, name=name, address=f"http://{where}" if where else "")


class Front:
    """What a request meets first: files are carried by themselves, everything else is the application's."""

    def __init__(self, application: Starlette, media: MediaServer) -> None:
        self._application = application
        self._media = media

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand it to whom it is for."""
        if scope["type"] == "http" and self._media.serves(scope["path"]):
            await self._media(scope, receive, send)
        else:
            await self._application(scope, receive, send)


async def take_options(house: House) -> None:
    """Let what operators want of options hold in a process that nobody steers otherwise."""
    rulings = await resolvers.control.rulings(house.context())
    house.tuning.config = Config(Desired.of(0, rulings, None).of_kind(Kind.OPTION))


def media_of(house: House) -> MediaServer:
    """Put the media server together; what it takes in is nobody's request, so each has surroundings of its own."""
    settings = house.settings

    async def arrive(**given: Any) -> Upload:
        return await resolvers.media.arrive(house.context(), **given)

    async def deliver(**given: Any) -> Upload:
        return await resolvers.media.deliver(house.context(), **given)

    credentials = None
    if settings.upload_user and settings.upload_password:
        credentials = Credentials(settings.upload_user, settings.upload_password)
    desk = Desk(arrive, deliver)
    return MediaServer(
        house.depot, desk, credentials=credentials, gate=house.gate, origins=settings.origins, clock=house.clock
    )


def build_media(house: House) -> Front:
    """Put together a server of files alone."""
    media = media_of(house)
    agent = house.agent(NodeKind.MEDIA)
    health = Health(house.database, None, house.depot.storage, agent)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with house.open(with_bell=False), agent.at_work():
            yield wire.state(media.counter)

    return Front(Starlette(routes=health.routes(), lifespan=lifespan), media)


def build(house: House) -> Front:
    """Put the web application together."""
    settings, agent = house.settings, house.agent(NodeKind.WEB)
    graphql = GraphQLApp(
        schema.root.build(),
        context_for=house.context_for,
        page=partial(graphiql.page, demo_password=PASSWORD if settings.demo else None) if settings.graphiql else None,
        origins=settings.origins,
        introspection=settings.introspection,
        compiled=settings.compiled,
        expires_at=lambda context: context.expires_at,
        open_fields=("register", "signIn", "refresh"),
        recall=house.recall,
        recall_to_write=house.recall_to_write,
        gate=house.gate,
        observe=agent.figures.observe,
    )
    health = Health(house.database, house.hub, house.depot.storage, agent)
    media = media_of(house)

    async def drain() -> None:
        health.close()
        await graphql.closing()
        house.hub.dismiss()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with house.open(), agent.at_work(), leaving_when_told(house, health, drain):
            drain_before_exit(drain)
            yield wire.state(media.counter, short)

    cors = CORSMiddleware(_nowhere, **_cors(settings)) if settings.origins else None
    short = graphql.short(GRAPHQL_PATH, cors=cors, trusted_proxies=settings.trusted_proxies)
    middleware = [Middleware(CORSMiddleware, **_cors(settings))] if settings.origins else []
    routes = [
        Route(GRAPHQL_PATH, graphql),
        WebSocketRoute(GRAPHQL_PATH, graphql),
        *health.routes(),
        *Till(house.context, house.clock.wall, settings.webhook_secret).routes(),
        *Archive(house.context, house.gate, house.press).routes(),
        *(graphiql.routes() if settings.graphiql else []),
    ]
    return Front(Starlette(routes=routes, middleware=middleware, lifespan=lifespan), media)


@asynccontextmanager
async def leaving_when_told(house: House, health: Health, drain: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Let a server that is a machine of a keeper see for itself to finishing, when it is sent away."""
    if house.settings.machine is None:
        yield
        return
    task = asyncio.create_task(leave_when_told(house, house.settings.machine, health.close, drain))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _cors(settings: Settings) -> dict[str, Any]:
    return {
        "allow_origins": settings.origins,
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["content-type", REQUEST_ID, *PREFLIGHTED],
        "expose_headers": [REQUEST_ID],
        "max_age": 86_400,
    }


async def _nowhere(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Stand where an application would."""


def drain_before_exit(drain: Callable[[], Awaitable[None]]) -> None:
    """Let open sockets be closed in good order before uvicorn hears of a signal to stop: it would just cut them."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        stop = signal.getsignal(number)
        if callable(stop):
            signal.signal(number, partial(_drain_then, loop, drain, stop))


def _drain_then(
    loop: asyncio.AbstractEventLoop,
    drain: Callable[[], Awaitable[None]],
    stop: Callable[[int, FrameType | None], Any],
    number: int,
    frame: FrameType | None,
) -> None:
    async def finish() -> None:
        try:
            await drain()
        finally:
            stop(number, frame)

    # A second signal goes straight to uvicorn, for those who cannot wait.
    signal.signal(number, stop)
    loop.call_soon_threadsafe(lambda: asyncio.ensure_future(finish()))


def from_environment() -> Front:
    """What `uvicorn --factory` calls in each of its processes."""
    front = build(_house())
    # A schema is a hundred thousand objects that stay: whoever collects garbage need not look at them. Nor at what a
    # request makes again and again while it is answered: hardly any of it is garbage of the kind that is looked for.
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 20, 20)
    return front


def media_from_environment() -> Front:
    """What it calls for a server of files alone."""
    return build_media(_house())


def _house() -> House:
    settings = Settings.of(os.environ)
    logs.configure(settings.log_level, as_json=settings.log_json)
    return House.of(settings)
