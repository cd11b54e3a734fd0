"""What is left of people's money when processes are killed in the middle of moving it: all of it, once.

    .venv/bin/python -m benchmarks.crash [--rounds N] [--seed N]

Two web servers, a worker, and a Postgres that keeps its word about what was committed, are started here. Clients
deposit and withdraw, put money aside for milestones and pay bonuses all the time, over HTTP, each thing with a key of
its own. In each round a web server and the worker, who asks what became of transfers, are killed with SIGKILL at random
moments, and so is the whole tree of Postgres at another; all are started again. Whoever does not hear an answer sends
the same request with the same key until there is one. In the end what people were told is compared with what is kept:
what somebody was told of and is not there is lost, what nobody was told of is doubled; every wallet has to be what
follows from the answers, the sandbox's books have to agree, and the audit has to find nothing.
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
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import sqlalchemy as sa

import loaders.audit
import loaders.payments
import resolvers.transfers
from models.accounts import Account, FreelancerProfile, Role
from models.base import uuid7
from models.config import Config
from models.contracts import Contract, Milestone
from models.jobs import Budget, BudgetKind, Category, Duration, Experience, Job, JobWords, Skill
from models.payments import Payment, Wallet
from models.proposals import MilestoneWords, Proposal, ProposalMilestone, ProposalWords
from models.transfers import Transfer
from ops import local, migrate
from ops.app import House, wall_clock
from ops.bound import bound
from ops.settings import Settings
from schema.scalars import id_of

PEOPLE = 8
BEGINNING_CENTS = 500_00
MILESTONES = 20
"""Parts of the work of each contract; each is paid for in advance once."""
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

DO = {
    verb: f"mutation ($input: {verb[0].upper()}{verb[1:]}Input!)"
    f" {{ answer: {verb}(input: $input) {{ __typename ... on {kind} {{ id }} ... on Refused {{ code }} }} }}"
    for verb, kind in {
        "deposit": "Transfer",
        "withdraw": "Transfer",
        "payBonus": "Payment",
        "fundMilestone": "Milestone",
    }.items()
}
REGISTER = """
mutation ($input: RegisterInput!) {
  register(input: $input) { ... on SignedIn { accessToken account { id } } ... on Refused { code } }
}
"""


@dataclass
class Server:
    """A web server, or a worker, in a process of its own."""

    told: dict[str, str]
    log: Path
    verb: str = "serve"
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
                bound([sys.executable, "-m", "ops", self.verb], ending=signal.SIGTERM),
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
    contract: Contract = field(default_factory=Contract)
    unfunded: list[Milestone] = field(default_factory=list)
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

    async def begin(self, client: httpx.AsyncClient) -> None:
        """Bring something to begin with."""
        await self.move(client, "deposit", BEGINNING_CENTS, "succeed")

    async def go_on(self, client: httpx.AsyncClient) -> None:
        """Move some money."""
        verb = self.dice.choice(["deposit", "deposit", "withdraw", "payBonus", "fundMilestone"])
        await self.move(client, verb, self.dice.randrange(1_00, 50_00), self.dice.choice(METHODS))

    async def move(self, client: httpx.AsyncClient, verb: str, cents: int, method: str) -> None:
        """Do something once, and insist on an answer."""
        key = f"{len(self.asked)}-{self.dice.randrange(10**9)}"
        said: dict[str, Any] = {"idempotencyKey": key}
        if verb == "fundMilestone":
            milestone = self.unfunded.pop() if self.unfunded else None
            if milestone is None:
                return
            said["milestoneId"], cents = id_of(milestone), milestone.gross_cents
        else:
            said["amount"] = {"amount": f"{cents // 100}.{cents % 100:02}"}
        if verb == "payBonus":
            said["contractId"] = id_of(self.contract)
        if verb in {"deposit", "withdraw"}:
            said["method"] = f"sandbox-{method}"
        if verb == "withdraw":
            said["purse"] = "FUNDS"
        self.asked[key] = verb, cents, method
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
        assert answer["__typename"] != "Refused" or answer["code"] == "INSUFFICIENT_FUNDS", answer
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
            f"{self.asked} things asked for, {self.kept} done ({states}), in {self.seconds:.0f} s;",
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
        worker = Server(told, root / "worker.log", "work")
        people = [Person(servers, random.Random(dice.random())) for _ in range(PEOPLE)]
        limits = httpx.Limits(max_keepalive_connections=0)
        try:
            async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, limits=limits) as client:
                await _start(servers, client, all_of_them=True)
                await asyncio.gather(*(person.register(client, at) for at, person in enumerate(people)))
                await _hire(told, people)
                await asyncio.gather(*(person.begin(client) for person in people))
                worker.start()
                await _live_through(rounds, dice, ground, servers, worker, people, client, say)
            found = await _look(told, people, began)
        finally:
            for server in (*servers, worker):
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


async def _hire(told: dict[str, str], people: list[Person]) -> None:
    """Let everybody have a contract with somebody, and things to pay for."""
    async with _house(told, timedelta()) as house, house.database.writing.begin() as work:
        now = house.clock()
        fees = await loaders.payments.fees_at(work, now)
        category = await work.scalar(sa.select(Category.id).limit(1))
        skill = await work.scalar(sa.select(Skill.id).limit(1))
        for at, person in enumerate(people):
            client = await work.get_one(Account, person.id)
            freelancer = Account.register(
                email=f"f{at}@example.org", password=PASSWORD, full_name="F", roles=[Role.FREELANCER], at=now
            )
            freelancer.password_hash = "none"
            work.add(freelancer)
            await work.flush()
            work.add(FreelancerProfile.open(freelancer, at=now))
            job = Job.draft(client, _words(category, skill), at=now)
            job.publish(client, at=now, config=Config())
            work.add(job)
            await work.flush()
            proposal = Proposal.submit(job, freelancer, _offer(), invited=True, at=now)
            work.add(proposal)
            await work.flush()
            person.contract = Contract.begin(job, proposal, fees, at=now)
            parts = ProposalMilestone.of(proposal, _offer())
            work.add(person.contract)
            await work.flush()
            person.unfunded = Milestone.of(person.contract, parts)
            work.add_all(person.unfunded)


def _words(category_id: UUID | None, skill_id: UUID | None) -> JobWords:
    assert category_id is not None
    assert skill_id is not None
    return JobWords(
        title="Build a shop",
        description="A small shop.",
        category_id=category_id,
        skill_ids=[skill_id],
        experience=Experience.EXPERT,
        duration=Duration.LESS_THAN_A_MONTH,
        budget=Budget(BudgetKind.FIXED, amount_cents=MILESTONES * 10_00),
    )


def _offer() -> ProposalWords:
    return ProposalWords(
        cover_letter="I have done this before.",
        duration=Duration.LESS_THAN_A_MONTH,
        bid_cents=MILESTONES * 10_00,
        milestones=[MilestoneWords(f"Part {at}", 10_00) for at in range(MILESTONES)],
    )


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
    worker: Server,
    people: list[Person],
    client: httpx.AsyncClient,
    say: Callable[[str], None],
) -> None:
    """Let people move money while things are killed; what they have begun when it is over, they finish."""
    over = asyncio.Event()

    async def live(person: Person) -> None:
        while not over.is_set():
            await person.go_on(client)

    async def calm() -> None:
        """Leave things alone for a while, but long enough that something is done."""
        before = heard()
        await asyncio.sleep(dice.uniform(*CALM_SECONDS))
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while heard() < before + len(people):  # noqa: ASYNC110 - people set no events
                    await asyncio.sleep(AGAIN_SECONDS)

    def heard() -> int:
        return sum(len(person.told) for person in people)

    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(live(person))
        for number in range(1, rounds + 1):
            await calm()
            victim = dice.choice(servers)
            victim.kill()
            victim.start()
            await calm()
            worker.kill()
            worker.start()
            await calm()
            ground.kill()
            ground.restart_postgres()
            await _start(servers, client, all_of_them=False)
            say(f"round {number}: {heard()} answered")
        await asyncio.sleep(CALM_SECONDS[0])
        over.set()


@asynccontextmanager
async def _house(told: dict[str, str], ahead: timedelta) -> AsyncIterator[House]:
    """A house of some time later."""

    def later() -> datetime:
        return wall_clock() + ahead

    house = House.of(replace(Settings.of(told), payments_webhook="http://127.0.0.1:9/nobody"), later)
    async with house.open(with_bell=False):
        yield house


async def _look(told: dict[str, str], people: list[Person], began: float) -> Found:
    # When all that was late has become of it what will.
    async with _house(told, timedelta(hours=2)) as house:
        while await resolvers.transfers.ask_due(house.context()):
            continue
        async with house.database.reading() as session:
            transfers = {row.id: row for row in await session.scalars(sa.select(Transfer))}
            payments = set(await session.scalars(sa.select(Payment.id)))
            funded = set(await session.scalars(sa.select(Milestone.id).where(Milestone.escrow_cents > 0)))
            wallets = {row.id: row for row in await session.scalars(sa.select(Wallet))}
            report = await loaders.audit.audit(session)
            totals = await loaders.audit.totals(session)
    heard = [
        (person, key, UUID(answer["id"].rpartition("_")[2]))
        for person in people
        for key, answer in person.told.items()
        if "id" in answer
    ]
    ids, kept = [about for _, _, about in heard], {*transfers, *payments, *funded}
    wrong = [f"{about} was the answer to several keys" for about, n in Counter(ids).items() if n > 1]
    for person, key, about in heard:
        if about in transfers:
            wrong += _differs(person, key, transfers[about])
    for person in people:
        wrong += _miscounted(person, wallets[person.id], wallets[person.contract.freelancer_id])
    wrong += [f"there are {total.balance} of {total.currency}" for total in totals if total.balance]
    wrong += [str(report.wrong)] if report.wrong else []
    return Found(
        asked=sum(len(person.asked) for person in people),
        kept=len(kept),
        unheard=sum(person.unheard for person in people),
        replayed=sum(person.replayed for person in people),
        lost=len(set(ids) - kept),
        doubled=len(kept - set(ids)),
        wrong=wrong,
        seconds=time.monotonic() - began,
        states=Counter(row.state.value for row in transfers.values())
        + Counter({"payments": len(payments), "milestones funded": len(funded)}),
    )


def _differs(person: Person, key: str, row: Transfer) -> list[str]:
    """Whether a transfer is what was asked for under its key, and what the sandbox's books say came of it."""
    verb, cents, method = person.asked[key]
    state = "FAILED" if "fail" in method else "SUCCEEDED"
    expected = person.id, {"deposit": "DEPOSIT", "withdraw": "WITHDRAWAL"}[verb], cents, state
    found = row.account_id, row.kind.value, row.amount_cents, row.state.value
    return [] if found == expected else [f"transfer {row.id} is {found}, not {expected}"]


def _miscounted(person: Person, client: Wallet, freelancer: Wallet) -> list[str]:
    """Whether two parties have what follows from what was asked for and answered, and from what the sandbox did."""
    funds, escrow, pending = 0, 0, 0
    for key, answer in person.told.items():
        verb, cents, method = person.asked[key]
        if "id" not in answer:
            continue
        if verb == "fundMilestone":
            funds, escrow = funds - cents, escrow + cents
        elif verb == "payBonus":
            charge = person.contract.charge(cents)
            funds, pending = funds - charge.gross, pending + charge.net
        elif "fail" not in method:
            funds += cents if verb == "deposit" else -cents
    expected = funds, escrow, 0, pending
    found = client.funds_cents, client.escrowed_cents, client.leaving_cents, freelancer.pending_cents
    return [] if found == expected else [f"{person.id} and who works for her have {found}, not {expected}"]


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
