"""How what happens under a contract is written down and told, and how its money moves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import loaders.contracts
import loaders.ledger
import models.payments
import resolvers.payments
from loaders.work import UnitOfWork
from models.accounts import Account
from models.activity import Event, EventKind, account_stream, contract_stream
from models.contracts import Change, Contract, ContractState, Milestone
from models.ledger import Journal, LedgerAccount
from models.payments import ESCROW, FEES, FUNDS, PENDING, Charge, Payment
from resolvers.context import Context


def tell(work: UnitOfWork, contract: Contract, *changes: Change) -> None:
    """Write changes into the contract's history, and tell its followers and whichever party did not do it herself."""
    work.add_all(changes)
    others = {contract.client_id: contract.freelancer_id, contract.freelancer_id: contract.client_id}
    for change in changes:
        by = change.actor_id
        told = [others[by]] if by in others else list(others)
        streams = [contract_stream(contract.id), *map(account_stream, told)]
        work.leave(*(_news(stream, change) for stream in streams))


def _news(stream: str, change: Change) -> Event:
    is_of_milestone = change.milestone_id is not None
    return Event(
        stream=stream,
        kind=EventKind(change.kind.value),
        subject=Milestone.noun if is_of_milestone else Contract.noun,
        subject_id=change.milestone_id or change.contract_id,
        actor_id=change.actor_id,
        at=change.at,
    )


@dataclass
class Till:
    """What one step under a contract moves: gathered, and then posted together, all or nothing."""

    ctx: Context
    work: UnitOfWork
    contract: Contract
    funds: LedgerAccount
    escrow: LedgerAccount
    pending: LedgerAccount
    fees: LedgerAccount
    journals: list[Journal] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)

    @classmethod
    async def open(cls, ctx: Context, work: UnitOfWork, contract: Contract) -> "Till":
        """Find the accounts that the money of a held contract moves between."""
        currency = contract.currency.value
        keys = (
            FUNDS.of(contract.client_id, currency),
            ESCROW.of(contract.id, currency),
            PENDING.of(contract.freelancer_id, currency),
            FEES.of(None, currency),
        )
        funds, escrow, pending, fees = await loaders.ledger.accounts(work, *keys, at=ctx.now())
        return cls(ctx, work, contract, funds, escrow, pending, fees)

    def fund(self, milestone: Milestone, cents: int) -> None:
        """Put money aside for a milestone."""
        moved = models.payments.fund(milestone, cents, funds=self.funds, escrow=self.escrow, at=self.ctx.now())
        self.journals.append(moved)

    def give_back(self, milestones: Sequence[Milestone], by: Account | None) -> list[Change]:
        """Give back to the client what lies in escrow for these milestones and is not owed."""
        changes: list[Change] = []
        for milestone in milestones:
            cents, change = milestone.give_back(self.contract, by, at=self.ctx.now())
            if change is not None:
                moved = models.payments.refund(
                    milestone, cents, escrow=self.escrow, funds=self.funds, at=self.ctx.now()
                )
                self.journals.append(moved)
                changes.append(change)
        return changes

    def settle(self, milestone: Milestone, by: Account | None) -> list[Change]:
        """Pay for an accepted milestone out of escrow, or ask for payment; what is not owed goes back first."""
        changes = self.give_back([milestone], by)
        if milestone.is_covered(self.contract):
            _, paid = self.pay(milestone, by)
            return [*changes, paid]
        request, asked = milestone.request_payment(self.contract, by, at=self.ctx.now())
        self.work.add(request)
        return [*changes, asked]

    def pay(self, milestone: Milestone, by: Account | None) -> tuple[Payment, Change]:
        """Pay for an accepted milestone: out of escrow, and the rest out of the client's funds."""
        assert milestone.accepted_cents is not None
        charge = self.contract.charge(milestone.accepted_cents)
        used, change = milestone.pay(self.contract, by, at=self.ctx.now())
        sources = [(self.escrow, used), (self.funds, charge.gross - used)]
        return self.release("RELEASE", charge, sources, milestone_id=milestone.id), change

    def thank(self, payment_id: UUID, charge: Charge, note: str | None) -> Payment:
        """Pay a bonus out of the client's funds."""
        return self.release("BONUS", charge, [(self.funds, charge.gross)], note=note, payment_id=payment_id)

    def release(
        self,
        kind: str,
        charge: Charge,
        sources: list[tuple[LedgerAccount, int]],
        *,
        milestone_id: UUID | None = None,
        note: str | None = None,
        payment_id: UUID | None = None,
    ) -> Payment:
        """Let the freelancer have what was agreed, and the house its fees."""
        now = self.ctx.now()
        payment = self.contract.payment(charge, milestone_id=milestone_id, note=note, at=now, config=self.ctx.config)
        payment.id = payment_id or payment.id
        moved = models.payments.pay(
            kind, payment, charge, sources=sources, pending=self.pending, fees=self.fees, at=now
        )
        payment.journal_id = moved.id
        self.journals.append(moved)
        self.payments.append(payment)
        return payment

    async def close(self) -> None:
        """Post everything; `InsufficientFunds` when the client has not enough."""
        if not self.journals:
            return
        await loaders.ledger.post(self.work, *self.journals)
        self.work.add_all(self.payments)
        told = [self.contract.client_id, self.contract.freelancer_id] if self.payments else [self.contract.client_id]
        resolvers.payments.tell_wallets(self.ctx, self.work, *told)


async def conclude(
    ctx: Context, work: UnitOfWork, contract: Contract, milestones: Sequence[Milestone], by: Account | None
) -> list[Change]:
    """Let an active contract be over when all of its milestones are settled."""
    if contract.state is not ContractState.ACTIVE or not all(milestone.is_settled for milestone in milestones):
        return []
    return [contract.complete(by, at=ctx.now()), *await lapse_requests(ctx, work, contract)]


async def lapse_requests(ctx: Context, work: UnitOfWork, contract: Contract) -> list[Change]:
    """Let open requests to end a contract be, when it is over."""
    found = await loaders.contracts.lock_open_terminations(work, contract)
    return [request.lapse(contract, at=ctx.now()) for request in found]
