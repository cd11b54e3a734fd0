"""Valid rows, until a test says otherwise; cut by noun."""

from tests.make.accounts import People, account, admin, client, freelancer, people, profiles
from tests.make.connects import connects, key
from tests.make.contracts import contract, milestone, request, termination
from tests.make.control import OPERATOR, control, control_message, server_node
from tests.make.jobs import CATEGORY_ID, HOURLY, SKILL_IDS, invitation, job, job_words
from tests.make.ledger import give
from tests.make.machines import keeper, machine
from tests.make.media import upload
from tests.make.payments import paid, payment
from tests.make.proposals import proposal, proposal_words
from tests.make.transfers import transfer, transfer_words

__all__ = [
    "CATEGORY_ID",
    "HOURLY",
    "OPERATOR",
    "SKILL_IDS",
    "People",
    "account",
    "admin",
    "client",
    "connects",
    "contract",
    "control",
    "control_message",
    "freelancer",
    "give",
    "invitation",
    "job",
    "job_words",
    "keeper",
    "key",
    "machine",
    "milestone",
    "paid",
    "payment",
    "people",
    "profiles",
    "proposal",
    "proposal_words",
    "request",
    "server_node",
    "termination",
    "transfer",
    "transfer_words",
    "upload",
]
