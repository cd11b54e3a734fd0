"""How many statements a nested question takes: as many as its shape says, however many rows there are, or just one."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from models.accounts import ItemKind, ItemWords, ProfileItem
from models.jobs import JobSkill
from models.proposals import ProposalMilestone
from ops.transport.asked import Asked
from ops.transport.operations import Operations
from schema.limits import Limits
from schema.root import build
from schema.scalars import id_of
from tests import make
from tests.loaders.counting import statements

SIZES = (1, 5, 40)


@pytest.fixture(scope="module")
def unlimited():
    return Operations(build(), replace(Limits(), cost=10**9))


@pytest.fixture
def ask_counting(house, unlimited):
    """Ask, and say how many statements it took; nothing may go wrong."""

    async def run(viewer: Any, text: str, **variables: Any) -> tuple[Any, int]:
        operation = unlimited.prepare(Asked(text, variables, None, {}))
        with statements(house) as sent:
            answer = await unlimited.run(operation, house.context(viewer), compiled=False)
        assert "errors" not in answer, answer
        with statements(house) as sent_at_once:
            compiled = await unlimited.run(operation, house.context(viewer))
        assert orjson.dumps(compiled) == orjson.dumps(answer)
        assert len(sent_at_once) == 1
        return answer["data"], len(sent)

    return run


class Market:
    """So many jobs; and on the first of them so many offers, and so many contracts of one freelancer."""

    def __init__(self, size: int, people: make.People) -> None:
        self.people = people
        self.jobs = [make.job(people.client if at % 2 else people.other_client) for at in range(size)]
        self.freelancers = [make.freelancer(f"F{at}") for at in range(size)]
        self.popular = make.job(people.client)
        self.offers = [make.proposal(self.popular, one) for one in self.freelancers]
        self.mine = [make.proposal(job, people.freelancer) for job in self.jobs]
        self.contracts = [make.contract(job, offer) for job, offer in zip(self.jobs, self.mine, strict=True)]
        self.milestones = [
            make.milestone(contract, position=position) for contract in self.contracts for position in range(2)
        ]

    async def open(self, keep: Any) -> "Market":
        """Put all of it into the database."""
        profiles = [profile for one in self.freelancers for profile in make.profiles(one)]
        items = [
            ProfileItem(freelancer_id=one.id, kind=ItemKind.EDUCATION, **vars(ItemWords("Master")))
            for one in self.freelancers
        ]
        await keep(*self.freelancers, *profiles)
        await keep(*items, *self.jobs, self.popular, *self.offers, *self.mine)
        skills = [JobSkill(job_id=job.id, skill_id=skill) for job in self.jobs for skill in make.SKILL_IDS[:3]]
        parts = [part for offer in self.offers for part in ProposalMilestone.of(offer, make.proposal_words())]
        await keep(*skills, *parts, *self.contracts, *self.milestones)
        return self


@pytest.fixture(params=SIZES)
async def market(request, keep, people):
    return await Market(request.param, people).open(keep)


JOBS = """
{
  jobs(first: 100) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      title
      client { companyName } category { name } skills { name }
      proposalCount bidRange { low { amount } high { amount } } budget { amount { amount } } availableActions
    }
  }
}
"""
"""The page, its count, and one for each of: clients, categories, skills, proposal counts, bid ranges; for freelancers,
their own live proposals."""

OFFERS = """
query ($id: ID!) {
  job(id: $id) {
    title
    proposals(first: 100) {
      totalCount
      nodes {
        coverLetter availableActions isShortlisted
        freelancer { fullName items { title } }
        milestones { description amount { amount } } attachments { name } contract { id }
        job { client { companyName } }
      }
    }
  }
}
"""
"""The job, the page, its count, freelancers, items, milestones, attachments, contracts, clients."""

CONTRACTS = """
{
  viewer {
    account { email freelancer { fullName } }
    contracts(first: 100) {
      nodes {
        title
        client { companyName } freelancer { fullName items { title } }
        job { title skills { name } proposalCount } proposal { coverLetter milestones { description } }
        milestones { description availableActions contract { title } }
      }
    }
  }
}
"""
"""Her profile (twice in the answer, once in the statements), the page, clients, items, jobs, skills, proposal counts,
proposals, their milestones, milestones, and their contracts."""

NODES = """
query ($ids: [ID!]!) {
  nodes(ids: $ids) {
    id
    ... on Job { title category { name } }
    ... on Proposal { coverLetter freelancer { fullName } }
    ... on Contract { title client { companyName } }
    ... on Freelancer { items { title } }
  }
}
"""
"""Jobs, proposals, contracts, freelancers, categories, clients, items; the freelancers of proposals are asked for one
level deeper than those named by id."""


async def test_a_page_of_jobs_with_all_that_is_shown_of_them(market, ask_counting):
    data, count = await ask_counting(None, JOBS)

    assert len(data["jobs"]["nodes"]) == len(market.jobs) + 1
    assert count == 7


async def test_the_offers_on_a_job_with_all_that_hangs_on_them(market, ask_counting):
    data, count = await ask_counting(market.people.client, OFFERS, id=id_of(market.popular))

    assert len(data["job"]["proposals"]["nodes"]) == len(market.offers)
    assert all(len(node["milestones"]) == 2 for node in data["job"]["proposals"]["nodes"])
    assert count == 9


async def test_the_contracts_of_somebody_with_all_around_them(market, ask_counting):
    data, count = await ask_counting(market.people.freelancer, CONTRACTS)

    assert len(data["viewer"]["contracts"]["nodes"]) == len(market.contracts)
    assert count == 11


async def test_nodes_of_many_kinds(market, ask_counting):
    ids: list[str] = [id_of(one) for kind in (market.jobs, market.mine, market.contracts) for one in kind[:25]]
    ids += [f"freelancer_{one.id.hex}" for one in market.freelancers[:25]]

    data, count = await ask_counting(market.people.freelancer, NODES, ids=ids)

    assert [node["id"] for node in data["nodes"]] == ids
    assert count == 8


async def test_each_place_where_a_list_is_asked_for_differently_is_one_statement(market, ask_counting):
    text = """
    {
      jobs(first: 100) {
        nodes {
          two: proposals(first: 2) { nodes { id } }
          last: proposals(last: 1) { nodes { id } }
          again: proposals(first: 2) { nodes { id } }
        }
      }
    }
    """

    _, count = await ask_counting(market.people.client, text)

    assert count == 3


async def test_what_nobody_asks_for_is_not_read(market, ask_counting):
    _, count = await ask_counting(market.people.client, "{ jobs { __typename } viewer { account { email } } }")

    assert count == 1


async def test_what_a_caller_may_not_see_costs_no_more(market, ask_counting):
    _, seen = await ask_counting(market.people.client, OFFERS, id=id_of(market.popular))
    _, unseen = await ask_counting(market.people.other_freelancer, OFFERS, id=id_of(market.popular))

    assert unseen <= seen
