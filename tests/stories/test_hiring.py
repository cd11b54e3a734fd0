"""How a job finds its freelancer, and everything that is refused on the way."""

import asyncio
from datetime import UTC, datetime, timedelta

from tests.stories.conftest import Site
from tests.stories.people import CONTRACT, PASSWORD, PROPOSALS, Person
from tests.stories.words import CATEGORY, JOB, SKILLS, offer, published

NOTHING = "0" * 32

FOUND = """
    query Jobs($filter: JobFilter, $first: Int, $after: Cursor) {
        jobs(filter: $filter, first: $first, after: $after) {
            nodes { id title budget { amount { amount } } client { companyName } }
            pageInfo { hasNextPage endCursor }
        }
    }
"""
CONTRACTS = "{ viewer { contracts { nodes { id state job { id state } proposal { id state } } } } }"
SEEN = "query Seen($id: ID!) { job(id: $id) { id state proposalCount proposals { nodes { id } } } }"


async def test_a_client_on_one_server_hires_a_freelancer_on_the_other_and_both_hear_of_it(site: Site):
    clara = await Person.registered(site.a, "CLIENT", name="Clara")
    fritz = await Person.registered(site.b, "FREELANCER", name="Fritz")
    rival = await Person.registered(site.b, "FREELANCER", name="Rival")

    draft = await clara.does("createJob", **JOB | {"experience": "EXPERT", "title": "Restore an organ"})
    assert draft["state"] == "DRAFT"
    assert draft["availableActions"] == ["EDIT", "PUBLISH"]
    job_id = draft["id"]
    assert (await fritz.ask(SEEN, id=job_id))["job"] is None
    opened = await clara.does("publishJob", jobId=job_id)
    assert opened["state"] == "OPEN"

    only = {"categoryId": CATEGORY, "skillIds": SKILLS[:1], "experience": ["EXPERT"], "budgetKind": "FIXED"}
    (found,) = (await fritz.ask(FOUND, filter=only, first=5))["jobs"]["nodes"]
    assert found == {
        "id": job_id,
        "title": "Restore an organ",
        "budget": {"amount": {"amount": "1000.00"}},
        "client": {"companyName": "Clara"},
    }

    losing = await rival.does("submitProposal", jobId=job_id, **offer())
    async with clara.socket() as office, fritz.socket() as desk, rival.socket() as other_desk:
        incoming, rivals_own = office.listen(PROPOSALS, jobId=job_id), other_desk.listen(PROPOSALS, jobId=job_id)
        for ear in (incoming, rivals_own):
            await ear.opened(lambda: rival.does("editProposal", proposalId=losing["id"], **offer("Take me!")))
        for ear in (incoming, rivals_own):
            await ear.hears_up_to(await site.head(ear.stream))

        winning = await fritz.does("submitProposal", jobId=job_id, **offer("I build organs."))
        heard = await incoming.hears()
        assert (heard["kind"], heard["proposal"]["id"]) == ("PROPOSAL_SUBMITTED", winning["id"])
        assert (heard["proposal"]["coverLetter"], heard["proposal"]["isShortlisted"]) == ("I build organs.", False)

        own = desk.listen(PROPOSALS, jobId=job_id)
        await own.opened(lambda: fritz.does("editProposal", proposalId=winning["id"], **offer("I restore organs.")))
        await own.hears_up_to(await site.head(own.stream))
        edits = await incoming.hears_up_to(await site.head(incoming.stream))
        assert {(event["kind"], event["proposal"]["id"]) for event in edits} == {("PROPOSAL_EDITED", winning["id"])}

        kept = await clara.does("shortlistProposal", proposalId=winning["id"])
        assert kept["isShortlisted"] is True
        assert (await incoming.hears())["kind"] == "PROPOSAL_SHORTLISTED"

        contract = await clara.does("acceptProposal", proposalId=winning["id"])
        assert contract["state"] == "ACTIVE"
        assert (contract["freelancerFeeBps"], contract["clientFeeBps"]) == (1000, 500)
        assert [part["amount"]["amount"] for part in contract["milestones"]] == ["300.00", "700.00"]
        accepted, lost = await incoming.hears(), await incoming.hears()
        assert (accepted["kind"], accepted["proposal"]["id"]) == ("PROPOSAL_ACCEPTED", winning["id"])
        assert (lost["kind"], lost["proposal"]["id"]) == ("PROPOSAL_REJECTED", losing["id"])

        # Each freelancer hears what concerns her, and nothing of the shortlist or of the other.
        hired = await own.hears()
        assert (hired["kind"], hired["proposal"]["isShortlisted"]) == ("PROPOSAL_ACCEPTED", None)
        told = await rivals_own.hears()
        assert (told["kind"], told["proposal"]["reason"]) == ("PROPOSAL_REJECTED", "Somebody else was hired.")
        assert [ear.is_silent for ear in (incoming, own, rivals_own)] == [True, True, True]

    for party in (clara, fritz):
        (held,) = (await party.ask(CONTRACTS))["viewer"]["contracts"]["nodes"]
        assert held["id"] == contract["id"]
        assert held["job"] == {"id": job_id, "state": "FILLED"}
        assert held["proposal"] == {"id": winning["id"], "state": "ACCEPTED"}
    assert (await rival.ask(CONTRACTS))["viewer"]["contracts"]["nodes"] == []


async def test_work_that_starts_is_heard_by_both_parties_on_both_servers(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    fritz = await Person.registered(site.b, "FREELANCER")
    amounts = ("50.00",) * 20
    proposal = await fritz.does("submitProposal", jobId=await published(clara), **offer(amounts=amounts))
    contract = await clara.does("acceptProposal", proposalId=proposal["id"])
    left = [part["id"] for part in contract["milestones"]]

    async with clara.socket() as office, fritz.socket() as desk:
        follows = office.listen(CONTRACT, id=contract["id"])
        notes = desk.listen(CONTRACT, id=contract["id"])
        await follows.opened(lambda: fritz.does("startMilestone", milestoneId=left.pop(0)))
        await notes.opened(lambda: fritz.does("startMilestone", milestoneId=left.pop(0)))
        for ear in (follows, notes):
            await ear.hears_up_to(await site.head(ear.stream))

        started = await fritz.does("startMilestone", milestoneId=left.pop(0))
        assert started["state"] == "IN_PROGRESS"
        for ear in (follows, notes):
            event = await ear.hears()
            assert event["kind"] == "MILESTONE_STARTED"
            states = [part["state"] for part in event["contract"]["milestones"]]
            assert states == ["IN_PROGRESS"] * (20 - len(left)) + ["OPEN"] * len(left)


async def test_a_clumsy_client_is_told_every_time_what_is_wrong(site: Site):
    nobody = Person.at(site.a)
    clara = await Person.registered(site.a, "CLIENT")
    other = await Person.registered(site.b, "CLIENT")
    fritz = await Person.registered(site.b, "FREELANCER")

    # Registering.
    wrong = await nobody.refused("register", email="no address", password="short", fullName=" ", roles=["ADMIN"])
    assert wrong["code"] == "BAD_USER_INPUT"
    assert [problem["field"] for problem in wrong["problems"]] == [["email"], ["password"], ["fullName"], ["roles"]]
    taken = {"email": clara.email.upper(), "password": PASSWORD, "fullName": "Clara", "roles": ["CLIENT"]}
    assert await nobody.code("register", **taken) == "EMAIL_TAKEN"

    # Writing a job down.
    assert await nobody.code("createJob", **JOB) == "UNAUTHENTICATED"
    assert await fritz.code("createJob", **JOB) == "NOT_A_CLIENT"
    many_wrongs = {"title": "x", "description": "", "skillIds": [], "freelancersWanted": 0}
    wrong = await clara.refused("createJob", **JOB | many_wrongs)
    fields = [problem["field"] for problem in wrong["problems"]]
    assert fields == [["title"], ["description"], ["skillIds"], ["freelancersWanted"]]
    assert wrong["field"] == ["title"]
    wrong = await clara.refused("createJob", **JOB | {"budget": {"fixed": {"amount": "0.001"}}})
    assert wrong["field"] == ["budget", "fixed", "amount"]
    unknown = {"categoryId": f"category_{NOTHING}", "skillIds": [f"skill_{NOTHING}"]}
    wrong = await clara.refused("createJob", **JOB | unknown)
    assert [problem["field"] for problem in wrong["problems"]] == [["categoryId"], ["skillIds"]]
    assert await clara.code("createJob", **JOB | {"categoryId": SKILLS[0]}) == "BAD_USER_INPUT"
    assert (await clara.ask("{ viewer { jobs { totalCount } } }"))["viewer"]["jobs"]["totalCount"] == 0

    # Publishing it.
    job_id = (await clara.does("createJob", **JOB))["id"]
    assert await nobody.code("publishJob", jobId=job_id) == "UNAUTHENTICATED"
    assert await other.code("publishJob", jobId=job_id) == "NOT_FOUND"
    assert await clara.code("publishJob", jobId=f"job_{NOTHING}") == "NOT_FOUND"
    assert await clara.code("publishJob", jobId="job_17") == "BAD_USER_INPUT"
    assert await clara.code("closeJob", jobId=job_id) == "JOB_CLOSED"
    assert await clara.code("renewJob", jobId=job_id) == "JOB_NOT_RENEWABLE"
    await clara.does("publishJob", jobId=job_id)
    assert await clara.code("publishJob", jobId=job_id) == "JOB_NOT_DRAFT"

    # Changing it.
    assert await other.code("editJob", jobId=job_id, **JOB) == "FORBIDDEN"
    assert await other.code("closeJob", jobId=job_id) == "FORBIDDEN"
    assert await clara.code("removeJob", jobId=job_id) == "FORBIDDEN"
    job = await clara.does("editJob", jobId=job_id, version=2, **JOB | {"title": "Build two shops"})
    stale = await clara.refused("editJob", jobId=job_id, version=2, **JOB)
    assert (stale["code"], stale["field"], stale["retryable"]) == ("STALE", ["version"], False)
    assert stale["current"] == {"__typename": "Job", "id": job_id}
    assert job["version"] == 3

    # Choosing among the proposals.
    proposal_id = (await fritz.does("submitProposal", jobId=job_id, **offer()))["id"]
    for verb in ("acceptProposal", "rejectProposal", "shortlistProposal", "archiveProposal"):
        assert await nobody.code(verb, proposalId=proposal_id) == "UNAUTHENTICATED"
        assert await other.code(verb, proposalId=proposal_id) == "NOT_FOUND"
        assert await fritz.code(verb, proposalId=proposal_id) == "FORBIDDEN"
        assert await clara.code(verb, proposalId=f"proposal_{NOTHING}") == "NOT_FOUND"
        assert await clara.code(verb, proposalId=job_id) == "BAD_USER_INPUT"
    assert await clara.code("rejectProposal", proposalId=proposal_id, reason="x" * 1001) == "BAD_USER_INPUT"
    assert await clara.code("editProposal", proposalId=proposal_id, **offer()) == "FORBIDDEN"
    assert await clara.code("withdrawProposal", proposalId=proposal_id) == "FORBIDDEN"
    contract = await clara.does("acceptProposal", proposalId=proposal_id)
    assert await clara.code("acceptProposal", proposalId=proposal_id) == "PROPOSAL_DECIDED"
    assert await clara.code("rejectProposal", proposalId=proposal_id) == "PROPOSAL_DECIDED"
    assert await clara.code("shortlistProposal", proposalId=proposal_id) == "PROPOSAL_DECIDED"
    assert await clara.code("editJob", jobId=job_id, **JOB) == "JOB_CLOSED"
    assert await clara.code("closeJob", jobId=job_id) == "JOB_CLOSED"
    assert await clara.code("renewJob", jobId=job_id) == "JOB_NOT_RENEWABLE"

    # Working herself.
    milestone_id = contract["milestones"][0]["id"]
    assert await clara.code("startMilestone", milestoneId=milestone_id) == "FORBIDDEN"
    assert await other.code("startMilestone", milestoneId=milestone_id) == "NOT_FOUND"
    assert (await other.ask("query ($id: ID!) { contract(id: $id) { id } }", id=contract["id"]))["contract"] is None


async def test_a_clumsy_freelancer_is_told_every_time_what_is_wrong(site: Site):
    nobody = Person.at(site.b)
    clara = await Person.registered(site.a, "CLIENT", "FREELANCER")
    fritz = await Person.registered(site.b, "FREELANCER")
    other = await Person.registered(site.a, "FREELANCER")
    draft_id = (await clara.does("createJob", **JOB))["id"]
    job_id = await published(clara)

    # Proposing.
    assert await nobody.code("submitProposal", jobId=job_id, **offer()) == "UNAUTHENTICATED"
    just_client = await Person.registered(site.b, "CLIENT")
    assert await just_client.code("submitProposal", jobId=job_id, **offer()) == "NOT_A_FREELANCER"
    assert await clara.code("submitProposal", jobId=job_id, **offer()) == "OWN_JOB"
    assert await fritz.code("submitProposal", jobId=draft_id, **offer()) == "NOT_FOUND"
    assert await fritz.code("submitProposal", jobId=f"job_{NOTHING}", **offer()) == "NOT_FOUND"
    assert await fritz.code("submitProposal", jobId="nonsense", **offer()) == "BAD_USER_INPUT"

    # With all that can be wrong about it, at once.
    past = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    wrong = await fritz.refused(
        "submitProposal",
        jobId=job_id,
        coverLetter="",
        duration="LESS_THAN_A_MONTH",
        bid={"amount": "100.00"},
        milestones=[{"description": " ", "amount": {"amount": "100.00"}, "dueOn": past}],
        attachments=[{"name": "", "url": "javascript:alert(1)"}],
    )
    assert wrong["code"] == "BAD_USER_INPUT"
    assert [problem["field"] for problem in wrong["problems"]] == [
        ["coverLetter"],
        ["milestones", "0", "description"],
        ["milestones", "0", "dueOn"],
        ["attachments", "0", "name"],
        ["attachments", "0", "url"],
    ]
    unequal = await fritz.refused("submitProposal", jobId=job_id, **offer(amounts=("300.00", "700.01")))
    assert (unequal["field"], unequal["message"]) == (["milestones"], "The milestones do not sum to the bid.")
    assert (await fritz.refused("submitProposal", jobId=job_id, **offer(amounts=())))["field"] == ["milestones"]
    assert (await fritz.ask("{ viewer { proposals { totalCount } } }"))["viewer"]["proposals"]["totalCount"] == 0

    # Having proposed.
    proposal = await fritz.does("submitProposal", jobId=job_id, **offer())
    assert await fritz.on(site.a).code("submitProposal", jobId=job_id, **offer()) == "ALREADY_PROPOSED"
    assert await other.code("editProposal", proposalId=proposal["id"], **offer()) == "NOT_FOUND"
    assert await other.code("withdrawProposal", proposalId=proposal["id"]) == "NOT_FOUND"
    assert await nobody.code("withdrawProposal", proposalId=proposal["id"]) == "UNAUTHENTICATED"
    edited = await fritz.does("editProposal", proposalId=proposal["id"], version=1, **offer("Better."))
    assert edited["version"] == 2
    stale = await fritz.refused("editProposal", proposalId=proposal["id"], version=1, **offer("Worse."))
    assert (stale["code"], stale["current"]) == ("STALE", {"__typename": "Proposal", "id": proposal["id"]})

    # Having taken it back, and proposed again.
    await fritz.does("withdrawProposal", proposalId=proposal["id"])
    assert await fritz.code("withdrawProposal", proposalId=proposal["id"]) == "PROPOSAL_DECIDED"
    assert await fritz.code("editProposal", proposalId=proposal["id"], **offer()) == "PROPOSAL_DECIDED"
    assert await clara.code("acceptProposal", proposalId=proposal["id"]) == "PROPOSAL_DECIDED"
    again = await fritz.does("submitProposal", jobId=job_id, **offer("Once more."))
    contract = await clara.does("acceptProposal", proposalId=again["id"])

    # Being late.
    assert await other.code("submitProposal", jobId=job_id, **offer()) == "JOB_CLOSED"

    # Working.
    milestone_id = contract["milestones"][0]["id"]
    assert await nobody.code("startMilestone", milestoneId=milestone_id) == "UNAUTHENTICATED"
    assert await other.code("startMilestone", milestoneId=milestone_id) == "NOT_FOUND"
    await fritz.does("startMilestone", milestoneId=milestone_id)
    assert await fritz.code("startMilestone", milestoneId=milestone_id) == "MILESTONE_NOT_OPEN"


async def test_of_two_accepts_on_two_servers_at_once_one_makes_the_contract(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    fritz, fanny = [await Person.registered(site.b, "FREELANCER") for _ in range(2)]
    job_id = await published(clara)
    ids = [(await who.does("submitProposal", jobId=job_id, **offer()))["id"] for who in (fritz, fanny)]

    both = await asyncio.gather(
        clara.tries("acceptProposal", proposalId=ids[0]), clara.on(site.b).tries("acceptProposal", proposalId=ids[1])
    )

    assert sorted(answer["__typename"] for answer in both) == ["Contract", "Refused"]
    (no,) = [answer for answer in both if answer["__typename"] == "Refused"]
    assert no["code"] in {"PROPOSAL_DECIDED", "JOB_CLOSED"}
    assert len((await clara.ask(CONTRACTS))["viewer"]["contracts"]["nodes"]) == 1


async def test_pages_of_jobs_leave_nothing_out_and_repeat_nothing_while_others_publish(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    reader = Person.at(site.b)
    only = {"duration": ["MORE_THAN_SIX_MONTHS"], "experience": ["ENTRY_LEVEL"]}
    words = {"duration": "MORE_THAN_SIX_MONTHS", "experience": "ENTRY_LEVEL"}
    before = [await published(clara, **words) for _ in range(7)]

    seen: list[str] = []
    after, more = None, True
    while more:
        page = (await reader.ask(FOUND, filter=only, first=3, after=after))["jobs"]
        seen += [job["id"] for job in page["nodes"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
        await published(clara, **words)

    assert seen == before[::-1]
    assert await reader.error(FOUND, filter=only, first=3, after="made up") == "BAD_USER_INPUT"
    assert await reader.error(FOUND, filter=only, first=0) == "BAD_USER_INPUT"
    assert await reader.error(FOUND, filter=only, first=101) == "BAD_USER_INPUT"


async def test_a_closed_job_rejects_those_who_wait_and_tells_them(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    fritz = await Person.registered(site.b, "FREELANCER")
    job_id = await published(clara)
    proposal = await fritz.does("submitProposal", jobId=job_id, **offer())

    async with fritz.socket() as desk:
        own = desk.listen(PROPOSALS, jobId=job_id)
        await own.opened(lambda: fritz.does("editProposal", proposalId=proposal["id"], **offer()))
        await own.hears_up_to(await site.head(own.stream))
        await clara.does("closeJob", jobId=job_id)
        event = await own.hears()

    assert (event["kind"], event["proposal"]["reason"]) == ("PROPOSAL_REJECTED", "The job was closed.")
    assert await clara.code("closeJob", jobId=job_id) == "JOB_CLOSED"
    assert await fritz.code("withdrawProposal", proposalId=proposal["id"]) == "PROPOSAL_DECIDED"
