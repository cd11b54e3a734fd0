"""What the documents say is true: their examples run, their links lead somewhere, their settings exist."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from graphql import OperationType

import resolvers.activity
from models.accounts import Account
from models.config import OPTIONS
from ops.app import House
from ops.transport.asked import Asked
from ops.transport.operations import Operations
from resolvers.context import Context
from tests import make

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
BLOCK = re.compile(r"^```graphql(?: as=(\w+))?(?: becomes=(\w+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
AT_ONCE = {"compiled", "row", "row known"}
"""How people are answered whose questions are declared throughout: by one statement, or by what is known already."""

ID = re.compile(r"(category|skill|job|proposal|contract|milestone)_[0-9a-f]{32}")


class Example(NamedTuple):
    """An operation in a document, who speaks, and who somebody is after it."""

    speaker: str
    becomes: str
    text: str


def examples(page: str) -> Iterator[Example]:
    for speaker, becomes, text in BLOCK.findall((ROOT / page).read_text()):
        yield Example(speaker or "nobody", becomes, text)


class Journey:
    """Runs examples one after the other, and remembers whom and what the answers name."""

    def __init__(self, house: House, operations: Operations) -> None:
        self.house, self.operations = house, operations
        self.people: dict[str, Account | None] = {"nobody": None}
        self.known: dict[str, str] = {}

    def prepared(self, example: Example) -> Any:
        text = re.sub(r"\b[A-Z]+_ID\b", lambda name: self.known[name[0]], example.text)
        return self.operations.prepare(Asked(text, {}, None, {}))

    async def run(self, example: Example) -> None:
        context = self.house.context(self.people[example.speaker])
        answer = orjson.loads(orjson.dumps(await self.operations.run(self.prepared(example), context)))
        assert "errors" not in answer, (example.text, answer)
        assert '"code"' not in json.dumps(answer, default=str), (example.text, answer)
        found: dict[str, str] = {}
        for match in ID.finditer(json.dumps(answer, default=str)):
            found.setdefault(f"{match[1].upper()}_ID", match[0])
        self.known |= found
        if example.becomes:
            self.people[example.becomes] = await self.whoever(answer["data"]["register"]["accessToken"])

    async def whoever(self, token: str) -> Account | None:
        claims = self.house.keys.verify(token, at=self.house.clock.wall())
        return await self.house.account_of(claims.session_id)


async def test_the_journey_runs_as_it_is_written(
    house: House, operations: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    journey, before = Journey(house, operations), Counter(operations.taken)
    heard: asyncio.Queue[Any] = asyncio.Queue()
    begins, follows = resolvers.activity._last, asyncio.Event()

    async def begun(ctx: Context, stream: str) -> int:
        last = await begins(ctx, stream)
        follows.set()
        return last

    # What happens before a follower has begun is none of hers.
    monkeypatch.setattr(resolvers.activity, "_last", begun)

    async def follow(example: Example) -> None:
        operation = journey.prepared(example)
        async with aclosing(operations.listen(operation, house.context(journey.people[example.speaker]))) as answers:
            async for answer in answers:
                heard.put_nowait(answer)

    async with asyncio.TaskGroup() as group:
        followers = []
        for example in examples("docs/journey.md"):
            if example.text.startswith("subscription"):
                followers.append(group.create_task(follow(example)))
                async with asyncio.timeout(60):
                    await follows.wait()
            else:
                await journey.run(example)
        async with asyncio.timeout(60):
            first, second = await heard.get(), await heard.get()
        for follower in followers:
            follower.cancel()

    kinds = [event["data"]["proposalChanged"]["kind"] for event in (first, second)]
    assert kinds == ["PROPOSAL_SUBMITTED", "PROPOSAL_ACCEPTED"]
    assert set(operations.taken - before) <= AT_ONCE


@pytest.mark.parametrize("page", ["docs/api.md"])
async def test_examples_are_answered(page: str, house: House, operations: Operations) -> None:
    found = list(examples(page))
    assert found
    for example in found:
        answer = await operations.run(operations.prepare(Asked(example.text, {}, None, {})), house.context())
        assert "errors" not in answer, answer


async def test_the_first_query_of_the_readme_is_answered(house: House, operations: Operations) -> None:
    body = re.search(r"-d '(\{.*?\})'\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert body
    answer = await operations.run(
        operations.prepare(Asked(json.loads(body[1])["query"], {}, None, {})), house.context()
    )
    assert orjson.dumps(answer) == b'{"data":{"jobs":{"totalCount":0,"nodes":[]}}}'


async def test_the_first_tab_of_graphiql_is_of_this_schema(
    house: House, operations: Operations, people: make.People
) -> None:
    text, before = (ROOT / "ops/graphiql/example.graphql").read_text(), Counter(operations.taken)
    for name in ("Jobs", "Me", "Arriving"):
        operation = operations.prepare(Asked(text, {}, name, {}))
        assert operation.name == name
        if operation.kind is OperationType.QUERY:
            assert "errors" not in await operations.run(operation, house.context(people.client))
    assert operations.taken - before == {"compiled": 2}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    rooms = "schema|resolvers|media|loaders|models|ops|migrations|tests|docs"
    for name in re.findall(rf"`((?:{rooms})/[\w/.]+\.\w+)`", page.read_text()):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)|^make (\w+)$", page.read_text(), re.MULTILINE)) <= {
        *((target, "") for target in targets),
        *(("", target) for target in targets),
    }


def test_every_setting_is_listed_and_nothing_else() -> None:
    read = set()
    for source in ROOT.glob("ops/*.py"):
        read |= set(re.findall(r'"(WORKUP_[A-Z_]+|DATABASE_URL|REDIS_URL|HOST|PORT)"', source.read_text()))
    read -= {"WORKUP_GO"}  # between the launcher and its children
    page = (ROOT / "docs/operations.md").read_text()
    listed = page[page.index("| variable") : page.index("**A new signing key**")]
    assert set(re.findall(r"`(WORKUP_[A-Z_]+|DATABASE_URL|REDIS_URL|HOST|PORT)`", listed)) == read


def test_every_option_is_listed_as_it_is() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    table = page[page.index("| option |") : page.index("## Control")]
    listed = [line for line in table.splitlines()[2:] if line]
    rows = [
        f"| `{known.name}` | {known.default} | {known.least} to {known.most} | {known.means} |"
        for known in OPTIONS.values()
    ]
    assert sorted(listed) == sorted(rows)
