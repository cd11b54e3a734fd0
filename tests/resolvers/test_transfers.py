"""What is kept, refused and announced of money from and to outside, and what is found out later."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

import loaders.ledger
import loaders.payments
import resolvers.transfers
from models.activity import EventKind, account_stream, wallet_stream
from models.base import uuid7
from models.errors import Busy, Invalid, NotFound, OutcomeUnknown, Unauthenticated
from models.idempotency import IdempotencyKeyReused
from models.ledger import Hold, HoldState, InsufficientFunds
from models.money import Money
from models.payments import EARNINGS, FUNDS
from models.transfers import (
    UNKNOWN,
    Answer,
    Outcome,
    PaymentsUnavailable,
    Purse,
    Transfer,
    TransferKind,
    TransferMismatch,
    TransferState,
)
from tests import make

AT_ONCE = 50
VERBS = {TransferKind.DEPOSIT: resolvers.transfers.deposit, TransferKind.WITHDRAWAL: resolvers.transfers.withdraw}
SUCCEEDED, FAILED = EventKind.TRANSFER_SUCCEEDED, EventKind.TRANSFER_FAILED
CHANGED = EventKind.WALLET_CHANGED


@pytest.fixture
def amounts(as_):
    """What somebody may spend, may withdraw, and has on its way out."""

    async def read(who):
        wallet = await as_(who).loaders.one(loaders.payments.wallet, who.id)
        return wallet.funds_cents, wallet.available_cents, wallet.leaving_cents

    return read


@pytest.fixture
def is_right(house):
    """Expect a ledger in which nothing is wrong."""

    async def look():
        async with house.database.reading() as session:
            report = await loaders.ledger.audit(session)
        assert report.wrong is None, report.wrong

    return look


async def deposit(ctx, method="sandbox-succeed", key="k", **said):
    words = make.transfer_words(method=method, **said)
    return await resolvers.transfers.deposit(ctx, words=words, key=key)


async def withdraw(ctx, method="sandbox-succeed", key="w", **said):
    words = make.transfer_words(method=method, **said)
    return await resolvers.transfers.withdraw(ctx, words=words, key=key)


async def test_a_deposit_that_goes_through_at_once_is_there_at_once(as_, people, stored, amounts, is_right):
    made = await deposit(as_(people.client))

    kept = await stored(made)
    assert (kept.state, kept.account_id, kept.purse) == (TransferState.SUCCEEDED, people.client.id, Purse.FUNDS)
    assert kept.reference == f"sandbox-{made.id.hex}"
    assert await amounts(people.client) == (100_00, 0, 0)
    await is_right()


async def test_a_deposit_that_fails_leaves_nothing_but_the_reason(as_, people, stored, amounts, told):
    made = await deposit(as_(people.client), "sandbox-fail")

    kept = await stored(made)
    assert (kept.state, kept.journal_id) == (TransferState.FAILED, None)
    assert "decline" in kept.reason
    assert await amounts(people.client) == (0, 0, 0)
    assert await told() == {account_stream(people.client.id): [FAILED]}


@pytest.mark.parametrize(
    ("method", "state"), [("delay", TransferState.SUBMITTED), ("time-out", TransferState.REQUESTED)]
)
async def test_what_is_not_decided_is_found_out_by_asking(method, state, as_, people, clock, stored, amounts, told):
    made = await deposit(as_(people.client), f"sandbox-{method}")
    assert (await stored(made)).state is state

    assert await resolvers.transfers.ask_due(as_(None)) == 0
    clock.advance(minutes=10)
    assert await resolvers.transfers.ask_due(as_(None)) == 1
    assert (await stored(made)).state is state
    assert await amounts(people.client) == (0, 0, 0)

    clock.advance(hours=1)
    assert await resolvers.transfers.ask_due(as_(None)) == 1
    assert await resolvers.transfers.ask_due(as_(None)) == 0

    kept = await stored(made)
    assert (kept.state, kept.attempts) == (TransferState.SUCCEEDED, 3)
    assert await amounts(people.client) == (100_00, 0, 0)
    assert await told() == {account_stream(people.client.id): [SUCCEEDED], wallet_stream(people.client.id): [CHANGED]}


async def test_several_workers_at_once_find_out_once(as_, people, clock, amounts, is_right):
    for at in range(30):
        await deposit(as_(people.client), "sandbox-time-out", key=f"k{at}")
    clock.advance(hours=2)

    asked = await asyncio.gather(*(resolvers.transfers.ask_due(as_(None)) for _ in range(4)))

    assert sum(asked) == 30
    assert await amounts(people.client) == (30 * 100_00, 0, 0)
    await is_right()


async def test_what_is_withdrawn_is_held_until_it_is_out(as_, people, clock, stored, amounts, told, is_right):
    await deposit(as_(people.client))
    made = await withdraw(as_(people.client), "sandbox-delay", cents=30_00)
    assert await amounts(people.client) == (70_00, 0, 30_00)

    clock.advance(hours=2)
    await resolvers.transfers.ask_due(as_(None))

    assert (await stored(made)).state is TransferState.SUCCEEDED
    assert await amounts(people.client) == (70_00, 0, 0)
    assert (await told())[wallet_stream(people.client.id)] == [CHANGED] * 3
    assert (await told())[account_stream(people.client.id)] == [SUCCEEDED] * 2
    await is_right()


async def test_what_does_not_go_out_is_free_again(house, as_, people, clock, amounts, told, is_right):
    await make.give(house, EARNINGS, people.freelancer.id, 50_00)
    for key, method in (("one", "sandbox-fail"), ("two", "sandbox-delayed-failure")):
        await withdraw(as_(people.freelancer), method, key, cents=50_00, purse=Purse.EARNINGS)
        clock.advance(hours=2)
        await resolvers.transfers.ask_due(as_(None))
        assert await amounts(people.freelancer) == (0, 50_00, 0)

    assert await told() == {
        account_stream(people.freelancer.id): [FAILED] * 2,
        wallet_stream(people.freelancer.id): [CHANGED] * 4,
    }
    await is_right()


async def test_nobody_withdraws_more_than_a_purse_has(house, as_, people, refuses):
    await make.give(house, EARNINGS, people.freelancer.id, 50_00)

    for said in ({"cents": 50_01, "purse": Purse.EARNINGS}, {"cents": 50_00, "purse": Purse.FUNDS}):
        async with refuses(InsufficientFunds):
            await withdraw(as_(people.freelancer), **said)


async def test_what_is_held_is_not_withdrawn_again(as_, people, refuses):
    await deposit(as_(people.client))
    await withdraw(as_(people.client), "sandbox-time-out", cents=60_00)

    async with refuses(InsufficientFunds):
        await withdraw(as_(people.client), key="again", cents=60_00)


async def test_of_many_withdrawals_at_once_as_many_go_out_as_there_is_money_for(as_, people, amounts, is_right):
    await deposit(as_(people.client))

    answers = await asyncio.gather(
        *(withdraw(as_(people.client), key=f"w{at}", cents=7_00) for at in range(AT_ONCE)), return_exceptions=True
    )

    assert Counter(type(answer) for answer in answers) == {Transfer: 14, InsufficientFunds: AT_ONCE - 14}
    assert await amounts(people.client) == (2_00, 0, 0)
    await is_right()


@pytest.mark.parametrize("kind", TransferKind)
async def test_the_same_key_many_times_at_once_is_one_transfer(kind, house, as_, people, count_rows):
    await make.give(house, FUNDS, people.client.id, 100_00)
    before = await count_rows()

    answers = await asyncio.gather(
        *(VERBS[kind](as_(people.client), words=make.transfer_words(), key="k") for _ in range(AT_ONCE))
    )

    assert len({answer.id for answer in answers}) == 1
    after = Counter(await count_rows())
    after.subtract(before)
    assert (after["transfers"], after["journals"], after["idempotency_keys"]) == (1, 1, 1)
    assert after["holds"] == (kind is TransferKind.WITHDRAWAL)


@pytest.mark.parametrize("kind", TransferKind)
async def test_a_key_stands_for_one_transfer(kind, house, as_, people, refuses):
    await make.give(house, FUNDS, people.client.id, 500_00)
    words = make.transfer_words()
    await VERBS[kind](as_(people.client), words=words, key="k")

    others = [replace(words, cents=100_01), replace(words, method="other")]
    if kind is TransferKind.WITHDRAWAL:
        others.append(replace(words, purse=Purse.EARNINGS))
    for other in others:
        async with refuses(IdempotencyKeyReused):
            await VERBS[kind](as_(people.client), words=other, key="k")


async def test_a_request_sent_again_is_answered_with_the_transfer_as_it_is_now(as_, people, clock, count_rows):
    first = await deposit(as_(people.client), "sandbox-time-out")
    clock.advance(hours=2)
    await resolvers.transfers.ask_due(as_(None))
    before, again = await count_rows(), as_(people.client)

    answer = await deposit(again, "sandbox-time-out")

    assert (answer.id, answer.state) == (first.id, TransferState.SUCCEEDED)
    assert again.remarks == {"replayed": ["k"]}
    assert await count_rows() == before


@pytest.mark.parametrize("kind", TransferKind)
async def test_bad_amounts_methods_and_keys_are_refused(kind, house, as_, people, refuses):
    await make.give(house, FUNDS, people.client.id, 500_000_00)

    for said in ({"cents": 0}, {"cents": -1}, {"cents": 99}, {"cents": 100_000_01}, {"method": ""}):
        async with refuses(Invalid):
            await VERBS[kind](as_(people.client), words=make.transfer_words(**said), key="k")
    for key in ("", "x" * 256, "a\nb"):
        async with refuses(Invalid):
            await VERBS[kind](as_(people.client), words=make.transfer_words(), key=key)


@pytest.mark.parametrize("kind", TransferKind)
async def test_somebody_has_to_be_signed_in_to_move_money(kind, as_, refuses):
    async with refuses(Unauthenticated):
        await VERBS[kind](as_(None), words=make.transfer_words(), key="k")


@pytest.mark.parametrize("kind", TransferKind)
async def test_without_a_provider_nothing_is_carried(kind, as_, people, refuses):
    async with refuses(PaymentsUnavailable):
        await VERBS[kind](replace(as_(people.client), provider=None), words=make.transfer_words(), key="k")
    assert await resolvers.transfers.ask_due(replace(as_(None), provider=None)) == 0


async def test_the_provider_is_heard_in_any_order_and_any_number_of_times(as_, people, stored, amounts, told):
    made = await deposit(as_(people.client), "sandbox-delay")
    said = [Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.PENDING, Outcome.FAILED, Outcome.UNKNOWN]

    for outcome in said:
        await resolvers.transfers.hear(as_(None), transfer_id=made.id, answer=Answer(outcome, made.reference))
    await asyncio.gather(
        *(
            resolvers.transfers.hear(as_(None), transfer_id=made.id, answer=Answer(Outcome.SUCCEEDED))
            for _ in range(AT_ONCE)
        )
    )

    assert (await stored(made)).state is TransferState.SUCCEEDED
    assert await amounts(people.client) == (100_00, 0, 0)
    assert await told() == {account_stream(people.client.id): [SUCCEEDED], wallet_stream(people.client.id): [CHANGED]}


async def test_a_webhook_and_the_answer_at_once_are_booked_once(as_, people, amounts, is_right):
    made = await deposit(as_(people.client), "sandbox-time-out")

    await asyncio.gather(
        *(
            resolvers.transfers.hear(as_(None), transfer_id=made.id, answer=Answer(Outcome.SUCCEEDED, "r"))
            for _ in range(AT_ONCE)
        )
    )

    assert await amounts(people.client) == (100_00, 0, 0)
    await is_right()


async def test_what_the_provider_says_of_something_else_changes_nothing(as_, people, refuses):
    made = await deposit(as_(people.client), "sandbox-delay")

    for wrong in (Answer(Outcome.SUCCEEDED, money=Money(1)), Answer(Outcome.SUCCEEDED, "another")):
        async with refuses(TransferMismatch):
            await resolvers.transfers.hear(as_(None), transfer_id=made.id, answer=wrong)
    async with refuses(NotFound):
        await resolvers.transfers.hear(as_(None), transfer_id=uuid7(), answer=Answer(Outcome.SUCCEEDED))


class Loses:
    """Transactions that are lost on the way from some number on."""

    def __init__(self, transactions, kept, error):
        self.transactions, self.kept, self.error = transactions, kept, error

    def __call__(self):
        self.kept -= 1
        if self.kept < 0:
            raise self.error
        return self.transactions()


@pytest.mark.parametrize("kind", TransferKind)
async def test_whoever_cannot_note_the_answer_says_that_the_request_is_kept(
    kind, house, as_, people, clock, stored, is_right
):
    await make.give(house, FUNDS, people.client.id, 100_00)
    ctx = as_(people.client)
    for at, error in enumerate((Busy(), OutcomeUnknown())):
        lossy = replace(ctx, transactions=Loses(ctx.transactions, 1, error))
        made = await VERBS[kind](lossy, words=make.transfer_words(cents=10_00), key=f"k{at}")
        assert (await stored(made)).state is TransferState.REQUESTED

        clock.advance(hours=1)
        await resolvers.transfers.ask_due(as_(None))
        assert (await stored(made)).state is TransferState.SUCCEEDED
    await is_right()


class Mute:
    """A provider that never says anything, and counts how often it was spoken to."""

    def __init__(self):
        self.orders = []

    async def submit(self, order):
        self.orders.append(order)
        return UNKNOWN

    ask = submit


async def test_a_provider_that_says_nothing_is_told_the_same_again_and_again(house, as_, people, clock, stored):
    await make.give(house, FUNDS, people.client.id, 100_00)
    mute = Mute()
    ctx = replace(as_(people.client), provider=mute)
    made = await withdraw(ctx)
    for _ in range(5):
        clock.advance(days=1)
        await resolvers.transfers.ask_due(ctx)

    assert (await stored(made)).state is TransferState.REQUESTED
    assert len(mute.orders) == 6
    assert len(set(mute.orders)) == 1
    async with house.database.reading() as session:
        hold = await session.get_one(Hold, made.hold_id)
    assert hold.state is HoldState.HELD
