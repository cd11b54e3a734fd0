"""The role that the application works as, where several databases of one server make it."""

import os
import subprocess
import sys
from contextlib import asynccontextmanager

import asyncpg
import pytest

from ops import local, migrate

DATABASES = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("role") / "home"
    with local.start(root, durable=False) as running:
        yield running
    local.remove(root)


@asynccontextmanager
async def connected(url, **options):
    connection = await asyncpg.connect(url.replace("+asyncpg", ""), **options)
    try:
        yield connection
    finally:
        await connection.close()


def start_migrating(url):
    environment = {**os.environ, "DATABASE_URL": url}
    return subprocess.Popen([sys.executable, "-m", "ops", "migrate"], cwd=migrate.ROOT, env=environment)


async def test_several_databases_of_a_server_migrate_at_once_by_somebody_who_is_no_superuser(server):
    place = server.database_url.rpartition("@")[2].partition("/")[0]
    async with connected(server.database_url) as connection:
        await connection.execute("CREATE ROLE builder LOGIN CREATEROLE PASSWORD 'bricks'")
        for number in range(DATABASES):
            await connection.execute(f"CREATE DATABASE site_{number} OWNER builder")
    urls = [f"postgresql+asyncpg://builder:bricks@{place}/site_{number}" for number in range(DATABASES)]

    migrating = [start_migrating(url) for url in urls]

    assert [process.wait(60) for process in migrating] == [0] * DATABASES
    for url in urls:
        async with connected(url, server_settings={"role": "workup_app"}) as connection:
            assert await connection.fetchval("SELECT current_user") == "workup_app"
            assert await connection.fetchval("SELECT count(*) FROM entries") == 0
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("INSERT INTO alembic_version VALUES ('0')")
