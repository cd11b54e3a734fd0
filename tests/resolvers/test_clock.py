"""Letting time pass."""

import asyncio
from datetime import timedelta

import pytest

import resolvers.clock
from models.activity import CLOCK_STREAM, EventKind
from models.clock import ClockIsReal, Span
from models.errors import Forbidden, Unauthenticated

DAY = Span(days=1, hours=0, seconds=0)


@pytest.fixture
async def sandbox(house, monkeypatch):
    """A house whose time may be let pass, and which is back in the world afterwards."""
    monkeypatch.setattr(house.clock, "is_sandbox", True)
    yield house
    house.clock._ahead = timedelta()
    house.clock.moved.clear()


def days_ahead(house):
    return round((house.clock() - house.clock.wall()) / timedelta(days=1), 3)


async def test_it_is_later_for_whatever_comes_due_and_not_for_the_world(sandbox, as_, people):
    await resolvers.clock.advance(as_(people.admin), span=DAY)
    await resolvers.clock.advance(as_(people.admin), span=DAY)

    assert days_ahead(sandbox) == 2
    assert sandbox.clock.moved.is_set()


async def test_of_many_steps_at_once_none_is_lost(sandbox, as_, people):
    await asyncio.gather(*(resolvers.clock.advance(as_(people.admin), span=DAY) for _ in range(8)))

    assert days_ahead(sandbox) == 8


@pytest.mark.usefixtures("sandbox")
async def test_every_process_is_told_and_it_is_written_down(as_, people, hears, told):
    async with hears(CLOCK_STREAM):
        await resolvers.clock.advance(as_(people.admin), span=DAY)

    assert await told() == {CLOCK_STREAM: [EventKind.CLOCK_ADVANCED]}


async def test_whoever_follows_the_clock_hears_of_steps_that_others_took(sandbox, as_, people):
    await resolvers.clock.advance(as_(people.admin), span=DAY)
    sandbox.clock._ahead = timedelta()
    sandbox.clock.moved.clear()

    following = asyncio.ensure_future(sandbox.clock.follow(sandbox.hub))
    async with asyncio.timeout(10):
        await sandbox.clock.moved.wait()
    following.cancel()

    assert days_ahead(sandbox) == 1


@pytest.mark.parametrize(("who", "refusal"), [("client", Forbidden), ("freelancer", Forbidden)])
async def test_only_administrators_let_time_pass(sandbox, as_, people, refuses, who, refusal):
    async with refuses(refusal):
        await resolvers.clock.advance(as_(getattr(people, who)), span=DAY)
    async with refuses(Unauthenticated):
        await resolvers.clock.advance(as_(None), span=DAY)
    assert days_ahead(sandbox) == 0


async def test_outside_of_a_sandbox_time_passes_by_itself(as_, people, refuses):
    async with refuses(ClockIsReal):
        await resolvers.clock.advance(as_(people.admin), span=DAY)
