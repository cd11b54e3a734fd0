"""The life of one job: each deed goes through the rules and leaves the events that its resolver would leave."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import models.payments
from models.accounts import Account
from models.activity import (
    JOBS_STREAM,
    EventKind,
    account_stream,
    contract_stream,
    job_stream,
    proposal_stream,
    wallet_stream,
)
from models.base import Identified, uuid7
from models.contracts import (
    Acceptance,
    Change,
    Contract,
    Milestone,
    MilestoneState,
    Submission,
    Termination,
    TerminationDecision,
)
from models.jobs import Invitation, Job, JobSkill, JobWords
from models.ledger import AccountKind, LedgerAccount
from models.payments import EARNINGS, ESCROW, FEES, FUNDS, PENDING, RAIL, Payment, Wallet
from models.proposals import (
    Proposal,
    ProposalAttachment,
    ProposalMilestone,
    ProposalPart,
    ProposalState,
    ProposalWords,
)
from models.transfers import Answer, Outcome, Transfer, TransferWords
from ops.demo.cast import Client, Worker
from ops.demo.world import World

METHOD = "sandbox-succeed"
"""Where the money of the demo comes from."""


class Offer:
    """A proposal, its parts as they stand, and who made it."""

    def __init__(self, worker: Worker, proposal: Proposal, words: ProposalWords) -> None:
        self.worker = worker
        self.proposal = proposal
        self.say(words)

    def say(self, words: ProposalWords) -> None:
        """Say it anew: the parts are replaced."""
        self.words = words
        self.milestones = ProposalMilestone.of(self.proposal, words)
        self.attachments = ProposalAttachment.of(self.proposal, words)
        self.said_at: datetime = self.proposal.submitted_at

    @property
    def is_pending(self) -> bool:
        """Whether it can still be decided."""
        return self.proposal.state is ProposalState.PENDING


class Story:
    """A job, its client, and the offers made on it."""

    def __init__(self, world: World, client: Client, words: JobWords, at: datetime) -> None:
        self.world = world
        self.client = client
        self.words = words
        self.job = world.keep(Job.draft(client.account, words, at=at), at)
        for skill_id in words.skill_ids:
            world.keep(JobSkill(job_id=self.job.id, skill_id=skill_id), at)
        self.offers: list[Offer] = []
        self.invited: set[Worker] = set()

    def _tell_job(self, kind: EventKind, by: Account | None, at: datetime, *others: str) -> None:
        streams = (job_stream(self.job.id), *others)
        self.world.tell(streams, kind, self.job, by.id if by else None, at)

    def _tell(self, proposal: Proposal, kind: EventKind, by: Account, at: datetime, *others: str) -> None:
        streams = (job_stream(self.job.id), proposal_stream(self.job.id, proposal.freelancer_id), *others)
        self.world.tell(streams, kind, proposal, by.id, at)

    def publish(self, at: datetime) -> None:
        """Show the job to everybody."""
        self.job.publish(self.client.account, at=at, config=self.world.config)
        self._tell_job(EventKind.JOB_PUBLISHED, self.client.account, at, JOBS_STREAM)

    def edit(self, words: JobWords, at: datetime) -> None:
        """Change what the job says; those with a pending proposal are told."""
        pending = sum(offer.is_pending for offer in self.offers)
        self.job.edit(self.client.account, words, self.job.version, pending=pending)
        self._tell_job(EventKind.JOB_EDITED, self.client.account, at)
        told = sorted(offer.proposal.freelancer_id for offer in self.offers if offer.is_pending)
        streams = [account_stream(freelancer_id) for freelancer_id in told]
        self.world.tell(streams, EventKind.JOB_EDITED, self.job, self.client.account.id, at)

    def renew(self, at: datetime) -> None:
        """Keep the job open for another term."""
        self.job.renew(self.client.account, at=at, config=self.world.config)
        self._tell_job(EventKind.JOB_RENEWED, self.client.account, at)

    def close(self, at: datetime) -> None:
        """Take no more proposals."""
        self.job.close(self.client.account)
        self._tell_job(EventKind.JOB_CLOSED, self.client.account, at)
        self._reject_pending("The job was closed.", self.client.account, at)

    def remove(self, admin: Account, at: datetime) -> None:
        """Let an administrator take the job away."""
        self.job.remove(admin)
        self._tell_job(EventKind.JOB_REMOVED, admin, at, account_stream(self.job.client_id))
        self._reject_pending("The job was removed.", admin, at)

    def warn(self, at: datetime) -> None:
        """Let the house tell the client that time is nearly over."""
        if self.job.warn(at=at, config=self.world.config):
            self._tell_job(EventKind.JOB_EXPIRES_SOON, None, at, account_stream(self.job.client_id))

    def expire(self, at: datetime) -> None:
        """Let time end the job."""
        if self.job.expire(at=at):
            self._tell_job(EventKind.JOB_EXPIRED, None, at, account_stream(self.job.client_id))

    def _reject_pending(self, reason: str, by: Account, at: datetime) -> None:
        for offer in sorted(self.offers, key=lambda offer: offer.proposal.id):
            if offer.is_pending:
                proposal = offer.proposal
                proposal.lose(reason, at=at)
                if self.job.returns_connects:
                    self._pay(proposal, by, at, is_returned=True)
                self._tell(proposal, EventKind.PROPOSAL_REJECTED, by, at, account_stream(proposal.freelancer_id))

    def invite(self, worker: Worker, at: datetime) -> None:
        """Ask somebody for an offer."""
        by = self.client.account
        invitation = Invitation.send(self.job, by, worker.account, count=len(self.invited), at=at)
        self.world.keep(invitation, at)
        self.invited.add(worker)
        streams = (job_stream(self.job.id), account_stream(worker.account.id))
        self.world.tell(streams, EventKind.FREELANCER_INVITED, invitation, by.id, at)

    def _pay(self, proposal: Proposal, by: Account, at: datetime, *, is_returned: bool = False) -> None:
        if proposal.connects_cost:
            self.world.spendings.append((at, proposal, is_returned))
            self.world.tell_wallet(proposal.freelancer_id, by.id, at)

    def submit(self, worker: Worker, words: ProposalWords, at: datetime) -> Offer:
        """Make an offer."""
        invited = worker in self.invited
        proposal = self.world.keep(Proposal.submit(self.job, worker.account, words, at=at, invited=invited), at)
        self._pay(proposal, worker.account, at)
        self._tell(proposal, EventKind.PROPOSAL_SUBMITTED, worker.account, at, account_stream(self.job.client_id))
        offer = Offer(worker, proposal, words)
        self.offers.append(offer)
        return offer

    def edit_offer(self, offer: Offer, words: ProposalWords, at: datetime) -> None:
        """Change an offer."""
        proposal, by = offer.proposal, offer.worker.account
        proposal.edit(self.job, by, words, proposal.version, at=at)
        offer.say(words)
        offer.said_at = at
        self._tell(proposal, EventKind.PROPOSAL_EDITED, by, at)

    def withdraw(self, offer: Offer, at: datetime) -> None:
        """Take an offer back."""
        proposal, by = offer.proposal, offer.worker.account
        proposal.withdraw(self.job, by, at=at)
        self._tell(proposal, EventKind.PROPOSAL_WITHDRAWN, by, at, account_stream(self.job.client_id))

    def reject(self, offer: Offer, reason: str | None, at: datetime) -> None:
        """Say no to an offer."""
        proposal, by = offer.proposal, self.client.account
        proposal.reject(self.job, by, reason, at=at)
        self._tell(proposal, EventKind.PROPOSAL_REJECTED, by, at, account_stream(proposal.freelancer_id))

    def shortlist(self, offer: Offer, at: datetime) -> None:
        """Keep an offer at hand."""
        offer.proposal.shortlist(self.job, self.client.account, on=True)
        self._tell_client(offer, EventKind.PROPOSAL_SHORTLISTED, at)

    def archive(self, offer: Offer, at: datetime) -> None:
        """Put an offer out of sight."""
        offer.proposal.archive(self.job, self.client.account, on=True)
        self._tell_client(offer, EventKind.PROPOSAL_ARCHIVED, at)

    def _tell_client(self, offer: Offer, kind: EventKind, at: datetime) -> None:
        self.world.tell([job_stream(self.job.id)], kind, offer.proposal, self.client.account.id, at)

    def accept(self, offer: Offer, at: datetime) -> "Agreement":
        """Hire somebody."""
        world, by, proposal = self.world, self.client.account, offer.proposal
        proposal.accept(self.job, by, None, at=at)
        contract = world.keep(Contract.begin(self.job, proposal, world.fees_at(at), at=at), at)
        milestones = [world.keep(milestone, at) for milestone in Milestone.of(contract, offer.milestones)]
        mine = account_stream(contract.freelancer_id)
        self._tell(proposal, EventKind.PROPOSAL_ACCEPTED, by, at, mine)
        world.tell((contract_stream(contract.id), mine), EventKind.CONTRACT_STARTED, contract, by.id, at)
        if self.job.is_filled:
            self._tell_job(EventKind.JOB_FILLED, by, at)
            self._reject_pending("Somebody else was hired.", by, at)
        world.keep(contract.begun(by), at)
        return Agreement(world, self.client, offer.worker, contract, milestones)

    def finish(self) -> None:
        """Keep the parts of the offers, now that nobody changes them any more."""
        for offer in self.offers:
            parts: Sequence[ProposalPart] = [*offer.milestones, *offer.attachments]
            for part in parts:
                self.world.keep(part, offer.said_at)


class Agreement:
    """A contract, the work under it, and the money for it."""

    def __init__(
        self, world: World, client: Client, worker: Worker, contract: Contract, milestones: list[Milestone]
    ) -> None:
        self.world = world
        self.client = client.account
        self.worker = worker.account
        self.contract = contract
        self.milestones = milestones

    def _account(self, kind: AccountKind, owner: Identified | None, at: datetime) -> LedgerAccount:
        key = kind.of(owner.id if owner else None, self.contract.currency.value)
        return self.world.books.account(key, at)

    def _tell(self, *changes: Change) -> None:
        """Keep changes and tell them, as the resolvers do."""
        others = {self.client.id: self.worker.id, self.worker.id: self.client.id}
        for change in changes:
            by = change.actor_id
            told = [others[by]] if by in others else list(others)
            streams = [contract_stream(self.contract.id), *map(account_stream, told)]
            about = next((one for one in self.milestones if one.id == change.milestone_id), self.contract)
            self.world.tell(streams, EventKind(change.kind.value), about, by, change.at)
            self.world.keep(change, change.at)

    def _tell_wallets(self, by: Account | None, at: datetime, *owners: Account) -> None:
        for owner in owners:
            wallet: Any = Wallet(id=owner.id)
            told = [wallet_stream(owner.id)]
            self.world.tell(told, EventKind.WALLET_CHANGED, wallet, by.id if by else None, at)

    def deposit(self, cents: int, at: datetime) -> None:
        """Let the client bring money in."""
        words = TransferWords(cents, METHOD, self.contract.currency)
        made = Transfer.deposit(self.client, words, transfer_id=uuid7(), at=at, config=self.world.config)
        transfer = self.world.keep(made, at)
        transfer.hear(Answer(Outcome.SUCCEEDED, f"demo-{transfer.id.hex}"), at=at)
        rail, funds = self._account(RAIL, None, at), self._account(FUNDS, self.client, at)
        moved = models.payments.deposit(transfer, cents, rail=rail, funds=funds, at=at)
        transfer.journal_id = self.world.books.post(moved).id
        self.world.tell([account_stream(self.client.id)], EventKind.TRANSFER_SUCCEEDED, transfer, self.client.id, at)
        self._tell_wallets(self.client, at, self.client)

    def fund(self, milestone: Milestone, at: datetime) -> None:
        """Let the client put money aside."""
        cents, change = milestone.fund(self.contract, self.client, at=at)
        funds, escrow = self._account(FUNDS, self.client, at), self._account(ESCROW, self.contract, at)
        self.world.books.post(models.payments.fund(milestone, cents, funds=funds, escrow=escrow, at=at))
        self._tell_wallets(self.client, at, self.client)
        self._tell(change)

    def start(self, milestone: Milestone, at: datetime) -> None:
        """Let the freelancer begin."""
        self._tell(milestone.start(self.contract, self.worker, at=at))

    def submit(self, milestone: Milestone, message: str, at: datetime) -> None:
        """Let the freelancer hand in."""
        words = Submission(message)
        self._tell(milestone.submit(self.contract, self.worker, words, at=at, config=self.world.config))

    def accept(self, milestone: Milestone, at: datetime) -> None:
        """Let the client accept: what lies in escrow is paid, and what does not is owed."""
        changes = milestone.accept(self.contract, self.client, Acceptance(), self.milestones, at=at)
        if milestone.is_covered(self.contract):
            changes.append(self._pay(milestone, at))
        else:
            request, asked = milestone.request_payment(self.contract, self.client, at=at)
            self.world.keep(request, at)
            changes.append(asked)
        if all(one.is_settled for one in self.milestones):
            changes.append(self.contract.complete(self.client, at=at))
        self._tell(*changes)

    def _pay(self, milestone: Milestone, at: datetime) -> Change:
        config, charge = self.world.config, self.contract.charge(milestone.amount_cents)
        used, change = milestone.pay(self.contract, self.client, at=at)
        made = self.contract.payment(charge, milestone_id=milestone.id, at=at, config=config)
        payment = self.world.keep(made, at)
        escrow, pending = self._account(ESCROW, self.contract, at), self._account(PENDING, self.worker, at)
        fees = self._account(FEES, None, at)
        moved = models.payments.pay(
            "RELEASE", payment, charge, sources=[(escrow, used)], pending=pending, fees=fees, at=at
        )
        payment.journal_id = self.world.books.post(moved).id
        self._tell_wallets(self.client, at, self.client, self.worker)
        if payment.available_at <= self.world.now:
            self._settle(payment)
        return change

    def _settle(self, payment: Payment) -> None:
        """Let some days pass, after which the freelancer may withdraw it."""
        at = payment.settled_at = payment.available_at
        pending, earnings = self._account(PENDING, self.worker, at), self._account(EARNINGS, self.worker, at)
        self.world.books.post(models.payments.settle(payment, pending=pending, earnings=earnings, at=at))
        self._tell_wallets(None, at, self.worker)

    def end_early(self, reason: str, asked_at: datetime, at: datetime) -> None:
        """Let the client ask for the end, and the freelancer agree to it."""
        made, change = Termination.request(self.contract, self.client, reason, has_requested=False, at=asked_at)
        request = self.world.keep(made, asked_at)
        self._tell(change)
        changes = [request.decide(TerminationDecision.ACCEPT, self.contract, self.worker, None, at=at)]
        changes.append(self.contract.terminate(self.worker, at=at))
        funds, escrow = self._account(FUNDS, self.client, at), self._account(ESCROW, self.contract, at)
        for milestone in self.milestones:
            if milestone.state not in {MilestoneState.OPEN, MilestoneState.IN_PROGRESS}:
                continue
            cents, given_back = milestone.give_back(self.contract, self.worker, at=at)
            if given_back is not None:
                moved = models.payments.refund(milestone, cents, escrow=escrow, funds=funds, at=at)
                self.world.books.post(moved)
                self._tell_wallets(self.worker, at, self.client)
                changes.append(given_back)
        self._tell(*changes)
