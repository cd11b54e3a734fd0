"""What is said of the ledger as a whole, to administrators."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import strawberry

import resolvers.audit
from schema.edges import Info, shown

SMALLEST = "in the smallest unit of the currency, such as cents"


def _text(key: UUID | None) -> str | None:
    return None if key is None else str(key)


def _number(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


@strawberry.type(description="The first thing in the ledger that is not right, or does not agree with the rest.")
class LedgerFault:
    problem: str = strawberry.field(description="What is wrong.")
    account_kind: str | None = strawberry.field(description="The kind of the account at fault.")
    position: int | None = strawberry.field(description="Which entry of the journal it is, from 1.")

    @strawberry.field(description="The account at fault, by its key in the ledger.")
    def account(root: Any) -> str | None:
        return _text(root.account_id)

    @strawberry.field(description="Whose account it is: the key of an account, a contract, or a lot.")
    def owner(root: Any) -> str | None:
        return _text(root.owner_id)

    @strawberry.field(description="The journal at fault, by its key in the ledger.")
    def journal(root: Any) -> str | None:
        return _text(root.journal_id)

    @strawberry.field(description=f"What should be there: a number, or an amount {SMALLEST}.")
    def expected(root: Any) -> Decimal | None:
        return _number(root.expected)

    @strawberry.field(description=f"What is there: a number, or an amount {SMALLEST}.")
    def found(root: Any) -> Decimal | None:
        return _number(root.found)


@strawberry.type(description="What an audit looked at, all of it, and what it found.")
class LedgerAudit:
    accounts: int = strawberry.field(description="Accounts.")
    journals: int = strawberry.field(description="Journals.")
    entries: int = strawberry.field(description="Entries.")
    holds: int = strawberry.field(description="Holds, resolved ones too.")
    wrong: LedgerFault | None = strawberry.field(description="The first thing that is wrong; nothing if all is right.")


@strawberry.type(description="What all accounts of a kind have together.")
class LedgerKindTotal:
    kind: str = strawberry.field(description="The kind.")
    accounts: int = strawberry.field(description="How many accounts of it there are.")

    @strawberry.field(description=f"Their balances together, {SMALLEST}.")
    def balance(root: Any) -> Decimal:
        return Decimal(root.balance)

    @strawberry.field(description=f"What is held of them, {SMALLEST}.")
    def held(root: Any) -> Decimal:
        return Decimal(root.held)


@strawberry.type(description="What there is of a currency, and where.")
class LedgerTotal:
    currency: str = strawberry.field(description="The currency: an ISO 4217 code, or CNX for Connects.")
    kinds: list[LedgerKindTotal] = strawberry.field(description="The kinds of accounts that have any, or had.")

    @strawberry.field(description="All balances together: zero, at any moment.")
    def balance(root: Any) -> Decimal:
        return Decimal(root.balance)


@strawberry.type(description="What there is in the ledger, all of it at the same moment.")
class LedgerTotals:
    currencies: list[LedgerTotal] = strawberry.field(description="By currencies.")


@strawberry.type
class AuditQueries:
    @strawberry.field(description="Recompute the whole ledger, and compare it with all that refers to it. For admins.")
    async def ledger_audit(self, info: Info) -> LedgerAudit:
        return shown(await resolvers.audit.audit(info.context))

    @strawberry.field(description="What there is in the ledger, and where. For admins.")
    async def ledger_totals(self, info: Info) -> LedgerTotals:
        return LedgerTotals(currencies=shown(await resolvers.audit.totals(info.context)))
