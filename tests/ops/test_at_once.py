"""An offer of somebody who is remembered is written by one statement; it is the offer that it would be otherwise."""

import asyncio
import gc
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta

import asyncpg
import httpx
import orjson
import pytest
import sqlalchemy as sa

import loaders.audit
import loaders.ledger
import resolvers.jobs
import schema.root
from loaders.offering import read, terms_for
from models.accounts import Account, Role, Session
from models.activity import EventKind
from models.base import Audience
from models.config import Config
from models.connects import CURRENCY, SPENT
from models.jobs import Job, JobState
from ops.app import House
from ops.pens import Pens
from ops.transport import GraphQLApp
from resolvers.context import Context, Deed
from tests import make
from tests.loaders.counting import statements
from tests.ops.test_lines import until

SUBMIT = """mutation ($input: SubmitProposalInput!) { submitProposal(input: $input) {
    __typename
    ... on Proposal { state connectsCost coverLetter duration bid { amount currency } version isShortlisted
        milestones { position description amount { amount } dueOn } attachments { name url }
        job { id } freelancer { fullName } }
    ... on Refused { code message field problems { field message } } } }"""
WORDS = {
    "coverLetter": "  I have done this before. ",
    "duration": "LESS_THAN_A_MONTH",
    "bid": {"amount": "1000.00"},
    "milestones": [
        {"description": "Design", "amount": {"amount": "300.00"}, "dueOn": "2099-12-31"},
        {"description": 'Build "it", \\ and {all}', "amount": {"amount": "700.00"}},
    ],
    "attachments": [{"name": "Before, after", "url": "https://example.org/a,b"}],
}
WRITTEN = """
select p.cover_letter, p.duration, p.bid_cents, p.currency, p.connects_cost, p.state, p.shortlisted, p.archived,
    p.reason, p.decided_at, p.version, p.freelancer_id, now() - p.submitted_at < interval '1 minute' as is_submitted,
    (select json_agg((m.position, m.description, m.amount_cents, m.currency, m.due_on) order by m.position)
        from proposal_milestones m where m.proposal_id = p.id) as milestones,
    (select json_agg((a.position, a.name, a.url, a.upload_id)) from proposal_attachments a where a.proposal_id = p.id)
        as attachments,
    (select json_agg((e.stream ~ '^job', e.kind, e.subject, e.actor_id, now() - e.at < interval '1 minute')
        order by e.stream) from events e where e.subject_id = p.id) as events,
    (select json_agg((m.kind, m.amount, m.account_id, m.lot_id, now() - m.at < interval '1 minute'))
        from connects_movements m where m.proposal_id = p.id) as movements,
    (select json_agg((j.kind, j.subject, j.legs, now() - j.at < interval '1 minute', e.position, e.account_id,
        e.amount) order by e.position)
        from journals j join entries e on e.journal_id = j.id where j.subject_id = p.id) as journals,
    (select json_agg((k.account_id, now() - k.used_at < interval '1 minute'))
        from idempotency_keys k where k.subject_id = p.id) as keys
from proposals p where p.job_id = :job_id
"""


@dataclass
class Site:
    """A server, and a freelancer who is signed in there and remembered."""

    house: House
    client: httpx.AsyncClient
    freelancer: Account
    session: Session
    token: str
    deeds: int = 0

    async def post(self, query: str, **variables):
        answer = await self.client.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"authorization": f"Bearer {self.token}"},
        )
        return answer.json()

    async def submit(self, job: Job, key: str | None = None, **words):
        said = WORDS | {"jobId": f"job_{job.id.hex}", "idempotencyKey": key or make.key()} | words
        return await self.post(SUBMIT, input=said)

    async def submit_the_long_way(self, job: Job, key: str | None = None, **words):
        self.house.guests.clear()
        return await self.submit(job, key, **words)

    async def change(self, statement) -> None:
        async with self.house.database.writing.begin() as work:
            await work.execute(statement)

    async def written(self, job: Job):
        async with self.house.database.reading() as session:
            rows = await session.execute(sa.text(WRITTEN), {"job_id": job.id})
            return [row._asdict() for row in rows]

    async def must_be_right(self) -> None:
        async with self.house.database.reading() as session:
            assert (await loaders.audit.audit(session)).wrong is None


async def arrived(house, keep, name: str) -> tuple[Account, Session, str]:
    """Sign in a freelancer who has Connects."""
    freelancer = make.freelancer(name)
    await keep(freelancer, *make.profiles(freelancer))
    await make.connects(house, freelancer, size=100)
    session = await keep(Session.begin(freelancer, address="", agent="", at=house.clock.wall(), config=Config()))
    return freelancer, session, house.keys.issue(freelancer, session, at=house.clock.wall(), seconds=900)


@pytest.fixture
async def site(house, keep, monkeypatch):
    freelancer, session, token = await arrived(house, keep, "Nina")
    # The account of all that is spent is there from the first time on.
    async with house.context().writing() as work:
        await loaders.ledger.accounts(work, SPENT.of(None, CURRENCY), at=house.clock())
    app = GraphQLApp(
        schema.root.build(),
        context_for=house.context_for,
        recall=house.recall,
        recall_to_write=house.recall_to_write,
    )
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://workup.test")
    there = Site(house, client, freelancer, session, token)
    do = Pens.do

    async def counted(self, deed, sequel=None):
        found = await do(self, deed, sequel)
        there.deeds += 1
        return found

    monkeypatch.setattr(Pens, "do", counted)
    async with client:
        # From now on she is remembered.
        await there.post("{ viewer { account { id } } }")
        yield there


@pytest.fixture
async def job(keep, people):
    return await keep(make.job(people.client))


@pytest.fixture
async def crowd(site, keep):
    """Five freelancers who are remembered, each at the same server."""
    found = []
    for number in range(5):
        freelancer, session, token = await arrived(site.house, keep, f"One {number}")
        found.append(replace(site, freelancer=freelancer, session=session, token=token))
        await found[-1].post("{ viewer { account { id } } }")
    return found


async def test_what_surrounds_an_operation_is_gone_when_it_is_over_before_garbage_is_collected(site, job):
    def contexts() -> int:
        return sum(isinstance(one, Context) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = contexts()
        await site.submit(job)
        await site.post("{ viewer { account { id } } }")
        after = contexts()
    finally:
        gc.enable()

    assert site.deeds == 1
    assert after == before


async def test_it_is_the_same_offer_both_ways(site, keep, people, job):
    other = await keep(make.job(people.client))

    short = await site.submit(job)
    assert site.deeds == 1
    long = await site.submit_the_long_way(other)
    assert site.deeds == 1

    assert short["data"]["submitProposal"].pop("job") == {"id": f"job_{job.id.hex}"}
    assert long["data"]["submitProposal"].pop("job") == {"id": f"job_{other.id.hex}"}
    assert short == long
    assert short["data"]["submitProposal"]["connectsCost"] == job.connects_cost > 0
    (a,), (b,) = await site.written(job), await site.written(other)
    assert a == b
    await site.must_be_right()


@pytest.fixture
def strokes(monkeypatch):
    """How many statements were asked of pens, for each time."""
    asked: list[int] = []
    use = Pens._use

    async def counted(self, pen, *statements):
        asked.append(len(statements))
        return await use(self, pen, *statements)

    monkeypatch.setattr(Pens, "_use", counted)
    return asked


@pytest.fixture
def meeting(monkeypatch):
    """Let so many deeds wait for each other; who has come is in the list that is given."""

    def meet(count: int) -> list[Deed]:
        do, all_here, here = Pens.do, asyncio.Event(), list[Deed]()

        async def met(self, wanted, sequel=None):
            here.append(wanted)
            if len(here) == count:
                all_here.set()
            await all_here.wait()
            return await do(self, wanted, sequel)

        monkeypatch.setattr(Pens, "do", met)
        return here

    return meet


async def test_what_many_offer_at_once_is_written_by_one_statement_and_is_what_each_would_have_offered(
    site, crowd, keep, people, job, hears, told, meeting, strokes, monkeypatch
):
    other = await keep(make.job(people.client))
    await keep(make.invitation(job, crowd[0].freelancer))
    meeting(5)

    rung: list[tuple[str, str]] = []
    ring = site.house.hub.ring

    async def noted(channel, payload):
        rung.append((channel, payload))
        await ring(channel, payload)

    monkeypatch.setattr(site.house.hub, "ring", noted)

    async with hears(f"job:{job.id.hex}"):
        together = await asyncio.gather(*(one.submit(job) for one in crowd))
    # The last of the five is the fifth in its job's stream, and each is the first that its freelancer made there.
    ours = [payload for channel, payload in rung if channel == f"job:{job.id.hex}" and payload.isdigit()]
    assert max(map(int, ours)) == 5
    own = [payload for channel, payload in rung if channel.startswith(f"proposal:{job.id.hex}")]
    assert own == ["1"] * 5
    # Who is invited pays nothing, which is another statement.
    assert sorted(strokes) == [2, 5]
    for one in crowd:
        await one.submit_the_long_way(other)
    assert site.deeds == 5

    names = [f"One {number}" for number in range(5)]
    assert [answer["data"]["submitProposal"]["freelancer"]["fullName"] for answer in together] == names
    assert (await told())[f"job:{job.id.hex}"] == [EventKind.PROPOSAL_SUBMITTED] * 5
    mine, its = [sorted(await site.written(one), key=lambda row: row["freelancer_id"]) for one in (job, other)]
    free = crowd[0].freelancer.id
    assert len(mine) == 5
    assert [row for row in mine if row["freelancer_id"] != free] == [row for row in its if row["freelancer_id"] != free]
    await site.must_be_right()


async def test_what_many_are_about_to_offer_on_is_read_by_one_statement_for_each_with_her_own_eyes(
    site, crowd, keep, people, job
):
    """Three of five have terms: one is signed out, and one sees no job there."""
    draft = await keep(make.job(people.client, JobState.DRAFT))
    await keep(make.invitation(job, crowd[0].freelancer))
    await site.change(sa.update(Session).where(Session.id == crowd[3].session.id).values(ended_at=site.house.clock()))
    jobs = [job, job, job, job, draft]
    contexts = [site.house.context(one.freelancer, session_id=one.session.id, is_recalled=True) for one in crowd]
    each = terms_for(Audience.MEMBER)
    keys = [f'{{"key", \\ {number}}}' for number in range(5)]
    bound = [{"job_id": its.id, "key": key} for its, key in zip(jobs, keys, strict=True)]

    with statements(site.house) as asked:
        found = await asyncio.gather(*(ctx.one_of(each, own) for ctx, own in zip(contexts, bound, strict=True)))

    assert asked == [each.text]
    assert found[3:] == [None, None]
    terms = list(map(read, found[:3]))
    assert [read(row).mark for row in found[:3]] == [one.mark for one in terms]
    assert [one.job.id for one in terms] == [job.id] * 3
    assert [one.is_invited for one in terms] == [True, False, False]
    assert len({lot.id for one in terms for lot in one.lots}) == 3


async def test_of_many_offers_at_once_those_that_are_refused_take_nothing_from_the_others(
    site, crowd, keep, people, job, meeting, strokes, monkeypatch
):
    other = await keep(make.job(people.client))
    await crowd[2].submit(other, "mine")
    strokes.clear()
    meeting(3)
    meet, late = Pens.do, crowd[1].freelancer

    async def overtaken(self, wanted, sequel=None):
        if wanted.by == late.id:
            await keep(make.proposal(job, late))
        return await meet(self, wanted, sequel)

    monkeypatch.setattr(Pens, "do", overtaken)

    answers = await asyncio.gather(
        crowd[0].submit(job),
        crowd[1].submit(job),
        crowd[2].submit(job, "mine"),
        crowd[3].submit(job, connectsCost=0),
        crowd[4].submit(job),
    )

    codes = [answer["data"]["submitProposal"].get("code") for answer in answers]
    assert codes == [None, "ALREADY_PROPOSED", "IDEMPOTENCY_KEY_REUSED", "CONNECTS_COST_CHANGED", None]
    # Of two the rules or the first statement know; the third is found by the one that writes.
    assert strokes == [4, 2, 2, 2]
    offered = {row["freelancer_id"] for row in await site.written(job)}
    assert offered == {crowd[number].freelancer.id for number in (0, 1, 4)}
    await site.must_be_right()


async def test_it_is_heard_by_all_who_follow(site, job, people, hears, told):
    async with hears(f"job:{job.id.hex}", f"account:{people.client.id.hex}", f"wallet:{site.freelancer.id.hex}"):
        await site.submit(job)
    assert site.deeds == 1

    assert (await told())[f"job:{job.id.hex}"] == [EventKind.PROPOSAL_SUBMITTED]


async def test_who_is_invited_pays_nothing(site, keep, job):
    await keep(make.invitation(job, site.freelancer))

    answer = await site.submit(job)

    assert site.deeds == 1
    assert answer["data"]["submitProposal"]["connectsCost"] == 0
    (written,) = await site.written(job)
    assert (written["movements"], written["journals"]) == (None, None)


async def test_what_expires_soonest_is_spent_first_and_over_several_lots(site, house, job):
    await site.change(sa.text("update jobs set connects_cost = 16"))
    first, second = [
        (await make.connects(house, site.freelancer, size=size, expires_at=house.clock() + timedelta(days=1)))[0]
        for size in (5, 7)
    ]

    await site.submit(job)

    assert site.deeds == 1
    async with house.database.reading() as session:
        left = dict((await session.execute(sa.text("select id, remaining from lots where size < 1000"))).all())
    assert (left.pop(first.id), left.pop(second.id), list(left.values())) == (0, 0, [96])
    await site.must_be_right()


@pytest.mark.parametrize(
    ("change", "words", "code"),
    [
        ("update jobs set state = 'CLOSED'", {}, "JOB_CLOSED"),
        ("update jobs set state = 'DRAFT'", {}, "NOT_FOUND"),
        ("update jobs set expires_at = now()", {}, "JOB_CLOSED"),
        ("update jobs set connects_cost = 16", {"connectsCost": 15}, "CONNECTS_COST_CHANGED"),
        ("update accounts set suspended_at = now() where roles = '{CLIENT}'", {}, "PARTY_UNAVAILABLE"),
        ("update lots set expires_at = now() + interval '1 second', issued_at = now()", {}, None),
        ("", {"coverLetter": " "}, "BAD_USER_INPUT"),
        ("", {"bid": {"amount": "999.00"}}, "BAD_USER_INPUT"),
        ("", {"bid": {"amount": "NaN"}}, "BAD_USER_INPUT"),
        ("", {"idempotencyKey": ""}, "BAD_USER_INPUT"),
        ("", {"attachments": [{"name": "x", "uploadId": "upload_" + "0" * 32}]}, None),
    ],
)
async def test_whatever_is_refused_is_refused_in_the_same_words(site, job, change, words, code):
    if change:
        await site.change(sa.text(change))

    short = await site.submit(job, **words)
    long = await site.submit_the_long_way(job, **words)

    if code:
        assert short["data"]["submitProposal"]["code"] == code
        assert short == long
        assert site.deeds == 0
    assert len(await site.written(job)) == (site.deeds or 0)


async def test_a_second_offer_on_a_job_is_refused_before_it_comes_in_anybody_s_way(site, job, strokes):
    await site.submit(job)
    strokes.clear()

    again = await site.submit(job)

    assert again["data"]["submitProposal"]["code"] == "ALREADY_PROPOSED"
    assert strokes == []
    assert len(await site.written(job)) == 1
    await site.must_be_right()


async def test_who_has_not_enough_connects_is_told(site, job):
    await site.change(sa.text("update jobs set connects_cost = 101"))

    assert (await site.submit(job))["data"]["submitProposal"]["code"] == "NOT_ENOUGH_CONNECTS"


async def test_a_key_is_good_for_one_offer(site, keep, people, job):
    other = await keep(make.job(people.client))
    first = await site.submit(job, "mine")

    again = await site.submit(job, "mine")
    reused = await site.submit(other, "mine")

    assert again == first | {"extensions": {"replayed": ["mine"]}}
    assert reused["data"]["submitProposal"]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert site.deeds == 1
    await site.must_be_right()


async def test_one_key_twenty_times_at_once_is_one_offer(site, job):
    answers = await asyncio.gather(*(site.submit(job, "mine") for _ in range(20)))

    assert {orjson.dumps(answer["data"]) for answer in answers} == {orjson.dumps(answers[0]["data"])}
    assert sum("extensions" in answer for answer in answers) == 19
    assert len(await site.written(job)) == 1
    await site.must_be_right()


async def test_as_many_offers_at_once_are_paid_for_as_there_are_connects_for(site, keep, people):
    jobs = await keep(*(make.job(people.client) for _ in range(30)))
    await site.change(sa.text("update jobs set connects_cost = 8"))

    answers = await asyncio.gather(*map(site.submit, jobs))

    said = Counter(answer["data"]["submitProposal"].get("code", "made") for answer in answers)
    assert said == {"made": 12, "NOT_ENOUGH_CONNECTS": 18}
    assert site.deeds > 0
    await site.must_be_right()


@pytest.mark.parametrize(
    "end",
    [
        lambda site: sa.update(Session).values(ended_at=site.house.clock.wall()),
        lambda site: sa.update(Account).values(suspended_at=site.house.clock.wall()),
        lambda _: sa.delete(Session),
    ],
    ids=["signed out", "suspended", "forgotten"],
)
async def test_whose_session_ended_does_nothing(site, job, end):
    await site.change(end(site))

    (error,) = (await site.submit(job))["errors"]

    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert await site.written(job) == []


async def test_who_is_no_freelancer_any_more_is_refused(site, job):
    await site.change(sa.update(Account).where(Account.id == site.freelancer.id).values(roles=[Role.CLIENT.value]))

    answer = await site.submit(job)

    assert "Refused" in str(answer) or "errors" in answer
    assert await site.written(job) == []


@pytest.fixture
def meanwhile(monkeypatch):
    """Let something happen between the two statements."""

    def happen(deed):
        do = Pens.do

        async def later(self, wanted, sequel=None):
            await deed()
            return await do(self, wanted, sequel)

        monkeypatch.setattr(Pens, "do", later)

    return happen


async def test_a_job_that_is_closed_meanwhile_gets_no_offer(site, as_, people, job, meanwhile):
    meanwhile(lambda: resolvers.jobs.close(as_(people.client), job_id=job.id))

    answer = await site.submit(job)

    assert answer["data"]["submitProposal"]["code"] == "JOB_CLOSED"
    assert await site.written(job) == []
    await site.must_be_right()


async def test_of_two_offers_on_a_job_that_is_changed_between_them_the_first_is_decided_anew(
    site, crowd, job, meeting, strokes
):
    here = meeting(2)
    first = asyncio.create_task(crowd[0].submit(job))
    await until(lambda: bool(here))
    await site.change(sa.text("update jobs set connects_cost = 3, version = version + 1"))
    second = await crowd[1].submit(job)

    answers = [await first, second]

    assert [answer["data"]["submitProposal"]["connectsCost"] for answer in answers] == [3, 3]
    # Together they are refused, alone the second is not.
    assert (strokes, site.deeds) == ([3, 2, 2], 1)
    await site.must_be_right()


async def test_a_key_that_is_used_meanwhile_is_used_up(site, keep, people, job, meanwhile):
    other = await keep(make.job(people.client))
    # Who pays nothing is held up by nothing else.
    await keep(make.invitation(job, site.freelancer), make.invitation(other, site.freelancer))
    meanwhile(lambda: site.submit_the_long_way(other, "mine"))

    answer = await site.submit(job, "mine")

    assert answer["data"]["submitProposal"]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert await site.written(job) == []
    assert site.deeds == 0


@pytest.mark.parametrize(("cost", "code"), [(40, None), (60, "NOT_ENOUGH_CONNECTS")])
async def test_if_any_connects_are_spent_meanwhile_it_is_decided_anew(site, keep, people, job, meanwhile, cost, code):
    other = await keep(make.job(people.client))
    await site.change(sa.update(Job).values(connects_cost=cost))
    meanwhile(lambda: site.submit_the_long_way(other))

    answer = (await site.submit(job))["data"]["submitProposal"]

    assert (answer.get("code"), answer.get("connectsCost")) == (code, None if code else cost)
    assert site.deeds == 0
    await site.must_be_right()


async def test_whether_it_was_kept_is_not_guessed(site, job, monkeypatch):
    use = Pens._use

    async def lost(self, pen, *asked):
        await use(self, pen, *asked)
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    monkeypatch.setattr(Pens, "_use", lost)
    answer = await site.submit(job, "mine")
    monkeypatch.setattr(Pens, "_use", use)

    assert "OUTCOME_UNKNOWN" in str(answer)
    again = await site.submit(job, "mine")
    assert again["extensions"] == {"replayed": ["mine"]}
    assert len(await site.written(job)) == 1


async def test_both_ways_at_once_with_one_key_make_one_offer_and_nobody_is_turned_away(site, job):
    both = [site.submit(job, "mine") if turn % 2 else site.submit_the_long_way(job, "mine") for turn in range(20)]

    answers = await asyncio.gather(*both)

    assert {orjson.dumps(answer["data"]) for answer in answers} == {orjson.dumps(answers[0]["data"])}
    assert len(await site.written(job)) == 1
    await site.must_be_right()
