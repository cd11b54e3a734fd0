"""Files that people and machines bring, from the wish to do so until they are let go.

REQUESTED ──► ARRIVED ──► KEPT      (attached to something)
    │            │          │
    └────────────┴──────────┴─────► SWEPT   (deleted by its owner, let go by what it was attached to; or
                                             never brought, or attached to nothing for 24 hours)

The row comes first: no bytes are put anywhere before it says where, so whatever is left behind is found again.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, TypeVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, and_, or_, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.accounts import LINE_MAX, Account, Role, check_text, shown
from models.base import VIEWER, Audience, Identified, named, uuid7
from models.config import Config, Option, option
from models.errors import Checks, Conflict, Refusal, refuses
from models.states import Party, Step, must_be_possible, possible, take

JUDGING = timedelta(seconds=120)
"""How long, after its body is in, an upload may wait to be looked at."""

PUTTING_AWAY = timedelta(seconds=60)
"""How long what was made of it may take to be put away."""

SWEEP_AGAIN = timedelta(minutes=1)
"""How long to wait before bytes that could not be deleted are tried again."""

REMEMBERED = timedelta(days=30)
"""How long an owner can still see what became of an upload that was swept."""

IMAGE_BYTES_MAX = option(
    "media.image_bytes_max", default=20_000_000, least=1_000, most=20_000_000, means="Bytes of an image."
)
DOCUMENT_BYTES_MAX = option(
    "media.document_bytes_max", default=300_000_000, least=1_000, most=300_000_000, means="Bytes of a document."
)
OPEN_MAX = option(
    "media.requests_open_max",
    default=20,
    least=1,
    most=1_000,
    means="Uploads an account may have requested and not yet brought.",
)
ACCOUNT_BYTES_MAX = option(
    "media.account_bytes_max",
    default=2_000_000_000,
    least=1_000_000,
    most=1_000_000_000_000,
    means="Bytes of all uploads of an account together, those it only requested too.",
)
TICKET_SECONDS = option(
    "media.ticket_seconds", default=900, least=30, most=86_400, means="Seconds in which an upload has to begin."
)
UPLOAD_SECONDS = option(
    "media.upload_seconds", default=600, least=5, most=7_200, means="Seconds a body may take to come in."
)
LOOSE_HOURS = option(
    "media.loose_hours",
    default=24,
    least=1,
    most=720,
    means="Hours that an upload is kept which is attached to nothing.",
)
LINK_SECONDS = option(
    "media.link_seconds", default=300, least=10, most=86_400, means="Seconds a link to a private file is good for."
)


class UploadGroup(enum.Enum):
    """What files are for; the value is what addresses call it."""

    ICONS = "icons"
    PHOTOS = "photos"
    RESUME = "resume"
    ATTACHMENTS = "attachments"

    @property
    def is_image(self) -> bool:
        """Whether images are in it; otherwise documents."""
        return self in {UploadGroup.ICONS, UploadGroup.PHOTOS}

    @property
    def is_public(self) -> bool:
        """Whether anybody who knows the address may read what is kept in it."""
        return self.is_image

    @property
    def suffix(self) -> str:
        """How the names of its files end."""
        return {UploadGroup.ICONS: ".png", UploadGroup.PHOTOS: ".webp"}.get(self, ".pdf")

    @property
    def bytes_max(self) -> Option[int]:
        """How big a file of the group may be."""
        return IMAGE_BYTES_MAX if self.is_image else DOCUMENT_BYTES_MAX


class UploadState(enum.Enum):
    """Where an upload is in its life."""

    REQUESTED = "REQUESTED"
    ARRIVED = "ARRIVED"
    KEPT = "KEPT"
    SWEPT = "SWEPT"


class UploadAction(enum.Enum):
    """What may be done with an upload."""

    ARRIVE = "ARRIVE"
    KEEP = "KEEP"
    DELETE = "DELETE"


class UploadArrived(Conflict):
    """A ticket is good for one file."""

    code = "UPLOAD_ARRIVED"
    message = "This upload has arrived already; a ticket works once."


@refuses("uq_uploads_group_stored_name")
class UploadUnderWay(Conflict):
    """Two at once are one too many; the one that began goes on."""

    code = "UPLOAD_UNDER_WAY"
    message = "This is being uploaded right now."


class UploadNotArrived(Conflict):
    """Only what is there can be attached."""

    code = "UPLOAD_NOT_ARRIVED"
    message = "This upload has not arrived yet."


class UploadInUse(Conflict):
    """An upload is attached to one thing, and as long as it is, it stays."""

    code = "UPLOAD_IN_USE"
    message = "This upload is attached to something already."


class UploadGone(Conflict):
    """Deleted, or too late."""

    code = "UPLOAD_GONE"
    message = "This upload is gone: it was deleted, or not brought or attached in time."


class UploadOfAnotherKind(Conflict):
    """A photo is no resume."""

    code = "UPLOAD_OF_ANOTHER_KIND"
    message = "This upload is of another group than is wanted here."


class UploadDiffers(Refusal):
    """What came is not what was requested."""

    code = "UPLOAD_DIFFERS"
    message = "The body is not as long as was said."


class TooManyUploads(Conflict):
    """Bring what you requested first."""

    code = "TOO_MANY_UPLOADS"
    message = "There are too many uploads you requested and have not brought yet."


class NoRoomLeft(Conflict):
    """Everybody has so much room."""

    code = "NO_ROOM_LEFT"
    message = "All your uploads together would be too big. Delete some first."


_S = UploadState
STEPS: dict[UploadAction, Step[UploadState]] = {
    UploadAction.ARRIVE: Step(Party.OWNER, frozenset({_S.REQUESTED}), _S.ARRIVED, UploadArrived),
    UploadAction.KEEP: Step(Party.OWNER, frozenset({_S.ARRIVED}), _S.KEPT, UploadNotArrived),
    UploadAction.DELETE: Step(Party.OWNER, frozenset({_S.REQUESTED, _S.ARRIVED}), _S.SWEPT, UploadInUse),
}
"""Who may do what with an upload, when, and where it leads. To what is swept, nothing."""

TIME = Step(Party.SYSTEM, frozenset({_S.REQUESTED, _S.ARRIVED}), _S.SWEPT, UploadInUse)
"""What time does to an upload that nobody brought or attached; nobody may do it."""

PARTING = Step(Party.SYSTEM, frozenset({_S.KEPT}), _S.SWEPT, UploadNotArrived)
"""What happens to an upload when what it was attached to lets it go."""

Condition = Callable[[], ColumnElement[bool]]
C = TypeVar("C", bound=Condition)

_SEEN_WITH: list[Condition] = []


def seen_with(condition: C) -> C:
    """Say that a member sees an upload because she sees what it is attached to.

    A noun that uploads can be attached to registers the condition beside its own `seen_by`. It correlates with
    `Upload` alone: whatever else the statement around it reads is none of its business.

        @seen_with
        def _to_a_proposal() -> ColumnElement[bool]:
            seen = ProposalAttachment.seen_by(Audience.MEMBER)
            return exists().where(ProposalAttachment.upload_id == Upload.id, seen).correlate(Upload)
    """
    _SEEN_WITH.append(condition)
    return condition


@dataclass(frozen=True)
class UploadWords:
    """What somebody wants to bring."""

    group: UploadGroup
    name: str
    size: int

    def check(self, check: Checks, config: Config) -> None:
        """A name for people to recognise, and a size that the group takes."""
        most = config[self.group.bytes_max]
        check_text(check, self.name, "name", LINE_MAX, least=1)
        check.require(1 <= self.size <= most, "size", f"A file of this group has 1 to {most} bytes.")


@dataclass(frozen=True)
class Usage:
    """What an account has already: uploads requested and not brought, and the bytes of all that are not swept."""

    open_count: int
    bytes_total: int


@dataclass(frozen=True)
class Stored:
    """What came in and was put away: its name within the group, and the facts about it that were not just believed."""

    name: str
    size: int
    mime_type: str
    sha256: str


class Upload(Identified):
    """A file that somebody brings, or has brought."""

    __tablename__ = "uploads"
    __table_args__ = (
        CheckConstraint("size > 0", name="size_positive"),
        CheckConstraint(
            "state not in ('ARRIVED', 'KEPT') or "
            "(stored_name is not null and mime_type is not null and sha256 is not null and arrived_at is not null)",
            name="arrived_whole",
        ),
        Index(
            "uq_uploads_group_stored_name",
            "group",
            "stored_name",
            unique=True,
            postgresql_where=text("stored_name is not null"),
        ),
        Index("ix_uploads_owner_id", "owner_id", "id"),
        Index("ix_uploads_due_at", "due_at", postgresql_where=text("due_at is not null")),
    )
    noun: ClassVar[str] = "upload"

    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"))
    """Who brought it; nobody for what a machine brought."""
    group: Mapped[UploadGroup] = mapped_column(named(UploadGroup))
    name: Mapped[str]
    size: Mapped[int]
    state: Mapped[UploadState] = mapped_column(named(UploadState))
    stored_name: Mapped[str | None]
    """What its bytes are, or will be, called in storage and in addresses. Nothing once they are deleted."""
    mime_type: Mapped[str | None]
    sha256: Mapped[str | None]
    requested_at: Mapped[datetime]
    arrives_before: Mapped[datetime]
    taken_until: Mapped[datetime | None]
    """Until when somebody's attempt to bring it keeps others from trying."""
    arrived_at: Mapped[datetime | None]
    kept_at: Mapped[datetime | None]
    swept_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    """When the sweeper looks at it; never while it is kept."""

    owner: Mapped[Account | None] = relationship(lazy="raise")

    @classmethod
    def request(cls, by: Account, words: UploadWords, usage: Usage, *, at: datetime, config: Config) -> "Upload":
        """Announce a file of one's own; icons are brought by administrators alone.

        What it is going to be called in storage is random, so that no two uploads ever touch each other.
        """
        if words.group is UploadGroup.ICONS:
            by.must_be(Role.ADMIN)
        with Checks() as check:
            words.check(check, config)
        if usage.open_count >= config[OPEN_MAX]:
            raise TooManyUploads
        if usage.bytes_total + words.size > config[ACCOUNT_BYTES_MAX]:
            raise NoRoomLeft
        before = at + timedelta(seconds=config[TICKET_SECONDS])
        return cls(
            owner_id=by.id,
            group=words.group,
            name=words.name.strip(),
            size=words.size,
            state=UploadState.REQUESTED,
            stored_name=uuid7().hex + words.group.suffix,
            requested_at=at,
            arrives_before=before,
            due_at=before,
        )

    @classmethod
    def delivered(cls, group: UploadGroup, name: str, stored: Stored, *, at: datetime) -> "Upload":
        """Note a file that a machine brought; it is kept from the start, for the machine knows what it is for."""
        upload = cls(
            owner_id=None,
            group=group,
            name=name,
            state=UploadState.KEPT,
            requested_at=at,
            arrives_before=at,
            arrived_at=at,
            kept_at=at,
        )
        upload._is(stored)
        return upload

    def deliver_again(self, stored: Stored, *, at: datetime) -> None:
        """Note that a machine brought another file of the same name, which is now there in its place."""
        assert self.owner_id is None, self.id
        self._is(stored)
        self.state = UploadState.KEPT
        self.arrived_at = self.kept_at = at
        self.swept_at = self.due_at = None

    def take(self, *, at: datetime, config: Config) -> datetime:
        """Begin to bring it: nobody else can, until this attempt fails or its time, which is returned, is over.

        Whoever holds the ticket comes in the owner's name.
        """
        self._must_be_there()
        if self.state is not UploadState.REQUESTED:
            raise UploadArrived
        if at >= self.arrives_before:
            raise UploadGone
        if self.taken_until is not None and at < self.taken_until:
            raise UploadUnderWay
        until = at + timedelta(seconds=config[UPLOAD_SECONDS]) + JUDGING + PUTTING_AWAY
        self.taken_until = self.due_at = until
        return until

    def must_have_size(self, length: int | None) -> None:
        """Refuse a body that says beforehand that it is not as long as was announced."""
        if length is not None and length != self.size:
            raise UploadDiffers(f"{self.size} bytes were announced, and {length} are about to come.")

    def must_be_in_time(self, until: datetime, *, at: datetime) -> None:
        """Refuse to put anything away that might not be there before others may begin anew."""
        if at >= until - PUTTING_AWAY:
            raise UploadGone

    def is_taken(self, until: datetime) -> bool:
        """Whether the attempt that was to be over at `until` is still the one, and has not arrived."""
        return self.taken_until == until

    def give_back(self, until: datetime) -> None:
        """End an attempt that failed and left nothing; another may begin."""
        if self.is_taken(until):
            self.taken_until = None
            self.due_at = self.arrives_before if self.state is UploadState.REQUESTED else self.swept_at

    def arrive(self, until: datetime, stored: Stored, *, at: datetime, config: Config) -> None:
        """Be there, by the attempt that was to be over at `until`; if that time has come, it was all in vain."""
        self._must_be_there()
        must_be_possible(self, STEPS[UploadAction.ARRIVE], frozenset({Party.OWNER}))
        if not self.is_taken(until) or at >= until:
            raise UploadGone
        take(self, STEPS[UploadAction.ARRIVE], frozenset({Party.OWNER}))
        self._is(stored)
        self.arrived_at = at
        self.taken_until = None
        self.due_at = at + timedelta(hours=config[LOOSE_HOURS])

    def _is(self, stored: Stored) -> None:
        self.stored_name = stored.name
        self.size = stored.size
        self.mime_type = stored.mime_type
        self.sha256 = stored.sha256

    def keep(self, by: Account, group: UploadGroup, *, at: datetime) -> None:
        """Be attached to something that wants a file of this group: the owner alone may, once."""
        self._must_be_there()
        if self.state is UploadState.KEPT:
            raise UploadInUse
        must_be_possible(self, STEPS[UploadAction.KEEP], self.parties(by))
        if self.group is not group:
            raise UploadOfAnotherKind
        take(self, STEPS[UploadAction.KEEP], self.parties(by))
        self.kept_at = at
        self.due_at = None

    def let_go(self, *, at: datetime) -> None:
        """Be taken off what it was attached to; its bytes are deleted a little later."""
        take(self, PARTING, frozenset({Party.SYSTEM}))
        self.swept_at = self.due_at = at

    def delete(self, by: Account, *, at: datetime) -> None:
        """Do without it: the owner alone may, as long as it is attached to nothing."""
        self._must_be_there()
        take(self, STEPS[UploadAction.DELETE], self.parties(by))
        self.swept_at = at
        # An attempt to bring it may be under way; what that has put away is found when it cannot arrive any more.
        self.due_at = max(at, self.taken_until or at)

    def sweep(self, *, at: datetime) -> bool:
        """End an upload whose time is over; `False` when it is kept, or its time is not over."""
        if self.due_at is None or at < self.due_at:
            return False
        if self.state is not UploadState.SWEPT:
            take(self, TIME, frozenset({Party.SYSTEM}))
            self.swept_at = at
        self.due_at = at + SWEEP_AGAIN
        return True

    def forget_bytes(self) -> None:
        """Note that nothing of it is left but this row, which goes too, in a month, unless something points to it."""
        assert self.state is UploadState.SWEPT, self.state
        assert self.swept_at is not None
        self.stored_name = None
        self.due_at = None if self.kept_at else self.swept_at + REMEMBERED

    @property
    def is_forgotten(self) -> bool:
        """Whether nothing is left of it but this row."""
        return self.state is UploadState.SWEPT and self.stored_name is None

    def _must_be_there(self) -> None:
        if self.state is UploadState.SWEPT:
            raise UploadGone

    def parties(self, account: Account | None) -> frozenset[Party]:
        """What somebody is to this upload."""
        mine = account is not None and self.owner_id == account.id
        return frozenset({Party.OWNER}) if mine else frozenset()

    def actions_for(self, account: Account | None) -> list[UploadAction]:
        """What somebody may do with this upload now."""
        return possible(self, STEPS, self.parties(account))

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """An upload is its owner's, and theirs who see what it is attached to; kept photos and icons are everybody's.

        Whoever sees the row of a private file gets a link to the file.
        """
        public = [group for group in UploadGroup if group.is_public]
        everybodys = and_(cls.group.in_(public), cls.state == UploadState.KEPT)
        kept_with = (and_(cls.state == UploadState.KEPT, condition()) for condition in _SEEN_WITH)
        return or_(everybodys, shown(audience, or_(cls.owner_id == VIEWER, *kept_with)))
