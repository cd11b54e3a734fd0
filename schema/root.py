"""Everything that can be asked, done and followed."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Mapping
from typing import Any

import strawberry
from graphql import GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, Undefined, get_named_type

import loaders.accounts
import loaders.connects
import loaders.contracts
import loaders.jobs
import loaders.media
import loaders.payments
import loaders.proposals
import loaders.transfers
from models.control import Service
from schema.accounts import (
    Account,
    AccountMutations,
    AccountQueries,
    Client,
    Freelancer,
    ProfileItem,
    Session,
)
from schema.audit import AuditQueries
from schema.clock import ClockMutations, ClockQueries
from schema.connects import Connects, ConnectsLot, ConnectsMovement, ConnectsMutations, ConnectsQueries
from schema.contracts import Contract, ContractMutations, ContractQueries, ContractSubscriptions, Milestone
from schema.control import Control, ControlMessage, ControlMutations, ControlQueries, ControlSubscriptions, ServerNode
from schema.edges import NODES_MAX, Connection, Node, anything, asker, everything, many, one, page, part
from schema.errors import Refuses, camel
from schema.inputs import read_quickly
from schema.jobs import Category, Invitation, Job, JobMutations, JobQueries, Skill
from schema.machines import Machine, MachineMutations, MachineQueries
from schema.media import MediaMutations, Upload
from schema.payments import Payment, PaymentRequest, PaymentSubscriptions, Wallet
from schema.proposals import Proposal, ProposalMutations, ProposalQueries, ProposalSubscriptions
from schema.scalars import CONFIG
from schema.transfers import Transfer, TransferMutations

SESSIONS_ASSUMED = 100
"""No rule says where one may be signed in at once; few are in more places than this."""


@strawberry.type(description="Whoever asks, and everything that is hers.")
class Viewer:
    account: Account = part("The account.")
    sessions: list[Session] = many(
        "Where the account is signed in, the latest first.", loaders.accounts.sessions, at_most=SESSIONS_ASSUMED
    )
    jobs: Connection[Job] = page("The jobs you offer, drafts too, the latest first.", loaders.jobs.of_client)
    wallet: Wallet = one("Your money.", loaders.payments.wallet, "id")
    transfers: Connection[Transfer] = page(
        "Your deposits and withdrawals, the latest first.", loaders.transfers.of_account
    )
    payments: Connection[Payment] = page(
        "What you paid or were paid for work, the latest first.", loaders.payments.payments, None
    )
    payment_requests: Connection[PaymentRequest] = page(
        "What you owe or are owed for work, or did, the latest first.", loaders.payments.requests, None
    )
    connects: Connects = one("Your Connects.", loaders.connects.of_account, "id")
    invitations: Connection[Invitation] = page(
        "The jobs you are invited to, the latest invitation first.", loaders.jobs.invitations_of_freelancer
    )
    proposals: Connection[Proposal] = page("The proposals you made, the latest first.", loaders.proposals.of_freelancer)

    uploads: Connection[Upload] = page(
        "The files you announced or brought and that are not gone, the latest first.", loaders.media.of_account
    )

    contracts: Connection[Contract] = page(
        "The contracts you are a party to, the latest first.", loaders.contracts.of_viewer, None
    )


@strawberry.type
class NodeQueries:
    viewer: Viewer | None = asker("Whoever asks; nothing when nobody is signed in.", loaders.accounts.account)
    node: Node | None = anything(
        "Anything by its id; nothing if there is no such thing, or none that you may see.", "The id of anything."
    )
    nodes: list[Node | None] = everything(
        "Several things by their ids, in the order of the ids.", f"Up to {NODES_MAX} ids of anything."
    )


@strawberry.type(description="What can be asked.")
class Query(
    NodeQueries,
    AccountQueries,
    JobQueries,
    ProposalQueries,
    ContractQueries,
    ConnectsQueries,
    AuditQueries,
    ClockQueries,
    ControlQueries,
    MachineQueries,
):
    pass


@strawberry.type(description="What can be done. Each answers with the thing as it is afterwards, or with `Refused`.")
class Mutation(
    AccountMutations,
    JobMutations,
    ProposalMutations,
    ContractMutations,
    MediaMutations,
    TransferMutations,
    ConnectsMutations,
    ClockMutations,
    ControlMutations,
    MachineMutations,
):
    pass


@strawberry.type(description="What can be followed, over a websocket (graphql-transport-ws).")
class Subscription(ProposalSubscriptions, ContractSubscriptions, PaymentSubscriptions, ControlSubscriptions):
    pass


SERVICES: Mapping[type, Service] = {
    NodeQueries: Service.NODES,
    AccountQueries: Service.USERS,
    AccountMutations: Service.USERS,
    JobQueries: Service.JOBS,
    JobMutations: Service.JOBS,
    ProposalQueries: Service.PROPOSALS,
    ProposalMutations: Service.PROPOSALS,
    ProposalSubscriptions: Service.PROPOSALS,
    ContractQueries: Service.CONTRACTS,
    ContractMutations: Service.CONTRACTS,
    ContractSubscriptions: Service.CONTRACTS,
    PaymentSubscriptions: Service.PAYMENTS,
    ConnectsQueries: Service.CONNECTS,
    ConnectsMutations: Service.CONNECTS,
    TransferMutations: Service.PAYMENTS,
    AuditQueries: Service.PAYMENTS,
    MediaMutations: Service.MEDIA,
    ClockQueries: Service.CONTROL,
    ClockMutations: Service.CONTROL,
    ControlQueries: Service.CONTROL,
    ControlMutations: Service.CONTROL,
    ControlSubscriptions: Service.CONTROL,
    MachineQueries: Service.CONTROL,
    MachineMutations: Service.CONTROL,
}
"""Which service the root fields that are declared together belong to; every one belongs to one."""

FILES = dict.fromkeys(("readFile", "uploadFile", "describeFiles"), Service.MEDIA)
"""What is asked beside GraphQL."""


def commands() -> dict[str, Service]:
    """Everything that can be asked, by the service it belongs to."""
    loose = {base for kind in (Query, Mutation, Subscription) for base in kind.__bases__} - set(SERVICES)
    assert not loose, f"SERVICES does not say which service these belong to: {loose}"
    found = dict(FILES)
    for kind, service in SERVICES.items():
        declared: Any = kind.__strawberry_definition__  # type: ignore[attr-defined]  # strawberry put it there
        for field in declared.fields:
            name = camel(field.python_name)
            assert name not in found, name
            found[name] = service
    return found


@functools.cache
def verbs() -> dict[str, str]:
    """The verb behind each command that has one, as `resolvers.jobs.publish`."""
    found: dict[str, str] = {}
    for kind in SERVICES:
        declared: Any = kind.__strawberry_definition__  # type: ignore[attr-defined]  # strawberry put it there
        for field in declared.fields:
            called = _called(field.base_resolver.wrapped_func) if field.base_resolver else set()
            if len(called) == 1:
                found[camel(field.python_name)] = called.pop()
    return found


def _called(resolver: Any) -> set[str]:
    """Which verbs a root field calls."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(resolver)))
    calls = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {call for call in calls if call.startswith("resolvers.")}


def build() -> strawberry.Schema:
    """Put the schema together."""
    commands()
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[
            Client,
            Freelancer,
            ProfileItem,
            Session,
            Category,
            Skill,
            Milestone,
            Upload,
            Control,
            ControlMessage,
            Machine,
            ServerNode,
            ConnectsLot,
            ConnectsMovement,
        ],
        config=CONFIG,
        exception_handlers=[Refuses()],
    )
    _leave_out_null_defaults(schema)
    _describe_inputs(schema)
    read_quickly(schema)
    return schema


def _describe_inputs(schema: strawberry.Schema) -> None:
    """Say of the `input` of a mutation what its type says of itself."""
    mutation = schema._schema.mutation_type  # noqa: SLF001 - strawberry has no public name for it
    assert mutation is not None
    for field in mutation.fields.values():
        for argument in field.args.values():
            argument.description = argument.description or get_named_type(argument.type).description


def _leave_out_null_defaults(schema: strawberry.Schema) -> None:
    """Say `first: Int` rather than `first: Int = null`: leaving out and giving null are the same here."""
    for kind in schema._schema.type_map.values():  # noqa: SLF001 - strawberry has no public name for it
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            given = [argument for field in kind.fields.values() for argument in field.args.values()]
        elif isinstance(kind, GraphQLInputObjectType):
            given = list(kind.fields.values())
        else:
            continue
        for value in given:
            if value.default_value is None:
                value.default_value = Undefined
