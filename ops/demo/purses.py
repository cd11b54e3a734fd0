"""What everybody in the demo has of Connects: given, bought with real deposits, spent on offers, returned and lost."""

from collections.abc import Callable
from datetime import datetime

from models.accounts import Account
from models.activity import EventKind, account_stream
from models.connects import (
    BUNDLES,
    COST_MAX,
    CURRENCY,
    EXPIRED,
    ISSUED,
    LOT,
    SALES,
    SPENT,
    Allowance,
    Lot,
    Moving,
    expire,
    give_back,
    issue,
    sell,
    spend,
)
from models.ledger import Journal
from models.payments import FUNDS, RAIL
from models.proposals import Proposal
from models.transfers import Answer, Outcome, Transfer, TransferWords
from ops.demo.cast import Worker
from ops.demo.world import World

MONEY = "USD"
BUNDLE = BUNDLES[2]
DEPOSIT_CENTS = 25_00
METHOD = "card"


def fill(world: World, workers: list[Worker]) -> None:
    """Let everybody have had what she spent, in the order of time, and have some left for whoever tries the demo."""
    purses = {worker.account.id: Purse(world, worker.account) for worker in workers}
    # What happens at one moment happens in the order in which it was told.
    for at, proposal, is_returned in sorted(world.spendings, key=lambda one: one[0]):
        purse = purses[proposal.freelancer_id]
        (purse.take_back if is_returned else purse.pay)(proposal, at)
    for purse in purses.values():
        purse.stock_up(COST_MAX, world.now)


class Purse:
    """One freelancer's lots, and what moves them."""

    def __init__(self, world: World, account: Account) -> None:
        self._world = world
        self._account = account
        self._lots: list[Lot] = []
        self._funds = 0
        self._paid: dict[Proposal, Journal] = {}
        self._allowance = world.keep(Allowance.begin(account, at=account.created_at), account.created_at)

    def pass_time(self, until: datetime) -> None:
        """Let everything happen that happens by itself: grants, and what expires."""
        while (moment := self._next()[0]) <= until:
            self._next()[1](moment)

    def _next(self) -> tuple[datetime, Callable[[datetime], None]]:
        left = [lot for lot in self._lots if lot.remaining]
        ends = min(left, key=lambda lot: (lot.expires_at, lot.id), default=None)
        if ends is None or self._allowance.next_at < ends.expires_at:
            return self._allowance.next_at, self._grant
        return ends.expires_at, lambda at: self._lose(ends, at)

    def _grant(self, at: datetime) -> None:
        self._issue(self._allowance.give(config=self._world.config), at)

    def _lose(self, lot: Lot, at: datetime) -> None:
        expired = self._world.books.account(EXPIRED.of(None, CURRENCY), at)
        self._move(expire(lot, expired=expired, at=at), at)
        self._world.tell_wallet(self._account.id, None, at)

    def _issue(self, lot: Lot, at: datetime, *, is_bought: bool = False) -> None:
        world, account = self._world, self._account
        world.keep(lot, at)
        if is_bought:
            self._pay_for(lot, at)
        lot.purse = world.books.account(LOT.of(lot.id, CURRENCY), at)
        lot.purse_id = lot.purse.id
        self._lots.append(lot)
        issued = world.books.account(ISSUED.of(None, CURRENCY), at)
        self._move(issue(lot, issued=issued, purse=lot.purse, at=at), at)
        world.tell_wallet(account.id, account.id if is_bought else None, at)

    def _move(self, moving: Moving, at: datetime) -> None:
        self._world.books.post(moving.journal)
        moving.movement.journal_id = moving.journal.id
        self._world.keep(moving.movement, at)
        by_purse = {lot.purse_id: lot for lot in self._lots}
        for entry in moving.journal.entries:
            if entry.account_id in by_purse:
                by_purse[entry.account_id].remaining += entry.amount

    def pay(self, proposal: Proposal, at: datetime) -> None:
        """Pay for an offer; whoever has not enough has bought some just before."""
        self.stock_up(proposal.connects_cost, at)
        spent = self._world.books.account(SPENT.of(None, CURRENCY), at)
        moving = spend(proposal, self._account.id, proposal.connects_cost, self._lots, spent=spent, at=at)
        self._move(moving, at)
        self._paid[proposal] = moving.journal

    def stock_up(self, least: int, at: datetime) -> None:
        """Buy as many as it takes to have so many."""
        self.pass_time(at)
        while sum(lot.remaining for lot in self._lots) < least:
            self._issue(Lot.bundle(self._account, BUNDLE, at=at, config=self._world.config), at, is_bought=True)

    def take_back(self, proposal: Proposal, at: datetime) -> None:
        """Have what an offer cost returned."""
        self.pass_time(at)
        self._move(give_back(self._paid[proposal], self._account.id, at=at), at)

    def _pay_for(self, lot: Lot, at: datetime) -> None:
        world = self._world
        funds, sales = (
            world.books.account(FUNDS.of(self._account.id, MONEY), at),
            world.books.account(SALES.of(None, MONEY), at),
        )
        sale = sell(lot, funds=funds, sales=sales, at=at, config=world.config)
        price = max(entry.amount for entry in sale.entries)
        if self._funds < price:
            self._deposit(at)
        self._funds -= price
        world.books.post(sale)

    def _deposit(self, at: datetime) -> None:
        world, account = self._world, self._account
        words = TransferWords(DEPOSIT_CENTS, METHOD)
        transfer = Transfer.deposit(account, words, transfer_id=account.id, at=at, config=world.config)
        world.keep(transfer, at)
        transfer.hear(Answer(Outcome.SUCCEEDED, reference=f"sandbox-{transfer.id.hex}"), at=at)
        keys = FUNDS.of(account.id, MONEY), RAIL.of(None, MONEY)
        funds, rail = (world.books.account(key, at) for key in keys)
        transfer.journal_id = world.books.post(transfer.journal(purse=funds, rail=rail, at=at)).id
        self._funds += DEPOSIT_CENTS
        world.tell([account_stream(account.id)], EventKind.TRANSFER_SUCCEEDED, transfer, None, at)
        world.tell_wallet(account.id, None, at)
