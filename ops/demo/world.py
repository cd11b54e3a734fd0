"""What the demo is made with: one source of chance, one clock, and everything made so far.

Nothing here asks the machine for the time or for randomness, so the same `now` makes the same rows everywhere.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar
from uuid import UUID

from models.activity import Event, EventKind, StreamHead, event, wallet_stream
from models.base import Base, Identified
from models.config import Config
from models.payments import TariffKind, Wallet
from models.proposals import Proposal
from ops.demo.books import Books

SEED = 20_260_101
Row = TypeVar("Row", bound=Base)
T = TypeVar("T")


class World:
    """Everything there is in the demo."""

    def __init__(
        self,
        now: datetime,
        *,
        categories: Mapping[str, UUID],
        skills: Mapping[str, UUID],
        tariffs: Sequence[tuple[TariffKind, int, datetime]],
    ) -> None:
        self.now = now
        self.categories = categories
        self.skills = skills
        self.config = Config()
        self.chance = Random(SEED)  # noqa: S311 - it is to be the same everywhere
        self.rows: dict[type[Base], list[Base]] = defaultdict(list)
        self.spendings: list[tuple[datetime, Proposal, bool]] = []
        """What was paid for offers, or returned, and when."""
        self._tariffs = sorted(tariffs, key=lambda tariff: tariff[2])
        self._events: list[Event] = []
        self.books = Books(self.make_id)

    def keep(self, row: Row, at: datetime) -> Row:
        """Take a row in, with an id of the moment it is from."""
        if isinstance(row, Identified):
            row.id = self.make_id(at)
        self.rows[type(row)].append(row)
        return row

    def make_id(self, at: datetime) -> UUID:
        """Make an id as `models.base.uuid7` does, of this moment and with our own chance."""
        milliseconds = int(at.timestamp()) * 1000 + at.microsecond // 1000
        fraction = at.microsecond % 1000 * 4096 // 1000
        tail = self.chance.getrandbits(62)
        return UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | tail)

    def tell(self, streams: Sequence[str], kind: EventKind, subject: Identified, by: UUID | None, at: datetime) -> None:
        """Leave the news of what happened in these streams."""
        self._events.extend(event(stream, kind, subject, by=by, at=at) for stream in streams)

    def tell_wallet(self, account_id: UUID, by: UUID | None, at: datetime) -> None:
        """Leave the news that something moved in somebody's wallet."""
        changed, stream = EventKind.WALLET_CHANGED, wallet_stream(account_id)
        self._events.append(
            Event(stream=stream, kind=changed, subject=Wallet.noun, subject_id=account_id, actor_id=by, at=at)
        )

    def number_events(self) -> None:
        """Number what happened in each stream, in the order of time, and note the last number of each."""
        heads: Counter[str] = Counter()
        for happened in sorted(self._events, key=lambda one: one.at):
            heads[happened.stream] += 1
            happened.sequence = heads[happened.stream]
            self.keep(happened, happened.at)
        self._events.clear()
        self.rows[StreamHead].extend(StreamHead(stream=stream, sequence=heads[stream]) for stream in sorted(heads))

    def fees_at(self, at: datetime) -> dict[TariffKind, int]:
        """The fees that held at a moment; before the first tariff, those of the first."""
        fees: dict[TariffKind, int] = {}
        for kind, bps, effective_at in self._tariffs:
            if kind not in fees or effective_at <= at:
                fees[kind] = bps
        return fees

    def ago(self, days: float) -> datetime:
        """A moment so many days before now."""
        return self.now - timedelta(milliseconds=round(days * 86_400_000))

    def between(self, start: datetime, end: datetime) -> datetime:
        """Some moment after the start and before the end."""
        span = max((end - start) // timedelta(milliseconds=1), 2)
        return start + timedelta(milliseconds=self.chance.randrange(1, span))

    def after(self, start: datetime, least_hours: float, most_hours: float) -> datetime:
        """Some moment so many hours after the start."""
        return self.between(start + timedelta(hours=least_hours), start + timedelta(hours=most_hours))

    def one(self, among: Sequence[T]) -> T:
        """Any one of these."""
        return among[self.chance.randrange(len(among))]

    def some(self, among: Sequence[T], count: int) -> list[T]:
        """So many of these, each once, in the order in which they were given."""
        chosen = sorted(self.chance.sample(range(len(among)), min(count, len(among))))
        return [among[index] for index in chosen]

    def happens(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self.chance.random() < probability
