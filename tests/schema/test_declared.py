"""What can be asked for and is not declared, so that it is answered in the ordinary way: little, and for a reason."""

from collections.abc import Iterator

from graphql import GraphQLObjectType, GraphQLSchema

from schema import root
from tests.schema.authors import edge_of

AROUND_PAGES = ("Connection", "Edge")
"""How the types end that stand around the rows of every page; the plan of a page knows them."""

PARTS = "parts of values that are declared as a whole"
EVENTS = "events: what they show is one statement"

UNDECLARED: dict[str, dict[str, str]] = {
    PARTS: {
        "Money": "amount currency",
        "PageInfo": "hasNextPage hasPreviousPage startCursor endCursor",
        "Clock": "now aheadSeconds isSandbox",
        "ConnectsBundle": "size price",
    },
    "what is done is done in the ordinary way, and so is told how it went": {
        "Refused": "code message field problems retryable retryAfterSeconds current",
        "InputProblem": "field message",
        "SignedIn": "account session accessToken accessSeconds refreshToken",
        "UploadTicket": "upload url expiresAt method headers",
        "HttpHeader": "name value",
        "SpawnedMachines": "machines",
    },
    "for those who compare terms, which is seldom: a hash of many rows": {"Contract": "termsHash"},
    EVENTS: {
        "Subscription": "proposalChanged contractChanged walletChanged controlChanged",
        "ProposalChanged": "cursor at kind proposal",
        "ContractChanged": "cursor at kind contract",
        "WalletChanged": "cursor at kind wallet",
        "ControlChanged": "cursor at kind message",
    },
    "for operators, who are few: what nodes report, and what only they may see and are told if they may not": {
        "Query": "control machines keepers ledgerAudit ledgerTotals",
        "Control": "nodes services commands options rulings controlMessages auditLog",
        "ControlMessage": "before after missing",
        "AuditEntry": "before after",
        "ServerNode": "state services",
        "CommandStatus": "name service isDeleted stays codeNumber codePercent codeVersions",
        "ServiceStatus": "service maxThreads isFrozen level running waiting followers",
        "ServiceLoad": "service running waiting followers",
        "OptionStatus": "name value default least most means",
        "NamedValue": "name value",
        "Ruling": "kind subject nodeName value version",
        "LedgerAudit": "accounts journals entries holds wrong",
        "LedgerFault": "problem accountKind position account owner journal expected found",
        "LedgerTotals": "currencies",
        "LedgerTotal": "currency kinds balance",
        "LedgerKindTotal": "kind accounts balance held",
    },
}


def undeclared(schema: GraphQLSchema) -> Iterator[tuple[str, str]]:
    """The fields without a declaration, but for commands, and for what is around the rows of pages."""
    for kind in schema.type_map.values():
        if not isinstance(kind, GraphQLObjectType) or kind is schema.mutation_type or kind.name.startswith("__"):
            continue
        if not kind.name.endswith(AROUND_PAGES):
            yield from ((kind.name, name) for name, known in kind.fields.items() if edge_of(known) is None)


def test_every_read_of_frontends_is_declared() -> None:
    known = {(kind, name) for kinds in UNDECLARED.values() for kind, names in kinds.items() for name in names.split()}

    assert set(undeclared(root.build()._schema)) == known
