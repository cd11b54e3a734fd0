"""Work agreed upon: the contract, the milestones it is done in, and how it is ended before its time.

contract:     ACTIVE ──► COMPLETED     (its last milestone was paid, or both said that they are done)
                 └─────► TERMINATED    (one party asked for it, the other or an administrator agreed)

milestone:    OPEN ──► IN_PROGRESS ──► IN_REVIEW ──► ACCEPTED ──► PAID
                            ▲              │ changes requested
                            └──────────────┘

termination:  REQUESTED ──► ACCEPTED | REJECTED    (by the other party, or an administrator)
                  ├───────► WITHDRAWN              (by whoever asked for it)
                  └───────► LAPSED                 (the contract was over before)
"""

from models.contracts.agreement import (
    ATTACHMENTS_MAX,
    CONTRACT_STEPS,
    MILESTONES_MAX,
    Actor,
    AlreadyAgreed,
    Change,
    ChangeAttachment,
    ChangeKind,
    Contract,
    ContractAction,
    ContractAttachment,
    ContractNotActive,
    ContractState,
    TooManyAttachments,
    WorkUndecided,
)
from models.contracts.milestones import (
    REVIEW_DAYS,
    STEPS,
    SUBMISSION_ATTACHMENTS_MAX,
    WHILE,
    Acceptance,
    Milestone,
    MilestoneAction,
    MilestoneFunded,
    MilestoneNotInProgress,
    MilestoneNotInReview,
    MilestoneNotOpen,
    MilestoneState,
    MilestoneWords,
    NotFundable,
    NothingToRollTo,
    Rest,
    Submission,
    TooManyMilestones,
)
from models.contracts.terminations import (
    TERMINATION_STEPS,
    Termination,
    TerminationAction,
    TerminationDecided,
    TerminationDecision,
    TerminationRequested,
    TerminationState,
)
from models.contracts.terms import canonical, terms, terms_hash

__all__ = [
    "ATTACHMENTS_MAX",
    "CONTRACT_STEPS",
    "MILESTONES_MAX",
    "REVIEW_DAYS",
    "STEPS",
    "SUBMISSION_ATTACHMENTS_MAX",
    "TERMINATION_STEPS",
    "WHILE",
    "Acceptance",
    "Actor",
    "AlreadyAgreed",
    "Change",
    "ChangeAttachment",
    "ChangeKind",
    "Contract",
    "ContractAction",
    "ContractAttachment",
    "ContractNotActive",
    "ContractState",
    "Milestone",
    "MilestoneAction",
    "MilestoneFunded",
    "MilestoneNotInProgress",
    "MilestoneNotInReview",
    "MilestoneNotOpen",
    "MilestoneState",
    "MilestoneWords",
    "NotFundable",
    "NothingToRollTo",
    "Rest",
    "Submission",
    "Termination",
    "TerminationAction",
    "TerminationDecided",
    "TerminationDecision",
    "TerminationRequested",
    "TerminationState",
    "TooManyAttachments",
    "TooManyMilestones",
    "WorkUndecided",
    "canonical",
    "terms",
    "terms_hash",
]
