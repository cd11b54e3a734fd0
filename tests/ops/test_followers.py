"""What happens is rendered once for all windows of somebody, and nobody is shown what is another's."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

import resolvers.accounts
import resolvers.contracts
from models.accounts import Account, Session
from models.config import Config
from models.contracts import MilestoneWords
from models.payments import FUNDS
from ops.app import House
from ops.transport.asked import Asked
from ops.transport.operations import Answer, Operations
from resolvers.context import Context
from resolvers.payments import tell_wallets
from schema.scalars import id_of
from tests import make
from tests.conftest import HEARD_SECONDS
from tests.loaders.counting import statements

WINDOWS = 10
SHOWN = "id title milestones { description availableActions } client { id } proposal { coverLetter isShortlisted }"
FOLLOW = f"subscription ($id: ID!) {{ contractChanged(id: $id) {{ cursor at kind contract {{ {SHOWN} }} }} }}"


class Windows:
    """Windows that follow a contract."""

    def __init__(self, house: House, operations: Operations, stack: AsyncExitStack) -> None:
        self.house, self.operations, self.stack = house, operations, stack
        self.open_ones: list[AsyncGenerator[Answer, None]] = []
        self._next: list[asyncio.Future[Answer]] = []

    async def open(self, contexts: Sequence[Context], document: str = FOLLOW, **variables: Any) -> None:
        """Open one for each of these, and wait until all of them follow."""
        with self._begun(len(contexts)) as begun:
            for context in contexts:
                operation = self.operations.prepare(Asked(document, variables, None, {}))
                answers = await self.stack.enter_async_context(aclosing(self.operations.listen(operation, context)))
                self.open_ones.append(answers)
                self._next.append(asyncio.ensure_future(anext(answers)))
            async with asyncio.timeout(HEARD_SECONDS):
                await begun.wait()

    @contextmanager
    def _begun(self, wanted: int) -> Any:
        begun, seen = asyncio.Event(), list[None]()

        def notice(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if "stream_heads" in statement:
                seen.append(None)
                if len(seen) == wanted:
                    begun.set()

        engine = self.house.database.engine.sync_engine
        sa.event.listen(engine, "after_cursor_execute", notice)
        try:
            yield begun
        finally:
            sa.event.remove(engine, "after_cursor_execute", notice)

    async def heard(self) -> list[Answer]:
        """What each of them hears next."""
        async with asyncio.timeout(HEARD_SECONDS):
            found = await asyncio.gather(*self._next)
        self._next = [asyncio.ensure_future(anext(one)) for one in self.open_ones]
        return [orjson.loads(orjson.dumps(answer)) for answer in found]

    async def close(self) -> None:
        """Stop waiting."""
        for task in self._next:
            task.cancel()
        await asyncio.gather(*self._next, return_exceptions=True)


@pytest.fixture
async def windows(house: House, operations: Operations) -> AsyncIterator[Windows]:
    async with AsyncExitStack() as stack:
        found = Windows(house, operations, stack)
        yield found
        await found.close()


@pytest.fixture
async def contract(keep, people):
    job = make.job(people.client)
    proposal = make.proposal(job, people.freelancer)
    contract = make.contract(job, proposal)
    await keep(job, proposal, contract)
    return contract


@pytest.fixture
def sign_in(house: House, keep, clock) -> Callable[[Account], Any]:
    """Somebody at another device of hers."""

    async def run(who: Account) -> Context:
        session = await keep(Session.begin(who, address="", agent="", at=clock(), config=Config()))
        return house.context(who, session_id=session.id)

    return run


@pytest.fixture
def happen(as_, people, contract):
    """Let something happen to the contract."""

    async def run() -> None:
        words = MilestoneWords("One more", 100_00)
        await resolvers.contracts.add(as_(people.client), contract_id=contract.id, words=words)

    return run


async def test_an_event_is_read_once_for_all_windows_of_a_person(
    windows, sign_in, happen, people, contract, house, ask
):
    phone, laptop = await sign_in(people.client), await sign_in(people.client)
    hers, his = [phone] * WINDOWS + [laptop] * WINDOWS, [await sign_in(people.freelancer)] * WINDOWS
    await windows.open([*hers, *his], id=id_of(contract))
    await happen()
    await windows.heard()

    with statements(house) as sent:
        await happen()
        heard = await windows.heard()

    told = [orjson.dumps(answer) for answer in heard]
    assert len(set(told[: len(hers)])) == len(set(told[len(hers) :])) == 1
    shown = [answer["data"]["contractChanged"]["contract"] for answer in (heard[0], heard[-1])]
    assert shown[0] != shown[1]
    for who, seen in zip((people.client, people.freelancer), shown, strict=True):
        query = f"query ($id: ID!) {{ contract(id: $id) {{ {SHOWN} }} }}"
        assert (await ask(who, query, id=id_of(contract)))["data"]["contract"] == seen
    assert len([text for text in sent if "FROM events" in text and "sequence >" in text]) == 1
    assert len([text for text in sent if text.startswith("select convert_to")]) == 2
    assert len([text for text in sent if "sessions.id IN" in text]) == 1


async def test_whoever_is_signed_out_at_one_device_hears_no_more_there(windows, sign_in, happen, people, contract):
    phone, laptop = await sign_in(people.client), await sign_in(people.client)
    await windows.open([phone, phone, laptop], id=id_of(contract))

    await resolvers.accounts.sign_out(phone)
    await happen()
    heard = await windows.heard()

    assert [answer.get("errors", [{}])[0].get("extensions", {}).get("code") for answer in heard] == [
        "UNAUTHENTICATED",
        "UNAUTHENTICATED",
        None,
    ]
    assert heard[2]["data"]["contractChanged"]["contract"]["id"] == id_of(contract)


async def test_what_depends_on_the_device_is_read_for_each(windows, sign_in, people, house):
    phone, laptop = await sign_in(people.client), await sign_in(people.client)
    document = "subscription { walletChanged { wallet { funds { amount } statement(part: FUNDS) { nodes { %s } } } } }"
    await make.give(house, FUNDS, people.client.id, 1_00)
    sent = []

    for asked in ("at about { id }", "at about { id ... on Session { isCurrent } }"):
        await windows.open([phone, laptop, laptop], document % asked)
        with statements(house) as found:
            async with house.context().writing() as work:
                tell_wallets(house.context(), work, people.client.id)
            heard = await windows.heard()
        sent.append(len([text for text in found if text.startswith("select convert_to")]))
        assert heard[0] == heard[1] == heard[2]
        assert heard[0]["data"]["walletChanged"]["wallet"]["funds"] == {"amount": "1.00"}

    assert sent == [1, 1 + 2]
