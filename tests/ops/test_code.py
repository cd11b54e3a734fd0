"""Code that is given while the house runs: only what the operator signed, and what can stand where it is to stand."""

import asyncio
import re
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

import resolvers.control
import resolvers.jobs
import schema.root
from models.control import (
    Acknowledgement,
    AckState,
    BadCode,
    BadSignature,
    CodeNotLoaded,
    CodeOff,
    CommandStays,
    CommandUnknown,
    CommandVersion,
    NodeKind,
    NoEarlierCode,
    Order,
)
from models.errors import Conflict, Invalid
from models.jobs import JobState
from ops import code
from ops.app import House
from ops.code import ProcessCodebook, shared
from ops.control import Agent
from tests import make

ROOT = Path(__file__).parents[2]
SEED = bytes(range(32))
KEY = code.public_key(SEED)
COMMAND = "closeJob"
CLOSE = '''"""Jobs are closed by those who say why, some day; now nobody closes one."""

from uuid import UUID

from models.errors import Conflict
from models.jobs import Job
from resolvers.context import Context


async def close(ctx: Context, *, job_id: UUID) -> Job:
    """Say no."""
    raise Conflict("{words}")
'''
NO = CLOSE.format(words="Not today.")


def signed(source: str, command: str = COMMAND) -> str:
    return code.sign(SEED, command, source)


@pytest.fixture
def codebook() -> object:
    book = ProcessCodebook(KEY, schema.root.verbs)
    yield book
    book.restore()


@pytest.fixture
async def begin(house: House, settings) -> AsyncIterator[Callable[..., object]]:
    """Start nodes that know the key. They are in one process, and so share what its modules hold."""
    async with AsyncExitStack() as doors:

        async def start(key: str | None = KEY) -> Agent:
            made = House.of(replace(settings, db_connections=3, code_key=key), house.clock.world)
            await doors.enter_async_context(made.open())
            return await doors.enter_async_context(Agent(made, NodeKind.WEB, name="coded").at_work())

        yield start


@pytest.fixture
def ctx(as_, people, codebook):
    return replace(as_(people.admin), codebook=codebook)


@pytest.fixture
def give(ctx):
    async def update(source: str, command: str = COMMAND, percent: int = 100, signature: str | None = None):
        given = signature if signature is not None else signed(source, command)
        return await resolvers.control.update_command(
            ctx, Order(timeout_seconds=5), command=command, source=source, signature=given, percent=percent
        )

    return update


# What is judged before anybody keeps it


def test_what_was_signed_for_this_command_is_loaded_and_runs_nowhere(codebook):
    usual = resolvers.jobs.close

    verb = codebook.load(COMMAND, NO, signed(NO))

    assert verb.__name__ == "close"
    assert resolvers.jobs.close is usual


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "none",
        "AAAA",
        "ü",
        signed(NO, "publishJob"),
        signed(NO + " "),
        code.sign(secrets.token_bytes(32), COMMAND, NO),
    ],
    ids=["empty", "short", "no signature", "no base64", "other command", "other source", "other key"],
)
def test_what_was_not_signed_is_refused(signature, codebook):
    with pytest.raises(BadSignature):
        codebook.judge(COMMAND, NO, signature)


def test_without_a_key_nothing_is_taken():
    with pytest.raises(CodeOff):
        ProcessCodebook(None, schema.root.verbs).judge(COMMAND, NO, signed(NO))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("async def close(", "This is not Python, in line 1"),
        ("x = '\x00'", "This is not Python"),
        ("", "There is no `async def close` in it."),
        ("close = 5", "There is no `async def close` in it."),
        ("def close(ctx, *, job_id): ...", "There is no `async def close` in it."),
        ("async def close(ctx, *, job_id): ...", "It is called and answers otherwise"),
        (NO.replace("job_id: UUID", "job_id: str"), "It is called and answers otherwise"),
        (NO.replace("job_id: UUID", "job_id: UUID, why: str = ''"), "It is called and answers otherwise"),
        (NO.replace("-> Job", "-> None"), "It is called and answers otherwise"),
        (NO.replace("-> Job", "-> 'Nowhere'"), "Its annotations cannot be read"),
        ("import os\n" + NO, "Line 1: a verb does not import os."),
        ("import subprocess as asyncio\n" + NO, "Line 1: a verb does not import subprocess."),
        ("from ops.settings import Settings\n" + NO, "Line 1: a verb does not import ops.settings."),
        ("from schema import root\n" + NO, "Line 1: a verb does not import schema."),
        ("from . import jobs\n" + NO, "Line 1: a verb does not import from beside itself."),
        (NO + "\n    open('x')", "does not use open."),
        (NO + "\n    ctx.__class__", "does not use __class__."),
        ("from models.jobs import NoSuchThing\n" + NO, "It cannot be loaded: ImportError"),
        ("1 / 0\n" + NO, "It cannot be loaded: ZeroDivisionError"),
        (NO + "\nclass Odd(Conflict):\n    code = 'ODD'\n", "A code, ODD, is of a release"),
        (
            "from models.config import option\noption('x.y', default=1, least=1, most=1, means='X.')\n" + NO,
            "An option, x.y, is of a release.",
        ),
    ],
)
def test_what_could_not_stand_there_is_refused_with_the_reason(source, why, codebook):
    with pytest.raises(BadCode) as refused:
        codebook.judge(COMMAND, source, signed(source))

    assert why in refused.value.message


@pytest.mark.parametrize("command", ["jobs", "node", "readFile"])
def test_a_command_without_a_verb_has_nothing_to_be_changed(command, codebook):
    with pytest.raises(Invalid, match="no verb behind"):
        codebook.judge(command, NO, signed(NO, command))


def test_there_is_one_verb_behind_every_mutation(operations):
    verbs = schema.root.verbs()

    assert set(operations._core.mutation_type.fields) <= set(verbs)
    assert verbs["submitProposal"] == "resolvers.proposals.submit"


async def test_a_share_of_the_calls_is_evenly_spread():
    async def new():
        return "new"

    async def old():
        return "old"

    verb = shared(new, old, 30)
    calls = [await verb() for _ in range(100)]

    assert calls.count("new") == 30
    assert calls[:10].count("new") == 3


# Through the verbs


async def test_every_node_loads_it_first_and_then_it_runs(begin, give, as_, keep, people, house):
    job = await keep(make.job(people.client))
    await begin()
    await begin()

    message = await give(NO)

    with pytest.raises(Exception, match=r"Not today\."):
        await resolvers.jobs.close(as_(people.client), job_id=job.id)
    async with house.database.reading() as session:
        said = (await session.scalars(sa.select(Acknowledgement).order_by(Acknowledgement.id))).all()
        kept = (await session.scalars(sa.select(CommandVersion))).all()
    assert [(one.state, one.detail) for one in said if one.message_id != message.id] == [
        (AckState.APPLIED, "loaded")
    ] * 2
    assert {one.state for one in said} == {AckState.APPLIED}
    assert [(one.command, one.number, one.source) for one in kept] == [(COMMAND, 1, NO)]


async def test_it_is_taken_back_version_by_version(begin, give, ctx, as_, keep, people, refuses):
    job = await keep(make.job(people.client))
    await begin()
    usual = resolvers.jobs.close
    await give(NO)
    await give(CLOSE.format(words="Not tomorrow."))

    async def says() -> str:
        with pytest.raises(Exception, match=r"Not to") as said:
            await resolvers.jobs.close(as_(people.client), job_id=job.id)
        return str(said.value)

    assert await says() == "Not tomorrow."
    await resolvers.control.rollback_command(ctx, Order(), command=COMMAND)
    assert await says() == "Not today."
    await resolvers.control.rollback_command(ctx, Order(), command=COMMAND)
    assert resolvers.jobs.close is usual
    assert (await resolvers.jobs.close(as_(people.client), job_id=job.id)).state is JobState.CLOSED
    async with refuses(NoEarlierCode):
        await resolvers.control.rollback_command(ctx, Order(), command=COMMAND)


async def test_a_canary_runs_for_its_share_and_then_for_all(begin, give, as_, keep, people):
    await begin()
    await give(NO, percent=25)

    async def refused(count: int) -> int:
        jobs = await keep(*(make.job(people.client) for _ in range(count)))
        done = await asyncio.gather(
            *(resolvers.jobs.close(as_(people.client), job_id=job.id) for job in jobs), return_exceptions=True
        )
        return sum(isinstance(one, Exception) for one in done)

    assert await refused(20) == 5
    await give(NO, percent=100)
    assert await refused(4) == 4


async def test_a_call_that_runs_ends_with_the_version_it_began_with(begin, give, as_, people):
    await begin()
    slow = CLOSE.replace(
        '    raise Conflict("{words}")', "    await ctx.hub.gate.wait()\n    raise Conflict('The first.')"
    )
    await give(slow)

    class Held:
        gate = asyncio.Event()

    ctx = replace(as_(people.client), hub=Held())
    running = asyncio.create_task(resolvers.jobs.close(ctx, job_id=people.client.id))
    await asyncio.sleep(0)
    await give(NO)
    Held.gate.set()

    with pytest.raises(Exception, match=r"The first\."):
        await running
    with pytest.raises(Exception, match=r"Not today\."):
        await resolvers.jobs.close(ctx, job_id=people.client.id)


async def test_a_node_that_starts_later_runs_it_too(begin, give):
    await give(NO)
    assert resolvers.jobs.close.__module__ == "resolvers.jobs"

    node = await begin()

    assert node.desired.code(COMMAND).number == 1
    assert resolvers.jobs.close.__module__ == f"given_{COMMAND}"


async def test_a_node_that_cannot_load_it_stops_it_for_all(begin, give, ctx):
    await begin()
    await begin(key=None)
    usual = resolvers.jobs.close

    with pytest.raises(CodeNotLoaded, match="coded/1: These servers take no code"):
        await give(NO)

    assert resolvers.jobs.close is usual
    assert not (await resolvers.control.rulings(ctx))


async def test_what_was_changed_in_the_database_is_not_run(begin, give, owner):
    await give(NO)
    async with owner.begin() as connection:
        await connection.execute(sa.update(CommandVersion).values(source=NO.replace("today", "ever")))
    usual = resolvers.jobs.close

    await begin()

    assert resolvers.jobs.close is usual


@pytest.mark.parametrize(
    ("command", "refusal"),
    [("signIn", CommandStays), ("freeze", CommandStays), ("updateCommand", CommandStays), ("cakes", CommandUnknown)],
)
async def test_sign_in_control_and_what_is_not_there_take_no_code(command, refusal, give, refuses):
    async with refuses(refusal):
        await give(NO, command)


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"source": NO, "signature": "none"}, BadSignature),
        ({"source": "async def close("}, BadCode),
        ({"source": "#" * 50_001}, Invalid),
        ({"source": NO, "percent": 0}, Invalid),
        ({"source": NO, "percent": 101}, Invalid),
    ],
)
async def test_what_is_refused_is_kept_nowhere(given, refusal, give, refuses):
    usual = resolvers.jobs.close

    async with refuses(refusal):
        await give(**given)

    assert resolvers.jobs.close is usual


# On the command line


def test_keys_are_made_once_for_their_owner_and_sign_what_servers_take(tmp_path):
    key, source = tmp_path / "key", tmp_path / "close.py"
    source.write_text(NO)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        typed = [sys.executable, "-m", "ops", "sign", *words]
        return subprocess.run(typed, cwd=ROOT, capture_output=True, text=True, check=False)

    made = run(str(key))
    name, _, public = made.stdout.strip().partition("=")
    assert (name, made.returncode, key.stat().st_mode & 0o777) == ("WORKUP_CODE_KEY", 0, 0o600)
    signature = run(str(key), COMMAND, str(source)).stdout.strip()
    ProcessCodebook(public, schema.root.verbs).judge(COMMAND, NO, signature)
    before = key.read_text()
    assert run(str(key)).returncode != 0
    assert key.read_text() == before


# The example


async def test_the_example_changes_a_rule_of_a_live_server_and_no_call_is_lost(begin, give, ctx, as_, keep, people):
    (source,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
    await begin()
    outcomes: Counter[str] = Counter()
    stop = asyncio.Event()

    async def close_jobs(words: str) -> None:
        while not stop.is_set():
            job = await keep(make.job(people.client, description=words))
            try:
                await resolvers.jobs.close(as_(people.client), job_id=job.id)
                outcomes[f"{words}: closed"] += 1
            except Conflict as refusal:
                outcomes[f"{words}: {refusal.message}"] += 1

    async def more() -> None:
        before = outcomes.total()
        async with asyncio.timeout(20):
            while outcomes.total() < before + 20:  # noqa: ASYNC110 - those who close tell nobody
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for words in ("nothing", "closed because of rain"):
            group.create_task(close_jobs(words))
        await more()
        assert set(outcomes) == {"nothing: closed", "closed because of rain: closed"}
        await give(source)
        await more()
        before = outcomes["nothing: closed"]
        await more()
        assert outcomes["nothing: closed"] == before
        await resolvers.control.rollback_command(ctx, Order(), command=COMMAND)
        await more()
        stop.set()

    assert outcomes["nothing: closed"] > before
    assert set(outcomes) == {
        "nothing: closed",
        "closed because of rain: closed",
        "nothing: Say in the description why: closed because …",
    }
