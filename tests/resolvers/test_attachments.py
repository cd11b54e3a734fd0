"""Files on profiles, jobs, proposals and contracts: attached once, by their owner, and read by whom they are for."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

import loaders.contracts
import loaders.jobs
import loaders.media
import resolvers.accounts
import resolvers.contracts
import resolvers.jobs
import resolvers.proposals
from models.accounts import Account
from models.contracts import ATTACHMENTS_MAX, ContractAttachment, ContractNotActive, ContractState, TooManyAttachments
from models.errors import Forbidden, NotFound
from models.jobs import JobState
from models.media import (
    Upload,
    UploadGroup,
    UploadInUse,
    UploadNotArrived,
    UploadOfAnotherKind,
    UploadState,
)
from models.proposals import AttachmentWords
from ops.app import House
from resolvers.context import Context
from tests import make

As = Callable[[Account | None], Context]


@pytest.fixture
def state_of(house: House) -> Callable[[Upload], Any]:
    async def read(upload: Upload) -> UploadState:
        async with house.database.reading() as session:
            return (await session.get_one(Upload, upload.id)).state

    return read


async def sees(ctx: Context, upload: Upload) -> bool:
    return await ctx.loaders.one(loaders.media.by_id, upload.id) is not None


# Profiles


async def test_a_new_photo_takes_the_place_of_the_old_one_which_is_let_go(as_, people, keep, state_of):
    old, new = await keep(*(make.upload(people.freelancer, UploadGroup.PHOTOS) for _ in range(2)))
    await resolvers.accounts.set_freelancer_photo(as_(people.freelancer), upload_id=old.id)

    profile = await resolvers.accounts.set_freelancer_photo(as_(people.freelancer), upload_id=new.id)

    assert profile.photo_id == new.id
    assert (await state_of(old), await state_of(new)) == (UploadState.SWEPT, UploadState.KEPT)


async def test_the_same_photo_again_changes_nothing(as_, people, keep, state_of):
    photo = await keep(make.upload(people.client, UploadGroup.PHOTOS))
    for _ in range(2):
        await resolvers.accounts.set_client_photo(as_(people.client), upload_id=photo.id)

    assert await state_of(photo) is UploadState.KEPT


async def test_no_photo_lets_the_old_one_go(as_, people, keep, state_of):
    photo = await keep(make.upload(people.client, UploadGroup.PHOTOS))
    await resolvers.accounts.set_client_photo(as_(people.client), upload_id=photo.id)

    profile = await resolvers.accounts.set_client_photo(as_(people.client), upload_id=None)

    assert profile.photo_id is None
    assert await state_of(photo) is UploadState.SWEPT


async def test_a_photo_that_is_kept_is_everybodys(as_, people, keep):
    photo = await keep(make.upload(people.freelancer, UploadGroup.PHOTOS))
    assert not await sees(as_(people.other_client), photo)

    await resolvers.accounts.set_freelancer_photo(as_(people.freelancer), upload_id=photo.id)

    assert await sees(as_(None), photo)


async def test_a_resume_is_read_by_clients_she_has_a_proposal_with_until_she_withdraws_it(as_, people, keep):
    resume = await keep(make.upload(people.freelancer, UploadGroup.RESUME))
    await resolvers.accounts.set_resume(as_(people.freelancer), upload_id=resume.id)
    job = await keep(make.job(people.client))
    readers = (people.freelancer, people.client, people.other_client, people.other_freelancer, None)
    assert [await sees(as_(reader), resume) for reader in readers] == [True, False, False, False, False]

    proposal = await keep(make.proposal(job, people.freelancer))
    assert [await sees(as_(reader), resume) for reader in readers] == [True, True, False, False, False]

    await resolvers.proposals.withdraw(as_(people.freelancer), proposal_id=proposal.id)
    assert [await sees(as_(reader), resume) for reader in readers] == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("group", "state", "refusal"),
    [
        (UploadGroup.RESUME, UploadState.ARRIVED, UploadOfAnotherKind),
        (UploadGroup.PHOTOS, UploadState.REQUESTED, UploadNotArrived),
        (UploadGroup.PHOTOS, UploadState.KEPT, UploadInUse),
    ],
)
async def test_what_is_no_photo_there_to_be_attached_is_refused(
    group, state, refusal, as_, people, keep, count_rows, state_of
):
    upload = await keep(make.upload(people.client, group, state))
    before = await count_rows()

    with pytest.raises(refusal):
        await resolvers.accounts.set_client_photo(as_(people.client), upload_id=upload.id)

    assert await count_rows() == before
    assert await state_of(upload) is state


async def test_a_strangers_upload_is_not_there_to_be_attached(as_, people, keep):
    photo = await keep(make.upload(people.other_client, UploadGroup.PHOTOS))

    with pytest.raises(NotFound):
        await resolvers.accounts.set_client_photo(as_(people.client), upload_id=photo.id)


# Jobs


async def test_a_job_has_the_attachments_of_its_last_edit_in_order(as_, people, keep, state_of):
    one, other, third = await keep(*(make.upload(people.client) for _ in range(3)))
    words = make.job_words(attachment_ids=[other.id, one.id])
    job = await resolvers.jobs.draft(as_(people.client), words=words)
    assert await named(as_(people.client), job.id) == [other.id, one.id]

    await resolvers.jobs.edit(
        as_(people.client), job_id=job.id, words=make.job_words(attachment_ids=[third.id, one.id]), version=None
    )

    assert await named(as_(people.client), job.id) == [third.id, one.id]
    assert [await state_of(each) for each in (one, other, third)] == [
        UploadState.KEPT,
        UploadState.SWEPT,
        UploadState.KEPT,
    ]


async def named(ctx: Context, job_id: UUID) -> list[UUID]:
    return [upload.id for upload in await ctx.loaders.many(loaders.jobs.attachments, job_id)]


async def test_attachments_are_seen_by_whoever_is_signed_in_and_sees_the_job(as_, people, keep):
    upload = await keep(make.upload(people.client))
    job = await resolvers.jobs.draft(as_(people.client), words=make.job_words(attachment_ids=[upload.id]))
    assert not await sees(as_(people.freelancer), upload)

    await resolvers.jobs.publish(as_(people.client), job_id=job.id)

    assert await sees(as_(people.freelancer), upload)
    assert not await sees(as_(None), upload)


# Proposals


async def test_attachments_of_a_proposal_are_its_freelancers_and_its_clients(as_, people, keep, state_of):
    upload = await keep(make.upload(people.freelancer))
    job = await keep(make.job(people.client))
    words = make.proposal_words(attachments=[AttachmentWords("Plan", upload_id=upload.id)])
    proposal = await resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=words, key=make.key())

    readers = (people.freelancer, people.client, people.other_client, people.other_freelancer)
    assert [await sees(as_(reader), upload) for reader in readers] == [True, True, False, False]

    await resolvers.proposals.edit(
        as_(people.freelancer), proposal_id=proposal.id, words=make.proposal_words(), version=None
    )
    assert await state_of(upload) is UploadState.SWEPT


async def test_an_edit_that_keeps_an_attachment_leaves_it_where_it_is(as_, people, keep, state_of):
    upload = await keep(make.upload(people.freelancer))
    job = await keep(make.job(people.client))
    words = make.proposal_words(attachments=[AttachmentWords("Plan", upload_id=upload.id)])
    proposal = await resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=words, key=make.key())

    await resolvers.proposals.edit(as_(people.freelancer), proposal_id=proposal.id, words=words, version=None)

    assert await state_of(upload) is UploadState.KEPT


async def test_of_two_who_attach_one_upload_at_once_one_is_refused(as_, people, keep):
    upload = await keep(make.upload(people.freelancer))
    jobs = await keep(make.job(people.client), make.job(people.other_client))
    words = make.proposal_words(attachments=[AttachmentWords("Plan", upload_id=upload.id)])

    both = await asyncio.gather(
        *(
            resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=words, key=make.key())
            for job in jobs
        ),
        return_exceptions=True,
    )

    assert [type(answer) for answer in both].count(UploadInUse) == 1


# Contracts


@pytest.fixture
async def contract(people, keep):
    job = await keep(make.job(people.client, JobState.FILLED, hired_count=1))
    proposal = await keep(make.proposal(job, people.freelancer))
    return await keep(make.contract(job, proposal))


async def test_what_either_party_puts_with_a_contract_both_can_read(as_, people, keep, contract):
    uploads = await keep(make.upload(people.client), make.upload(people.freelancer))
    for who, upload in zip((people.client, people.freelancer), uploads, strict=True):
        await resolvers.contracts.attach(as_(who), contract_id=contract.id, upload_id=upload.id)

    for who in (people.client, people.freelancer):
        found = await as_(who).loaders.many(loaders.contracts.attachments, contract.id)
        assert {upload.id for upload in found} == {upload.id for upload in uploads}
    assert not await sees(as_(people.other_client), uploads[0])


async def test_only_whoever_put_it_there_takes_it_off(as_, people, keep, contract, state_of):
    upload = await keep(make.upload(people.client))
    await resolvers.contracts.attach(as_(people.client), contract_id=contract.id, upload_id=upload.id)

    with pytest.raises(Forbidden):
        await resolvers.contracts.detach(as_(people.freelancer), contract_id=contract.id, upload_id=upload.id)
    assert await state_of(upload) is UploadState.KEPT

    await resolvers.contracts.detach(as_(people.client), contract_id=contract.id, upload_id=upload.id)
    assert await state_of(upload) is UploadState.SWEPT
    assert await as_(people.client).loaders.many(loaders.contracts.attachments, contract.id) == []


async def test_a_contract_that_is_over_takes_no_files_and_gives_none_back(as_, people, keep, house, contract):
    there, late = await keep(make.upload(people.client), make.upload(people.client))
    await resolvers.contracts.attach(as_(people.client), contract_id=contract.id, upload_id=there.id)
    async with house.database.writing.begin() as work:
        (await work.merge(contract)).state = ContractState.COMPLETED

    with pytest.raises(ContractNotActive):
        await resolvers.contracts.attach(as_(people.client), contract_id=contract.id, upload_id=late.id)
    with pytest.raises(ContractNotActive):
        await resolvers.contracts.detach(as_(people.client), contract_id=contract.id, upload_id=there.id)


async def test_a_contract_is_no_archive(as_, people, keep, contract, state_of):
    full = await keep(*(make.upload(people.client, state=UploadState.KEPT) for _ in range(ATTACHMENTS_MAX)))
    await keep(
        *(
            ContractAttachment(contract_id=contract.id, upload_id=upload.id, added_at=contract.started_at)
            for upload in full
        )
    )
    upload = await keep(make.upload(people.client))

    with pytest.raises(TooManyAttachments):
        await resolvers.contracts.attach(as_(people.client), contract_id=contract.id, upload_id=upload.id)
    assert await state_of(upload) is UploadState.ARRIVED
