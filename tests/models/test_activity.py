"""What happened."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from models.activity import (
    JOBS_STREAM,
    EventKind,
    account_stream,
    contract_stream,
    event,
    job_stream,
    proposal_stream,
)
from tests import make

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = UUID("0195a1b2c3d47e5f8a9b0c1d2e3f4a5b")


def test_an_event_says_what_happened_to_what_by_whom_and_when():
    client = make.client()
    job = make.job(client)

    told = event(job_stream(job.id), EventKind.JOB_PUBLISHED, job, by=client.id, at=AT)

    assert (told.stream, told.kind, told.actor_id, told.at) == (
        f"job:{job.id.hex}",
        EventKind.JOB_PUBLISHED,
        client.id,
        AT,
    )
    assert (told.subject, told.subject_id) == ("job", job.id)


def test_the_subject_of_an_event_is_named_as_in_its_public_id():
    job = make.job(make.client())
    proposal = make.proposal(job, make.freelancer())
    contract = make.contract(job, proposal)
    rows = (job, proposal, contract, make.milestone(contract))

    told = [event("jobs", EventKind.JOB_EDITED, row, by=None, at=AT).subject for row in rows]

    assert told == ["job", "proposal", "contract", "milestone"]


def test_what_the_house_did_itself_was_done_by_nobody():
    assert event("jobs", EventKind.JOB_EXPIRED, make.job(make.client()), by=None, at=AT).actor_id is None


@pytest.mark.parametrize(
    ("stream", "name"),
    [
        (job_stream(KEY), "job:0195a1b2c3d47e5f8a9b0c1d2e3f4a5b"),
        (proposal_stream(KEY, UUID(int=1)), f"proposal:0195a1b2c3d47e5f8a9b0c1d2e3f4a5b:{1:032x}"),
        (contract_stream(KEY), "contract:0195a1b2c3d47e5f8a9b0c1d2e3f4a5b"),
        (account_stream(KEY), "account:0195a1b2c3d47e5f8a9b0c1d2e3f4a5b"),
        (JOBS_STREAM, "jobs"),
    ],
)
def test_streams_are_named_as_the_marketplace_names_them(stream, name):
    assert stream == name
