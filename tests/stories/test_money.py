"""What people have when everybody moves money at once, over two servers."""

import asyncio
import random
from collections import Counter
from decimal import Decimal
from typing import Any
from uuid import UUID

import aiohttp

import loaders.ledger
from models.base import uuid7
from models.ledger import InsufficientFunds, Journal
from models.payments import EARNINGS, FUNDS, RAIL
from ops.app import House, wall_clock
from ops.settings import Settings
from tests.make.ledger import Gift
from tests.stories.conftest import Site
from tests.stories.people import Person, mutation
from tests.stories.processes import until

AT_ONCE = 50
ACCOUNTS, MOVES, READERS = 20, 400, 4
WALLET = """
    { viewer { wallet { funds { amount } available { amount } leaving { amount } } transfers { totalCount } } }
"""
CHANGES = "subscription { walletChanged { cursor at kind wallet { funds { amount } } } }"
TOTALS = "{ ledgerTotals { currencies { currency balance kinds { kind balance } } } }"


def deposit(amount: str, key: str, method: str = "sandbox-succeed") -> dict[str, Any]:
    return {"amount": {"amount": amount}, "method": method, "idempotencyKey": key}


def withdrawal(amount: str, key: str, method: str = "sandbox-succeed") -> dict[str, Any]:
    return deposit(amount, key, method) | {"purse": "FUNDS"}


async def wallet_of(who: Person) -> tuple[str, str, int]:
    """What somebody may spend, what is on its way out, and how many transfers she has."""
    viewer = (await who.ask(WALLET))["viewer"]
    return (
        viewer["wallet"]["funds"]["amount"],
        viewer["wallet"]["leaving"]["amount"],
        viewer["transfers"]["totalCount"],
    )


async def test_of_many_who_spend_one_balance_at_two_servers_as_many_succeed_as_there_is_money_for(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    await clara.does("deposit", **deposit("100.00", "d"))

    answers = await asyncio.gather(
        *(clara.on((site.a, site.b)[at % 2]).tries("withdraw", **withdrawal("7.00", f"w{at}")) for at in range(AT_ONCE))
    )

    assert Counter(answer.get("code", answer.get("state")) for answer in answers) == {
        "SUCCEEDED": 14,
        "INSUFFICIENT_FUNDS": AT_ONCE - 14,
    }
    assert await wallet_of(clara) == ("2.00", "0.00", 15)


async def test_one_key_fifty_times_at_once_at_two_servers_is_one_deposit_and_one_answer(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    body = {"query": mutation("deposit"), "variables": {"input": deposit("5.00", "the same")}}

    async with aiohttp.ClientSession(headers=clara.authorization) as session:

        async def send(at: int) -> dict[str, Any]:
            async with session.post((site.a, site.b)[at % 2].url, json=body) as answer:
                said: dict[str, Any] = await answer.json()
                return said

        answers = await asyncio.gather(*(send(at) for at in range(AT_ONCE)))
        last = await send(0)

    assert len({answer["data"]["deposit"]["id"] for answer in answers}) == 1
    assert Counter("replayed" in answer.get("extensions", {}) for answer in answers) == {True: AT_ONCE - 1, False: 1}
    assert last["data"]["deposit"]["state"] == "SUCCEEDED"
    assert last["extensions"]["replayed"] == ["the same"]
    assert await wallet_of(clara) == ("5.00", "0.00", 1)


async def test_what_the_provider_decides_later_is_told_by_webhook_and_heard_in_the_wallet(site: Site):
    clara = await Person.registered(site.a, "CLIENT")

    async with clara.on(site.b).socket() as window:
        ear = window.listen(CHANGES)
        number = iter(range(1_000))
        await ear.opened(lambda: clara.does("deposit", **deposit("1.00", f"knock {next(number)}")))
        await ear.hears_up_to(await site.head(ear.stream))
        before = Decimal((await wallet_of(clara))[0])
        for method in ("delay", "repeat"):
            made = await clara.does("deposit", **deposit("20.00", method, f"sandbox-{method}"))
            assert made["state"] == "SUBMITTED"
        heard = [await ear.hears() for _ in range(2)]

        assert [event["kind"] for event in heard] == ["WALLET_CHANGED"] * 2
        assert Decimal(heard[-1]["wallet"]["funds"]["amount"]) == before + 40
        failed = await clara.does("withdraw", **withdrawal("20.00", "w", "sandbox-delayed-failure"))
        assert failed["state"] == "SUBMITTED"
        assert Decimal((await ear.hears())["wallet"]["funds"]["amount"]) == before + 20
        assert Decimal((await ear.hears())["wallet"]["funds"]["amount"]) == before + 40
        assert ear.is_silent


async def test_the_worker_asks_what_became_of_what_nobody_heard_of(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    made = await clara.does("deposit", **deposit("20.00", "d", "sandbox-time-out"))
    assert made["state"] == "REQUESTED"

    key = UUID(made["id"].removeprefix("transfer_"))
    # As if the wait were over.
    await site.rows("update transfers set next_attempt_at = now() where id = $1", key)

    async def is_through() -> bool:
        (row,) = await site.rows("select state from transfers where id = $1", key)
        await site.rows("update transfers set next_attempt_at = now() where id = $1 and decided_at is null", key)
        return bool(row["state"] == "SUCCEEDED")

    await until(is_through, 60.0)
    assert await wallet_of(clara) == ("20.00", "0.00", 1)


async def test_everybody_who_sums_everything_while_money_moves_finds_the_same(site: Site):
    root = await Person.registered(site.a, "CLIENT")
    await site.rows("update accounts set roles = '{ADMIN}' where id = $1", UUID(root.id))
    house = House.of(Settings.of(site.told))
    owners, about, dice = [uuid7() for _ in range(ACCOUNTS)], Gift(), random.Random(7)
    over = asyncio.Event()

    async def post(*moved: tuple[Any, int]) -> None:
        async with house.context().writing() as work:
            accounts = await loaders.ledger.accounts(work, *(key for key, _ in moved), at=wall_clock())
            entries = list(zip(accounts, (cents for _, cents in moved), strict=True))
            await loaders.ledger.post(work, Journal.of("MOVE", about, entries, at=wall_clock()))  # type: ignore[arg-type]

    async def move(times: int) -> None:
        for _ in range(times):
            source, target = dice.sample([kind.of(owner, "USD") for owner in owners for kind in (FUNDS, EARNINGS)], 2)
            cents = dice.randrange(1, 50)
            try:
                await post((source, -cents), (target, cents))
            except InsufficientFunds:
                continue

    async def read(at: int) -> list[tuple[int, int]]:
        """What there is of funds and of earnings together, and all there is, as often as it can be asked."""
        found = []
        while not over.is_set():
            totals = (await root.on((site.a, site.b)[at % 2]).ask(TOTALS))["ledgerTotals"]["currencies"]
            (usd,) = [total for total in totals if total["currency"] == "USD"]
            kinds = {kind["kind"]: int(kind["balance"]) for kind in usd["kinds"]}
            found.append((kinds["FUNDS"] + kinds.get("EARNINGS", 0), int(usd["balance"])))
        return found

    async with house.open(with_bell=False):
        for owner in owners:
            await post((RAIL.of(None, "USD"), -1_000), (FUNDS.of(owner, "USD"), 1_000))
        readers = [asyncio.create_task(read(at)) for at in range(READERS)]
        await asyncio.gather(*(move(MOVES // 4) for _ in range(4)))
        over.set()
        found = [seen for reads in await asyncio.gather(*readers) for seen in reads]

    assert len(found) > READERS
    assert len(set(found)) == 1
    assert found[0][1] == 0
    assert await root.ask("{ ledgerAudit { wrong { problem } } }") == {"ledgerAudit": {"wrong": None}}
