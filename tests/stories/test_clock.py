"""A month in a sandbox, which takes a second."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from tests.stories.conftest import Site
from tests.stories.people import Person
from tests.stories.processes import until
from tests.stories.words import published

NOW = "{ clock { now aheadSeconds } viewer { account { id } } }"


async def test_time_passes_on_every_server_what_is_due_is_done_and_nobody_is_signed_out(sandbox: Site):
    clara = await Person.registered(sandbox.a, "CLIENT")
    root = await Person.registered(sandbox.a, "CLIENT", name="Root")
    await sandbox.rows("update accounts set roles = array['ADMIN'] where id = $1", UUID(root.id))
    job = await published(clara)

    clock = await root.does("advanceClock", days=30, hours=1)

    assert clock["aheadSeconds"] == 30 * 86_400 + 3_600
    later = datetime.now(UTC) + timedelta(days=30)
    for server in (sandbox.a, sandbox.b):

        async def is_later(server=server) -> bool:
            answer = await clara.on(server).ask(NOW)
            return bool(answer["viewer"] and datetime.fromisoformat(answer["clock"]["now"]) > later)

        await until(is_later)

    async def has_expired() -> bool:
        answer = await clara.ask("query ($id: ID!) { job(id: $id) { state } }", id=job)
        return bool(answer["job"]["state"] == "EXPIRED")

    await until(has_expired)
    assert (await clara.does("renewJob", jobId=job))["state"] == "OPEN"
