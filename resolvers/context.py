"""What a verb is given: who asks, what time it is, and how to read, write and tell."""

from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol, Self
from uuid import UUID

import orjson
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import async_sessionmaker

from loaders.batch import Loaders
from loaders.compile import Statement
from loaders.pages import Seal
from loaders.together import Together
from loaders.work import Reading, UnitOfWork, in_our_words, is_away
from media.depot import Depot
from models.accounts import Account, Session
from models.base import Audience, Base
from models.config import Config
from models.control import Actor, Service
from models.errors import OutcomeUnknown, Unauthenticated
from resolvers.hub import Hub
from resolvers.provider import Provider


class Tokens(Protocol):
    """Makes the access tokens that people carry."""

    def issue(self, account: Account, session: Session, *, at: datetime, seconds: int) -> str:
        """Sign a token for this account and session, good for so many seconds."""


class Passwords(Protocol):
    """Hashes and verifies passwords without keeping anybody else waiting."""

    async def hash(self, password: str) -> str:
        """Make the only form in which a password is kept."""

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Verify a password, in the same time whether or not there is a hash to verify it against."""


class Clock(Protocol):
    """What time it is in the house. In a sandbox it may be ahead of the world's."""

    @property
    def is_sandbox(self) -> bool:
        """Whether time may be let pass."""

    def __call__(self) -> datetime:
        """The time by which everything in the marketplace comes due."""

    def wall(self) -> datetime:
        """The world's time, by which people are signed in, and wait for being allowed to try again."""

    async def catch_up(self) -> None:
        """Take notice of all the time that was let pass until now."""


class Answers(Protocol):
    """Asks statements that make a whole answer."""

    async def value(self, text: str, arguments: Sequence[Any], *, keep: bool) -> bytes | None:
        """Ask a statement for its single value, a text or JSON; `keep` says that it will be asked again."""


@dataclass(slots=True)
class Sequel:
    """What is asked in the transaction of a deed, when it is done and before it is kept."""

    text: str
    arguments: Sequence[Any]
    value: bytes | None = None
    """What came of it, if anything did."""


class Deed(Protocol):
    """Something that a statement writes, alone or together with others of its kind."""

    @property
    def kind(self) -> Hashable:
        """Deeds of one kind can be done together."""

    @property
    def by(self) -> UUID:
        """Whose it is; while it is being done she does everything else the long way."""

    def together(self, others: Sequence[Self]) -> tuple[str, Sequence[Any]]:
        """The statement that does this and others of its kind, all or none, and what is bound to it."""


class Deeds(Protocol):
    """Does what a verb does in a single statement, which is a whole transaction."""

    async def do(self, deed: Deed, sequel: Sequel | None = None) -> bytes:
        """Do one, and give the statement's value, a text or JSON; where its sequel fails, nothing is kept.

        Raises `LongWay` where nothing was done, and `OutcomeUnknown` where nobody can know.
        """


class LongWay(Exception):
    """Nothing was done the short way: ask again, as somebody who was looked up, and the ordinary way."""


class Codebook(Protocol):
    """What this process knows of the code of its commands."""

    def judge(self, command: str, source: str, signature: str) -> None:
        """Refuse code for a command that was not signed, or could not stand where it is to stand."""


@dataclass(frozen=True)
class Context:
    """One operation's surroundings. Values and doors, no services: a verb imports the functions it calls."""

    viewer: Account | None
    session_id: UUID | None
    expires_at: datetime | None
    """When the access token ends that the caller came with."""
    address: str
    agent: str
    now: Clock
    config: Config
    reading: Reading
    transactions: async_sessionmaker[UnitOfWork]
    loaders: Loaders
    answers: Answers
    hub: Hub
    seal: Seal
    depot: Depot
    tokens: Tokens
    passwords: Passwords
    provider: Provider | None = None
    """Who carries money to and from here, if anybody does."""
    is_recalled: bool = False
    """Whether the viewer is only remembered; whatever reads has to see that she is signed in yet."""
    together: Together = field(default_factory=Together)
    """Reads once what many ask at the same moment."""
    deeds: Deeds | None = None
    """Runs what a verb does in a single statement, where it does."""
    showing: "Callable[[type[Base], UUID], Sequel | None] | None" = None
    """Asks what is to be shown of the row that an operation answers with, if somebody knows already which it is."""
    remarks: dict[str, Any] = field(default_factory=dict)
    """What the answer carries beside its data, under `extensions`."""

    commands: Mapping[str, Service] = field(default_factory=dict)
    """Everything that can be asked of this house, by the service it belongs to."""
    codebook: Codebook | None = None
    """Who judges code that is given for a command while the house runs."""
    machine_id: UUID | None = None
    """The machine that this server is, if it is one that can be sent away."""
    operator: Actor | None = None
    """Who steers from the command line, where nobody signs in."""

    def renewed(self, **more: Any) -> "Context":
        """The same, but for these: `dataclasses.replace` would go through all of it."""
        made = object.__new__(Context)
        vars(made).update(vars(self) | more)
        return made

    @property
    def me(self) -> Account:
        """The caller, who has to be signed in."""
        if self.viewer is None:
            raise Unauthenticated
        return self.viewer

    @property
    def eyes(self) -> tuple[UUID, Audience]:
        """Whose eyes a lock looks with: a row the caller may not see is not there to be held."""
        return self.me.id, self.me.audience

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[UnitOfWork]:
        """Open the one transaction of a mutation: committed when the block ends, and only then told."""
        with in_our_words():
            async with self.transactions() as work:
                yield work
                await work.flush()
                await work.write_calls()
                await work.number_events()
                try:
                    await self._commit(work)
                finally:
                    # At once, whoever is cancelled meanwhile, and also when nobody knows whether it was kept:
                    # a ring is no more than a hint, and one too many costs a look.
                    await self._ring(work)
        self.loaders.forget(kept=True)

    async def _ring(self, work: UnitOfWork) -> None:
        await self.ring({event.stream: event.sequence for event in work.events})

    async def ring(self, last: Mapping[str, int | str]) -> None:
        """Let everybody look who follows these streams, up to these events; or up to whatever there is, if it is ""."""
        for stream, sequence in last.items():
            await self.hub.ring(stream, str(sequence))

    def arguments(self, parameters: Sequence[str], own: Mapping[str, Any]) -> list[Any]:
        """What is bound to a statement: its own, and what may be known of any request."""
        return [own[name] if name in own else self._common(name) for name in parameters]

    async def one_of(self, each: Statement, own: Mapping[str, Any]) -> Any:
        """Ask a statement that is made `for_each`, together with all who ask it at the same moment."""
        mine = orjson.dumps(dict(zip(each.parameters, self.arguments(each.parameters, own), strict=True)), default=str)
        found = await self.together.ask_for((self.answers, each.text), mine, partial(self._each, each))
        return found[mine]

    async def _each(self, each: Statement, asked: set[bytes]) -> dict[bytes, Any]:
        """What is found for each that is asked for."""
        value = await self.answers.value(each.text, [f"[{b','.join(asked).decode()}]"], keep=True)
        return dict(zip(asked, orjson.loads(value or b"[]"), strict=True))

    def _common(self, name: str) -> Any:
        match name:
            case "viewer_id":
                return self.viewer.id if self.viewer else None
            case "viewer_roles":
                return self.viewer.roles if self.viewer else []
            case "session_id":
                return self.session_id
            case "now":
                return self.now()
            case "wall":
                return self.now.wall()
        raise AssertionError(name)

    async def _commit(self, work: UnitOfWork) -> None:
        try:
            await work.commit()
        except (DBAPIError, OSError) as error:
            # Deferred constraints are refused here, before anything happened; a lost connection is another matter.
            if is_away(error):
                raise OutcomeUnknown from error
            raise
