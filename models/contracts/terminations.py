"""How a contract is ended before its time: one party asks for it, and somebody else decides."""

import enum
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from models.accounts import Account, Role, check_text
from models.base import named
from models.contracts.agreement import (
    TEXT_MAX,
    Actor,
    Change,
    ChangeKind,
    Contract,
    ContractAction,
    ContractPart,
)
from models.errors import Checks, Conflict, refuses
from models.states import Party, Step, must_be_possible, possible, take


class TerminationState(enum.Enum):
    """What became of a request to end a contract."""

    REQUESTED = "REQUESTED"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"
    LAPSED = "LAPSED"


class TerminationAction(enum.Enum):
    """What may be done with a request to end a contract."""

    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    WITHDRAW = "WITHDRAW"


class TerminationDecision(enum.Enum):
    """How a request to end a contract is decided."""

    ACCEPT = "ACCEPT"
    REJECT = "REJECT"


class TerminationDecided(Conflict):
    """A request is decided once."""

    code = "TERMINATION_DECIDED"
    message = "This request is not open any more."


@refuses("uq_terminations_open")
class TerminationRequested(Conflict):
    """One open request per party."""

    code = "TERMINATION_REQUESTED"
    message = "You have asked for this already; it is not decided yet."


_S = TerminationState
_OPEN = frozenset({_S.REQUESTED})
TERMINATION_STEPS: dict[TerminationAction, Step[TerminationState]] = {
    TerminationAction.ACCEPT: Step(Party.OTHER, _OPEN, _S.ACCEPTED, TerminationDecided),
    TerminationAction.REJECT: Step(Party.OTHER, _OPEN, _S.REJECTED, TerminationDecided),
    TerminationAction.WITHDRAW: Step(Party.OWNER, _OPEN, _S.WITHDRAWN, TerminationDecided),
}
"""Who may do what with a request. The others are the other party of the contract, and administrators."""

LAPSE = Step(Party.SYSTEM, _OPEN, _S.LAPSED, TerminationDecided)
"""What becomes of an open request when the contract is over; nobody may do it."""

_KINDS = {
    TerminationDecision.ACCEPT: ChangeKind.TERMINATION_ACCEPTED,
    TerminationDecision.REJECT: ChangeKind.TERMINATION_REJECTED,
}


class Termination(ContractPart):
    """A party's wish to end a contract before its time."""

    __tablename__ = "terminations"
    __table_args__ = (
        Index(
            "uq_terminations_open",
            "contract_id",
            "requester_id",
            unique=True,
            postgresql_where=text("state = 'REQUESTED'"),
        ),
        Index("ix_terminations_contract_id", "contract_id", "id"),
        CheckConstraint("requester_id <> other_id", name="two_parties"),
        CheckConstraint("(state = 'REQUESTED') = (decided_at is null)", name="decided_at_some_time"),
    )
    noun: ClassVar[str] = "termination"

    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contracts.id"))
    requester_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    other_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    requested_by: Mapped[Actor] = mapped_column(named(Actor))
    reason: Mapped[str]
    state: Mapped[TerminationState] = mapped_column(named(TerminationState))
    answer: Mapped[str | None]
    requested_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]

    @classmethod
    def request(
        cls, contract: Contract, by: Account, reason: str, *, has_requested: bool, at: datetime
    ) -> "tuple[Termination, Change]":
        """Ask for an active contract to be ended, once until it is decided; either party may."""
        contract.must_allow(ContractAction.REQUEST_TERMINATION, by)
        with Checks() as check:
            check_text(check, reason, "reason", TEXT_MAX, least=1)
        if has_requested:
            raise TerminationRequested
        is_client = by.id == contract.client_id
        made = cls(
            contract_id=contract.id,
            requester_id=by.id,
            other_id=contract.freelancer_id if is_client else contract.client_id,
            requested_by=Actor.CLIENT if is_client else Actor.FREELANCER,
            reason=reason.strip(),
            state=TerminationState.REQUESTED,
            requested_at=at,
        )
        return made, made._changed(contract, ChangeKind.TERMINATION_REQUESTED, by, None, at, reason)

    def decide(
        self, decision: TerminationDecision, contract: Contract, by: Account, answer: str | None, *, at: datetime
    ) -> Change:
        """Agree to it, or not: the other party may, or an administrator."""
        step, parties = TERMINATION_STEPS[TerminationAction(decision.value)], self.parties(by)
        must_be_possible(self, step, parties)
        with Checks() as check:
            check_text(check, answer, "answer", TEXT_MAX)
        take(self, step, parties)
        return self._over(contract, _KINDS[decision], by, answer, at)

    def withdraw(self, contract: Contract, by: Account, *, at: datetime) -> Change:
        """Take it back: whoever asked for it may."""
        take(self, TERMINATION_STEPS[TerminationAction.WITHDRAW], self.parties(by))
        return self._over(contract, ChangeKind.TERMINATION_WITHDRAWN, by, None, at)

    def lapse(self, contract: Contract, *, at: datetime) -> Change:
        """Be of no use any more, because the contract is over."""
        take(self, LAPSE, frozenset({Party.SYSTEM}))
        return self._over(contract, ChangeKind.TERMINATION_LAPSED, None, None, at)

    def _over(
        self, contract: Contract, kind: ChangeKind, by: Account | None, answer: str | None, at: datetime
    ) -> Change:
        change = self._changed(contract, kind, by, TerminationState.REQUESTED, at, answer)
        self.answer = change.reason
        self.decided_at = at
        return change

    def _changed(
        self,
        contract: Contract,
        kind: ChangeKind,
        by: Account | None,
        before: TerminationState | None,
        at: datetime,
        reason: str | None,
    ) -> Change:
        return contract.changed(kind, by, at=at, before=before, to=self.state, reason=reason)

    def parties(self, account: Account | None) -> frozenset[Party]:
        """What somebody is to this request."""
        if account is None:
            return frozenset()
        roles = {
            Party.OWNER: self.requester_id == account.id,
            Party.OTHER: self.requester_id != account.id and (self.other_id == account.id or account.has(Role.ADMIN)),
        }
        return frozenset(party for party, holds in roles.items() if holds)

    def actions_for(self, account: Account | None) -> list[TerminationAction]:
        """What somebody may do with it now."""
        return possible(self, TERMINATION_STEPS, self.parties(account))
