"""What is left of people's money when processes are killed in the middle of moving it: all of it, once.

    .venv/bin/python -m benchmarks.crash [--rounds N] [--seed N]

Two web servers, and a Postgres that keeps its word about what was committed, are started here. People deposit and
withdraw all the time, over HTTP, each thing with a key of its own. In each round a web server is killed with SIGKILL at
a random moment, and so is the whole tree of Postgres at another; both are started again. Whoever does not hear an
answer sends the same request with the same key until there is one. In the end what people were told is compared with
what is kept: a transfer that somebody was told of and that is not there is lost, one that nobody was told of is
doubled; every wallet has to be what its owner reckons, the sandbox's books have to agree, and the audit has to find
nothing.
"""

import argparse
import asyncio
import base64
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import sqlalchemy as sa

import loaders.audit
import resolvers.transfers
from models.base import uuid7
from models.payments import Wallet
from models.transfers import Transfer
from ops import local, migrate
from ops.app import House, wall_clock
from ops.bound import bound
from ops.settings import Settings

PEOPLE = 8
ROOT = Path(__file__).parents[1]
METHODS = ("succeed", "succeed", "succeed", "fail", "delay", "delayed-failure", "time-out", "repeat")
"""What the sandbox is told; most goes through at once."""
PATIENCE_SECONDS = 8.0
AGAIN_SECONDS = 0.05
READY_SECONDS = 60.0
CALM_SECONDS = (0.1, 1.2)
"""How long to leave things alone before the next one is killed."""
UNSURE = {"BUSY", "OUTCOME_UNKNOWN", "GOING_AWAY", "INTERNAL", "OVERLOADED"}
PASSWORD = "correct horse battery"

SHOWN = "__typename ... on Transfer { id state amount { amount } } ... on Refused { code }"
DO = {
    "deposit": f"mutation ($input: DepositInput!) {{ answer: deposit(input: $input) {{ {SHOWN} }} }}",
    "withdraw": f"mutation ($input: WithdrawInput!) {{ answer: withdraw(input: $input) {{ {SHOWN} }} }}",
}
REGISTER = """
mutation ($input: RegisterInput!) {
  register(input: $input) { ... on SignedIn { accessToken account { id } } ... on Refused { code } }
}
"""


@dataclass
class Server:
    """A web server in a process of its own."""

    told: dict[str, str]
    log: Path
    port: int = field(default_factory=local.free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.process is not None and self.process.poll() is None:
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                bound([sys.executable, "-m", "ops", "serve"], ending=signal.SIGTERM),
                cwd=ROOT,
                env={**self.told, "PORT": str(self.port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Ask it to end."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    async def is_ready(self, client: httpx.AsyncClient) -> bool:
        """Whether it takes traffic."""
        try:
            return (await client.get(f"{self.url}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False


@dataclass
class Person:
    """Somebody who moves money, and what she was told of it."""

    servers: list[Server]
    dice: random.Random
    token: str = ""
    id: UUID = field(default_factory=uuid7)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The last answer to each key."""
    asked: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    """What each key stands for: the verb, the cents, and what the sandbox was told."""
    unheard: int = 0
    """Requests that were not answered, or not clearly."""
    replayed: int = 0

    async def register(self, client: httpx.AsyncClient, number: int) -> None:
        """Come to the place."""
        words = {"email": f"p{number}@example.org", "password": PASSWORD, "fullName": "P", "roles": ["CLIENT"]}
        answer = (await self.send(client, REGISTER, words))["data"]["register"]
        self.token, self.id = answer["accessToken"], UUID(answer["account"]["id"].removeprefix("account_"))

    async def send(self, client: httpx.AsyncClient, text: str, said: dict[str, Any]) -> dict[str, Any]:
        """Ask one of the servers."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        url = f"{self.dice.choice(self.servers).url}/graphql"
        answer = await client.post(url, json={"query": text, "variables": {"input": said}}, headers=headers)
        body: dict[str, Any] = orjson.loads(answer.content)
        return body

    async def move(self, client: httpx.AsyncClient) -> None:
        """Deposit or withdraw something, and insist on an answer."""
        verb = self.dice.choice(["deposit", "deposit", "withdraw"])
        cents, method = self.dice.randrange(1_00, 50_00), self.dice.choice(METHODS)
        key = f"{len(self.asked)}-{self.dice.randrange(10**9)}"
        self.asked[key] = verb, cents, method
        amount = {"amount": f"{cents // 100}.{cents % 100:02}"}
        said = {"amount": amount, "method": f"sandbox-{method}", "idempotencyKey": key}
        said |= {"purse": "FUNDS"} if verb == "withdraw" else {}
        while (answer := await self.heard(client, DO[verb], said)) is None:
            self.unheard += 1
            await asyncio.sleep(AGAIN_SECONDS)
        self.told[key] = answer

    async def heard(self, client: httpx.AsyncClient, text: str, said: dict[str, Any]) -> dict[str, Any] | None:
        """A clear answer; nothing, if there was none, or it was that nobody knows."""
        try:
            body = await self.send(client, text, said)
        except (httpx.HTTPError, orjson.JSONDecodeError):
            return None
        if "errors" in body or not body.get("data"):
            codes = {error["extensions"]["code"] for error in body["errors"]}
            assert codes <= UNSURE, body
            return None
        answer: dict[str, Any] = body["data"]["answer"]
        if answer.get("code") in UNSURE:
            return None
        assert answer["__typename"] == "Transfer" or answer["code"] == "INSUFFICIENT_FUNDS", answer
        self.replayed += bool(body.get("extensions", {}).get("replayed"))
        return answer


@dataclass(frozen=True)
class Found:
    """What became of everything."""

    asked: int
    kept: int
    unheard: int
    replayed: int
    lost: int
    doubled: int
    wrong: list[str]
    seconds: float
    states: Counter[str]

    @property
    def is_right(self) -> bool:
        """Whether nothing was lost, doubled or changed."""
        return not (self.lost or self.doubled or self.wrong)

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        lines = [
            f"{self.asked} things asked for, {self.kept} transfers ({states}), in {self.seconds:.0f} s;",
            f"{self.unheard} requests were not answered clearly and sent again, {self.replayed} had been done before:",
            f"{self.lost} lost, {self.doubled} doubled, {len(self.wrong)} wrong.",
            *self.wrong,
        ]
        return "\n".join(lines)


async def run(rounds: int, seed: int, say: Callable[[str], None]) -> Found:
    """Kill and start again so many times while people move money, and look what is left."""
    began, dice = time.monotonic(), random.Random(seed)
    root = Path(tempfile.mkdtemp(prefix="workup-crash-"))
    with local.start(root) as ground:
        await asyncio.to_thread(migrate.to_head, ground.database_url)
        told = _environment(ground, root)
        servers = [Server(told, root / f"{name}.log") for name in "ab"]
        people = [Person(servers, random.Random(dice.random())) for _ in range(PEOPLE)]
        limits = httpx.Limits(max_keepalive_connections=0)
        try:
            async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, limits=limits) as client:
                await _start(servers, client, all_of_them=True)
                await asyncio.gather(*(person.register(client, at) for at, person in enumerate(people)))
                await _live_through(rounds, dice, ground, servers, people, client, say)
            found = await _look(told, people, began)
        finally:
            for server in servers:
                server.stop()
    local.remove(root)
    return found


def _environment(ground: local.Local, root: Path) -> dict[str, str]:
    seed = base64.urlsafe_b64encode(bytes(range(32))).decode()
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "DATABASE_URL": ground.database_url,
        "REDIS_URL": ground.redis_url,
        "WORKUP_SECRET": "a secret that nobody else knows at all",
        "WORKUP_SIGNING_KEYS": f"crash:{seed}",
        "WORKUP_PASSWORD_MEMORY_KIB": "32",
        "WORKUP_PAYMENTS_PROVIDER": "sandbox",
        "WORKUP_SANDBOX_SECONDS": "1",
        "WORKUP_LOG_LEVEL": "ERROR",
        "WORKUP_HOME": str(root),
    }


async def _start(servers: list[Server], client: httpx.AsyncClient, *, all_of_them: bool) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while True:
            for server in servers:
                server.start()
            ready = [await server.is_ready(client) for server in servers]
            if all(ready) if all_of_them else any(ready):
                return
            await asyncio.sleep(AGAIN_SECONDS)


async def _live_through(
    rounds: int,
    dice: random.Random,
    ground: local.Local,
    servers: list[Server],
    people: list[Person],
    client: httpx.AsyncClient,
    say: Callable[[str], None],
) -> None:
    """Let people move money while things are killed; what they have begun when it is over, they finish."""
    over = asyncio.Event()

    async def live(person: Person) -> None:
        while not over.is_set():
            await person.move(client)

    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(live(person))
        for number in range(1, rounds + 1):
            await asyncio.sleep(dice.uniform(*CALM_SECONDS))
            victim = dice.choice(servers)
            victim.kill()
            victim.start()
            await asyncio.sleep(dice.uniform(*CALM_SECONDS))
            ground.kill()
            ground.restart_postgres()
            await _start(servers, client, all_of_them=False)
            say(f"round {number}: {sum(len(person.told) for person in people)} answered")
        await asyncio.sleep(CALM_SECONDS[0])
        over.set()


@asynccontextmanager
async def _house(told: dict[str, str]) -> AsyncIterator[House]:
    """A house of an hour later, when all that was late has become of it what will."""

    def later() -> datetime:
        return wall_clock() + timedelta(hours=2)

    house = House.of(replace(Settings.of(told), payments_webhook="http://127.0.0.1:9/nobody"), later)
    async with house.open(with_bell=False):
        yield house


async def _look(told: dict[str, str], people: list[Person], began: float) -> Found:
    async with _house(told) as house:
        while await resolvers.transfers.ask_due(house.context()):
            continue
        async with house.database.reading() as session:
            kept = {row.id: row for row in await session.scalars(sa.select(Transfer))}
            wallets = {row.id: row for row in await session.scalars(sa.select(Wallet))}
            report = await loaders.audit.audit(session)
            totals = await loaders.audit.totals(session)
    heard = [
        (person, key, UUID(answer["id"].removeprefix("transfer_")))
        for person in people
        for key, answer in person.told.items()
        if "id" in answer
    ]
    ids = [transfer_id for _, _, transfer_id in heard]
    wrong = [f"{transfer_id} was the answer to several keys" for transfer_id, n in Counter(ids).items() if n > 1]
    wrong += [problem for person, key, at in heard if at in kept for problem in _differs(person, key, kept[at])]
    wrong += [problem for person in people for problem in _miscounted(person, kept, wallets[person.id])]
    wrong += [f"there are {total.balance} of {total.currency}" for total in totals if total.balance]
    wrong += [str(report.wrong)] if report.wrong else []
    return Found(
        asked=sum(len(person.asked) for person in people),
        kept=len(kept),
        unheard=sum(person.unheard for person in people),
        replayed=sum(person.replayed for person in people),
        lost=len(set(ids) - set(kept)),
        doubled=len(set(kept) - set(ids)),
        wrong=wrong,
        seconds=time.monotonic() - began,
        states=Counter(row.state.value for row in kept.values()),
    )


def _differs(person: Person, key: str, row: Transfer) -> list[str]:
    """Whether a transfer is what was asked for under its key, and what the sandbox's books say came of it."""
    verb, cents, method = person.asked[key]
    state = "FAILED" if "fail" in method else "SUCCEEDED"
    expected = person.id, {"deposit": "DEPOSIT", "withdraw": "WITHDRAWAL"}[verb], cents, state
    found = row.account_id, row.kind.value, row.amount_cents, row.state.value
    return [] if found == expected else [f"transfer {row.id} is {found}, not {expected}"]


def _miscounted(person: Person, kept: dict[UUID, Transfer], wallet: Wallet) -> list[str]:
    """Whether somebody has what she reckons from what she asked for, was told, and the sandbox did."""
    cents = 0
    for key, answer in person.told.items():
        verb, amount, method = person.asked[key]
        if "id" in answer and "fail" not in method:
            cents += amount if verb == "deposit" else -amount
    found = wallet.funds_cents, wallet.leaving_cents
    return [] if found == (cents, 0) else [f"{person.id} has {found}, not {(cents, 0)}; of {len(kept)} transfers"]


def main() -> int:
    """Read what is wanted, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="how often something is killed (10)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6, help="for the same moments again")
    wanted = parser.parse_args()
    print(f"{wanted.rounds} rounds, seed {wanted.seed}")
    found = asyncio.run(run(wanted.rounds, wanted.seed, lambda words: print(words, flush=True)))
    print(found)
    return 0 if found.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
