"""What is kept, refused and announced of work agreed upon."""

import asyncio

import pytest

import resolvers.contracts
from models.activity import EventKind, account_stream, contract_stream
from models.contracts import ContractNotActive, ContractState, Milestone, MilestoneNotOpen, MilestoneState
from models.errors import Forbidden, NotFound, Unauthenticated
from tests import make


@pytest.fixture
async def contract(keep, people):
    job = make.job(people.client)
    proposal = make.proposal(job, people.freelancer)
    contract = make.contract(job, proposal)
    await keep(job, proposal, contract)
    return contract


@pytest.fixture
async def milestone(keep, contract):
    return await keep(make.milestone(contract))


async def test_work_on_a_milestone_begins(milestone, as_, people, stored):
    await resolvers.contracts.start(as_(people.freelancer), milestone_id=milestone.id)

    kept = await stored(milestone)
    assert (kept.state, kept.version) == (MilestoneState.IN_PROGRESS, 2)
    assert kept.started_at is not None


async def test_milestones_begin_one_by_one(contract, milestone, as_, keep, people, stored):
    other = await keep(make.milestone(contract, position=1))

    await resolvers.contracts.start(as_(people.freelancer), milestone_id=other.id)

    assert (await stored(milestone)).state is MilestoneState.OPEN


async def test_the_beginning_is_told_to_the_parties(contract, milestone, as_, people, told, hears):
    streams = contract_stream(contract.id), account_stream(people.client.id)
    async with hears(*streams, silent=(account_stream(people.freelancer.id),)):
        await resolvers.contracts.start(as_(people.freelancer), milestone_id=milestone.id)

    assert await told() == {stream: [EventKind.MILESTONE_STARTED] for stream in streams}


async def test_the_client_does_not_do_the_work(milestone, as_, people, refuses):
    for wrong in (people.client, people.admin):
        async with refuses(Forbidden):
            await resolvers.contracts.start(as_(wrong), milestone_id=milestone.id)


async def test_strangers_do_not_find_a_milestone(milestone, as_, people, refuses):
    for stranger in (people.other_client, people.other_freelancer):
        async with refuses(NotFound):
            await resolvers.contracts.start(as_(stranger), milestone_id=milestone.id)


async def test_a_milestone_that_is_not_there_is_not_found(contract, as_, people, refuses):
    async with refuses(NotFound):
        await resolvers.contracts.start(as_(people.freelancer), milestone_id=make.milestone(contract).id)


async def test_somebody_has_to_be_signed_in_to_work(milestone, as_, refuses):
    async with refuses(Unauthenticated):
        await resolvers.contracts.start(as_(None), milestone_id=milestone.id)


@pytest.mark.parametrize("state", [state for state in MilestoneState if state is not MilestoneState.OPEN])
async def test_work_on_a_milestone_begins_once(state, contract, as_, keep, people, refuses):
    milestone = await keep(make.milestone(contract, state))

    async with refuses(MilestoneNotOpen):
        await resolvers.contracts.start(as_(people.freelancer), milestone_id=milestone.id)


@pytest.mark.parametrize("state", [ContractState.COMPLETED, ContractState.TERMINATED])
async def test_nothing_begins_on_a_contract_that_is_over(state, as_, keep, people, refuses):
    job = make.job(people.client)
    proposal = make.proposal(job, people.freelancer)
    contract = make.contract(job, proposal, state)
    await keep(job, proposal, contract)
    milestone = await keep(make.milestone(contract))

    async with refuses(ContractNotActive):
        await resolvers.contracts.start(as_(people.freelancer), milestone_id=milestone.id)


async def test_of_many_beginnings_at_once_one_is_the_first(contract, milestone, as_, people, stored, told):
    answers = await asyncio.gather(
        *(resolvers.contracts.start(as_(people.freelancer), milestone_id=milestone.id) for _ in range(10)),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers].count(MilestoneNotOpen) == 9
    assert [type(answer) for answer in answers].count(Milestone) == 1
    assert (await stored(milestone)).version == 2
    streams = contract_stream(contract.id), account_stream(people.client.id)
    assert await told() == {stream: [EventKind.MILESTONE_STARTED] for stream in streams}
