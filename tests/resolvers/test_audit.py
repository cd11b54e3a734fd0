"""Whatever people do with money, and in whatever order, the ledger agrees with everything that refers to it."""

import random
from collections import Counter
from itertools import count

import pytest
import sqlalchemy as sa

import loaders.audit
import resolvers.audit
import resolvers.contracts
import resolvers.payments
import resolvers.transfers
from models.contracts import Acceptance, Rest, Submission, Termination, TerminationDecision
from models.errors import Forbidden, Refusal, Unauthenticated
from models.money import Currency
from models.payments import PaymentRequest
from tests import make

STEPS = 120
KEYS = count()


class Market:
    """A client, a freelancer and two contracts, and everything that can be done with their money."""

    def __init__(self, house, keep, people, dice):
        self.house, self.keep, self.people, self.dice = house, keep, people, dice
        self.done: Counter[str] = Counter()

    async def open(self):
        self.contracts, self.milestones = [], []
        for _ in range(2):
            job = make.job(self.people.client)
            offer = make.proposal(job, self.people.freelancer)
            contract = make.contract(job, offer)
            parts = [make.milestone(contract, position=at, cents=33_33 + at) for at in range(5)]
            await self.keep(job, offer, contract)
            await self.keep(*parts)
            self.contracts.append(contract.id)
            self.milestones += [part.id for part in parts]

    async def ids(self, kind):
        async with self.house.database.reading() as session:
            return list(await session.scalars(sa.select(kind.id).order_by(kind.id)))

    async def step(self):
        """Do something at random, which may well be refused."""
        client, freelancer = (self.house.context(who) for who in (self.people.client, self.people.freelancer))
        dice, key = self.dice, f"k{next(KEYS)}"
        milestone, contract = dice.choice(self.milestones), dice.choice(self.contracts)
        requests, terminations = await self.ids(PaymentRequest), await self.ids(Termination)
        rest, part = dice.choice(list(Rest)), dice.choice([None, None, 1, 11_11, 33_33])
        words = make.transfer_words(cents=dice.randrange(1_00, 90_00), method=dice.choice(["card", "sandbox-fail"]))
        verbs = {
            "deposit": lambda: resolvers.transfers.deposit(client, words=words, key=key),
            "withdraw": lambda: resolvers.transfers.withdraw(client, words=words, key=key),
            "fund": lambda: resolvers.contracts.fund(client, milestone_id=milestone, key=key),
            "start": lambda: resolvers.contracts.start(freelancer, milestone_id=milestone),
            "submit": lambda: resolvers.contracts.submit(freelancer, milestone_id=milestone, words=Submission("Done.")),
            "again": lambda: resolvers.contracts.request_changes(
                client, milestone_id=milestone, message="No.", key=key
            ),
            "accept": lambda: resolvers.contracts.accept(
                client, milestone_id=milestone, words=Acceptance(part, rest if part else None), key=key
            ),
            "bonus": lambda: resolvers.contracts.bonus(
                client, contract_id=contract, cents=dice.randrange(1, 9_99), currency=Currency.USD, note=None, key=key
            ),
            "pay": lambda: resolvers.contracts.pay_request(client, request_id=dice.choice(requests), key=key),
            "waive": lambda: resolvers.contracts.cancel_request(freelancer, request_id=dice.choice(requests), key=key),
            "end": lambda: resolvers.contracts.request_termination(freelancer, contract_id=contract, reason="No."),
            "decide": lambda: resolvers.contracts.decide(
                client,
                termination_id=dice.choice(terminations),
                decision=dice.choice(list(TerminationDecision)),
                answer=None,
                key=key,
            ),
            "complete": lambda: resolvers.contracts.complete(
                dice.choice([client, freelancer]), contract_id=contract, key=key
            ),
            "settle": lambda: resolvers.payments.settle_due(self.house.context()),
        }
        often = {"fund": 4, "start": 4, "submit": 5, "accept": 6, "deposit": 3, "pay": 2}
        rare = {"end", "decide", "complete"}
        possible = [
            name
            for name in verbs
            if not (name in {"pay", "waive"} and not requests) and not (name == "decide" and not terminations)
        ]
        weights = [often.get(name, 1) * 10 if name not in rare else 2 for name in possible]
        (name,) = dice.choices(possible, weights)
        try:
            await verbs[name]()
        except Refusal:
            self.done["refused"] += 1
        else:
            self.done[name] += 1


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_done_the_ledger_agrees_with_it(seed, house, keep, people, clock):
    market = Market(house, keep, people, random.Random(seed))
    await market.open()

    for at in range(STEPS):
        await market.step()
        if at % 30 == 29:
            clock.advance(days=2)
            await wrong_is_nothing(house)
    while await resolvers.payments.settle_due(house.context()):
        continue

    await wrong_is_nothing(house)
    assert market.done["fund"]
    assert market.done["accept"]
    assert market.done["refused"]


async def wrong_is_nothing(house):
    async with house.database.reading() as session:
        report = await loaders.audit.audit(session)
        totals = await loaders.audit.totals(session)
    assert report.wrong is None, report.wrong
    assert all(total.balance == 0 for total in totals)


@pytest.mark.parametrize("verb", [resolvers.audit.audit, resolvers.audit.totals])
async def test_the_ledger_as_a_whole_is_for_administrators(verb, people, as_):
    for name, who in vars(people).items():
        if name == "admin":
            await verb(as_(who))
            continue
        with pytest.raises(Forbidden):
            await verb(as_(who))
    with pytest.raises(Unauthenticated):
        await verb(as_(None))
