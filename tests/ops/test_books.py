"""What an operator hears about the ledger."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

import loaders.ledger
from models.base import uuid7
from models.ledger import AccountKind, Journal

ROOT = Path(__file__).parents[2]
FUNDS = AccountKind("funds", floor=None)
ABOUT: Any = SimpleNamespace(noun="thing", id=uuid7())


@pytest.fixture
async def journal(house):
    async with house.context().writing() as work:
        keys = [FUNDS.of(uuid7(), "USD") for _ in range(2)]
        source, target = await loaders.ledger.accounts(work, *keys, at=house.clock())
        journal = Journal.of("move", ABOUT, [(source, -5), (target, 5)], at=house.clock())
        await loaders.ledger.post(work, journal)
    return journal


async def check(settings):
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "ops", "check", "ledger"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": settings.database_url},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("journal")
async def test_a_right_ledger_is_said_to_be_right(settings):
    done = await check(settings)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "The ledger is right: 2 accounts, 1 journals, 2 entries and 0 holds.\n"


async def test_what_is_wrong_is_named_and_the_exit_code_is_1(journal, settings, owner):
    async with owner.begin() as connection:
        await connection.execute(sa.text("UPDATE entries SET amount = 6 WHERE amount = 5"))

    done = await check(settings)

    target = journal.entries[1].account_id
    assert done.returncode == 1
    assert f"entry 2 of journal {journal.id}, account {target} (funds of" in done.stdout
    assert "its running balance does not follow; it is 5, not 6" in done.stdout
