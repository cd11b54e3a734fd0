"""An operator's afternoon: machines come and go, are killed, and those who use the house notice nothing."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from tests.stories.processes import ROOT, SECONDS, Server, environment, until

EMAIL, PASSWORD = "operator@house.test", "correct horse battery"
SIGN_IN = "mutation ($input: SignInInput!) { signIn(input: $input) { ... on SignedIn { accessToken } } }"
MACHINES = "{ machines { nodes { id state handle address failure } } }"
SPAWN = """mutation ($input: SpawnMachineInput!) { spawnMachine(input: $input) {
  ... on SpawnedMachines { machines { id state handle address failure } } ... on Refused { code } } }"""
RETIRE = """mutation ($input: RetireMachineInput!) { retireMachine(input: $input) {
  ... on Machine { id state failure } ... on Refused { code } } }"""
NODES = "{ control { nodes { kind state address } } }"
PATIENCE = 60
CALLERS = 6


class Launched(Server):
    """`python -m ops up`, over databases that are there already."""

    def __init__(self, told: dict[str, str], log: Any) -> None:
        super().__init__(told, log)
        self.verb = "up"


@dataclass
class Operator:
    """Somebody who steers over the network."""

    session: aiohttp.ClientSession
    url: str
    token: str = ""

    async def ask(self, query: str, **variables: Any) -> Any:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        body = {"query": query, "variables": variables}
        async with self.session.post(self.url, json=body, headers=headers) as answer:
            said = await answer.json()
        assert "errors" not in said, said
        return said["data"]

    async def sign_in(self) -> None:
        said = await self.ask(SIGN_IN, input={"email": EMAIL, "password": PASSWORD})
        self.token = said["signIn"]["accessToken"]

    async def machines(self, *states: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.ask(MACHINES))["machines"]["nodes"]
        return [one for one in found if not states or one["state"] in states]

    async def has_gone(self, machine: str) -> bool:
        (found,) = [one for one in await self.machines() if one["id"] == machine]
        assert found["failure"] is None
        return bool(found["state"] == "GONE")

    async def spawn(self, count: int = 1) -> list[dict[str, Any]]:
        given = {"provider": "process", "count": count, "timeoutSeconds": PATIENCE}
        made: list[dict[str, Any]] = (await self.ask(SPAWN, input=given))["spawnMachine"]["machines"]
        return made

    async def retire(self, machine: str) -> dict[str, Any]:
        said: dict[str, Any] = await self.ask(RETIRE, input={"id": machine, "timeoutSeconds": PATIENCE})
        return dict(said["retireMachine"])


@dataclass
class Crowd:
    """People who ask one thing after the other, without a pause, over connections that they keep."""

    url: str
    outcomes: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def at_it(self) -> AsyncIterator["Crowd"]:
        tasks = [asyncio.create_task(self.call()) for _ in range(CALLERS)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def call(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                self.outcomes[await self.once(session)] += 1

    async def once(self, session: aiohttp.ClientSession) -> str:
        body = {"query": "query { jobs(first: 3) { totalCount } }"}
        try:
            async with session.post(self.url, json=body) as answer:
                said = await answer.json()
                return "fine" if answer.status == 200 and "errors" not in said else f"{answer.status} {said}"
        except aiohttp.ClientError as error:
            return f"{type(error).__name__}: {error}"

    async def more(self, answers: int = 100) -> None:
        """Come back when so many more have been answered."""
        before = sum(self.outcomes.values())
        await until(lambda: asyncio.sleep(0, sum(self.outcomes.values()) >= before + answers), PATIENCE)


@asynccontextmanager
async def listening(session: aiohttp.ClientSession, url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with session.ws_connect(url, protocols=["graphql-transport-ws"]) as socket:
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json())["type"] == "connection_ack"
        yield socket


@pytest.fixture(scope="module")
async def house(addresses, new_database, tmp_path_factory) -> AsyncIterator[Launched]:
    url = await new_database("machines")
    home = tmp_path_factory.mktemp("machines")
    told = environment(url, addresses.redis_url, f"{url.rpartition('/')[2]}:", home)
    made = Launched(told | {"WORKUP_DEMO": "off", "WORKUP_DB_CONNECTIONS": "3"}, home / "up.log")
    made.start()
    try:
        await until(made.is_ready, PATIENCE)
        appoint = [sys.executable, "-m", "ops", "admin", EMAIL]
        done = await asyncio.to_thread(
            subprocess.run,
            appoint,
            cwd=ROOT,
            env=told,
            input=PASSWORD + "\n",
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield made
    finally:
        code = await made.stop()
    assert code == 0
    assert [line for line in made.errors() if line["level"] != "unknown"] == []


@pytest.fixture
async def operator(house) -> AsyncIterator[Operator]:
    async with aiohttp.ClientSession() as session:
        made = Operator(session, house.url)
        await made.sign_in()
        await until(lambda: made.machines("READY"), PATIENCE)
        yield made


@pytest.mark.timeout(240)
async def test_machines_come_and_go_under_load_and_no_request_fails(house, operator):
    (first,) = await operator.machines("READY")
    assert await operator.retire(first["id"]) == {"code": "LAST_MACHINE"}

    async with Crowd(house.url).at_it() as crowd:
        await crowd.more()
        (second,) = await operator.spawn()
        assert second["state"] == "READY", second
        nodes = (await operator.ask(NODES))["control"]["nodes"]
        web = {node["address"] for node in nodes if node["kind"] == "WEB" and node["state"] == "RUNNING"}
        assert web == {f"http://{one['address']}" for one in (first, second)}
        # By turns, so that each of the two has one.
        async with (
            listening(operator.session, house.socket_url) as one,
            listening(operator.session, house.socket_url) as other,
        ):
            await crowd.more()
            retired = await operator.retire(first["id"])
            # Whoever happens to ask the very machine is told that it is on its way.
            assert retired["state"] in {"RETIRING", "GONE"}
            await until(lambda: operator.has_gone(first["id"]), PATIENCE)
            await crowd.more()
            # Nobody is cut off: one is asked to come back, the other notices nothing.
            ends = [asyncio.create_task(socket.receive()) for socket in (one, other)]
            done, going_on = await asyncio.wait(ends, timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
            assert [task.result().data for task in done] == [1012] * len(done)
            for task in going_on:
                task.cancel()
        await crowd.more()

    assert crowd.outcomes.keys() == {"fine"}, crowd.outcomes
    assert [one["id"] for one in await operator.machines("READY")] == [second["id"]]


@pytest.mark.timeout(240)
async def test_a_machine_that_is_killed_is_skipped_and_its_end_is_noted(house, operator):
    (second,) = await operator.spawn()

    os.kill(int(second["handle"]), signal.SIGKILL)

    async def is_dead() -> bool:
        host, _, port = second["address"].rpartition(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionError:
            return True
        writer.close()
        return False

    async def noted() -> bool:
        found = {one["id"]: one for one in await operator.machines()}
        return "exit code -9" in (found[second["id"]]["failure"] or "")

    await until(is_dead)
    await until(noted, PATIENCE)
    async with Crowd(house.url).at_it() as crowd:
        await crowd.more()
    assert crowd.outcomes.keys() == {"fine"}, crowd.outcomes
