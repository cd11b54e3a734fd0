"""The transaction of a verb: kept and told as a whole, or not at all."""

import asyncio
import random
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

import loaders.accounts
import loaders.jobs
from loaders.work import UnitOfWork
from models.activity import JOBS_STREAM, EventKind, StreamHead, event, job_stream
from models.base import uuid7
from models.errors import Busy, OutcomeUnknown, Unauthenticated
from models.jobs import Job, JobState
from tests import make

WRITERS = 60


class Stopped(Exception):
    """What goes wrong in the middle of things."""


def news(job, ctx, stream=JOBS_STREAM):
    return event(stream, EventKind.JOB_PUBLISHED, job, by=None, at=ctx.now())


@pytest.fixture
async def job(keep, people):
    return await keep(make.job(people.client))


@pytest.fixture
def cut(owner):
    """Cut the connection that a transaction goes over, as a network does."""

    async def terminate(work):
        number = await work.scalar(sa.text("select pg_backend_pid()"))
        async with owner.begin() as connection:
            await connection.execute(sa.text("select pg_terminate_backend(:number, 5000)"), {"number": number})

    return terminate


def test_whoever_is_not_signed_in_is_nobody(as_):
    with pytest.raises(Unauthenticated):
        _ = as_(None).me


async def test_what_is_done_in_the_block_is_kept_and_told_when_it_ends(as_, people, stored, told, hears):
    ctx, job = as_(people.client), make.job(people.client)

    async with hears(JOBS_STREAM), ctx.writing() as work:
        work.add(job)
        work.leave(news(job, ctx))
        assert await stored(job) is None

    assert await stored(job) is not None
    assert await told() == {JOBS_STREAM: [EventKind.JOB_PUBLISHED]}


async def test_what_goes_wrong_halfway_leaves_nothing_and_rings_nothing(as_, people, stored, told, hears, job):
    ctx, new = as_(people.client), make.job(people.client)

    async with hears(silent=(JOBS_STREAM,)):
        with pytest.raises(Stopped):
            async with ctx.writing() as work:
                work.add(new)
                work.leave(news(new, ctx))
                (await work.get_one(Job, job.id)).title = "Changed"
                await work.flush()
                raise Stopped

    assert await stored(new) is None
    assert (await stored(job)).title == job.title
    assert await told() == {}


async def test_whoever_is_cancelled_halfway_leaves_nothing_and_rings_nothing(as_, people, stored, told, hears, house):
    ctx, job, reached = as_(people.client), make.job(people.client), asyncio.Event()

    async def write():
        async with ctx.writing() as work:
            work.add(job)
            work.leave(news(job, ctx))
            await work.flush()
            reached.set()
            await work.execute(sa.text("select pg_sleep(60)"))

    async with hears(silent=(JOBS_STREAM,)):
        writer = asyncio.create_task(write())
        await reached.wait()
        writer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writer

    assert await stored(job) is None
    assert await told() == {}
    assert house.database.engine.pool.checkedout() == 0


async def test_whoever_is_cancelled_just_after_the_end_has_still_told(as_, people, stored, told, hears):
    ctx, job = as_(people.client), make.job(people.client)

    async def write():
        async with ctx.writing() as work:
            work.add(job)
            work.leave(news(job, ctx))
            task = asyncio.current_task()
            assert task
            sa.event.listen(work.sync_session, "after_commit", lambda _: task.cancel())

    async with hears(JOBS_STREAM):
        await asyncio.wait([asyncio.create_task(write())])

    assert await stored(job) is not None
    assert await told() == {JOBS_STREAM: [EventKind.JOB_PUBLISHED]}


async def test_numbers_have_no_gaps_whatever_was_rolled_back_between(as_, people, told):
    ctx, job = as_(people.client), make.job(people.client)

    async def write(fails):
        async with ctx.writing() as work:
            work.leave(news(job, ctx), news(job, ctx))
            await work.number_events()
            if fails:
                raise Stopped
            work.events.clear()

    for fails in (False, True, True, False, True, False):
        with pytest.raises(Stopped) if fails else nullcontext():
            await write(fails)

    assert len((await told())[JOBS_STREAM]) == 6


async def test_many_writers_of_the_same_streams_wait_for_each_other_in_one_order(as_, people, told):
    ctx, chance = as_(people.client), random.Random(7)
    jobs = [make.job(people.client) for _ in range(6)]

    async def write():
        told_of = chance.sample(jobs, k=4)
        async with ctx.writing() as work:
            work.leave(*(news(job, ctx, job_stream(job.id)) for job in told_of))

    async with asyncio.TaskGroup() as writers:
        for _ in range(WRITERS):
            writers.create_task(write())

    assert sum(len(kinds) for kinds in (await told()).values()) == WRITERS * 4


async def test_a_number_is_seen_only_after_every_smaller_one(as_, people, house):
    ctx, job = as_(people.client), make.job(people.client)
    seen = [0]

    async def write():
        async with ctx.writing() as work:
            work.leave(news(job, ctx))

    async def watch():
        while seen[-1] < WRITERS:
            async with house.database.reading() as session:
                found = await session.scalars(sa.text("select sequence from events order by sequence"))
                numbers = list(found)
                assert numbers == list(range(1, len(numbers) + 1))
                seen.append(len(numbers))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watch())
        for _ in range(WRITERS):
            tasks.create_task(write())

    assert all(before <= after for before, after in pairwise(seen))


async def test_a_connection_lost_in_the_block_is_busy_and_nothing_was_done(as_, people, stored, told, hears, cut):
    ctx, job = as_(people.client), make.job(people.client)

    async with hears(silent=(JOBS_STREAM,)):
        with pytest.raises(Busy):
            async with ctx.writing() as work:
                await cut(work)
                work.add(job)
                work.leave(news(job, ctx))

    assert await stored(job) is None
    assert await told() == {}


async def test_a_connection_lost_at_the_commit_leaves_the_outcome_open(as_, people, cut):
    job = make.job(people.client)

    with pytest.raises(OutcomeUnknown):
        async with as_(people.client).writing() as work:
            work.add(job)
            await work.flush()
            await cut(work)


async def test_a_read_over_a_lost_connection_is_asked_again(as_, house, job, cut):
    # The pool hands out the connection that was given back last.
    async with house.database.reading() as session:
        await cut(session)

    assert await as_(None).loaders.one(loaders.jobs.by_id, job.id) is not None


async def test_a_lock_that_is_not_got_in_time_is_busy(as_, people, house, job):
    async with house.database.writing() as other:
        await other.get(Job, job.id, with_for_update=True)

        with pytest.raises(Busy):
            async with as_(people.client).writing() as work:
                await work.execute(sa.text("set local lock_timeout = '20ms'"))
                await work.get(Job, job.id, with_for_update=True)


async def test_a_deadlock_is_busy_for_one_and_nothing_for_the_other(as_, people, keep):
    one, other = await keep(make.job(people.client), make.job(people.client))
    both_hold = asyncio.Barrier(2)

    async def write(first, second):
        async with as_(people.client).writing() as work:
            await work.get(Job, first.id, with_for_update=True)
            await both_hold.wait()
            await work.get(Job, second.id, with_for_update=True)

    answers = await asyncio.gather(write(one, other), write(other, one), return_exceptions=True)

    assert sorted(map(type, answers), key=str) == sorted([Busy, type(None)], key=str)


async def test_a_database_that_is_away_is_busy(as_, people, house):
    # Port 1 is nobody's.
    engine = create_async_engine(house.database.engine.url.set(port=1))
    ctx = replace(as_(people.client), transactions=async_sessionmaker(engine, class_=UnitOfWork))

    with pytest.raises(Busy):
        async with ctx.writing() as work:
            await work.scalar(sa.select(1))
    await engine.dispose()


async def test_when_no_connection_comes_free_it_is_busy(as_, people, house):
    engine = create_async_engine(house.database.engine.url, pool_size=1, max_overflow=0, pool_timeout=0.02)
    ctx = replace(as_(people.client), transactions=async_sessionmaker(engine, class_=UnitOfWork))

    async with engine.connect():
        with pytest.raises(Busy):
            async with ctx.writing() as work:
                await work.scalar(sa.select(1))
    await engine.dispose()


async def test_a_broken_constraint_that_no_rule_names_is_a_bug_and_stays_one(as_, people):
    nobody = make.job(people.client)
    nobody.client_id = uuid7()

    with pytest.raises(IntegrityError):
        async with as_(people.client).writing() as work:
            work.add(nobody)


async def test_after_the_block_everything_is_read_anew(as_, people, job):
    ctx = as_(people.client)
    before = await ctx.loaders.one(loaders.jobs.by_id, job.id)

    async with ctx.writing() as work:
        (await work.get_one(Job, job.id)).state = JobState.CLOSED

    after = await ctx.loaders.one(loaders.jobs.by_id, job.id)
    assert before is not None
    assert after is not None
    assert (before.state, after.state) == (JobState.OPEN, JobState.CLOSED)


async def test_a_block_without_news_numbers_nothing(as_, people, house):
    async with as_(people.client).writing() as work:
        await loaders.accounts.lock(work, people.client.id)

    async with house.database.reading() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(StreamHead)) == 0
