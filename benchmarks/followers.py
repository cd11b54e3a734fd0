"""What it costs to tell many windows of one client of each thing that happens to the proposals of her job.

python -m benchmarks.followers [--sockets 200] [--events 100]
"""

import argparse
import asyncio
import base64
import json
import secrets
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import asyncpg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.reads import Asker, Server, cpu, running, settled
from benchmarks.town import OFFERS_POPULAR, Town
from ops import local, migrate
from ops.auth import KeyRing
from ops.local import free_port
from ops.settings import SigningKey

JOB, JOBS = 1, 40
"""Which job is followed, of how many."""

FOLLOW = """
subscription Follow($jobId: ID!) {
  proposalChanged(jobId: $jobId) {
    cursor at kind
    proposal {
      id state coverLetter isShortlisted bid { amount currency } availableActions
      freelancer { id fullName } milestones { description amount { amount currency } } job { id title proposalCount }
    }
  }
}
"""
SHORTLIST = "mutation Shortlist($input: ShortlistProposalInput!) { shortlistProposal(input: $input) { __typename } }"
TRANSACTIONS = "select xact_commit from pg_stat_database where datname = current_database()"
SETTLE_SECONDS = 11
"""After how long Postgres has counted what was asked."""


async def opened(stack: AsyncExitStack, server: Server, token: str, job: str) -> ClientConnection:
    """A window that follows the job."""
    url = f"ws://127.0.0.1:{server.port}/graphql"
    socket = await stack.enter_async_context(connect(url, subprotocols=[Subprotocol("graphql-transport-ws")]))
    await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
    assert json.loads(await socket.recv())["type"] == "connection_ack"
    ask = {"query": FOLLOW, "variables": {"jobId": job}}
    await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": ask}))
    return socket


async def heard(sockets: Sequence[ClientConnection]) -> None:
    """Wait until every window was told once more, of the same."""
    found = {bytes(await socket.recv(decode=False)) for socket in sockets}
    assert len(found) <= 1, found
    assert all(json.loads(text)["type"] == "next" for text in found), found


async def measure(server: Server, postgres: int, asker: Asker, url: str, sockets: int, events: int) -> dict[str, float]:
    """Let so much happen before so many windows: what one event costs."""
    town = asker.town
    token, job = asker.token(town.client_of(JOB)), f"job_{town.job(JOB).hex}"
    proposal = f"proposal_{town.proposal(OFFERS_POPULAR * JOB).hex}"

    def happen(at: int) -> None:
        said: Any = {"proposalId": proposal, "on": bool(at % 2)}
        body = json.dumps({"query": SHORTLIST, "variables": {"input": said}})
        status, answer = server.post(f"{token}\t{body}")
        assert status == 200, answer
        assert b"Refused" not in answer, answer

    async with AsyncExitStack() as stack:
        open_ones = [await opened(stack, server, token, job) for _ in range(sockets)]
        await asyncio.sleep(SETTLE_SECONDS)
        line = await asyncpg.connect(url.replace("+asyncpg", ""))
        for at in range(10):
            await asyncio.to_thread(happen, at)
            await heard(open_ones)
        await asyncio.sleep(SETTLE_SECONDS)
        before = cpu(server.process.pid), cpu(postgres), await line.fetchval(TRANSACTIONS)
        for at in range(events):
            await asyncio.to_thread(happen, at)
            await heard(open_ones)
        await asyncio.sleep(SETTLE_SECONDS)
        after = cpu(server.process.pid), cpu(postgres), await line.fetchval(TRANSACTIONS)
        await line.close()
    used, busy, done = (now - then for now, then in zip(after, before, strict=True))
    return {"server": used / events * 1_000, "postgres": busy / events * 1_000, "transactions": done / events}


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--events", type=int, default=100)
    options = parser.parse_args()
    seed, root, town = secrets.token_bytes(32), Path(tempfile.mkdtemp(prefix="workup-benchmark-")), Town(JOBS)
    asker = Asker(town, KeyRing([SigningKey("bench", seed)]))
    with ExitStack() as stack:
        stack.callback(local.remove, root)
        databases = stack.enter_context(local.start(root))
        migrate.to_head(databases.database_url)
        asyncio.run(settled(databases.database_url, town))
        told = {
            "DATABASE_URL": databases.database_url,
            "REDIS_URL": databases.redis_url,
            "WORKUP_SECRET": "a secret for the time of a benchmark",
            "WORKUP_SIGNING_KEYS": "bench:" + base64.urlsafe_b64encode(seed).decode().rstrip("="),
            "WORKUP_MEDIA_URL": (root / "media").as_uri(),
            "WORKUP_WORKERS": "1",
        }
        serve = [sys.executable, "-m", "ops", "serve"]
        server = stack.enter_context(running("ours", serve, free_port(), "/readyz", **told))
        assert databases.postgres.process is not None
        postgres = databases.postgres.process.pid
        print(
            "| windows | server CPU ms an event | Postgres CPU ms an event | transactions an event |\n|---|---|---|---|"
        )
        for sockets in dict.fromkeys((1, options.sockets)):
            found = asyncio.run(measure(server, postgres, asker, databases.database_url, sockets, options.events))
            print(f"| {sockets} | {found['server']:.1f} | {found['postgres']:.1f} | {found['transactions']:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
