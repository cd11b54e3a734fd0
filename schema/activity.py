"""What is said of what happens."""

from datetime import datetime

import strawberry

from models.activity import Event, EventKind
from schema.edges import Info
from schema.scalars import Cursor, described

CHANGES = {
    "CONTRACT_STARTED": "A contract began.",
    "MILESTONE_ADDED": "The client added a milestone.",
    "MILESTONE_EDITED": "A milestone says or costs something else.",
    "MILESTONE_FUNDED": "The client put money aside for a milestone.",
    "MILESTONE_STARTED": "The freelancer began to work on a milestone.",
    "MILESTONE_SUBMITTED": "The freelancer handed in a milestone.",
    "CHANGES_REQUESTED": "The client asked for changes of a milestone.",
    "MILESTONE_DECLINED": "The client declined a milestone of a contract that was terminated.",
    "MILESTONE_ACCEPTED": "A milestone was accepted, or a part of it.",
    "MILESTONE_REFUNDED": "What lay aside for a milestone and was not owed went back to the client.",
    "PAYMENT_REQUESTED": "The client owes what was accepted.",
    "PAYMENT_WAIVED": "The freelancer did without a payment.",
    "MILESTONE_PAID": "A milestone was paid.",
    "BONUS_PAID": "The client paid a bonus.",
    "TERMINATION_REQUESTED": "A party asked for the contract to be ended.",
    "TERMINATION_WITHDRAWN": "A party took back that it had asked for the end.",
    "TERMINATION_REJECTED": "The contract is not ended as it was asked for.",
    "TERMINATION_ACCEPTED": "It was agreed to end the contract.",
    "TERMINATION_LAPSED": "The contract was over before a request to end it was decided.",
    "COMPLETION_AGREED": "A party said that it is done.",
    "CONTRACT_COMPLETED": "A contract was completed.",
    "CONTRACT_TERMINATED": "A contract was ended before its time.",
}
"""What happens under contracts, as the history of a contract tells it too."""

described(
    EventKind,
    "What happened.",
    JOB_PUBLISHED="A draft was shown to everybody.",
    JOB_EDITED="What a job says was changed.",
    JOB_CLOSED="A client takes no more proposals.",
    JOB_FILLED="Everybody who was wanted is hired.",
    JOB_EXPIRES_SOON="A job expires in a few days, unless it is renewed.",
    JOB_EXPIRED="A job's time is over.",
    JOB_RENEWED="A job stays open, or is open again.",
    JOB_REMOVED="An administrator took a job away.",
    PROPOSAL_SUBMITTED="A freelancer made a proposal.",
    PROPOSAL_EDITED="A freelancer changed a proposal.",
    PROPOSAL_WITHDRAWN="A freelancer took a proposal back.",
    PROPOSAL_SHORTLISTED="The client keeps a proposal at hand, or no longer; told to the client alone.",
    PROPOSAL_ARCHIVED="The client put a proposal out of sight, or back; told to the client alone.",
    PROPOSAL_REJECTED="The client said no to a proposal, or the job takes no more.",
    PROPOSAL_ACCEPTED="The client accepted a proposal.",
    **CHANGES,
    ATTACHMENT_ADDED="A party put a file with a contract.",
    ATTACHMENT_REMOVED="A party took a file off a contract.",
    CLOCK_ADVANCED="An administrator let time pass in a sandbox.",
    WALLET_CHANGED="Something came into a wallet, left it, or moved in it.",
    TRANSFER_SUCCEEDED="A deposit or a withdrawal went through.",
    TRANSFER_FAILED="A deposit or a withdrawal did not go through.",
    CONTROL_CHANGED="An operator wants something of the running house; told to administrators.",
    CONTROL_ACKNOWLEDGED="A node has made of it what it could; told to administrators.",
    FREELANCER_INVITED="A client invited a freelancer to a job.",
)


@strawberry.interface(description="Something that happened, as a subscription tells it.")
class Happened:
    cursor: Cursor = strawberry.field(description="Its place in the stream of events.")
    at: datetime = strawberry.field(description="When it happened.")
    kind: EventKind = strawberry.field(description="What happened.")


def cursor_of(event: Event, info: Info) -> Cursor:
    """Seal the place of an event in its stream."""
    return Cursor(info.context.seal.close("events", f"{event.stream}@{event.sequence}"))
