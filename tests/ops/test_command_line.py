"""What an operator types, and what he reads when it goes wrong."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.accounts import Account, Role
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
