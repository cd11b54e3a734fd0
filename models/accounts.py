"""Who people are: accounts, the sessions they are signed in with, and what they show of themselves.

session:   LIVE ──► ENDED       (signed out, replayed, password changed, suspended; or 30 days unused)
"""

import enum
import hashlib
import math
import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, ForeignKey, Index, Text, func, literal, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import VIEWER, Audience, Base, Identified, named
from models.config import Config, option
from models.errors import Checks, Conflict, Forbidden, NotFound, Problem, Refusal, Stale, Unauthenticated, refuses
from models.money import AMOUNT_MAX_CENTS, Currency

EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
EMAIL_MAX = 254  # RFC 5321, 4.5.3.1.3
PASSWORD_MIN, PASSWORD_MAX = 10, 1000
NAME_MAX, LINE_MAX, TEXT_MAX = 120, 200, 5_000
SET_MAX, SET_ITEM_MAX = 50, 60
ITEMS_MAX = 100
SESSIONS_MAX = 100
"""Live sessions of one account; signing in once more ends the oldest."""

AGE_MIN_YEARS = 18

ACCESS_SECONDS = option(
    "accounts.access_seconds", default=900, least=60, most=3_600, means="Seconds an access token is good for."
)
SESSION_DAYS = option(
    "accounts.session_days", default=30, least=1, most=365, means="Days a session lives after its last refresh."
)
FAILURES_MAX = option(
    "accounts.sign_in_failures_max",
    default=10,
    least=3,
    most=1_000,
    means="Failed sign-ins for one account before it has to wait; as many are forgiven in an hour.",
)
ADDRESS_FAILURES_MAX = option(
    "accounts.address_failures_max",
    default=100,
    least=3,
    most=100_000,
    means="Failed sign-ins from one address, which many may share, before it has to wait; as many are forgiven in an "
    "hour.",
)
REGISTRATIONS_MAX = option(
    "accounts.registrations_max",
    default=30,
    least=1,
    most=100_000,
    means="Accounts that may be registered from one address in an hour.",
)
BACKOFF_SECONDS = option(
    "accounts.sign_in_backoff_seconds",
    default=30,
    least=1,
    most=3_600,
    means="First wait after too many failed sign-ins; it doubles with every further failure, up to an hour.",
)
BACKOFF_MAX = timedelta(hours=1)
FORGIVING = timedelta(hours=1)
"""In which time as many attempts are forgiven as a limit allows."""


class Role(enum.Enum):
    """What an account may be here; it may be several."""

    CLIENT = "CLIENT"
    FREELANCER = "FREELANCER"
    ADMIN = "ADMIN"


class ItemKind(enum.Enum):
    """The lists on a freelancer's profile."""

    EDUCATION = "EDUCATION"
    EXPERIENCE = "EXPERIENCE"
    ACHIEVEMENT = "ACHIEVEMENT"


@refuses("uq_accounts_email")
class EmailTaken(Conflict):
    """One account per normalised address."""

    code = "EMAIL_TAKEN"
    message = "There is already an account with this email address."


class SignInFailed(Refusal):
    """Whatever the cause, it sounds the same, so that nobody learns which accounts exist."""

    code = "SIGN_IN_FAILED"
    message = "The email address or the password is not right, or there were too many attempts; try again later."


class TooManyAttempts(Refusal):
    """Somebody tries too often; what exactly was tried is not looked at."""

    code = "TOO_MANY_ATTEMPTS"
    message = "There were too many attempts. Try again later."

    def __init__(self, wait: timedelta = FORGIVING) -> None:
        super().__init__()
        self.retry_after_seconds = math.ceil(wait.total_seconds())


class SessionEnded(Unauthenticated):
    """The refresh token is unknown, used, or of a session that has ended."""

    code = "SESSION_ENDED"
    message = "This session has ended. Sign in again."


class WrongPassword(Forbidden):
    """The current password has to be given to change it."""

    code = "WRONG_PASSWORD"
    message = "The current password is not right."


class NotAClient(Forbidden):
    """Only clients post jobs and hire."""

    code = "NOT_A_CLIENT"
    message = "Only a client can do this. Add the role to your account first."


class NotAFreelancer(Forbidden):
    """Only freelancers propose and work."""

    code = "NOT_A_FREELANCER"
    message = "Only a freelancer can do this. Add the role to your account first."


class PartyUnavailable(Conflict):
    """Nobody new is bound to somebody who is shut out; why she is not available is between her and the house."""

    code = "PARTY_UNAVAILABLE"
    message = "The other party is not available at present."


class OwnAccount(Conflict):
    """Somebody has to be left who can let people in again."""

    code = "OWN_ACCOUNT"
    message = "You cannot suspend yourself."


class TooManyItems(Conflict):
    """A profile list is full."""

    code = "TOO_MANY_ITEMS"
    message = f"A profile holds at most {ITEMS_MAX} items."


def normal_email(text: str) -> str:
    """Write an address the one way in which it is compared; what cannot be kept is nobody's address."""
    if UNSTORABLE.search(text):
        return ""
    # Twice, for folding can undo what normalising did: J with a caron is one character only when it is small.
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded).strip()


def as_set(words: Sequence[str]) -> list[str]:
    """Keep the first spelling of each word, where it stood; words that differ only in case or outer space are one."""
    kept: dict[str, str] = {}
    for word in words:
        if word.strip():
            kept.setdefault(word.strip().casefold(), word.strip())
    return list(kept.values())


def check_password(check: Checks, password: str, path: str) -> None:
    """Long enough to resist guessing, short enough to hash."""
    check.require(
        PASSWORD_MIN <= len(password) <= PASSWORD_MAX,
        path,
        f"A password has {PASSWORD_MIN} to {PASSWORD_MAX} characters.",
    )
    _check_characters(check, password, path)


def check_text(check: Checks, text: str | None, path: str | tuple[str, ...], most: int, least: int = 0) -> None:
    """A text within its bounds, with something to see where one is wanted, without the characters no text has."""
    if text is None:
        return
    seen = least == 0 or any(character.isprintable() and not character.isspace() for character in text)
    if not (seen and least <= len(text.strip()) and len(text) <= most):
        bounds = f"{least} to {most}" if least else f"at most {most}"
        check.require(False, path, f"This has {bounds} characters.")
    _check_characters(check, text, path)


def tidy(text: str | None) -> str | None:
    """A text as it is kept: without space around it, and nothing rather than blank."""
    return (text and text.strip()) or None


def _check_characters(check: Checks, text: str, path: str | tuple[str, ...]) -> None:
    check.require(
        UNSTORABLE.search(text) is None, path, "A text cannot hold the null character, or half a surrogate pair."
    )


class Account(Identified):
    """A person who can sign in."""

    __tablename__ = "accounts"
    noun: ClassVar[str] = "account"

    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    full_name: Mapped[str]
    roles: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    suspended_at: Mapped[datetime | None]

    @classmethod
    def register(cls, *, email: str, password: str, full_name: str, roles: Sequence[Role], at: datetime) -> "Account":
        """Make an account that is not yet able to sign in: its password is hashed afterwards, by `resolvers`."""
        email = normal_email(email)
        with Checks() as check:
            check.require(
                bool(EMAIL.fullmatch(email)) and len(email) <= EMAIL_MAX and email.isprintable(),
                "email",
                "This is not an email address.",
            )
            check_password(check, password, "password")
            check_text(check, full_name, "full_name", NAME_MAX, least=1)
            check.require(bool(roles), "roles", "Choose at least one role.")
            check.require(Role.ADMIN not in roles, "roles", "Administrators are appointed, not registered.")
        return cls(
            email=email,
            password_hash="",
            full_name=full_name.strip(),
            roles=sorted({role.value for role in roles}),
            created_at=at,
        )

    def has(self, role: Role) -> bool:
        """Whether the account has this role."""
        return role.value in self.roles

    def add(self, role: Role) -> None:
        """Take on another role; taking it twice is the same as once."""
        if role is Role.ADMIN:
            raise Forbidden
        self.roles = sorted({*self.roles, role.value})

    @property
    def audience(self) -> Audience:
        """Whose eyes statements look with for this account."""
        return Audience.ADMIN if self.has(Role.ADMIN) else Audience.MEMBER

    def must_be_able_to_sign_in(self, known_hash: str | None) -> None:
        """Not suspended, and still with the password that was just verified."""
        if self.suspended_at is not None or self.password_hash != known_hash:
            raise SignInFailed

    def must_be_let_in(self) -> None:
        """Whoever is shut out is signed out, whatever she has just begun."""
        if self.suspended_at is not None:
            raise Unauthenticated

    def must_be_available(self) -> None:
        """Nobody proposes to, or hires, somebody who is shut out."""
        if self.suspended_at is not None:
            raise PartyUnavailable

    def suspend(self, by: "Account", *, at: datetime) -> None:
        """Shut somebody out; an administrator cannot shut out herself."""
        if by.id == self.id:
            raise OwnAccount
        self.suspended_at = self.suspended_at or at

    def reinstate(self) -> None:
        """Let somebody in again; the sessions that were ended stay so."""
        self.suspended_at = None

    def must_be(self, role: Role) -> None:
        """Be a client to hire, a freelancer to work, an administrator to moderate."""
        if not self.has(role):
            raise {Role.CLIENT: NotAClient, Role.FREELANCER: NotAFreelancer}.get(role, Forbidden)

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """An account is its owner's; what others see of a person are the profiles."""
        return shown(audience, cls.id == VIEWER)


def shown(audience: Audience, to_member: ColumnElement[bool]) -> ColumnElement[bool]:
    """Show something to nobody who is signed out, to members as said, and to administrators."""
    if audience is Audience.PUBLIC:
        return literal(False)
    return to_member if audience is Audience.MEMBER else true()


class Session(Identified):
    """One sign-in, on one device, until it ends."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_account_id", "account_id", "id"),)
    noun: ClassVar[str] = "session"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    address: Mapped[str]
    agent: Mapped[str]
    created_at: Mapped[datetime]
    refreshed_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    account: Mapped[Account] = relationship(lazy="raise")

    @classmethod
    def begin(cls, account: Account, *, address: str, agent: str, at: datetime, config: Config) -> "Session":
        """Sign somebody in."""
        return cls(
            account_id=account.id,
            address=address,
            agent=agent[:LINE_MAX],
            created_at=at,
            refreshed_at=at,
            expires_at=at + timedelta(days=config[SESSION_DAYS]),
        )

    def is_live(self, at: datetime) -> bool:
        """Whether it can still be used."""
        return self.ended_at is None and at < self.expires_at

    def end(self, at: datetime) -> None:
        """Sign out; a session that has ended stays as it ended."""
        self.ended_at = self.ended_at or at

    def rotate(self, used: "RefreshToken", *, at: datetime, config: Config) -> "tuple[RefreshToken, str] | None":
        """Trade a refresh token for the next one; trading one twice ends the session, for one of the two is a thief."""
        if used.used_at is not None:
            self.end(at)
        if not self.is_live(at):
            return None
        used.used_at = at
        self.refreshed_at = at
        self.expires_at = at + timedelta(days=config[SESSION_DAYS])
        return RefreshToken.issue(self, at=at)

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """One's own sessions, and nobody else's, whoever asks."""
        return literal(False) if audience is Audience.PUBLIC else cls.account_id == VIEWER


def digest(token: str) -> str:
    """Name a refresh token without being able to use it: SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


class RefreshToken(Base):
    """What a session was, is, or will be refreshed with; used ones are kept to recognise them."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        Index(None, "session_id"),
        Index("ix_refresh_tokens_used_at", "used_at", postgresql_where=text("used_at is not null")),
    )

    digest: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    issued_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    session: Mapped[Session] = relationship(lazy="raise")

    @classmethod
    def issue(cls, session: Session, *, at: datetime) -> "tuple[RefreshToken, str]":
        """Make the row to keep, and the token to hand out; the token itself is never kept."""
        token = secrets.token_urlsafe(32)
        return cls(digest=digest(token), session_id=session.id, issued_at=at), token


class Throttle(Base):
    """How often something was tried in vain lately: by whom an account is guarded, or from one address."""

    __tablename__ = "sign_in_throttles"
    __table_args__ = (Index(None, "last_at"),)

    subject: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime]
    forgiven_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """Up to when time has forgiven; it goes on by whole failures, so that frequent attempts lose nothing of it."""

    @staticmethod
    def of_account(email: str) -> str:
        """The throttle of an address that somebody tries, whether or not there is such an account."""
        return "account:" + digest(normal_email(email))

    @staticmethod
    def of_address(address: str) -> str:
        """The throttle of where the attempts come from."""
        return "address:" + address

    @staticmethod
    def of_newcomers(address: str) -> str:
        """The throttle of those who register from somewhere."""
        return "newcomers:" + address

    def must_be_open(self, at: datetime, config: Config) -> None:
        """Refuse to look at the password while the wait lasts: 30 s after 10 failures, doubling up to an hour."""
        if self._wait_left(at, config):
            raise SignInFailed

    def must_have_room(self, at: datetime, config: Config) -> None:
        """The same for those who may know why they are refused, and for how long."""
        if left := self._wait_left(at, config):
            raise TooManyAttempts(left)

    def _wait_left(self, at: datetime, config: Config) -> timedelta:
        if self._kind == "newcomers":
            self._pass_time(at, config)
            until = self.forgiven_at + self._each(config) if self.failures >= self._most(config) else at
        else:
            wait = self._wait(config)
            until = self.last_at + wait if wait else at
        return max(until - at, timedelta())

    def _wait(self, config: Config) -> timedelta:
        over = self.failures - self._most(config)
        if over < 0 or self._kind == "newcomers":
            return timedelta()
        return min(timedelta(seconds=config[BACKOFF_SECONDS] * 2 ** min(over, 12)), BACKOFF_MAX)

    def _pass_time(self, at: datetime, config: Config) -> None:
        wait = self._wait(config)
        # A wait is served before anything is forgiven; else the waits would stop to double.
        since = max(self.forgiven_at, self.last_at + wait) if wait else self.forgiven_at
        many = max((at - since) // self._each(config), 0)
        if many >= self.failures:
            self.failures, self.forgiven_at = 0, max(at, since)
        elif many:
            self.failures, self.forgiven_at = self.failures - many, since + many * self._each(config)

    def _each(self, config: Config) -> timedelta:
        return FORGIVING / self._most(config)

    def _most(self, config: Config) -> int:
        kinds = {"account": FAILURES_MAX, "address": ADDRESS_FAILURES_MAX, "newcomers": REGISTRATIONS_MAX}
        return config[kinds[self._kind]]

    @property
    def _kind(self) -> str:
        return self.subject.partition(":")[0]

    def count(self, at: datetime, config: Config) -> datetime:
        """Count an attempt as failed, before it is known, so that many at once gain nothing; says when the last was."""
        self._pass_time(at, config)
        before, self.last_at = self.last_at, max(self.last_at, at)
        self.failures += 1
        return before

    def forgive(self, at: datetime, before: datetime) -> None:
        """Take back an attempt that turned out right, and all of an account's failures: it was nobody else.

        An address that had to wait after the failure `before` waits for that one, and not for this attempt.
        """
        self.failures = 0 if self._kind == "account" else max(self.failures - 1, 0)
        if self.last_at == at:
            self.last_at = before


class Profile:
    """What the two public profiles share: they belong to an account, carry a version, and everybody may see them."""

    id: Mapped[UUID]
    version: Mapped[int]

    def begin_edit(self, version: int | None) -> None:
        """Refuse an edit of something that has changed since; count the edit."""
        if version is not None and version != self.version:
            raise Stale(self)
        self.version += 1


class ClientProfile(Profile, Base):
    """What everybody may see of a client."""

    __tablename__ = "client_profiles"
    noun: ClassVar[str] = "client"

    id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    company_name: Mapped[str]
    industry: Mapped[str | None]
    city: Mapped[str | None]
    description: Mapped[str | None]
    employee_count: Mapped[int | None]
    photo_id: Mapped[UUID | None] = mapped_column(ForeignKey("uploads.id"), index=True)
    joined_at: Mapped[datetime]
    version: Mapped[int]

    account: Mapped[Account] = relationship(lazy="raise")

    @classmethod
    def open(cls, account: Account, *, at: datetime) -> "ClientProfile":
        """Begin as a client under one's own name."""
        return cls(id=account.id, company_name=account.full_name, joined_at=at, version=1)

    def edit(self, words: "ClientWords", version: int | None) -> None:
        """Say who one is as a client."""
        with Checks() as check:
            check_text(check, words.company_name, "company_name", NAME_MAX, least=1)
            check_text(check, words.industry, "industry", LINE_MAX)
            check_text(check, words.city, "city", LINE_MAX)
            check_text(check, words.description, "description", TEXT_MAX)
            check.require(
                words.employee_count is None or 1 <= words.employee_count <= 10_000_000,
                "employee_count",
                "Employees are counted from 1 to 10 000 000.",
            )
        self.begin_edit(version)
        for name, value in vars(words).items():
            setattr(self, name, tidy(value) if isinstance(value, str) else value)

    @classmethod
    def seen_by(cls, _audience: Audience) -> ColumnElement[bool]:
        """Everybody may see who offers work."""
        return true()


@dataclass(frozen=True)
class ClientWords:
    """What a client says of itself."""

    company_name: str
    industry: str | None = None
    city: str | None = None
    description: str | None = None
    employee_count: int | None = None


@dataclass(frozen=True)
class FreelancerWords:
    """What a freelancer says of herself; the birth date is shown to her alone."""

    full_name: str
    title: str | None = None
    city: str | None = None
    country: str | None = None
    description: str | None = None
    hourly_rate_cents: int | None = None
    birth_date: date | None = None
    languages: Sequence[str] = ()
    skills: Sequence[str] = ()
    misread: Sequence[Problem] = ()
    """What of it could not be read."""


class FreelancerProfile(Profile, Base):
    """What everybody may see of a freelancer, and the birth date, which nobody else may."""

    __tablename__ = "freelancer_profiles"
    __table_args__ = (Index("ix_freelancer_profiles_newest", "joined_at", "id"),)
    noun: ClassVar[str] = "freelancer"

    id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    full_name: Mapped[str]
    title: Mapped[str | None]
    city: Mapped[str | None]
    country: Mapped[str | None]
    description: Mapped[str | None]
    hourly_rate_cents: Mapped[int | None]
    currency: Mapped[Currency] = mapped_column(named(Currency))
    birth_date: Mapped[date | None]
    languages: Mapped[list[str]] = mapped_column(ARRAY(Text))
    skills: Mapped[list[str]] = mapped_column(ARRAY(Text))
    photo_id: Mapped[UUID | None] = mapped_column(ForeignKey("uploads.id"), index=True)
    resume_id: Mapped[UUID | None] = mapped_column(ForeignKey("uploads.id"), index=True)
    joined_at: Mapped[datetime]
    version: Mapped[int]

    account: Mapped[Account] = relationship(lazy="raise")

    @classmethod
    def open(cls, account: Account, *, at: datetime) -> "FreelancerProfile":
        """Begin as a freelancer under one's own name."""
        return cls(
            id=account.id,
            full_name=account.full_name,
            currency=Currency.USD,
            languages=[],
            skills=[],
            joined_at=at,
            version=1,
        )

    def edit(self, words: FreelancerWords, version: int | None, *, at: datetime) -> None:
        """Say who one is as a freelancer; languages and skills are sets, whatever their case."""
        with Checks() as check:
            check.note(words.misread)
            check_text(check, words.full_name, "full_name", NAME_MAX, least=1)
            for name in ("title", "city", "country"):
                check_text(check, getattr(words, name), name, LINE_MAX)
            check_text(check, words.description, "description", TEXT_MAX)
            check.require(
                words.hourly_rate_cents is None or 0 < words.hourly_rate_cents <= AMOUNT_MAX_CENTS,
                "hourly_rate",
                "An hourly rate is more than zero.",
            )
            check.require(
                words.birth_date is None or 0 <= _years(words.birth_date, at.date()) - AGE_MIN_YEARS <= 120,
                "birth_date",
                f"Freelancers are at least {AGE_MIN_YEARS} years old.",
            )
            for name in ("languages", "skills"):
                _check_set(check, getattr(words, name), name)
        self.begin_edit(version)
        for name, value in vars(words).items():
            if name != "misread":
                kept = as_set(value) if name in {"languages", "skills"} else value
                setattr(self, name, tidy(kept) if isinstance(kept, str) else kept)

    @classmethod
    def seen_by(cls, _audience: Audience) -> ColumnElement[bool]:
        """Everybody may see who offers to work."""
        return true()


def _years(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _check_set(check: Checks, words: Sequence[str], name: str) -> None:
    check.require(len(words) <= SET_MAX, name, f"At most {SET_MAX} of these.")
    for word in words[:SET_MAX]:
        check_text(check, word, name, SET_ITEM_MAX, least=1)


@dataclass(frozen=True)
class ItemWords:
    """What a profile item says."""

    title: str
    organization: str | None = None
    description: str | None = None
    starts_on: date | None = None
    ends_on: date | None = None


class ProfileItem(Identified):
    """A degree, a position or an achievement on a freelancer's profile."""

    __tablename__ = "profile_items"
    __table_args__ = (Index(None, "freelancer_id", "id"),)
    noun: ClassVar[str] = "item"

    freelancer_id: Mapped[UUID] = mapped_column(ForeignKey("freelancer_profiles.id"))
    kind: Mapped[ItemKind] = mapped_column(named(ItemKind))
    title: Mapped[str]
    organization: Mapped[str | None]
    description: Mapped[str | None]
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]

    freelancer: Mapped[FreelancerProfile] = relationship(lazy="raise")

    @classmethod
    def put(cls, owner: FreelancerProfile, kind: ItemKind, words: ItemWords, *, count: int) -> "ProfileItem":
        """Add an item to one's own profile, which has `count` already."""
        if count >= ITEMS_MAX:
            raise TooManyItems
        item = cls(freelancer_id=owner.id, kind=kind)
        item.edit(words)
        return item

    def edit(self, words: ItemWords) -> None:
        """Say it anew; it cannot end before it starts."""
        with Checks() as check:
            check_text(check, words.title, "title", LINE_MAX, least=1)
            check_text(check, words.organization, "organization", LINE_MAX)
            check_text(check, words.description, "description", TEXT_MAX)
            in_order = words.starts_on is None or words.ends_on is None or words.starts_on <= words.ends_on
            check.require(in_order, "ends_on", "It ends before it starts.")
        for name, value in vars(words).items():
            setattr(self, name, tidy(value) if isinstance(value, str) else value)

    def must_belong_to(self, account: Account) -> None:
        """Only its owner may change an item; that it exists is no secret, but to others it is not there to change."""
        if self.freelancer_id != account.id:
            raise NotFound

    @classmethod
    def seen_by(cls, _audience: Audience) -> ColumnElement[bool]:
        """Everybody may see what is on a profile."""
        return true()
