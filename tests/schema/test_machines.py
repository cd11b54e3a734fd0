"""Who may ask for machines, and what she is told."""

import pytest

from schema.scalars import id_of
from tests import make
from tests.schema.callers import Ask, mutation, query, rows

TABLE = """
              nobody           rival      stranger  client  freelancer  admin
machines      UNAUTHENTICATED  FORBIDDEN  =         =       =           MachineConnection
keepers       UNAUTHENTICATED  FORBIDDEN  =         =       =           Keeper
spawnMachine  UNAUTHENTICATED  FORBIDDEN  =         =       =           SpawnedMachines
retireMachine UNAUTHENTICATED  FORBIDDEN  =         =       =           Machine
"""

ASKS: dict[str, Ask] = {
    "machines": query("machines"),
    "keepers": query("keepers"),
    "spawnMachine": mutation("spawnMachine", lambda _: {"provider": "process", "timeoutSeconds": 0}),
    "retireMachine": mutation("retireMachine", lambda scene: {"id": id_of(scene.machine), "timeoutSeconds": 0}),
}

MACHINE = "id provider state handle address wantedBy wantedAt beganAt readyAt retiredAt endedAt failure"


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


async def test_an_operator_is_shown_the_machines_the_latest_first(ask, people, keep):
    keeper = await keep(make.keeper())
    first = await keep(make.machine(by=keeper, handle="4711", address="127.0.0.1:20001"))
    second = await keep(make.machine())

    shown = (
        await ask(people.admin, f"{{ machines {{ totalCount nodes {{ {MACHINE} }} }} keepers {{ host providers }} }}")
    )["data"]

    assert shown["machines"]["totalCount"] == 2
    assert [one["id"] for one in shown["machines"]["nodes"]] == [id_of(second), id_of(first)]
    assert (
        shown["machines"]["nodes"][1] | {"handle": "4711", "address": "127.0.0.1:20001"}
        == shown["machines"]["nodes"][1]
    )
    assert shown["keepers"] == [{"host": "here", "providers": ["process"]}]


async def test_an_operator_is_told_what_becomes_of_what_she_asked_for(ask, people, keep):
    await keep(make.keeper())
    text = f"""mutation ($input: SpawnMachineInput!) {{ spawnMachine(input: $input) {{
      ... on SpawnedMachines {{ machines {{ {MACHINE} }} }} ... on Refused {{ code field }} }} }}"""

    spawned = await ask(people.admin, text, input={"provider": "process", "count": 2, "timeoutSeconds": 0})
    refused = await ask(people.admin, text, input={"provider": "basement", "timeoutSeconds": 0})

    assert [one["state"] for one in spawned["data"]["spawnMachine"]["machines"]] == ["WANTED", "WANTED"]
    assert refused["data"]["spawnMachine"] == {"code": "UNKNOWN_PROVIDER", "field": ["provider"]}
