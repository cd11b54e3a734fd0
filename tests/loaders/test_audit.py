"""Whatever refers to the ledger says the same as the ledger, or is named."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

import loaders.audit
import loaders.ledger
import resolvers.payments
import resolvers.transfers
from models.base import uuid7
from models.contracts import MilestoneState
from models.ledger import Journal
from models.payments import EARNINGS, ESCROW, FEES, FUNDS, PENDING, RAIL, Payment, pay
from models.transfers import Purse, Transfer
from tests import make


@pytest.fixture
def look(house):
    async def run():
        async with house.database.reading() as session:
            return await loaders.audit.audit(session)

    return run


@pytest.fixture
def change(owner):
    """Change something behind the house's back."""

    async def run(statement, **bound):
        async with owner.begin() as connection:
            done = await connection.execute(sa.text(statement), bound)
            assert done.rowcount

    return run


class World:
    """Somebody who paid, somebody who was paid, and transfers of every fate."""

    def __init__(self, house, keep, people):
        self.house, self.keep, self.people = house, keep, people
        self.transfers: dict[tuple[str, str], Transfer] = {}
        self.settled: Payment
        self.free: Payment
        self.pending: Payment

    async def begin(self):
        """A contract with money in escrow and in the client's funds."""
        job = make.job(self.people.client)
        offer = make.proposal(job, self.people.freelancer)
        self.contract = make.contract(job, offer)
        await self.keep(job, offer, self.contract)
        # Of a hundred, thirty are paid for bonuses: nobody does that, but the ledger does not know.
        self.milestone = make.milestone(self.contract, cents=100_00)
        self.milestone.escrow_cents = 70_00
        await self.keep(self.milestone)
        for kind, owner in ((ESCROW, self.contract), (FUNDS, self.people.client)):
            await make.give(self.house, kind, owner.id, 100_00)

    async def pay(self, cents, fee_cents, *, from_escrow=0, at=None):
        payment = make.payment(self.contract, cents, fee_cents, at=at or self.house.clock())
        async with self.house.context().writing() as work:
            keys = (
                ESCROW.of(self.contract.id, "USD"),
                FUNDS.of(self.people.client.id, "USD"),
                PENDING.of(self.people.freelancer.id, "USD"),
                FEES.of(None, "USD"),
            )
            escrow, funds, pending, fees = await loaders.ledger.accounts(work, *keys, at=self.house.clock())
            sources = [(escrow, from_escrow), (funds, payment.charge.gross - from_escrow)]
            journal = pay(
                "RELEASE", payment, payment.charge, sources=sources, pending=pending, fees=fees, at=self.house.clock()
            )
            await loaders.ledger.post(work, journal)
            payment.journal_id = journal.id
            work.add(payment)
        return payment

    async def post(self, kind, about, *moved):
        async with self.house.context().writing() as work:
            accounts = await loaders.ledger.accounts(work, *(key for key, _ in moved), at=self.house.clock())
            entries = list(zip(accounts, (cents for _, cents in moved), strict=True))
            journal = Journal.of(kind, about, entries, at=self.house.clock())
            await loaders.ledger.post(work, journal)
        return journal


@pytest.fixture
async def world(house, keep, people, clock):
    made = World(house, keep, people)
    await made.begin()
    old = clock() - timedelta(days=6)
    made.settled = await made.pay(30_00, 3_00, from_escrow=10_00, at=old)
    made.free = await made.pay(1_00, 1_00, at=old)
    await resolvers.payments.settle_due(house.context())
    made.pending = await made.pay(20_00, 2_00, from_escrow=20_00)
    for name in ("succeed", "fail", "delay", "time-out"):
        words = make.transfer_words(method=f"sandbox-{name}", cents=5_00)
        ctx = house.context(people.client)
        made.transfers["in", name] = await resolvers.transfers.deposit(ctx, words=words, key=f"d{name}")
        words = make.transfer_words(method=f"sandbox-{name}", cents=5_00, purse=Purse.FUNDS)
        made.transfers["out", name] = await resolvers.transfers.withdraw(ctx, words=words, key=f"w{name}")
    return made


@pytest.mark.usefixtures("world")
async def test_what_agrees_is_right(look):
    report = await look()

    assert report.wrong is None, report.wrong
    assert report.holds == 4


async def test_an_empty_house_is_right(look):
    assert (await look()).wrong is None


async def test_what_is_wrong_with_the_ledger_itself_comes_first(world, look, change):
    await change("UPDATE payments SET amount_cents = 1, freelancer_fee_cents = 0 WHERE id = :id", id=world.pending.id)
    await change(
        "UPDATE entries SET amount = amount + 1 WHERE journal_id = :id AND position = 1", id=world.settled.journal_id
    )

    assert (await look()).wrong.problem == "its running balance does not follow"


@pytest.mark.parametrize(
    ("column", "kind", "expected", "found"),
    [
        ("amount_cents = amount_cents + 1", "PENDING", 18_01, 18_00),
        ("freelancer_fee_cents = freelancer_fee_cents + 1", "PENDING", 17_99, 18_00),
        ("client_fee_cents = client_fee_cents + 1", "FEES", 2_01, 2_00),
    ],
)
async def test_a_payment_moved_what_it_says(column, kind, expected, found, world, look, change):
    await change(f"UPDATE payments SET {column} WHERE id = :id", id=world.pending.id)

    wrong = (await look()).wrong
    assert f"payment {world.pending.id} moved something else" in wrong.problem
    assert (wrong.account_kind, wrong.journal_id) == (kind, world.pending.journal_id)
    assert (wrong.expected, wrong.found) == (expected, found)
    assert wrong.position is not None


async def test_a_payment_was_made_by_its_client_to_its_freelancer(world, look, change, people):
    await change(
        "UPDATE payments SET freelancer_id = :other WHERE id = :id",
        id=world.pending.id,
        other=people.other_freelancer.id,
    )
    assert "to who worked" in (await look()).wrong.problem
    await change(
        "UPDATE payments SET freelancer_id = :own, client_id = :other WHERE id = :id",
        id=world.settled.id,
        own=people.freelancer.id,
        other=people.other_client.id,
    )
    assert str(world.settled.id) in (await look()).wrong.problem


async def test_a_journal_of_a_payment_is_known_to_it(world, look, change):
    await change("DELETE FROM payments WHERE id = :id", id=world.pending.id)

    wrong = (await look()).wrong
    assert wrong.problem == f"payment {world.pending.id} does not know of this"
    assert (wrong.journal_id, wrong.position) == (world.pending.journal_id, 1)


async def test_what_is_called_settled_was_settled(world, look, change):
    await change("UPDATE payments SET settled_at = now() WHERE id = :id", id=world.pending.id)

    wrong = (await look()).wrong
    assert f"payment {world.pending.id} was settled" in wrong.problem
    assert (wrong.expected, wrong.found) == (18_00, 0)


async def test_what_was_settled_is_called_so(world, look, change):
    await change("UPDATE payments SET settled_at = NULL WHERE id = :id", id=world.settled.id)

    wrong = (await look()).wrong
    assert f"payment {world.settled.id} was settled" in wrong.problem
    assert (wrong.expected, wrong.found, wrong.account_kind) == (0, 27_00, "EARNINGS")


async def test_nothing_is_settled_twice(world, look, people):
    freelancer = people.freelancer.id
    moved = (PENDING.of(freelancer, "USD"), -18_00), (EARNINGS.of(freelancer, "USD"), 18_00)
    await world.post("SETTLE", world.settled, *moved)

    wrong = (await look()).wrong
    assert f"payment {world.settled.id} was settled" in wrong.problem
    assert (wrong.expected, wrong.found) == (27_00, 45_00)


async def test_nothing_is_pending_that_was_not_paid(world, look, people):
    await make.give(world.house, PENDING, people.freelancer.id, 7)

    wrong = (await look()).wrong
    assert f"what is pending of {people.freelancer.id}" in wrong.problem
    assert (wrong.account_kind, wrong.owner_id) == ("PENDING", people.freelancer.id)
    assert (wrong.expected, wrong.found) == (18_00, 18_07)


@pytest.mark.parametrize("way", ["in", "out"])
async def test_a_transfer_moved_what_it_says(way, world, look, change):
    transfer = world.transfers[way, "succeed"]
    await change("UPDATE transfers SET amount_cents = amount_cents + 1 WHERE id = :id", id=transfer.id)

    wrong = (await look()).wrong
    assert wrong.problem == f"transfer {transfer.id} moved something else than it says"
    sign = 1 if way == "in" else -1
    assert (wrong.account_kind, wrong.expected, wrong.found) == ("FUNDS", sign * 5_01, sign * 5_00)


async def test_a_transfer_moved_money_of_its_own_account(world, look, change, people):
    transfer = world.transfers["in", "succeed"]
    await change(
        "UPDATE transfers SET account_id = :other WHERE id = :id", id=transfer.id, other=people.other_client.id
    )

    assert str(transfer.id) in (await look()).wrong.problem


@pytest.mark.parametrize("name", ["fail", "delay", "time-out"])
async def test_what_did_not_go_through_moved_nothing(name, world, look, people):
    transfer = world.transfers["in", name]
    moved = (RAIL.of(None, "USD"), -5_00), (FUNDS.of(people.client.id, "USD"), 5_00)
    journal = await world.post("DEPOSIT", transfer, *moved)

    wrong = (await look()).wrong
    assert wrong.problem == f"transfer {transfer.id} does not know of this"
    assert wrong.journal_id == journal.id


async def test_what_may_still_go_out_is_held(world, look, change, house):
    transfer = world.transfers["out", "delay"]
    async with house.context().writing() as work:
        await loaders.ledger.void_hold(work, transfer.hold_id, at=house.clock())

    assert (await look()).wrong.problem == f"transfer {transfer.id} is SUBMITTED, and its hold is VOIDED"
    await change("UPDATE transfers SET amount_cents = 1 WHERE id = :id", id=transfer.id)
    assert (await look()).wrong.expected == 1


async def test_what_is_not_to_go_out_is_not_held(world, look, change):
    transfer = world.transfers["out", "delay"]
    await change(
        "UPDATE transfers SET state = 'FAILED', decided_at = now(), next_attempt_at = NULL WHERE id = :id",
        id=transfer.id,
    )

    wrong = (await look()).wrong
    assert wrong.problem == f"transfer {transfer.id} is FAILED, and its hold is HELD"
    assert wrong.account_kind == "FUNDS"


async def test_nothing_is_held_for_nothing(world, look, change):
    transfer = world.transfers["out", "time-out"]
    await change("DELETE FROM transfers WHERE id = :id", id=transfer.id)

    assert (await look()).wrong.problem == f"hold {transfer.hold_id} is for nothing"


@pytest.mark.parametrize("by", [1, -1])
async def test_what_lies_aside_is_what_milestones_say(by, world, look, change):
    await change("UPDATE milestones SET escrow_cents = escrow_cents + :by WHERE id = :id", id=world.milestone.id, by=by)

    wrong = (await look()).wrong
    assert f"what lies aside for contract {world.contract.id}" in wrong.problem
    assert (wrong.account_kind, wrong.owner_id) == ("ESCROW", world.contract.id)
    assert (wrong.expected, wrong.found) == (70_00 + by, 70_00)


async def test_a_milestone_is_paid_with_what_was_accepted(world, look, keep, change):
    milestone = await keep(make.milestone(world.contract, MilestoneState.PAID, position=1))

    wrong = (await look()).wrong
    assert wrong.problem == f"milestone {milestone.id} is PAID, and paid with something else"
    assert (wrong.expected, wrong.found) == (milestone.accepted_cents, 0)
    await change("DELETE FROM milestones WHERE id = :id", id=milestone.id)
    assert (await look()).wrong is None


async def test_a_milestone_that_is_not_paid_has_no_payment(world, look, change):
    await change(
        "UPDATE payments SET kind = 'MILESTONE', milestone_id = :milestone WHERE id = :id",
        id=world.pending.id,
        milestone=world.milestone.id,
    )

    wrong = (await look()).wrong
    assert wrong.problem == f"milestone {world.milestone.id} is OPEN, and paid with something else"
    assert (wrong.expected, wrong.found, wrong.journal_id) == (0, 20_00, world.pending.journal_id)


async def test_a_payment_request_was_paid_with_what_it_asked_for(world, look, change, keep):
    milestone = await keep(make.milestone(world.contract, MilestoneState.PAID, position=1, cents=20_00))
    await change(
        "UPDATE payments SET kind = 'MILESTONE', milestone_id = :milestone WHERE id = :id",
        id=world.pending.id,
        milestone=milestone.id,
    )
    await change(
        "INSERT INTO payment_requests (id, contract_id, milestone_id, client_id, freelancer_id, amount_cents, currency,"
        " state, made_at, decided_at, payment_id) SELECT :key, contract_id, milestone_id, client_id, freelancer_id,"
        " amount_cents, currency, 'PAID', now(), now(), id FROM payments WHERE id = :id",
        id=world.pending.id,
        key=uuid7(),
    )
    assert (await look()).wrong is None

    await change("UPDATE payment_requests SET amount_cents = amount_cents - 1")

    wrong = (await look()).wrong
    assert "was paid with something else" in wrong.problem
    assert (wrong.expected, wrong.found) == (19_99, 20_00)


async def test_totals_are_of_every_kind_and_sum_to_nothing(world, house, people):
    async with house.database.reading() as session:
        connects, total = await loaders.audit.totals(session)

    kinds = {kind.kind: kind for kind in total.kinds}
    assert (connects.currency, connects.balance) == ("CNX", 0)
    assert (total.currency, total.balance) == ("USD", 0)
    assert set(kinds) == {"EARNINGS", "ESCROW", "FEES", "FUNDS", "PENDING", "RAIL"}
    assert (kinds["PENDING"].balance, kinds["EARNINGS"].balance, kinds["FEES"].balance) == (18_00, 27_00, 6_00)
    assert (kinds["FUNDS"].held, kinds["FUNDS"].accounts) == (10_00, 1)
    assert world.contract.client_id == people.client.id


async def test_what_is_owed_is_asked_for(world, look, keep, change):
    milestone = await keep(make.milestone(world.contract, MilestoneState.ACCEPTED, position=1, cents=20_00))
    wrong = (await look()).wrong
    assert str(milestone.id) in wrong.problem
    assert (wrong.expected, wrong.found) == (20_00, 0)

    await keep(make.request(milestone, world.contract))
    assert (await look()).wrong is None

    await change("UPDATE milestones SET waived_at = now() WHERE id = :id", id=milestone.id)
    wrong = (await look()).wrong
    assert (wrong.expected, wrong.found) == (0, 20_00)
