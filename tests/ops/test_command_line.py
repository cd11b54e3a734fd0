"""What an operator types, and what he reads when it goes wrong."""

import asyncio
import getpass
import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from models.accounts import Account, Role
from models.control import AuditEntry
from ops.app import wall_clock
from tests import make

ROOT = Path(__file__).parents[2]
KEYS = f"test:{'A' * 43}"
NOWHERE = "postgresql+asyncpg://nobody:nothing@127.0.0.1:1/none"
UNKNOWN = "postgresql+asyncpg://nobody:nothing@nowhere.invalid/none"


@pytest.fixture
def run(settings):
    """Run a verb against the database of this test, or another one."""

    async def type_in(*words, said="", **environment):
        told = {
            **os.environ,
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "WORKUP_SECRET": settings.secret.decode(),
            "WORKUP_SIGNING_KEYS": KEYS,
            "WORKUP_PASSWORD_MEMORY_KIB": "32",
        }
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "ops", *words],
            cwd=ROOT,
            env=told | environment,
            input=said,
            capture_output=True,
            text=True,
            check=False,
        )

    return type_in


def is_a_line(done):
    return done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", ["migrate", "seed", "work", "admin"])
@pytest.mark.parametrize("url", [NOWHERE, UNKNOWN], ids=["nobody listens", "no such host"])
async def test_without_a_database_there_is_one_line(run, verb, url):
    done = await run(verb, *(["ada@example.org"] if verb == "admin" else []), DATABASE_URL=url)

    assert is_a_line(done), done.stderr
    assert "the database cannot be used" in done.stderr


@pytest.mark.parametrize("verb", ["migrate", "seed", "work", "serve"])
async def test_an_address_that_is_none_is_said_in_one_line(run, verb):
    done = await run(verb, DATABASE_URL="somewhere")

    assert is_a_line(done), done.stderr
    assert "DATABASE_URL" in done.stderr


@pytest.mark.usefixtures("house")
async def test_an_administrator_is_registered_with_a_decent_password(run):
    short = await run("admin", "ada@example.org", said="short\n")
    done = await run("admin", "ada@example.org", said="correct horse\n")

    assert is_a_line(short), short.stderr
    assert "A password has 10 to 1000 characters." in short.stderr
    assert done.stdout == "ada@example.org is registered, and an administrator.\n", done.stderr


async def test_an_account_is_appointed_without_being_asked_for_its_password(keep, stored, run):
    ada: Account = await keep(make.account(Role.CLIENT))

    done = await run("admin", ada.email)

    assert done.stdout == f"{ada.email} is an administrator now.\n", done.stderr
    assert (await stored(ada)).roles == ["ADMIN", "CLIENT"]


async def test_an_operator_steers_as_the_mutations_do_and_it_is_known_who_it_was(run, house):
    done = await run("control", "setOption", "jobs.open_days", "7", "--why", "Too long.")
    shown = await run("control", "show")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Version 1: SET_OPTION jobs.open_days, by ")
    assert "OPTION jobs.open_days: 7" in shown.stdout
    async with house.database.reading() as session:
        (entry,) = (await session.scalars(sa.select(AuditEntry))).all()
    assert (entry.deed, entry.why, entry.agent) == ("SET_OPTION", "Too long.", "python -m ops control")
    assert entry.actor == f"{getpass.getuser()}@{socket.gethostname()}"


async def test_nodes_that_did_not_do_it_make_it_a_failure(run, keep):
    await keep(make.server_node("here/0", seen_at=wall_clock() + timedelta(minutes=1)))

    done = await run("control", "freeze", "JOBS", "--timeout-seconds", "0")

    assert done.returncode == 1
    assert "here/0" in done.stdout
    assert "PENDING" in done.stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["freeze", "CAKES"], "A service is one of"),
        (["freeze"], "freeze takes 1 words, not 0."),
        (["setMaxThreads", "JOBS", "many"], "A whole number, not many."),
        (["setMaxThreads", "JOBS", "0"], "From 1 to 10000 at once, not 0."),
        (["setLoggingLevel", "JOBS", "LOUD"], "A level is one of"),
        (["start", "JOBS"], "This is not frozen."),
        (["dance"], "There is no verb dance"),
        (["freeze", "JOBS", "--node", "nowhere"], "There is no node nowhere."),
        (["freeze", "JOBS", "--version", "7"], "This was changed since you read it."),
        (["updateCommand", "closeJob", "no such file", "none"], "It cannot be read"),
    ],
)
async def test_what_cannot_be_is_refused_in_a_line(words, why, run, count_rows):
    before = await count_rows()

    done = await run("control", *words)

    assert is_a_line(done), done.stderr
    assert why in done.stderr
    assert await count_rows() == before
