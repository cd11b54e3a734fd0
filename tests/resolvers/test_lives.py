"""Contracts live as they may, step by random step, beside a plain model of what should become of their money."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import loaders.audit
import loaders.contracts
import loaders.ledger
import loaders.payments
import resolvers.contracts
import resolvers.jobs
import resolvers.proposals
from models.accounts import Account
from models.base import uuid7
from models.contracts import Acceptance, MilestoneWords, Rest, Submission, TerminationDecision
from models.contracts import Milestone as Row
from models.errors import Refusal
from models.money import Currency
from models.payments import ESCROW, FUNDS, PENDING
from models.proposals import MilestoneWords as ProposedMilestone
from ops.app import House
from tests import make

EXAMPLES, STEPS = 6, 25
MILESTONES = 3

ROLES = st.sampled_from(["client", "freelancer", "client", "freelancer", "stranger", "admin"])
CENTS = st.integers(1, 200_000)
PARTS = st.integers(0, 9)


def fee(cents: int, bps: int) -> int:
    return int((Decimal(cents) * bps / 10_000).quantize(Decimal(1), ROUND_HALF_EVEN))


def gross(cents: int) -> int:
    return cents + fee(cents, 500)


@dataclass
class Part:
    """What the model knows of a milestone."""

    amount: int
    state: str = "OPEN"
    escrow: int = 0
    accepted: int = 0
    due: int = 0
    request: str = ""

    @property
    def is_undecided(self) -> bool:
        return self.state == "IN_REVIEW" or (self.state == "ACCEPTED" and self.request == "PENDING")

    @property
    def is_settled(self) -> bool:
        return self.state == "PAID" or self.request == "CANCELLED"


class No(Exception):
    """The model refuses."""


def require(holds: bool, code: str) -> None:
    if not holds:
        raise No(code)


@dataclass
class Model:
    """What should be, reckoned as plainly as possible."""

    parts: list[Part]
    funds: int = 0
    pending: int = 0
    state: str = "ACTIVE"
    day: int = 0
    done: set[str] = field(default_factory=set)
    wishes: list[tuple[str, str]] = field(default_factory=list)
    """Who asked for the end, and what became of it."""

    def allow(self, role: str, *roles: str, over: bool = False) -> None:
        require(role != "stranger", "NOT_FOUND")
        require(role in roles, "FORBIDDEN")
        require(self.state == "ACTIVE" or (over and self.state == "TERMINATED"), "CONTRACT_NOT_ACTIVE")

    def give_back(self, part: Part, keep: int = 0) -> None:
        spare = max(0, part.escrow - keep)
        part.escrow -= spare
        self.funds += spare

    def pay(self, part: Part) -> None:
        cost = gross(part.accepted)
        self.funds -= cost - part.escrow
        self.pending += part.accepted - fee(part.accepted, 1_000)
        part.escrow, part.state = 0, "PAID"

    def accept(self, part: Part, cents: int) -> None:
        part.state, part.accepted = "ACCEPTED", cents
        self.give_back(part, gross(cents))
        if part.escrow == gross(cents):
            self.pay(part)
        else:
            part.request = "PENDING"
        self.conclude()

    def conclude(self) -> None:
        if self.state == "ACTIVE" and all(part.is_settled for part in self.parts):
            self.end("COMPLETED")

    def end(self, state: str) -> None:
        self.state = state
        self.wishes = [(by, "LAPSED" if what == "REQUESTED" else what) for by, what in self.wishes]

    def following(self, at: int) -> Part | None:
        later = [part for part in self.parts[at + 1 :] if part.state in {"OPEN", "IN_PROGRESS"}]
        return later[0] if later and self.state == "ACTIVE" else None


class Lives(RuleBasedStateMachine):
    """One contract, four people, and whatever they think of."""

    house: ClassVar[House]
    loop: ClassVar[asyncio.AbstractEventLoop]
    clock: ClassVar[Any]
    keep: ClassVar[Any]

    def wait(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(doing, self.loop).result(60)

    @initialize(amounts=st.lists(CENTS, min_size=1, max_size=MILESTONES), funds=CENTS)
    def begin(self, amounts: list[int], funds: int) -> None:
        self.model = Model([Part(cents) for cents in amounts], funds=funds)
        self.wait(self.hire(amounts, funds))

    async def hire(self, amounts: list[int], funds: int) -> None:
        found = await make.people(self.keep)
        self.people: dict[str, Account] = {
            "client": found.client,
            "freelancer": found.freelancer,
            "stranger": found.other_client,
            "admin": found.admin,
        }
        words = make.job_words()
        await make.connects(self.house, found.freelancer)
        job = await resolvers.jobs.draft(self.as_("client"), words=words)
        await resolvers.jobs.publish(self.as_("client"), job_id=job.id)
        milestones = [ProposedMilestone(f"Part {at}", cents) for at, cents in enumerate(amounts)]
        offer = make.proposal_words(bid_cents=sum(amounts), milestones=milestones)
        key = make.key()
        proposal = await resolvers.proposals.submit(self.as_("freelancer"), job_id=job.id, words=offer, key=key)
        self.contract = await resolvers.proposals.accept(self.as_("client"), proposal_id=proposal.id)
        await make.give(self.house, FUNDS, found.client.id, funds)
        self.rows: list[Row] = await self.read_milestones()
        self.wish_ids: list[Any] = []

    def as_(self, role: str) -> Any:
        return self.house.context(self.people[role])

    async def read_milestones(self) -> list[Row]:
        rows: list[Row] = await self.as_("client").loaders.many(loaders.contracts.milestones, self.contract.id)
        return rows

    def both(self, foretell: Any, doing: Coroutine[Any, Any, Any]) -> Any:
        """Do it in both worlds: they allow and refuse the same, for the same reason."""
        expected, code, answer = None, None, None
        try:
            foretell()
        except No as no:
            (expected,) = no.args
        try:
            answer = self.wait(doing)
        except Refusal as refused:
            code = refused.code
        assert code == expected
        return answer

    def pick(self, at: int) -> int:
        return at % len(self.rows)

    @rule(cents=CENTS)
    def deposit(self, cents: int) -> None:
        self.model.funds += cents
        self.wait(make.give(self.house, FUNDS, self.people["client"].id, cents))

    @rule(at=PARTS, role=ROLES)
    def fund(self, at: int, role: str) -> None:
        at, model = self.pick(at), self.model

        def foretell() -> None:
            part = model.parts[at]
            model.allow(role, "client")
            require(part.state in {"OPEN", "IN_PROGRESS"}, "NOT_FUNDABLE")
            missing = gross(part.amount) - part.escrow
            require(missing > 0, "MILESTONE_FUNDED")
            require(model.funds >= missing, "INSUFFICIENT_FUNDS")
            model.funds -= missing
            part.escrow += missing
            model.done.clear()

        fund = resolvers.contracts.fund(self.as_(role), milestone_id=self.rows[at].id, key=str(uuid7()))
        self.both(foretell, fund)

    @rule(at=PARTS, role=ROLES, cents=CENTS)
    def edit(self, at: int, role: str, cents: int) -> None:
        at, model = self.pick(at), self.model

        def foretell() -> None:
            part = model.parts[at]
            model.allow(role, "client")
            require(part.state == "OPEN", "MILESTONE_NOT_OPEN")
            require(gross(cents) >= part.escrow, "MILESTONE_FUNDED")
            part.amount = cents
            model.done.clear()

        words = MilestoneWords("Something else", cents)
        edit = resolvers.contracts.edit(self.as_(role), milestone_id=self.rows[at].id, words=words, version=None)
        self.both(foretell, edit)

    @rule(at=PARTS, role=ROLES)
    def start(self, at: int, role: str) -> None:
        at, model = self.pick(at), self.model

        def foretell() -> None:
            model.allow(role, "freelancer")
            require(model.parts[at].state == "OPEN", "MILESTONE_NOT_OPEN")
            model.parts[at].state = "IN_PROGRESS"
            model.done.clear()

        self.both(foretell, resolvers.contracts.start(self.as_(role), milestone_id=self.rows[at].id))

    @rule(at=PARTS, role=ROLES)
    def submit(self, at: int, role: str) -> None:
        at, model = self.pick(at), self.model

        def foretell() -> None:
            part = model.parts[at]
            model.allow(role, "freelancer")
            require(part.state == "IN_PROGRESS", "MILESTONE_NOT_IN_PROGRESS")
            part.state, part.due = "IN_REVIEW", model.day + 14
            model.done.clear()

        words = Submission("Here it is.")
        self.both(foretell, resolvers.contracts.submit(self.as_(role), milestone_id=self.rows[at].id, words=words))

    @rule(at=PARTS, role=ROLES)
    def request_changes(self, at: int, role: str) -> None:
        at, model = self.pick(at), self.model

        def foretell() -> None:
            part = model.parts[at]
            model.allow(role, "client", over=True)
            require(part.state == "IN_REVIEW", "MILESTONE_NOT_IN_REVIEW")
            part.state = "IN_PROGRESS"
            if model.state == "TERMINATED":
                model.give_back(part)
            model.done.clear()

        ask = resolvers.contracts.request_changes(
            self.as_(role), milestone_id=self.rows[at].id, message="Larger.", key=str(uuid7())
        )
        self.both(foretell, ask)

    @rule(at=PARTS, role=ROLES, cents=st.none() | CENTS, rest=st.none() | st.sampled_from(Rest))
    def accept(self, at: int, role: str, cents: int | None, rest: Rest | None) -> None:
        at, model = self.pick(at), self.model

        def foretell() -> None:
            part = model.parts[at]
            model.allow(role, "client", over=True)
            require(part.state == "IN_REVIEW", "MILESTONE_NOT_IN_REVIEW")
            accepted = part.amount if cents is None else cents
            require(accepted <= part.amount, "BAD_USER_INPUT")
            require(accepted == part.amount or rest is not None, "BAD_USER_INPUT")
            left = part.amount - accepted
            if left and rest is Rest.ROLL:
                following = model.following(at)
                require(following is not None, "NOTHING_TO_ROLL_TO")
                assert following
                following.amount += left
                moved = min(max(0, part.escrow - gross(accepted)), gross(following.amount) - following.escrow)
                part.escrow -= moved
                following.escrow += moved
            model.accept(part, accepted)

        words = Acceptance(cents, rest)
        accept = resolvers.contracts.accept(
            self.as_(role), milestone_id=self.rows[at].id, words=words, key=str(uuid7())
        )
        self.both(foretell, accept)

    async def request_of(self, at: int) -> Any:
        requests = loaders.payments.request_of_milestone
        return await self.as_("admin").loaders.one(requests, self.rows[at].id)

    @rule(at=PARTS, role=ROLES, pays=st.booleans())
    def decide_request(self, at: int, role: str, pays: bool) -> None:
        at, model = self.pick(at), self.model
        request = self.wait(self.request_of(at))
        if request is None:
            return

        def foretell() -> None:
            part = model.parts[at]
            require(role != "stranger", "NOT_FOUND")
            require(role == ("client" if pays else "freelancer"), "FORBIDDEN")
            require(part.request == "PENDING", "PAYMENT_REQUEST_DECIDED")
            if pays:
                require(model.funds >= gross(part.accepted) - part.escrow, "INSUFFICIENT_FUNDS")
                part.request = "PAID"
                model.pay(part)
            else:
                part.request = "CANCELLED"
                model.give_back(part)
            model.conclude()

        verb = resolvers.contracts.pay_request if pays else resolvers.contracts.cancel_request
        self.both(foretell, verb(self.as_(role), request_id=request.id, key=str(uuid7())))

    @rule(role=ROLES, cents=CENTS)
    def bonus(self, role: str, cents: int) -> None:
        model = self.model

        def foretell() -> None:
            model.allow(role, "client")
            require(model.funds >= gross(cents), "INSUFFICIENT_FUNDS")
            model.funds -= gross(cents)
            model.pending += cents - fee(cents, 1_000)

        bonus = resolvers.contracts.bonus(
            self.as_(role),
            contract_id=self.contract.id,
            cents=cents,
            currency=Currency.USD,
            note=None,
            key=str(uuid7()),
        )
        self.both(foretell, bonus)

    @rule(role=ROLES, cents=CENTS)
    def add(self, role: str, cents: int) -> None:
        model = self.model

        def foretell() -> None:
            model.allow(role, "client")
            model.parts.append(Part(cents))
            model.done.clear()

        words = MilestoneWords("One more", cents)
        if added := self.both(
            foretell, resolvers.contracts.add(self.as_(role), contract_id=self.contract.id, words=words)
        ):
            self.rows.append(added)

    @rule(role=ROLES)
    def complete(self, role: str) -> None:
        model = self.model

        def foretell() -> None:
            model.allow(role, "client", "freelancer")
            require(not any(part.is_undecided for part in model.parts), "WORK_UNDECIDED")
            require(role not in model.done, "ALREADY_AGREED")
            model.done.add(role)
            if len(model.done) == 2:
                model.end("COMPLETED")
                for part in model.parts:
                    model.give_back(part)

        verb = resolvers.contracts.complete
        self.both(foretell, verb(self.as_(role), contract_id=self.contract.id, key=str(uuid7())))

    @rule(role=ROLES)
    def ask_for_the_end(self, role: str) -> None:
        model = self.model

        def foretell() -> None:
            model.allow(role, "client", "freelancer")
            require((role, "REQUESTED") not in model.wishes, "TERMINATION_REQUESTED")
            model.wishes.append((role, "REQUESTED"))

        ask = resolvers.contracts.request_termination(
            self.as_(role), contract_id=self.contract.id, reason="It leads nowhere."
        )
        if wish := self.both(foretell, ask):
            self.wish_ids.append(wish.id)

    @rule(at=PARTS, role=ROLES, how=st.sampled_from(["WITHDRAWN", "REJECTED", "ACCEPTED"]))
    def decide_the_end(self, at: int, role: str, how: str) -> None:
        if not self.wish_ids:
            return
        model, at = self.model, at % len(self.wish_ids)

        def foretell() -> None:
            by, what = model.wishes[at]
            require(role != "stranger", "NOT_FOUND")
            require((role == by) == (how == "WITHDRAWN"), "FORBIDDEN")
            require(what == "REQUESTED", "TERMINATION_DECIDED")
            model.wishes[at] = (by, how)
            if how == "ACCEPTED":
                model.end("TERMINATED")
                for part in model.parts:
                    if part.state in {"OPEN", "IN_PROGRESS"}:
                        model.give_back(part)

        ctx, wish_id = self.as_(role), self.wish_ids[at]
        if how == "WITHDRAWN":
            self.both(foretell, resolvers.contracts.withdraw_termination(ctx, termination_id=wish_id))
        else:
            decision = TerminationDecision.ACCEPT if how == "ACCEPTED" else TerminationDecision.REJECT
            decide = resolvers.contracts.decide(
                ctx, termination_id=wish_id, decision=decision, answer=None, key=str(uuid7())
            )
            self.both(foretell, decide)

    @rule(days=st.integers(1, 15))
    def let_time_pass(self, days: int) -> None:
        self.clock.advance(days=days)
        self.model.day += days
        for part in self.model.parts:
            if part.state == "IN_REVIEW" and part.due <= self.model.day:
                self.model.accept(part, part.amount)
        self.wait(self.sweep())

    async def sweep(self) -> None:
        while await resolvers.contracts.accept_overdue(self.house.context()):
            continue

    @invariant()
    def the_worlds_agree(self) -> None:
        if hasattr(self, "contract"):
            self.wait(self.compare())

    async def compare(self) -> None:
        model = self.model
        rows = await self.read_milestones()
        assert [(row.state.value, row.amount_cents, row.escrow_cents) for row in rows] == [
            (part.state, part.amount, part.escrow) for part in model.parts
        ]
        contract = await self.as_("client").loaders.one(loaders.contracts.by_id, self.contract.id)
        assert contract is not None
        assert contract.state.value == model.state
        owners = (FUNDS, self.people["client"]), (ESCROW, self.contract), (PENDING, self.people["freelancer"])
        async with self.house.database.reading() as session:
            keys = [kind.of(owner.id, "USD") for kind, owner in owners]
            found = await loaders.ledger.find(session, keys)
            balances = [found[key].balance if key in found else 0 for key in keys]
            assert balances == [model.funds, sum(part.escrow for part in model.parts), model.pending]
            assert (await loaders.audit.audit(session)).wrong is None
            assert await loaders.ledger.totals(session) == {"USD": 0, "CNX": 0}


async def test_contracts_live_as_the_model_says(house, keep, clock):
    Lives.house, Lives.keep, Lives.clock = house, staticmethod(keep), clock
    Lives.loop = asyncio.get_running_loop()
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    await asyncio.to_thread(run_state_machine_as_test, Lives, settings=chosen)
