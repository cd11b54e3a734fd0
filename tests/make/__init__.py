"""Valid rows, until a test says otherwise; cut by noun."""

from tests.make.accounts import People, account, admin, client, freelancer, people, profiles
from tests.make.contracts import contract, milestone
from tests.make.jobs import CATEGORY_ID, HOURLY, SKILL_IDS, job, job_words
from tests.make.ledger import give
from tests.make.media import upload
from tests.make.payments import payment
from tests.make.proposals import proposal, proposal_words
from tests.make.transfers import transfer, transfer_words

__all__ = [
    "CATEGORY_ID",
    "HOURLY",
    "SKILL_IDS",
    "People",
    "account",
    "admin",
    "client",
    "contract",
    "freelancer",
    "give",
    "job",
    "job_words",
    "milestone",
    "payment",
    "people",
    "profiles",
    "proposal",
    "proposal_words",
    "transfer",
    "transfer_words",
    "upload",
]
