"""Who may steer the running house, and what she is told."""

import pytest

from models.control import NodeKind
from schema.root import SERVICES, commands
from tests import make
from tests.schema.callers import Ask, mutation, query, rows

TABLE = """
                    nobody           rival      stranger  client  freelancer  admin
control             UNAUTHENTICATED  FORBIDDEN  =         =       =           Control
setMaxThreads       UNAUTHENTICATED  FORBIDDEN  =         =       =           ControlMessage
setMaxDbConnections UNAUTHENTICATED  FORBIDDEN  =         =       =           ControlMessage
freeze              UNAUTHENTICATED  FORBIDDEN  =         =       =           ControlMessage
start               UNAUTHENTICATED  FORBIDDEN  =         =       =           NOT_FROZEN
deleteCommand       UNAUTHENTICATED  FORBIDDEN  =         =       =           ControlMessage
addCommand          UNAUTHENTICATED  FORBIDDEN  =         =       =           COMMAND_THERE
updateCommand       UNAUTHENTICATED  FORBIDDEN  =         =       =           CODE_OFF
rollbackCommand     UNAUTHENTICATED  FORBIDDEN  =         =       =           NO_EARLIER_CODE
setLoggingLevel     UNAUTHENTICATED  FORBIDDEN  =         =       =           ControlMessage
setOption           UNAUTHENTICATED  FORBIDDEN  =         =       =           ControlMessage
"""

ASKS: dict[str, Ask] = {
    "control": query("control"),
    "setMaxThreads": mutation("setMaxThreads", lambda _: {"service": "JOBS", "maxThreads": 5}),
    "setMaxDbConnections": mutation("setMaxDbConnections", lambda _: {"connections": 5}),
    "freeze": mutation("freeze", lambda _: {"service": "JOBS"}),
    "start": mutation("start", lambda _: {"service": "JOBS"}),
    "deleteCommand": mutation("deleteCommand", lambda _: {"command": "submitProposal"}),
    "addCommand": mutation("addCommand", lambda _: {"command": "submitProposal"}),
    "updateCommand": mutation(
        "updateCommand", lambda _: {"command": "publishJob", "source": "x = 1", "signature": "none"}
    ),
    "rollbackCommand": mutation("rollbackCommand", lambda _: {"command": "publishJob"}),
    "setLoggingLevel": mutation("setLoggingLevel", lambda _: {"service": "ALL", "level": "DEBUG"}),
    "setOption": mutation("setOption", lambda _: {"name": "jobs.open_days", "value": "7"}),
}

EVERYTHING = """{ control { id version changedAt
  nodes { id name kind state host address pid startedAt seenAt version connections cpuPercent p95Ms inFlight waiting
          services { service running waiting followers } }
  services { service maxThreads isFrozen level running waiting followers }
  commands { name service isDeleted stays codeNumber codePercent codeVersions { number sha256 source actor at } }
  options { name value default least most means }
  rulings { kind subject nodeName value version }
  controlMessages { totalCount nodes { id version verb subject why actor address at node { name }
    before { name value } after { name value } acknowledgements { nodeName state detail tookMs at } missing } }
  auditLog { totalCount nodes { at actor address agent deed subject why before { name value } after { name value } } }
} }"""


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


def test_every_root_field_belongs_to_one_service(operations):
    core = operations._core
    fields = {
        name for kind in (core.query_type, core.mutation_type, core.subscription_type) if kind for name in kind.fields
    }

    assert set(commands()) == fields | {"readFile", "uploadFile", "describeFiles"}
    assert all(kind.__name__.endswith(("Queries", "Mutations", "Subscriptions")) for kind in SERVICES)


async def test_what_is_wanted_and_what_was_said_is_shown_to_an_administrator(ask, keep, people):
    node = await keep(make.server_node("here/0", NodeKind.WEB))
    said = "mutation ($input: SetOptionInput!) { setOption(input: $input) { ... on ControlMessage { missing } } }"
    given = {"name": "jobs.open_days", "value": "7", "why": "Too long.", "timeoutSeconds": 0}
    first = await ask(people.admin, said, input=given)

    shown = (await ask(people.admin, EVERYTHING))["data"]["control"]

    assert first == {"data": {"setOption": {"missing": [node.name]}}}
    assert shown["version"] == 1
    assert [(one["name"], one["kind"], one["state"]) for one in shown["nodes"]] == [("here/0", "WEB", "RUNNING")]
    assert {one["name"]: one["value"] for one in shown["options"]}["jobs.open_days"] == "7"
    assert [(one["kind"], one["subject"], one["value"]) for one in shown["rulings"]] == [
        ("OPTION", "jobs.open_days", "7")
    ]
    (message,) = shown["controlMessages"]["nodes"]
    assert (message["verb"], message["why"], message["actor"]) == ("SET_OPTION", "Too long.", people.admin.email)
    assert message["before"] == [{"name": "jobs.open_days", "value": None}]
    assert message["after"] == [{"name": "jobs.open_days", "value": "7"}]
    assert [(one["nodeName"], one["state"]) for one in message["acknowledgements"]] == [("here/0", "PENDING")]
    (entry,) = shown["auditLog"]["nodes"]
    assert (entry["deed"], entry["actor"], entry["why"]) == ("SET_OPTION", people.admin.email, "Too long.")


async def test_who_was_late_is_told_how_things_stand(ask, people):
    text = """mutation ($input: FreezeInput!) { freeze(input: $input) { __typename
      ... on ControlMessage { version }
      ... on Refused { code current { ... on Control { version services { service isFrozen } } } } } }"""
    first = await ask(people.admin, text, input={"service": "JOBS", "version": 0})

    second = await ask(people.admin, text, input={"service": "PROPOSALS", "version": 0})

    assert first["data"]["freeze"] == {"__typename": "ControlMessage", "version": 1}
    refused = second["data"]["freeze"]
    assert (refused["code"], refused["current"]["version"]) == ("STALE", 1)
    assert [one["service"] for one in refused["current"]["services"] if one["isFrozen"]] == ["JOBS"]


@pytest.mark.parametrize(
    ("name", "said", "field"),
    [
        ("setMaxThreads", {"service": "JOBS", "maxThreads": 0}, "maxThreads"),
        ("setMaxThreads", {"service": "JOBS", "maxThreads": -1}, "maxThreads"),
        ("setMaxThreads", {"service": "JOBS", "maxThreads": 10_001}, "maxThreads"),
        ("setMaxDbConnections", {"connections": 0}, "connections"),
        ("setMaxDbConnections", {"connections": -5}, "connections"),
        ("setMaxDbConnections", {"connections": 101}, "connections"),
        ("setOption", {"name": "jobs.open_days", "value": "366"}, "value"),
        ("setOption", {"name": "jobs.open_days", "value": "0"}, "value"),
        ("setOption", {"name": "jobs.open_days", "value": "a week"}, "value"),
        ("setOption", {"name": "jobs.open_days", "value": "9" * 5_000}, "value"),
        ("setOption", {"name": "jobs.no_such", "value": "1"}, "name"),
        ("setMaxThreads", {"service": "JOBS", "maxThreads": 5, "why": "x" * 501}, "why"),
        ("setMaxThreads", {"service": "JOBS", "maxThreads": 5, "timeoutSeconds": 61}, "timeoutSeconds"),
        ("setMaxThreads", {"service": "JOBS", "maxThreads": 5, "timeoutSeconds": -1}, "timeoutSeconds"),
        ("setMaxThreads", {"service": "JOBS", "maxThreads": 5, "nodeId": "job_1"}, "nodeId"),
        ("deleteCommand", {"command": "noSuchThing"}, "command"),
        ("addCommand", {"command": ""}, "command"),
    ],
)
async def test_a_value_that_cannot_be_is_refused_with_the_reason(name, said, field, ask, people, count_rows):
    before = await count_rows()
    kind = name[0].upper() + name[1:]
    text = f"""mutation ($input: {kind}Input!) {{ {name}(input: $input) {{
      ... on Refused {{ code problems {{ field message }} }} }} }}"""

    answer = await ask(people.admin, text, input=said)

    (problem,) = answer["data"][name]["problems"]
    assert problem["field"] == [field]
    assert problem["message"]
    assert await count_rows() == before


async def test_an_unknown_service_is_no_value_of_the_schema(ask, people):
    answer = await ask(people.admin, "mutation { freeze(input: { service: CAKES }) { __typename } }")

    assert [error["extensions"]["code"] for error in answer["errors"]] == ["GRAPHQL_VALIDATION_FAILED"]
