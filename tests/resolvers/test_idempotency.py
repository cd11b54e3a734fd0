"""Doing a thing once."""

import asyncio
from collections import Counter

import resolvers.idempotency
from models.errors import Forbidden
from models.idempotency import IdempotencyKey, IdempotencyKeyReused, Once
from models.media import Upload
from tests import make

AT_ONCE = 50


async def bring(ctx, key, name="me.pdf", *, fails=False):
    """A verb that makes something new, once."""
    once = Once.of(ctx.me, key, "bring", name)
    async with ctx.writing() as work:
        if first := await resolvers.idempotency.first_answer(ctx, work, once, Upload):
            return first
        made = make.upload(ctx.me)
        made.id = once.subject_id
        work.add(made)
        if fails:
            raise Forbidden
    return made


async def test_a_request_sent_again_is_answered_as_before_and_marked(as_, people, count_rows):
    first = await bring(as_(people.client), "k")
    before = await count_rows()
    again = as_(people.client)

    assert (await bring(again, "k")).id == first.id
    assert again.remarks == {"replayed": ["k"]}
    assert await count_rows() == before


async def test_a_key_stands_for_one_request(as_, people, refuses):
    await bring(as_(people.client), "k")

    async with refuses(IdempotencyKeyReused):
        await bring(as_(people.client), "k", "another.pdf")


async def test_keys_of_different_people_have_nothing_to_do_with_each_other(as_, people):
    mine = await bring(as_(people.client), "k")

    assert (await bring(as_(people.freelancer), "k")).id != mine.id


async def test_a_refusal_does_not_use_up_the_key(as_, people, refuses):
    async with refuses(Forbidden):
        await bring(as_(people.client), "k", fails=True)

    again = as_(people.client)
    await bring(again, "k")
    assert again.remarks == {}


async def test_of_many_at_once_one_does_it_and_all_have_its_answer(as_, people, count_rows):
    before = await count_rows()

    answers = await asyncio.gather(*(bring(as_(people.client), "k") for _ in range(AT_ONCE)))

    assert len({answer.id for answer in answers}) == 1
    after = Counter(await count_rows())
    after.subtract(before)
    assert +after == Counter({"uploads": 1, "idempotency_keys": 1})


async def test_old_keys_are_forgotten(as_, people, stored, clock):
    await bring(as_(people.client), "old")
    clock.advance(days=29)
    await bring(as_(people.client), "young")
    clock.advance(days=2)

    assert await resolvers.idempotency.sweep(as_(None)) == 1
    assert await resolvers.idempotency.sweep(as_(None)) == 0
    assert await stored(IdempotencyKey(account_id=people.client.id, key="old")) is None
    assert await stored(IdempotencyKey(account_id=people.client.id, key="young")) is not None
