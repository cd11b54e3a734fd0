"""The numbered story leads up, down and up again, and to what the models say."""

import asyncio
import re
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from models.base import Base
from ops import migrate

VERSIONS = migrate.ROOT / "migrations" / "versions"
SCHEMA = """
select table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')
  from information_schema.columns where table_schema = 'public' and table_name <> 'alembic_version'
union select indexdef from pg_indexes where schemaname = 'public' and tablename <> 'alembic_version'
union select conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
  from pg_constraint where connamespace = 'public'::regnamespace and conrelid <> 'alembic_version'::regclass
union select table_name || ' ' || grantee || ' ' || privilege_type from information_schema.role_table_grants
  where table_schema = 'public' and table_name <> 'alembic_version'
union select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
union select pg_get_functiondef(oid) || array_to_string(proacl, ' ') from pg_proc
  where pronamespace = 'public'::regnamespace and prolang <> (select oid from pg_language where lanname = 'c')
order by 1
"""


def config(url: str) -> Config:
    return Config(migrate.ROOT / "alembic.ini", attributes={"url": url})


def files() -> list[Path]:
    return sorted(VERSIONS.glob("[0-9]*.py"))


async def looks(url: str, *more: str) -> list[str]:
    engine = create_async_engine(make_url(url))
    async with engine.connect() as connection:
        found = [str(row[0]) for row in await connection.execute(text(SCHEMA))]
        for query in more:
            found += [str(row) for row in await connection.execute(text(query))]
    await engine.dispose()
    return found


@pytest.fixture
async def empty_url(new_database):
    return await new_database("migrated")


async def test_up_down_and_up_again_lead_to_the_same(empty_url):
    catalogue = ("select * from categories order by id", "select * from skills order by id")

    await asyncio.to_thread(command.upgrade, config(empty_url), "head")
    first = await looks(empty_url, *catalogue)
    await asyncio.to_thread(command.downgrade, config(empty_url), "base")
    nothing = await looks(empty_url)
    await asyncio.to_thread(command.upgrade, config(empty_url), "head")
    second = await looks(empty_url, *catalogue)

    assert nothing == []
    assert len(first) > len(Base.metadata.tables)
    assert first == second


async def test_each_step_can_be_taken_back(empty_url):
    await asyncio.to_thread(command.upgrade, config(empty_url), "head")

    for _ in files():
        before = await looks(empty_url)
        await asyncio.to_thread(command.downgrade, config(empty_url), "-1")
        assert await looks(empty_url) != before
        await asyncio.to_thread(command.upgrade, config(empty_url), "+1")
        assert await looks(empty_url) == before
        await asyncio.to_thread(command.downgrade, config(empty_url), "-1")


async def test_the_story_leads_to_what_the_models_say(database_url):
    # It raises when a new revision would have anything in it.
    await asyncio.to_thread(command.check, config(database_url))


async def test_columns_and_checks_are_what_the_models_say(database_url):
    engine = create_async_engine(make_url(database_url))
    checks = "select conname from pg_constraint where contype = 'c' and connamespace = 'public'::regnamespace"
    async with engine.connect() as connection:
        in_database = set(await connection.scalars(text(checks)))
    await engine.dispose()
    in_models = {
        str(constraint.name)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if constraint.__visit_name__ == "check_constraint"
    }

    # The enums' checks carry the names of their kinds, without the table's.
    assert {name for name in in_models if name.startswith("ck_")} <= in_database


async def test_a_database_that_is_up_to_date_is_left_alone(database_url):
    assert await asyncio.to_thread(migrate.to_head, database_url) is False


def test_numbers_have_no_gaps_and_names_say_what_they_do():
    numbers = [path.name.partition("_")[0] for path in files()]

    assert numbers == [f"{at:04}" for at in range(1, len(numbers) + 1)]
    assert all(re.fullmatch(r"\d{4}(_[a-z0-9]+)+\.py", path.name) for path in files())


def test_the_story_is_one_line():
    story = ScriptDirectory.from_config(config("postgresql://nobody"))
    revisions = [revision.revision for revision in story.walk_revisions()]

    assert story.get_heads() == [migrate.newest()]
    assert revisions == sorted(revisions, reverse=True)
    assert len(revisions) == len(files())


def test_every_step_waits_for_nobody_for_long():
    for path in files():
        said = path.read_text()
        for step in ("upgrade", "downgrade"):
            body = said.partition(f"def {step}() -> None:")[2]
            assert "SET LOCAL lock_timeout" in body.partition("\ndef ")[0], f"{path.name} {step}"
