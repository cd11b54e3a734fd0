"""What is done under a contract: worked, looked at, paid, and ended."""

from resolvers.contracts.agreement import add, attach, bonus, changes, complete, detach
from resolvers.contracts.document import address, document
from resolvers.contracts.milestones import (
    accept,
    accept_overdue,
    cancel_request,
    edit,
    fund,
    pay_request,
    request_changes,
    start,
    submit,
)
from resolvers.contracts.terminations import decide, request_termination, withdraw_termination

__all__ = [
    "accept",
    "accept_overdue",
    "add",
    "address",
    "attach",
    "bonus",
    "cancel_request",
    "changes",
    "complete",
    "decide",
    "detach",
    "document",
    "edit",
    "fund",
    "pay_request",
    "request_changes",
    "request_termination",
    "start",
    "submit",
    "withdraw_termination",
]
