"""Who steers is heard by everybody who steers, as it happens."""

import asyncio

import pytest

import resolvers.control
from models.activity import CONTROL_NEWS_STREAM, CONTROL_STREAM, EventKind
from models.control import Level, NodeKind, Order, Service, Verb
from models.errors import Forbidden, Unauthenticated
from ops.app import House
from ops.control import Agent


async def test_what_is_said_is_kept_audited_and_told(as_, people, told, hears):
    async with hears(CONTROL_STREAM, CONTROL_NEWS_STREAM):
        message = await resolvers.control.set_logging_level(
            as_(people.admin), Order(why="To see."), service=Service.JOBS, level=Level.DEBUG
        )

    assert (message.verb, message.version, message.actor_id) == (Verb.SET_LOGGING_LEVEL, 1, people.admin.id)
    assert await told() == {
        CONTROL_STREAM: [EventKind.CONTROL_CHANGED],
        CONTROL_NEWS_STREAM: [EventKind.CONTROL_CHANGED],
    }


async def test_messages_and_acknowledgements_come_as_they_happen(as_, people, house, settings):
    heard: asyncio.Queue[tuple[EventKind, str]] = asyncio.Queue()
    admin = as_(people.admin)

    async def follow() -> None:
        async for event, message in resolvers.control.changes(admin):
            heard.put_nowait((event.kind, message.subject))

    made = House.of(settings, house.clock.world)
    async with made.open(), Agent(made, NodeKind.WEB, name="here").at_work():
        following = asyncio.create_task(follow())
        async with asyncio.timeout(20):
            # Until the follower has begun, and hears.
            while heard.empty():
                await resolvers.control.set_option(admin, Order(), name="jobs.open_days", value="7")
            await resolvers.control.freeze(as_(people.admin), Order(), service=Service.MEDIA)
            kinds: list[EventKind] = []
            while len(kinds) < 2:
                kind, subject = await heard.get()
                kinds += [kind] if subject == "MEDIA" else []
        following.cancel()

    assert kinds == [EventKind.CONTROL_CHANGED, EventKind.CONTROL_ACKNOWLEDGED]


@pytest.mark.parametrize(("who", "refusal"), [(None, Unauthenticated), ("client", Forbidden)])
async def test_nobody_else_follows_what_is_wanted(who, refusal, as_, people):
    ctx = as_(getattr(people, who) if who else None)

    with pytest.raises(refusal):
        await anext(resolvers.control.changes(ctx))
    with pytest.raises(refusal):
        await resolvers.control.state(ctx)
