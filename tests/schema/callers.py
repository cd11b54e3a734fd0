"""Who gets which answer: tables with a row for each root field and a column for each kind of caller."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

import loaders.control
from models.accounts import Account, ItemKind, ItemWords, ProfileItem, RefreshToken, Session
from models.base import uuid7
from models.config import Config
from models.connects import Lot, Movement
from models.contracts import Change, Contract, Milestone, MilestoneState, Termination
from models.control import Control, ControlMessage, ServerNode
from models.jobs import Invitation, Job, JobSkill, JobState
from models.machines import Machine
from models.media import Upload, UploadGroup, UploadWords, Usage
from models.payments import FUNDS, Payment, PaymentRequest
from models.proposals import Proposal, ProposalState
from models.transfers import Transfer
from ops.app import House, wall_clock
from resolvers.context import Context
from schema.scalars import id_of
from tests import make

COLUMNS = ("nobody", "rival", "stranger", "client", "freelancer", "admin")
"""Nobody who is signed in; a freelancer and a client who have nothing to do with it; the two parties; and an
administrator. The job and the sessions are the client's, the proposal and the profile are the freelancer's."""

PASSWORD = "correct horse battery"

COUNTED = {"SIGN_IN_FAILED"}
"""What is remembered, so that nobody guesses for long."""


@dataclass
class Scene:
    """One thing of every kind, and everybody who may come upon them."""

    callers: dict[str, Account | None]
    job: Job
    draft: Job
    proposal: Proposal
    filled: Job
    accepted: Proposal
    contract: Contract
    milestone: Milestone
    working: Milestone
    handed_in: Milestone
    owed: Milestone
    request: PaymentRequest
    payment: Payment
    termination: Termination
    change: Change
    item: ProfileItem
    upload: Upload
    transfer: Transfer
    control: Control
    message: ControlMessage
    machine: Machine
    server: ServerNode
    lot: Lot
    movement: Movement
    invitation: Invitation
    sessions: dict[str, Session]
    refresh_token: str
    house: House

    def as_(self, caller: str) -> Context:
        """The surroundings of a caller, with the session she is in."""
        session = self.sessions.get(caller)
        return self.house.context(self.callers[caller], session_id=session.id if session else None)

    def account(self, caller: str) -> Account:
        """The account of a caller who has one."""
        found = self.callers[caller]
        assert found is not None
        return found

    def ids(self) -> dict[str, str]:
        """The ids of all of this, by name."""
        rows = {name: row for name, row in vars(self).items() if hasattr(row, "noun")}
        found: dict[str, str] = {name: id_of(row) for name, row in rows.items()}
        found["session"] = id_of(self.sessions["client"])
        found["account"] = id_of(self.account("freelancer"))
        found["client"] = f"client_{self.account('client').id.hex}"
        found["freelancer"] = f"freelancer_{self.account('freelancer').id.hex}"
        found["category"] = f"category_{make.CATEGORY_ID.hex}"
        found["skill"] = f"skill_{make.SKILL_IDS[0].hex}"
        return found


async def scene(house: House, keep: Any, people: make.People) -> Scene:
    """Put one of everything into the database."""
    callers = {
        "nobody": None,
        "rival": people.other_freelancer,
        "stranger": people.other_client,
        "client": people.client,
        "freelancer": people.freelancer,
        "admin": people.admin,
    }
    now, hashed = wall_clock(), await house.passwords.hash(PASSWORD)
    sessions = {
        name: Session.begin(account, address="192.0.2.1", agent="a test", at=now, config=Config())
        for name, account in callers.items()
        if account
    }
    token, refresh_token = RefreshToken.issue(sessions["client"], at=now)
    job, draft = make.job(people.client), make.job(people.client, JobState.DRAFT)
    filled = make.job(people.client, JobState.FILLED, hired_count=1)
    proposal = make.proposal(job, people.freelancer)
    accepted = make.proposal(filled, people.freelancer, ProposalState.ACCEPTED)
    contract = make.contract(filled, accepted)
    milestone = make.milestone(contract)
    working, handed_in, owed = (
        make.milestone(contract, state, position=position, cents=100_00)
        for position, state in enumerate(list(MilestoneState)[1:4], start=1)
    )
    request = make.request(owed, contract)
    termination = make.termination(contract, people.freelancer)
    change = contract.begun(people.client)
    profile = make.profiles(people.freelancer)[0]
    item = ProfileItem.put(profile, ItemKind.EDUCATION, ItemWords("Master"), count=0)  # type: ignore[arg-type]
    words = UploadWords(UploadGroup.PHOTOS, "me.png", 1_000)
    upload = Upload.request(people.freelancer, words, Usage(0, 0), at=now, config=Config())
    transfer = make.transfer(people.client)
    await keep(*sessions.values(), upload, transfer)
    await keep(token, job, draft, filled, proposal, accepted, contract, milestone, item)
    await keep(working, handed_in, owed, termination, change)
    await keep(request)
    await make.give(house, FUNDS, people.client.id, 10_000_00)
    payment = await make.paid(house, contract)
    await keep(*(JobSkill(job_id=one.id, skill_id=skill) for one in (job, draft) for skill in make.SKILL_IDS[:2]))
    # There is one of the first, and the others are told apart by a number and a name.
    message, server = make.control_message(uuid7().int >> 66), make.server_node(f"{uuid7().hex}/0")
    async with house.database.writing.begin() as work:
        control = await loaders.control.lock(work, now)
    keeper, spare = make.keeper(), make.machine()
    machine = make.machine(by=keeper)
    await keep(keeper)
    await keep(message, server, machine, spare)
    invitation = await keep(Invitation.send(job, people.client, people.freelancer, count=0, at=now))
    lot, _ = await make.connects(house, people.freelancer, people.other_freelancer, size=80)
    async with house.database.reading() as session:
        movement = (await session.scalars(select(Movement).where(Movement.lot_id == lot.id))).one()
    for account in callers.values():
        if account:
            account.password_hash = hashed
    async with house.database.writing.begin() as work:
        for account in callers.values():
            if account:
                await work.merge(account)
    return Scene(
        callers,
        job,
        draft,
        proposal,
        filled,
        accepted,
        contract,
        milestone,
        working,
        handed_in,
        owed,
        request,
        payment,
        termination,
        change,
        item,
        upload,
        transfer,
        control,
        message,
        machine,
        server,
        lot,
        movement,
        invitation,
        sessions,
        refresh_token,
        house,
    )


@dataclass(frozen=True)
class Ask:
    """A document that asks one root field, and its variables, made of what the scene has."""

    text: str
    variables: Callable[[Scene], Mapping[str, Any]] = lambda _: {}


def mutation(name: str, said: Callable[[Scene], Mapping[str, Any]] | None = None) -> Ask:
    """The mutation of this name with this input, asked for nothing but the kind of the answer."""
    kind = name[0].upper() + name[1:]
    told = "{ __typename ... on Refused { code } }"
    if said is None:
        return Ask(f"mutation {{ {name} {told} }}")
    text = f"mutation ($input: {kind}Input!) {{ {name}(input: $input) {told} }}"
    return Ask(text, lambda scene: {"input": dict(said(scene))})


def query(name: str, argument: str = "", of: str = "") -> Ask:
    """The query of this name, with the id of something in the scene if it takes one."""
    if not of:
        return Ask(f"{{ {name} {{ __typename }} }}")
    if argument == "ids":
        return Ask(
            f"query ($ids: [ID!]!) {{ {name}(ids: $ids) {{ __typename }} }}", lambda scene: {"ids": [scene.ids()[of]]}
        )
    return Ask(
        f"query ($id: ID!) {{ {name}({argument}: $id) {{ __typename }} }}", lambda scene: {"id": scene.ids()[of]}
    )


def rows(table: str) -> dict[str, dict[str, str]]:
    """Read a table: by row and caller, the expected answer; `=` is the same as what is left of it."""
    heads, *lines = [line.split() for line in table.strip().splitlines()]
    assert tuple(heads) == COLUMNS
    found: dict[str, dict[str, str]] = {}
    for name, *answers in lines:
        assert len(answers) == len(COLUMNS), name
        for at, answer in enumerate(answers):
            answers[at] = answers[at - 1] if answer == "=" else answer
        found[name] = dict(zip(COLUMNS, answers, strict=True))
    return found


def root_field(row: str) -> str:
    """The root field that a row is about; what follows a slash says of what."""
    return row.partition("/")[0]


def said(answer: Mapping[str, Any]) -> str:
    """The kind of an answer: a type, a code, or null."""
    if answer.get("errors"):
        code: str = answer["errors"][0]["extensions"]["code"]
        return code
    (found,) = answer["data"].values()
    if isinstance(found, list):
        found = found[0]
    if found is None:
        return "null"
    kind: str = found["code"] if found["__typename"] == "Refused" else found["__typename"]
    return kind


@dataclass(frozen=True)
class Stage:
    """Where a table is played: each caller comes upon a scene in which nobody has changed anything yet."""

    set_up: Callable[[], Awaitable[Scene]]
    ask: Callable[..., Awaitable[Mapping[str, Any]]]
    look: Callable[[], Awaitable[Mapping[str, Any]]]
    """A print of everything that is kept."""

    async def play(self, asked: Ask) -> dict[str, str]:
        """Let every caller ask, and give what each was answered; whoever is refused something has changed nothing."""
        found: dict[str, str] = {}
        scene, changes = await self.set_up(), asked.text.startswith("mutation")
        for caller in COLUMNS:
            before = await self.look() if changes else {}
            found[caller] = said(await self.ask(scene.as_(caller), asked.text, **asked.variables(scene)))
            if not changes:
                continue
            if not found[caller].isupper():
                scene = await self.set_up()
            elif found[caller] not in COUNTED:
                assert await self.look() == before, caller
        return found
