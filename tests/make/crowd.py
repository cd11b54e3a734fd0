"""Everybody and everything at once: rows of every kind, in all states, with the nastiest words, from one seed.

A new table gets a function of its own here, called by `crowd` after those of the tables it points to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import cycle, product
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from models.accounts import Account, ClientProfile, FreelancerProfile, ItemKind, ProfileItem, Role, Session
from models.activity import (
    CONTROL_NEWS_STREAM,
    Event,
    EventKind,
    StreamHead,
    contract_stream,
    event,
    job_stream,
    proposal_stream,
    wallet_stream,
)
from models.base import Base
from models.config import Config
from models.connects import CURRENCY, LOT, Allowance, Lot, LotSource, Movement, MovementKind
from models.contracts import (
    Actor,
    ChangeAttachment,
    ChangeKind,
    Contract,
    ContractAttachment,
    ContractState,
    Milestone,
    MilestoneState,
    Termination,
    TerminationState,
)
from models.control import (
    Acknowledgement,
    AckState,
    AuditEntry,
    CommandVersion,
    Control,
    ControlMessage,
    Kind,
    NodeKind,
    NodeState,
    Ruling,
    ServerNode,
    Service,
    Verb,
)
from models.jobs import (
    SKILLS_MAX,
    Budget,
    BudgetKind,
    Category,
    Duration,
    Experience,
    Invitation,
    Job,
    JobAttachment,
    JobSkill,
    JobState,
    JobWords,
    Skill,
)
from models.ledger import AccountKind, Entry, Hold, HoldState, Journal, LedgerAccount
from models.machines import MachineState
from models.media import Upload, UploadGroup, UploadState
from models.money import AMOUNT_MAX_CENTS, Currency
from models.payments import (
    EARNINGS,
    ESCROW,
    FUNDS,
    PENDING,
    Charge,
    Payment,
    PaymentKind,
    PaymentRequest,
    PaymentRequestState,
    TariffKind,
)
from models.proposals import MILESTONES_MAX, Proposal, ProposalAttachment, ProposalMilestone, ProposalState
from models.transfers import Purse, Transfer, TransferKind, TransferState
from tests.make.control import server_node
from tests.make.machines import keeper, machine

T = TypeVar("T")
Row = TypeVar("Row", bound=Base)

NASTY = (
    "She said \"no\", 'no' and `no`",
    "back\\slash \\n \\u0041 \\",
    "control \x01\x08\t\n\x0b\x0c\r\x1b\x1f\x7f\x80\x9f characters",
    "emoji 👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 and beyond \U0010ffff",
    "lines\u2028and\u2029paragraphs, \ufeff and \u200b",
    "עברית ואנגלית \u202eright to left\u202c العربية",
    "</script><b>&amp;/\\/",
    "%s %(name)s {0} {name} $1 $viewer :viewer_id ?",
    "'; drop table jobs; --",
    "null",
    '[1, {"a": null}]',
    " ",
    "\u00e9 e\u0301 \u00df \u017f \u0130 \u0131 \u01f0 \ufb01",
    "x" * 5_000,
    "ü" * 2_000,
)
PLAIN = ("Build a shop", "Paint a wall", "Logo", "Write three letters", "Design", "Old town", "Everything")
CENTS = (1, 9, 10, 99, 100, 101, 1_000_00, 1_234_56, AMOUNT_MAX_CENTS - 1, AMOUNT_MAX_CENTS)
DAYS = (date.min, date(999, 12, 31), date(1970, 1, 1), date(2024, 2, 29), date(2026, 11, 20), date.max)
FEES = {TariffKind.FREELANCER_FEE: 1_000, TariffKind.CLIENT_FEE: 0}
AUDITED = ("at", "actor_id", "actor", "address", "subject", "before", "after", "why")
RULINGS: tuple[tuple[Kind, str, Any], ...] = (
    (Kind.THREADS, "JOBS", 5),
    (Kind.DB_CONNECTIONS, "POOL", 10),
    (Kind.FROZEN, "MEDIA", True),
    (Kind.DELETED, "createJob", True),
    (Kind.CODE, "createJob", {"numbers": [0, 1, 2], "percent": 10}),
    (Kind.LOG_LEVEL, "JOBS", "INFO"),
    (Kind.OPTION, "jobs.open_days", 10),
)
JOURNALS = ("DEPOSIT", "WITHDRAWAL", "FUND", "RELEASE", "SETTLE")
BEYOND_32_BITS = 3_000_000_000

CLIENTS, FREELANCERS = 6, 12
JOBS_OF_CLARA, JOBS_EACH, DRAFTS_OF_CLARA = 26, 4, 3
PROPOSALS_MAX = 7


@dataclass
class Viewer:
    """Somebody who looks, and the session she looks from."""

    account: Account | None
    session_id: UUID | None = None


@dataclass
class Crowd:
    """What was made so far, and the chance it was made with."""

    rng: Random
    now: datetime
    categories: Sequence[UUID]
    skills: Sequence[UUID]
    rows: list[Base] = field(default_factory=list)
    named: dict[str, Account] = field(default_factory=dict)
    """The accounts that somebody may look with."""

    def add(self, row: Row) -> Row:
        """Let a row be part of it, under an id that the seed decides."""
        key = row.__table__.c.get("id")
        if key is not None and not key.foreign_keys:
            vars(row)["id"] = self.id()
        self.rows.append(row)
        return row

    def id(self) -> UUID:
        """An id of some moment of the last weeks; several may be of the same millisecond."""
        milliseconds = 1_790_000_000_000 + self.rng.randrange(3_000)
        return UUID(
            int=milliseconds << 80 | 7 << 76 | self.rng.getrandbits(12) << 64 | 2 << 62 | self.rng.getrandbits(62)
        )

    def all(self, kind: type[T]) -> list[T]:
        """The rows of a kind."""
        return [row for row in self.rows if isinstance(row, kind)]

    def text(self) -> str:
        """Something that somebody may have written."""
        return self.rng.choice(NASTY) if self.rng.random() < 0.5 else self.rng.choice(PLAIN)

    def line(self) -> str:
        """The same, not longer than a line."""
        return self.text()[:200]

    def maybe(self, value: T) -> T | None:
        """The value, or nothing."""
        return value if self.rng.random() < 0.6 else None

    def past(self) -> datetime:
        """One of a few moments, so that many things have happened at the same one; with and without a fraction."""
        days = timedelta(days=self.rng.randrange(1, 6))
        fraction = self.rng.choice((0, 1, 120_000, 999_999))
        return (self.now - days).replace(microsecond=fraction)

    def viewers(self) -> dict[str, Viewer]:
        """Everybody who looks, by what they are to the others; nobody too."""
        sessions = {session.account_id: session.id for session in reversed(self.all(Session))}
        looking = {name: Viewer(account, sessions[account.id]) for name, account in self.named.items()}
        return {"nobody": Viewer(None)} | looking


def crowd(seed: int, now: datetime, categories: Sequence[UUID], skills: Sequence[UUID]) -> Crowd:
    """Make it all; the same seed makes the same."""
    world = Crowd(Random(seed), now, categories, skills)
    _people(world)
    _uploads(world)
    _profiles(world)
    _jobs(world)
    _invitations(world)
    _proposals(world)
    _connects(world)
    _contracts(world)
    _payments(world)
    _transfers(world)
    _wallets(world)
    _control(world)
    _machines(world)
    _events(world)
    return world


def _people(world: Crowd) -> None:
    client, freelancer, admin = Role.CLIENT, Role.FREELANCER, Role.ADMIN
    named: dict[str, tuple[Role, ...]] = {
        "client": (client,),
        "other_client": (client,),
        "freelancer": (freelancer,),
        "rival": (freelancer,),
        "both": (client, freelancer),
        "admin": (admin,),
        "admin_too": (admin, client, freelancer),
    }
    for name, roles in named.items():
        world.named[name] = _person(world, name, roles)
    for at in range(CLIENTS):
        _person(world, f"client{at}", (client,), suspended=at == 0)
    for at in range(FREELANCERS):
        _person(world, f"freelancer{at}", (freelancer,), suspended=at == 0)


def _person(world: Crowd, name: str, roles: tuple[Role, ...], *, suspended: bool = False) -> Account:
    made = world.add(
        Account(
            email=f"{name}@example.org",
            password_hash="$argon2id$none",
            full_name=world.line(),
            roles=sorted(role.value for role in roles),
            created_at=world.past(),
            suspended_at=world.past() if suspended else None,
        )
    )
    for over in (False, False, True):
        session = Session.begin(made, address="192.0.2.1", agent=world.line(), at=world.past(), config=Config())
        session.ended_at = world.now if over else None
        world.add(session)
    world.add(Session.begin(made, address="::1", agent="", at=world.now - timedelta(days=90), config=Config()))
    return made


def _upload(world: Crowd, owner: Account | None, group: UploadGroup, state: UploadState, **values: Any) -> Upload:
    at = world.past()
    there = state in {UploadState.ARRIVED, UploadState.KEPT}
    usual: dict[str, Any] = {
        "owner_id": owner.id if owner else None,
        "group": group,
        "name": world.line(),
        "size": world.rng.choice((1, 1_000, 300_000_000)),
        "state": state,
        "stored_name": None if state is UploadState.SWEPT else world.id().hex + group.suffix,
        "mime_type": ("image/webp" if group.is_image else "application/pdf") if there else None,
        "sha256": f"{world.rng.getrandbits(256):064x}" if there else None,
        "requested_at": at,
        "arrives_before": at + timedelta(minutes=15),
        "arrived_at": at if there else None,
        "kept_at": at if state is UploadState.KEPT else None,
        "swept_at": at if state is UploadState.SWEPT else None,
        "due_at": None if state is UploadState.KEPT else at,
    }
    return world.add(Upload(**usual | values))


def _uploads(world: Crowd) -> None:
    """Files of every group in every state, of those who look; what is attached is made where it is attached."""
    for owner in world.named.values():
        for group in UploadGroup:
            for state in UploadState:
                _upload(world, owner, group, state)
    for state in (UploadState.KEPT, UploadState.SWEPT):
        _upload(world, None, UploadGroup.ICONS, state)


def _profiles(world: Crowd) -> None:
    for account in world.all(Account):
        if account.has(Role.CLIENT):
            _client(world, account)
        if account.has(Role.FREELANCER):
            _freelancer(world, account)
    # No rule lets this one be; it is there to break an answer now and then, and offers nothing.
    world.all(ClientProfile)[-1].employee_count = BEYOND_32_BITS


def _client(world: Crowd, account: Account) -> None:
    world.add(
        ClientProfile(
            id=account.id,
            company_name=world.line(),
            industry=world.maybe(world.line()),
            city=world.maybe(world.line()),
            description=world.maybe(world.text()),
            employee_count=world.maybe(world.rng.choice((1, 250, 10_000_000))),
            photo_id=_photo(world, account),
            joined_at=world.past(),
            version=world.rng.randrange(1, 5),
        )
    )


def _photo(world: Crowd, account: Account) -> UUID | None:
    """A picture, or one that is gone, or none."""
    state = world.rng.choice((UploadState.KEPT, UploadState.KEPT, UploadState.SWEPT, None))
    return state and _upload(world, account, UploadGroup.PHOTOS, state).id


def _freelancer(world: Crowd, account: Account) -> None:
    resume = world.maybe(UploadGroup.RESUME)
    made = world.add(
        FreelancerProfile(
            id=account.id,
            full_name=account.full_name,
            title=world.maybe(world.line()),
            city=world.maybe(world.line()),
            country=world.maybe(world.line()),
            description=world.maybe(world.text()),
            hourly_rate_cents=world.maybe(world.rng.choice(CENTS)),
            currency=Currency.USD,
            birth_date=world.maybe(date(1990, 2, 28)),
            languages=[world.line()[:60] for _ in range(world.rng.randrange(4))],
            skills=[world.line()[:60] for _ in range(world.rng.randrange(4))],
            photo_id=_photo(world, account),
            resume_id=resume and _upload(world, account, resume, UploadState.KEPT).id,
            joined_at=world.past(),
            version=world.rng.randrange(1, 5),
        )
    )
    for _ in range(world.rng.choice((0, 1, 3, 12))):
        world.add(
            ProfileItem(
                freelancer_id=made.id,
                kind=world.rng.choice(list(ItemKind)),
                title=world.line(),
                organization=world.maybe(world.line()),
                description=world.maybe(world.text()),
                starts_on=world.maybe(world.rng.choice(DAYS)),
                ends_on=world.maybe(world.rng.choice(DAYS)),
            )
        )


def _jobs(world: Crowd) -> None:
    clara = world.named["client"]
    for client in [account for account in world.all(Account) if account.has(Role.CLIENT)][:-1]:
        states = [*JobState, *(world.rng.choice(list(JobState)) for _ in range(JOBS_EACH))]
        if client is clara:
            states += [JobState.OPEN] * JOBS_OF_CLARA + [JobState.DRAFT] * DRAFTS_OF_CLARA
        for state in states:
            _job(world, client, state)


def _job(world: Crowd, client: Account, state: JobState) -> None:
    rng = world.rng
    low, high = sorted((rng.choice(CENTS), rng.choice(CENTS)))
    fixed = Budget(BudgetKind.FIXED, amount_cents=high)
    words = JobWords(
        title="What a title",
        description="What there is to do",
        category_id=rng.choice(world.categories),
        skill_ids=world.skills[:1],
        experience=rng.choice(list(Experience)),
        duration=rng.choice(list(Duration)),
        budget=rng.choice((fixed, Budget(BudgetKind.HOURLY, minimum_cents=low, maximum_cents=high))),
        location=world.maybe("Somewhere"),
        freelancers_wanted=rng.choice((1, 2, 100)),
    )
    made = world.add(Job.draft(client, words, at=world.past()))
    made.title, made.description, made.location = world.line(), world.text(), world.maybe(world.line())
    made.state = state
    made.version = rng.randrange(1, 9)
    if state is not JobState.DRAFT:
        made.published_at = world.past()
        over = state is JobState.EXPIRED or rng.random() < 0.2
        made.expires_at = world.past() if over else world.now + timedelta(days=rng.randrange(2, 30))
    for skill in rng.sample(list(world.skills), rng.choice((0, 1, 2, 5, SKILLS_MAX))):
        world.add(JobSkill(job_id=made.id, skill_id=skill))
    attached = [
        _upload(world, client, UploadGroup.ATTACHMENTS, UploadState.KEPT).id for _ in range(rng.choice((0, 0, 2)))
    ]
    for row in JobAttachment.of(made, attached):
        world.add(row)


def _invitations(world: Crowd) -> None:
    freelancers = [account for account in world.all(Account) if account.has(Role.FREELANCER)]
    for job in world.all(Job):
        if job.state is not JobState.DRAFT:
            for freelancer in world.rng.sample(freelancers, world.rng.choice((0, 1, 5))):
                world.add(Invitation(job_id=job.id, freelancer_id=freelancer.id, invited_at=world.past()))


def _connects(world: Crowd) -> None:
    """Lots of which something is left, or nothing, or too late; and what may have become of some of it."""
    for account in world.all(Account):
        if account.has(Role.FREELANCER):
            world.add(Allowance(account_id=account.id, since=world.past(), given=2, next_at=world.now))
            for at, source in enumerate(
                (LotSource.REGISTRATION, *LotSource, LotSource.BUNDLE)[world.rng.randrange(3) :]
            ):
                _lot(world, account, source, at)
    for proposal in world.all(Proposal):
        for kind in (MovementKind.SPENT, MovementKind.RETURNED)[: world.rng.randrange(3)]:
            amount = -8 if kind is MovementKind.SPENT else 8
            _movement(world, proposal.freelancer_id, kind, amount, proposal_id=proposal.id)


def _lot(world: Crowd, account: Account, source: LotSource, at: int) -> None:
    if source is LotSource.REGISTRATION and at:
        return
    issued = world.past() - timedelta(days=world.rng.choice((0, 100, 400)))
    size = world.rng.choice((10, 20, BEYOND_32_BITS // 10))
    purse = world.add(
        LedgerAccount(
            kind=LOT.name,
            owner_id=world.id(),
            currency=CURRENCY,
            floor=LOT.floor,
            hot=LOT.hot,
            balance=0,
            held=0,
            opened_at=issued,
        )
    )
    made = world.add(
        Lot(
            account_id=account.id,
            source=source,
            size=size,
            remaining=world.rng.choice((0, 1, size)),
            issued_at=issued,
            expires_at=issued + timedelta(days=365),
            month=issued.date().replace(day=1) if source is LotSource.GRANT else None,
            purse_id=purse.id,
        )
    )
    for kind in (MovementKind.ISSUED, MovementKind.EXPIRED)[: world.rng.randrange(1, 3)]:
        amount = size if kind is MovementKind.ISSUED else -1
        _movement(world, account.id, kind, amount, lot_id=made.id)


def _movement(world: Crowd, account_id: UUID, kind: MovementKind, amount: int, **about: UUID) -> None:
    at = world.past()
    journal = world.add(
        Journal(kind=f"CONNECTS_{kind.value}", at=at, subject="lot", subject_id=world.id(), reverses=None, legs=2)
    )
    world.add(Movement(account_id=account_id, kind=kind, amount=amount, at=at, journal_id=journal.id, **about))


def _proposals(world: Crowd) -> None:
    freelancers = [account for account in world.all(Account) if account.has(Role.FREELANCER)]
    looking = [account for account in freelancers if account in world.named.values()]
    for job in world.all(Job):
        if job.state is JobState.DRAFT:
            continue
        chosen = {account.id: account for account in world.rng.sample(looking, 2)}
        chosen |= {account.id: account for account in world.rng.sample(freelancers, world.rng.randrange(PROPOSALS_MAX))}
        for freelancer in chosen.values():
            if freelancer.id != job.client_id and world.rng.random() < 0.8:
                _proposal(world, job, freelancer)


def _proposal(world: Crowd, job: Job, freelancer: Account) -> None:
    rng = world.rng
    state = rng.choice([ProposalState.PENDING, *ProposalState])
    if state is ProposalState.ACCEPTED:
        if job.hired_count == job.freelancers_wanted:
            state = ProposalState.REJECTED
        else:
            job.hired_count += 1
    pending = state is ProposalState.PENDING
    made = world.add(
        Proposal(
            job_id=job.id,
            freelancer_id=freelancer.id,
            cover_letter=world.text(),
            duration=rng.choice(list(Duration)),
            bid_cents=rng.choice(CENTS),
            currency=Currency.USD,
            connects_cost=rng.choice((0, 2, 8, 16)),
            state=state,
            shortlisted=rng.random() < 0.3,
            archived=rng.random() < 0.3,
            reason=world.maybe(world.text()) if state is ProposalState.REJECTED else None,
            submitted_at=world.past(),
            decided_at=None if pending else world.past(),
            version=rng.randrange(1, 4),
        )
    )
    for position in range(rng.choice((1, 1, 2, 3, MILESTONES_MAX))):
        world.add(
            ProposalMilestone(
                proposal_id=made.id,
                position=position,
                description=world.text(),
                amount_cents=rng.choice(CENTS),
                currency=Currency.USD,
                due_on=world.maybe(rng.choice(DAYS)),
            )
        )
    for position in range(rng.choice((0, 0, 1, 3))):
        upload = world.maybe(UploadState.KEPT)
        world.add(
            ProposalAttachment(
                proposal_id=made.id,
                position=position,
                name=world.line(),
                url=None if upload else "https://example.org/" + world.line(),
                upload_id=upload and _upload(world, freelancer, UploadGroup.ATTACHMENTS, upload).id,
            )
        )


def _contracts(world: Crowd) -> None:
    jobs = {job.id: job for job in world.all(Job)}
    for proposal in world.all(Proposal):
        if proposal.state is ProposalState.ACCEPTED:
            _contract(world, jobs[proposal.job_id], proposal)


def _contract(world: Crowd, job: Job, proposal: Proposal) -> None:
    made = world.add(Contract.begin(job, proposal, FEES, at=world.past()))
    made.state = world.rng.choice(list(ContractState))
    made.ended_at = None if made.state is ContractState.ACTIVE else world.past()
    made.version = world.rng.randrange(1, 9)
    parts = [part for part in world.all(ProposalMilestone) if part.proposal_id == proposal.id]
    for row in Milestone.of(made, parts):
        milestone = world.add(row)
        _far(world, milestone, world.rng.choice(list(MilestoneState)))
    owners = {account.id: account for account in world.all(Account)}
    for _ in range(world.rng.choice((0, 1, 3))):
        owner = owners[world.rng.choice((made.client_id, made.freelancer_id))]
        upload = _upload(world, owner, UploadGroup.ATTACHMENTS, UploadState.KEPT)
        world.add(ContractAttachment(contract_id=made.id, upload_id=upload.id, added_at=world.past()))

    _history(world, made)
    _terminations(world, made)


def _far(world: Crowd, milestone: Milestone, state: MilestoneState) -> None:
    """Let a milestone be as far as it is to be."""
    milestone.state = state
    milestone.started_at = None if state is MilestoneState.OPEN else world.past()
    milestone.submitted_at = world.maybe(world.past())
    milestone.review_ends_at = world.past() if state is MilestoneState.IN_REVIEW else None
    if state in {MilestoneState.ACCEPTED, MilestoneState.PAID}:
        milestone.accepted_cents = world.rng.randrange(1, milestone.amount_cents + 1)
        milestone.accepted_at = world.past()
    milestone.paid_at = world.past() if state is MilestoneState.PAID else None
    milestone.waived_at = world.maybe(world.past()) if state is MilestoneState.ACCEPTED else None
    aside = (0, milestone.gross_cents // 2, milestone.gross_cents)
    milestone.escrow_cents = 0 if state is MilestoneState.PAID else world.rng.choice(aside)
    milestone.version = world.rng.randrange(1, 9)


def _history(world: Crowd, contract: Contract) -> None:
    """Something of every kind that may have happened, with files here and there."""
    owners = {account.id: account for account in world.all(Account)}
    milestones = [None, *(one.id for one in world.all(Milestone) if one.contract_id == contract.id)]
    for kind in ChangeKind:
        by = owners[world.rng.choice((contract.client_id, contract.freelancer_id, world.named["admin"].id))]
        change = world.add(
            contract.changed(
                kind,
                world.maybe(by),
                at=world.past(),
                before=world.maybe(world.rng.choice(list(MilestoneState))),
                to=world.maybe(world.rng.choice(list(MilestoneState))),
                milestone_id=world.rng.choice(milestones),
                reason=world.maybe(world.text()),
                cents=world.maybe(world.rng.choice(CENTS)),
            )
        )
        if world.rng.random() < 0.1:
            owner = owners[contract.freelancer_id]
            upload = _upload(world, owner, UploadGroup.ATTACHMENTS, UploadState.KEPT)
            world.add(ChangeAttachment(change_id=change.id, upload_id=upload.id))


def _terminations(world: Crowd, contract: Contract) -> None:
    """Wishes to end it; an open one now and then."""
    parties = [contract.client_id, contract.freelancer_id]
    for by_id, other_id in (parties, parties[::-1]):
        state = world.rng.choice(list(TerminationState))
        world.add(
            Termination(
                contract_id=contract.id,
                requester_id=by_id,
                other_id=other_id,
                requested_by=Actor.CLIENT if by_id == contract.client_id else Actor.FREELANCER,
                reason=world.text(),
                state=state,
                answer=world.maybe(world.text()),
                requested_at=world.past(),
                decided_at=None if state is TerminationState.REQUESTED else world.past(),
            )
        )


def _payments(world: Crowd) -> None:
    """What was paid, or is owed, for milestones; and a bonus here and there."""
    contracts = {contract.id: contract for contract in world.all(Contract)}
    for milestone in world.all(Milestone):
        contract = contracts[milestone.contract_id]
        state = world.rng.choice((None, *PaymentRequestState))
        paid = milestone.state is MilestoneState.PAID or state is PaymentRequestState.PAID
        payment = _payment(world, contract, milestone) if paid else None
        if state is not None and (payment is None) is (state is not PaymentRequestState.PAID):
            world.add(
                PaymentRequest(
                    contract_id=contract.id,
                    milestone_id=milestone.id,
                    client_id=contract.client_id,
                    freelancer_id=contract.freelancer_id,
                    amount_cents=milestone.amount_cents,
                    currency=milestone.currency,
                    state=state,
                    made_at=world.past(),
                    decided_at=None if state is PaymentRequestState.PENDING else world.past(),
                    payment_id=payment and payment.id,
                )
            )
    for contract in contracts.values():
        if world.rng.random() < 0.3:
            _payment(world, contract, None)


def _payment(world: Crowd, contract: Contract, milestone: Milestone | None) -> Payment:
    cents = milestone.amount_cents if milestone else world.rng.choice(CENTS)
    charge = Charge.of(cents, client_fee_bps=contract.client_fee_bps, freelancer_fee_bps=contract.freelancer_fee_bps)
    at = world.past()
    journal = _journal(world, "RELEASE", contract, at)
    return world.add(
        Payment(
            kind=PaymentKind.MILESTONE if milestone else PaymentKind.BONUS,
            contract_id=contract.id,
            milestone_id=milestone and milestone.id,
            client_id=contract.client_id,
            freelancer_id=contract.freelancer_id,
            amount_cents=cents,
            client_fee_cents=charge.client_fee,
            freelancer_fee_cents=charge.freelancer_fee,
            currency=contract.currency,
            note=world.maybe(world.text()),
            journal_id=journal.id,
            paid_at=at,
            available_at=at + timedelta(days=5),
            settled_at=world.maybe(world.past()),
        )
    )


def _journal(world: Crowd, kind: str, about: Any, at: datetime) -> Journal:
    return world.add(Journal(kind=kind, at=at, subject=about.noun, subject_id=about.id, reverses=None, legs=2))


def _transfers(world: Crowd) -> None:
    """Money brought and taken out, as far as it came."""
    for account in world.named.values():
        for kind, state in product(TransferKind, TransferState):
            _transfer(world, account, kind, state)


def _transfer(world: Crowd, account: Account, kind: TransferKind, state: TransferState) -> None:
    at, rng = world.past(), world.rng
    decided = state in {TransferState.SUCCEEDED, TransferState.FAILED}
    made = world.add(
        Transfer(
            account_id=account.id,
            kind=kind,
            purse=rng.choice(list(Purse)) if kind is TransferKind.WITHDRAWAL else Purse.FUNDS,
            amount_cents=rng.choice(CENTS),
            currency=Currency.USD,
            method="tok_" + rng.choice(("visa", "'\"\\", "x" * 190)),
            state=state,
            reference=None if state is TransferState.REQUESTED else world.id().hex,
            reason=world.maybe(world.text()) if state is TransferState.FAILED else None,
            attempts=rng.randrange(3),
            requested_at=at,
            next_attempt_at=None if decided else at,
            decided_at=at if decided else None,
        )
    )
    if state is TransferState.SUCCEEDED:
        made.journal_id = _journal(world, kind.value, made, at).id
    if kind is TransferKind.WITHDRAWAL:
        held = {TransferState.SUCCEEDED: HoldState.POSTED, TransferState.FAILED: HoldState.VOIDED}
        hold = Hold(
            account_id=world.id(),
            amount=made.amount_cents,
            state=held.get(state, HoldState.HELD),
            placed_at=at,
            expires_at=None,
            resolved_at=made.decided_at,
            journal_id=made.journal_id,
        )
        made.hold_id = world.add(hold).id


def _wallets(world: Crowd) -> None:
    """What everybody has, as it stands in the books, and some of what is said to have led to it."""
    owners = [(kind, account.id) for account in world.all(Account) for kind in (FUNDS, EARNINGS, PENDING)]
    for kind, owner_id in (*owners, *((ESCROW, contract.id) for contract in world.all(Contract))):
        if world.rng.random() < 0.8:
            _ledger_account(world, kind, owner_id)
    subjects: list[Any] = [*world.all(Transfer), *world.all(Contract), *world.all(Payment), *world.all(Job)[:5]]
    for account in world.all(LedgerAccount):
        if world.rng.random() < 0.1:
            _hold(world, account)
        for _ in range(world.rng.choice((0, 0, 1, 2, 5, 25))):
            amount = world.rng.choice(CENTS) * world.rng.choice((-1, 1))
            journal = _journal(world, world.rng.choice(JOURNALS), world.rng.choice(subjects), world.past())
            balance_after = world.rng.choice(CENTS)
            world.add(
                Entry(
                    journal_id=journal.id,
                    position=1,
                    legs=2,
                    account_id=account.id,
                    amount=amount,
                    balance_after=balance_after,
                )
            )


def _hold(world: Crowd, account: LedgerAccount) -> None:
    """A part that was held once, and is not any longer."""
    at = world.past()
    world.add(
        Hold(
            account_id=account.id,
            amount=world.rng.choice(CENTS),
            state=HoldState.EXPIRED,
            placed_at=at,
            expires_at=at + timedelta(days=1),
            resolved_at=at + timedelta(days=1),
        )
    )


def _ledger_account(world: Crowd, kind: AccountKind, owner_id: UUID) -> None:
    balance = world.rng.choice((0, *CENTS))
    held = world.rng.choice((0, 0, balance)) if kind in {FUNDS, EARNINGS} else 0
    world.add(
        LedgerAccount(
            kind=kind.name,
            owner_id=owner_id,
            currency=Currency.USD.value,
            floor=kind.floor,
            hot=kind.hot,
            balance=balance,
            held=held,
            opened_at=world.past(),
        )
    )


def _control(world: Crowd) -> None:
    """Nodes that were there once, and what operators wanted of them. None is alive, so nobody waits for one."""
    rng = world.rng
    nodes = [_node(world, f"here/{at}", kind, state) for at, (kind, state) in enumerate(product(NodeKind, NodeState))]
    for version, (verb, kind) in enumerate(product(Verb, Kind), start=1):
        message = world.add(
            ControlMessage(
                version=version,
                verb=verb,
                kind=kind,
                subject=world.line(),
                node_id=rng.choice((None, nodes[0].id)),
                before={"JOBS": rng.choice((None, 5))},
                after={"JOBS": rng.choice((10, True, "INFO")), world.line(): None},
                why=world.line(),
                actor_id=world.named["admin"].id,
                actor="admin@example.org",
                address="192.0.2.1",
                at=world.past(),
            )
        )
        for node in rng.sample(nodes, rng.randrange(3)):
            _acknowledgement(world, message, node)
        entry = {name: getattr(message, name) for name in AUDITED}
        world.add(AuditEntry(**entry, deed=verb.value, agent=world.line()))
    for kind, subject, value in RULINGS:
        world.add(Ruling(kind=kind, subject=subject, node_id=None, value=value, version=1))
    world.rows.append(Control(id=Control.THE_ONE, version=len(world.all(ControlMessage)), changed_at=world.past()))
    for number in (1, 2):
        text = world.text()
        world.add(
            CommandVersion(
                command="createJob",
                number=number,
                source=text,
                signature="00",
                sha256="0" * 64,
                actor="admin@example.org",
                at=world.past(),
            )
        )


def _node(world: Crowd, name: str, kind: NodeKind, state: NodeState) -> ServerNode:
    load = {service.value: {"running": 1, "waiting": 0, "followers": 2} for service in (Service.JOBS, Service.MEDIA)}
    return world.add(
        server_node(name, kind, state=state, started_at=world.past(), seen_at=world.past(), figures={"services": load})
    )


def _acknowledgement(world: Crowd, message: ControlMessage, node: ServerNode) -> None:
    state = world.rng.choice(list(AckState))
    world.add(
        Acknowledgement(
            message_id=message.id,
            node_id=node.id,
            node_name=node.name,
            state=state,
            detail=world.line(),
            took_ms=world.rng.randrange(5_000),
            at=None if state is AckState.PENDING else world.past(),
        )
    )


def _machines(world: Crowd) -> None:
    """Further back ends, and a keeper that made them once."""
    keeping = world.add(keeper(seen_at=world.past()))
    for state in MachineState:
        for by in (None, keeping):
            made = world.add(machine(state, by, wanted_at=world.past(), handle=world.maybe(world.line())))
            made.failure = world.maybe(world.text()) if state is MachineState.FAILED else None


CATALOGUE: tuple[type[Base], ...] = (Category, Skill)
"""What the migrations have filled before anybody came."""


def _events(world: Crowd) -> None:
    """What every stream that can be followed tells, of whatever kind; the kinds take turns."""
    kinds = cycle(EventKind)
    for proposal in world.all(Proposal):
        for stream in (job_stream(proposal.job_id), proposal_stream(proposal.job_id, proposal.freelancer_id)):
            world.add(event(stream, next(kinds), proposal, by=None, at=world.past()))
    for contract in world.all(Contract):
        world.add(event(contract_stream(contract.id), next(kinds), contract, by=None, at=world.past()))
    for account in world.all(Account):
        world.add(event(wallet_stream(account.id), next(kinds), account, by=None, at=world.past()))
    for message in world.all(ControlMessage):
        world.add(event(CONTROL_NEWS_STREAM, next(kinds), message, by=None, at=world.past()))
    last: dict[str, int] = {}
    for happened in world.all(Event):
        happened.sequence = last[happened.stream] = last.get(happened.stream, 0) + 1
    for stream, sequence in last.items():
        world.add(StreamHead(stream=stream, sequence=sequence))
