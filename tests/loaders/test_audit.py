"""Whatever refers to the ledger says the same as the ledger, or is named."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

import loaders.audit
import loaders.ledger
import resolvers.connects
import resolvers.jobs
import resolvers.payments
import resolvers.proposals
import resolvers.transfers
from models.base import uuid7
from models.connects import EXPIRED, ISSUED, LOT, SALES, SPENT, Lot
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


@pytest.fixture
def post(house):
    """Post something that nobody posts."""

    async def run(kind, about, *moved):
        async with house.context().writing() as work:
            accounts = await loaders.ledger.accounts(work, *(key for key, _ in moved), at=house.clock())
            entries = list(zip(accounts, (cents for _, cents in moved), strict=True))
            journal = Journal.of(kind, about, entries, at=house.clock())
            await loaders.ledger.post(work, journal)
        return journal

    return run


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


async def test_nothing_is_settled_twice(world, look, people, post):
    freelancer = people.freelancer.id
    moved = (PENDING.of(freelancer, "USD"), -18_00), (EARNINGS.of(freelancer, "USD"), 18_00)
    await post("SETTLE", world.settled, *moved)

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
async def test_what_did_not_go_through_moved_nothing(name, world, look, people, post):
    transfer = world.transfers["in", name]
    moved = (RAIL.of(None, "USD"), -5_00), (FUNDS.of(people.client.id, "USD"), 5_00)
    journal = await post("DEPOSIT", transfer, *moved)

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
    assert (wrong.account_kind, wrong.owner_id) == ("ESCROW", world.contract.id)
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
    assert (wrong.account_kind, wrong.position) == ("ESCROW", 1)


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
    assert (wrong.journal_id, wrong.position) == (world.pending.journal_id, 1)
    await change("UPDATE payment_requests SET payment_id = :id", id=uuid7())
    wrong = (await look()).wrong
    assert "was paid with something else" in wrong.problem
    assert (wrong.expected, wrong.found) == (19_99, 0)


@pytest.mark.parametrize("party", ["client", "freelancer"])
async def test_money_is_between_the_parties_of_its_contract(party, world, look, change, people):
    other = getattr(people, f"other_{party}")
    await change(f"UPDATE contracts SET {party}_id = :other WHERE id = :id", id=world.contract.id, other=other.id)

    wrong = (await look()).wrong
    assert wrong.problem.endswith("is not between the parties of its contract")
    assert wrong.journal_id in {one.journal_id for one in (world.settled, world.free, world.pending)}
    assert (wrong.account_kind, wrong.position) in {("ESCROW", 1), ("FUNDS", 1)}


async def test_money_is_for_a_milestone_of_its_contract(world, look, change, keep, people):
    offer = make.proposal(job := make.job(people.client), people.freelancer)
    contract = make.contract(job, offer)
    await keep(job, offer, contract)
    milestone = await keep(make.milestone(contract, MilestoneState.PAID, cents=20_00))
    await change(
        "UPDATE payments SET kind = 'MILESTONE', milestone_id = :milestone WHERE id = :id",
        id=world.pending.id,
        milestone=milestone.id,
    )

    wrong = (await look()).wrong
    assert wrong.problem == f"payment {world.pending.id} is not between the parties of its contract"
    assert (wrong.account_kind, wrong.journal_id, wrong.position) == ("ESCROW", world.pending.journal_id, 1)


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
    assert (wrong.account_kind, wrong.owner_id) == ("ESCROW", world.contract.id)

    await keep(make.request(milestone, world.contract))
    assert (await look()).wrong is None

    await change("UPDATE milestones SET waived_at = now() WHERE id = :id", id=milestone.id)
    wrong = (await look()).wrong
    assert (wrong.expected, wrong.found) == (0, 20_00)


class Bag:
    """Connects of every fate: given and bought by Nina, spent out of both lots, returned for one job; and expired."""

    lot: Lot
    bundle: Lot
    old: Lot

    async def begin(self, house, keep, people, clock):
        """Let it all happen."""
        self.nina = make.freelancer("Nina")
        await keep(self.nina, *make.profiles(self.nina))
        await make.give(house, FUNDS, self.nina.id, 10_00)
        clock.advance(days=-400)
        (self.old,) = await make.connects(house, people.other_freelancer, size=5)
        clock.advance(days=400)
        await resolvers.connects.expire_due(house.context())
        (self.lot,) = await make.connects(house, self.nina, size=10)
        self.bundle = await resolvers.connects.buy(house.context(self.nina), size=20, key="a bundle")
        self.lost, self.returned = await keep(make.job(people.client), make.job(people.client))
        self.first, self.second = [
            await resolvers.proposals.submit(
                house.context(self.nina), job_id=job.id, words=make.proposal_words(), key=make.key()
            )
            for job in (self.lost, self.returned)
        ]
        await resolvers.jobs.close(house.context(people.client), job_id=self.returned.id)


@pytest.fixture
async def purse(house, keep, people, clock):
    made = Bag()
    await made.begin(house, keep, people, clock)
    return made


@pytest.mark.usefixtures("purse")
async def test_connects_of_every_fate_are_right(look):
    report = await look()

    assert report.wrong is None, report.wrong


@pytest.mark.parametrize(
    ("column", "problem", "expected", "found"),
    [
        ("remaining = remaining - 1", "says other than what is left of it", 2, 1),
        ("size = size + 1", "was not filled with its size", 11, 10),
    ],
)
async def test_a_lot_says_what_is_left_of_it_and_was_filled(column, problem, expected, found, purse, look, change):
    await change(f"UPDATE lots SET {column} WHERE id = :id", id=purse.lot.id)

    wrong = (await look()).wrong
    assert wrong.problem == f"lot {purse.lot.id} {problem}"
    assert (wrong.account_id, wrong.account_kind, wrong.owner_id) == (purse.lot.purse_id, "LOT", purse.lot.id)
    assert (wrong.expected, wrong.found) == (expected, found)


async def test_a_lot_has_an_account_of_its_own(purse, look, change):
    await change(
        "UPDATE lots SET purse_id = (SELECT id FROM ledger_accounts WHERE kind = 'FUNDS' AND owner_id = :nina)"
        " WHERE id = :id",
        id=purse.old.id,
        nina=purse.nina.id,
    )
    await change("DELETE FROM connects_movements WHERE lot_id = :id", id=purse.old.id)
    problems = {f"lot {purse.old.id} has the account of something else", "nobody was told that her lots were moved"}

    assert (await look()).wrong.problem in problems


async def test_an_account_of_a_lot_has_its_lot(purse, look, change):
    await change("DELETE FROM lots WHERE id = :id", id=purse.old.id)

    wrong = (await look()).wrong
    assert wrong.problem == f"there is no lot {purse.old.id} that has this account"
    assert (wrong.account_id, wrong.account_kind) == (purse.old.purse_id, "LOT")


MOVED = "SELECT m.journal_id FROM connects_movements m WHERE m.kind = :kind AND :id IN (m.lot_id, m.proposal_id)"


@pytest.fixture
def journal_of(owner):
    """The journal of a movement."""

    async def find(kind, about):
        async with owner.begin() as connection:
            return await connection.scalar(sa.text(MOVED), {"kind": kind, "id": about.id})

    return find


@pytest.mark.parametrize(
    ("kind", "part", "column", "expected", "found"),
    [
        ("ISSUED", "bundle", "amount = amount + 1", 20, 21),
        ("SPENT", "first", "amount = amount - 1", -8, -9),
        ("RETURNED", "second", "amount = amount - 1", 8, 7),
        ("EXPIRED", "old", "amount = amount + 1", -5, -4),
        ("SPENT", "second", "account_id = (SELECT id FROM accounts WHERE id <> account_id LIMIT 1)", -8, -8),
        ("EXPIRED", "old", "lot_id = (SELECT id FROM lots WHERE id <> lot_id LIMIT 1)", -5, -5),
        ("ISSUED", "bundle", "lot_id = (SELECT id FROM lots WHERE id <> lot_id LIMIT 1)", 20, 20),
        (
            "ISSUED",
            "lot",
            "kind = 'RETURNED', lot_id = NULL, proposal_id = (SELECT id FROM proposals ORDER BY submitted_at LIMIT 1)",
            10,
            10,
        ),
    ],
)
async def test_a_movement_is_what_its_journal_did(kind, part, column, expected, found, purse, look, change, journal_of):
    journal = await journal_of(kind, getattr(purse, part))
    await change(f"UPDATE connects_movements SET {column} WHERE journal_id = :id", id=journal)

    wrong = (await look()).wrong
    assert "is not what its journal did" in wrong.problem
    assert (wrong.account_kind, wrong.journal_id) == ("LOT", journal)
    assert (wrong.expected, wrong.found) == (expected, found)
    assert wrong.position is not None


@pytest.mark.parametrize(
    ("kind", "part"), [("ISSUED", "bundle"), ("SPENT", "first"), ("RETURNED", "second"), ("EXPIRED", "old")]
)
async def test_somebody_is_told_of_every_move_of_her_lots(kind, part, purse, look, change, journal_of):
    journal = await journal_of(kind, getattr(purse, part))
    await change("DELETE FROM connects_movements WHERE journal_id = :id", id=journal)

    wrong = (await look()).wrong
    assert wrong.problem == "nobody was told that her lots were moved"
    assert (wrong.account_kind, wrong.journal_id) == ("LOT", journal)
    assert wrong.position is not None


async def test_a_lot_is_its_owners(purse, look, change, people):
    await change("UPDATE lots SET account_id = :other WHERE id = :id", id=purse.lot.id, other=people.client.id)

    wrong = (await look()).wrong
    assert "is not what its journal did" in wrong.problem
    assert (wrong.account_id, wrong.position) == (purse.lot.purse_id, 2)


@pytest.mark.parametrize("kind", ["CONNECTS_ISSUE", "CONNECTS_SPEND", "CONNECTS_RETURN", "CONNECTS_EXPIRE"])
async def test_no_connects_are_moved_that_nobody_knows_of(kind, purse, look, post):
    moved = (SPENT.of(None, "CNX"), -3), (EXPIRED.of(None, "CNX"), 3)
    journal = await post(kind, purse.first, *moved)

    wrong = (await look()).wrong
    assert wrong.problem == "nobody was told of these Connects"
    assert (wrong.account_kind, wrong.journal_id, wrong.position) == ("CONNECTS_SPENT", journal.id, 1)
    assert (wrong.expected, wrong.found) == (0, -3)


async def test_no_lot_is_filled_in_secret(purse, look, post):
    moved = (ISSUED.of(None, "CNX"), -3), (LOT.of(purse.lot.id, "CNX"), 3)
    journal = await post("CONNECTS_ISSUE", purse.lot, *moved)

    wrong = (await look()).wrong
    assert wrong.problem == "nobody was told that her lots were moved"
    assert (wrong.owner_id, wrong.journal_id, wrong.position) == (purse.lot.id, journal.id, 2)


@pytest.mark.parametrize(
    ("column", "expected", "found"),
    [
        ("connects_cost = connects_cost + 1", -9, -8),
        ("connects_cost = 0", 0, -8),
        ("freelancer_id = (SELECT id FROM freelancer_profiles WHERE id <> freelancer_id LIMIT 1)", -8, -8),
    ],
)
async def test_a_proposal_was_paid_for_as_it_costs(column, expected, found, purse, look, change, journal_of):
    await change(f"UPDATE proposals SET {column} WHERE id = :id", id=purse.first.id)

    wrong = (await look()).wrong
    assert wrong.problem == f"proposal {purse.first.id} was not paid for as it costs"
    assert (wrong.expected, wrong.found) == (expected, found)
    assert (wrong.account_kind, wrong.journal_id) == ("LOT", await journal_of("SPENT", purse.first))
    assert wrong.position == 1


async def test_what_is_returned_is_what_was_paid(purse, look, change, journal_of):
    journal = await journal_of("RETURNED", purse.second)
    await change("UPDATE journals SET reverses = NULL WHERE id = :id", id=journal)

    wrong = (await look()).wrong
    assert wrong.problem == f"proposal {purse.second.id} got back something else than it cost"
    assert (wrong.account_kind, wrong.journal_id, wrong.position) == ("LOT", journal, 1)


async def test_a_bundle_was_paid_for(purse, look, change):
    await change("UPDATE lots SET source = 'BUNDLE', month = NULL WHERE id = :id", id=purse.lot.id)

    wrong = (await look()).wrong
    assert wrong.problem == f"lot {purse.lot.id} was not paid for by its owner, or not once"
    assert (wrong.account_kind, wrong.expected, wrong.found) == ("LOT", 1, 0)


async def test_what_was_paid_for_is_a_bundle(purse, look, change):
    await change("UPDATE lots SET source = 'REGISTRATION' WHERE id = :id", id=purse.bundle.id)

    wrong = (await look()).wrong
    assert wrong.problem == f"lot {purse.bundle.id} was paid for, and is no bundle"
    assert (wrong.account_kind, wrong.owner_id, wrong.position) == ("FUNDS", purse.nina.id, 1)


@pytest.mark.parametrize(("payer", "found"), [("nina", 2), ("client", 1)])
async def test_a_bundle_is_paid_for_once_by_its_owner(payer, found, house, purse, people, look, post):
    by = purse.nina if payer == "nina" else people.client
    await make.give(house, FUNDS, by.id, 3_00)
    journal = await post("CONNECTS_SALE", purse.bundle, (FUNDS.of(by.id, "USD"), -3_00), (SALES.of(None, "USD"), 3_00))

    wrong = (await look()).wrong
    assert wrong.problem == f"lot {purse.bundle.id} was not paid for by its owner, or not once"
    assert (wrong.account_kind, wrong.owner_id, wrong.journal_id) == ("FUNDS", by.id, journal.id)
    assert (wrong.expected, wrong.found, wrong.position) == (1, found, 1)
