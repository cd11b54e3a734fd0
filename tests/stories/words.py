"""What people say of jobs and offers when nothing is wrong with it."""

from typing import Any

from tests.make import CATEGORY_ID, SKILL_IDS
from tests.stories.people import Person

CATEGORY = f"category_{CATEGORY_ID.hex}"
SKILLS = [f"skill_{skill.hex}" for skill in SKILL_IDS]

JOB: dict[str, Any] = {
    "title": "Build a shop",
    "description": "A small shop, with a checkout.",
    "categoryId": CATEGORY,
    "skillIds": SKILLS[:2],
    "experience": "INTERMEDIATE",
    "duration": "ONE_TO_THREE_MONTHS",
    "budget": {"fixed": {"amount": "1000.00"}},
}


def offer(cover: str = "I have done this before.", amounts: tuple[str, ...] = ("300.00", "700.00")) -> dict[str, Any]:
    """What a freelancer says who asks a thousand dollars."""
    milestones = [{"description": f"Part {at}", "amount": {"amount": amount}} for at, amount in enumerate(amounts)]
    return {
        "coverLetter": cover,
        "duration": "LESS_THAN_A_MONTH",
        "bid": {"amount": "1000.00"},
        "milestones": milestones,
    }


async def published(client: Person, **words: Any) -> str:
    """The id of a job that is open."""
    job = await client.does("createJob", **JOB | words)
    await client.does("publishJob", jobId=job["id"])
    job_id: str = job["id"]
    return job_id
