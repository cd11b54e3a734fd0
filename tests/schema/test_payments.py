"""What is refused wherever money or Connects are moved: it is said why, and nothing is written."""

from typing import Any

import pytest
import sqlalchemy as sa
from graphql import build_schema

from models.contracts import MilestoneState
from models.payments import EARNINGS, FUNDS
from ops.__main__ import SDL
from schema.scalars import id_of
from tests import make
from tests.conftest import contents
from tests.schema.callers import mutation

TOLD = "... on Refused { code message field }"
PLENTY = 50_000_00


@pytest.fixture
async def rich(scene, house):
    """A scene in which it is not for want of money that something is refused."""
    for kind in (FUNDS, EARNINGS):
        await make.give(house, kind, scene.account("client").id, PLENTY)
    return scene


@pytest.fixture
def refused(rich, house, ask):
    """What a caller is refused with, when not a letter was written."""

    async def run(caller: str, name: str, **said: Any) -> tuple[str, str]:
        text = mutation(name, lambda _: said).text.replace("... on Refused { code }", TOLD)
        before = await contents(house)
        answer = await ask(rich.as_(caller), text, input=said)
        assert await contents(house) == before
        if "errors" in answer:
            (code,) = {error["extensions"]["code"] for error in answer["errors"]}
            return code, "; ".join(error["message"] for error in answer["errors"])
        found = answer["data"][name]
        assert found["__typename"] == "Refused", found
        return found["code"], ".".join(found["field"] or [])

    return run


@pytest.fixture
def change(owner):
    """Change something behind the house's back."""

    async def run(statement, **bound):
        async with owner.begin() as connection:
            assert (await connection.execute(sa.text(statement), bound)).rowcount

    return run


def key(name: str = "mine") -> dict[str, str]:
    return {"idempotencyKey": name}


def offer(amount: Any) -> dict[str, Any]:
    return {
        "coverLetter": "I have done this before.",
        "duration": "LESS_THAN_A_MONTH",
        "bid": amount,
        "milestones": [{"description": "All", "amount": amount}],
    }


AMOUNTS: dict[str, tuple[str, str, Any]] = {
    "deposit": ("client", "amount", lambda _, amount: {"amount": amount, "method": "card", **key()}),
    "withdraw": ("client", "amount", lambda _, amount: {"amount": amount, "method": "m", "purse": "FUNDS", **key()}),
    "payBonus": ("client", "amount", lambda ids, amount: {"contractId": ids["contract"], "amount": amount, **key()}),
    "acceptMilestone": (
        "client",
        "amount",
        lambda ids, amount: {"milestoneId": ids["handed_in"], "amount": amount, "rest": "REFUND", **key()},
    ),
    "addMilestone": (
        "client",
        "amount",
        lambda ids, amount: {"contractId": ids["contract"], "description": "More", "amount": amount},
    ),
    "editMilestone": (
        "client",
        "amount",
        lambda ids, amount: {"milestoneId": ids["milestone"], "description": "More", "amount": amount},
    ),
    "submitProposal": ("rival", "bid", lambda ids, amount: {"jobId": ids["job"], **offer(amount), **key()}),
    "editProposal": ("freelancer", "bid", lambda ids, amount: {"proposalId": ids["proposal"], **offer(amount)}),
}
"""Whatever takes an amount: who may do it, where the amount is, and the rest of what is said."""

NO_AMOUNTS = (
    *("NaN", "nan", "sNaN", "Infinity", "-Infinity", "inf", "0", "0.00", "-0", "-5", "-0.01", "5.001", "0.005", "1e-3"),
    *("1e400", "99999999999999999999", "9223372036854775808", "92233720368547758.08", "1e17", "", " ", "five", "5,00"),
    *("0x10", "5.00 USD", "$5", "1_000", "\N{ARABIC-INDIC DIGIT FIVE}"),
)
NOT_MONEY = [
    *({"amount": amount} for amount in NO_AMOUNTS),
    {"amount": "5.00", "currency": "EUR"},
    {"amount": "5.00", "currency": "CNX"},
    {"amount": "5.00", "currency": "usd"},
    {"amount": "5.00", "currency": None},
    {"amount": 5},
    {"amount": 5.5},
    {"amount": None},
    {"amount": ["5.00"]},
    {},
    "5.00",
]


@pytest.mark.parametrize("name", AMOUNTS)
async def test_what_is_no_amount_of_money_is_refused_wherever_it_is_said(name, rich, refused):
    caller, field, said = AMOUNTS[name]

    for amount in NOT_MONEY:
        code, where = await refused(caller, name, **said(rich.ids(), amount))

        assert code == "BAD_USER_INPUT", amount
        assert field in where, (amount, where)


@pytest.mark.parametrize("size", [-10, 0, 9, 11, 100, 2**31 - 1, 2**31, 2**63, 1.5, "10", "NaN", None])
async def test_what_is_no_bundle_is_not_sold(size, house, rich, refused):
    await make.give(house, FUNDS, rich.account("freelancer").id, PLENTY)

    code, where = await refused("freelancer", "buyConnects", size=size, **key())

    assert code == "BAD_USER_INPUT"
    assert "size" in where


KEYED: dict[str, tuple[str, Any]] = {
    "deposit": ("client", lambda _: {"amount": {"amount": "5"}, "method": "card"}),
    "withdraw": ("client", lambda _: {"amount": {"amount": "5"}, "method": "card", "purse": "FUNDS"}),
    "buyConnects": ("freelancer", lambda _: {"size": 10}),
    "submitProposal": ("rival", lambda ids: {"jobId": ids["job"], **offer({"amount": "5"})}),
    "fundMilestone": ("client", lambda ids: {"milestoneId": ids["milestone"]}),
    "requestChanges": ("client", lambda ids: {"milestoneId": ids["handed_in"], "message": "Larger."}),
    "acceptMilestone": ("client", lambda ids: {"milestoneId": ids["handed_in"]}),
    "payPaymentRequest": ("client", lambda ids: {"paymentRequestId": ids["request"]}),
    "cancelPaymentRequest": ("freelancer", lambda ids: {"paymentRequestId": ids["request"]}),
    "payBonus": ("client", lambda ids: {"contractId": ids["contract"], "amount": {"amount": "5"}}),
    "decideTermination": ("client", lambda ids: {"terminationId": ids["termination"], "decision": "ACCEPT"}),
    "completeContract": ("client", lambda ids: {"contractId": ids["contract"]}),
}
"""Whatever moves money or Connects: who may do it, and what is said."""


def test_whatever_takes_a_key_is_in_these_tables():
    kinds = build_schema(SDL.read_text()).type_map
    taking = {name for name, kind in kinds.items() if "idempotencyKey" in getattr(kind, "fields", {})}

    assert taking == {f"{name[0].upper()}{name[1:]}Input" for name in KEYED}


@pytest.mark.parametrize("name", KEYED)
async def test_a_key_has_some_letters_and_not_too_many(name, rich, refused):
    caller, said = KEYED[name]

    for wrong in ("", "k" * 256, "\x00", None, 7):
        code, where = await refused(caller, name, **said(rich.ids()), idempotencyKey=wrong)
        assert code == "BAD_USER_INPUT", wrong
        assert "idempotencyKey" in where


STRANGERS = {
    name: said
    for name, (_, said) in KEYED.items()
    if name not in {"deposit", "withdraw", "buyConnects", "submitProposal"}
}


@pytest.mark.parametrize("name", STRANGERS)
async def test_what_is_somebody_elses_is_not_there(name, rich, refused):
    for caller, code in (("rival", "NOT_FOUND"), ("stranger", "NOT_FOUND"), ("nobody", "UNAUTHENTICATED")):
        assert (await refused(caller, name, **STRANGERS[name](rich.ids()), **key()))[0] == code


@pytest.mark.parametrize("name", STRANGERS)
async def test_the_other_party_does_not_do_what_is_not_hers(name, rich, refused):
    both = {"completeContract": "WORK_UNDECIDED"}
    caller = {"client": "freelancer", "freelancer": "client"}[KEYED[name][0]]

    code, _ = await refused(caller, name, **STRANGERS[name](rich.ids()), **key())

    assert code == both.get(name, "FORBIDDEN")


async def test_nobody_withdraws_what_is_another_wallets(refused):
    words = {"amount": {"amount": "5"}, "method": "card", **key()}

    for purse in ("FUNDS", "EARNINGS"):
        assert (await refused("rival", "withdraw", **words, purse=purse))[0] == "INSUFFICIENT_FUNDS"
    for purse in ("PENDING", "ESCROW", "RAIL", "funds"):
        assert (await refused("client", "withdraw", **words, purse=purse))[0] == "BAD_USER_INPUT"


@pytest.mark.parametrize("state", [state for state in MilestoneState if state is not MilestoneState.IN_REVIEW])
async def test_only_what_is_in_review_is_evaluated(state, rich, keep, refused):
    milestone = {"milestoneId": id_of(await keep(make.milestone(rich.contract, state, position=9)))}

    for name, more in (
        ("acceptMilestone", {}),
        ("acceptMilestone", {"amount": {"amount": "5"}, "rest": "REFUND"}),
        ("acceptMilestone", {"amount": {"amount": "5"}, "rest": "ROLL"}),
        ("requestChanges", {"message": "Larger."}),
    ):
        assert (await refused("client", name, **milestone, **more, **key()))[0] == "MILESTONE_NOT_IN_REVIEW"


PROGRESS: dict[str, tuple[str, Any]] = {
    "addMilestone": ("client", lambda ids: AMOUNTS["addMilestone"][2](ids, {"amount": "5"})),
    "editMilestone": ("client", lambda ids: AMOUNTS["editMilestone"][2](ids, {"amount": "5"})),
    "startMilestone": ("freelancer", lambda ids: {"milestoneId": ids["milestone"]}),
    "submitMilestone": ("freelancer", lambda ids: {"milestoneId": ids["working"], "message": "Done."}),
    "requestTermination": ("client", lambda ids: {"contractId": ids["contract"], "reason": "It leads nowhere."}),
}
OF_CONTRACT = {name: KEYED[name] for name in STRANGERS} | PROGRESS
OWED = {"payPaymentRequest", "cancelPaymentRequest"}
"""What was accepted is paid or waived however the contract ended: nobody completes one while anything is owed."""
IN_REVIEW = {"acceptMilestone", "requestChanges"}
"""What was handed in before a contract was terminated is decided."""


@pytest.mark.parametrize("name", sorted(OF_CONTRACT.keys() - OWED))
async def test_nothing_moves_on_a_contract_that_is_completed(name, rich, refused, change):
    await change("UPDATE contracts SET state = 'COMPLETED', ended_at = now()")
    caller, said = OF_CONTRACT[name]

    assert (await refused(caller, name, **said(rich.ids()), **keyed(name)))[0] == "CONTRACT_NOT_ACTIVE"


@pytest.mark.parametrize("name", sorted(OF_CONTRACT.keys() - OWED - IN_REVIEW))
async def test_nothing_moves_on_a_contract_that_is_terminated_but_what_is_owed(name, rich, refused, change):
    await change("UPDATE contracts SET state = 'TERMINATED', ended_at = now()")
    caller, said = OF_CONTRACT[name]

    assert (await refused(caller, name, **said(rich.ids()), **keyed(name)))[0] == "CONTRACT_NOT_ACTIVE"


def keyed(name: str) -> dict[str, str]:
    return key() if name in KEYED else {}


EVALUATED = dict.fromkeys(IN_REVIEW, "MILESTONE_NOT_IN_REVIEW")
DECIDED = dict.fromkeys(OWED, "PAYMENT_REQUEST_DECIDED")
TWICE = {
    "fundMilestone": {"fundMilestone": "MILESTONE_FUNDED"},
    "acceptMilestone": EVALUATED,
    "requestChanges": EVALUATED,
    "payPaymentRequest": DECIDED,
    "cancelPaymentRequest": DECIDED,
    "decideTermination": {"decideTermination": "TERMINATION_DECIDED"},
    "submitProposal": {"submitProposal": "ALREADY_PROPOSED"},
}
"""What has been done, and how that is refused which cannot be done any more."""


@pytest.mark.parametrize("first", TWICE)
async def test_nothing_is_paid_or_decided_twice(first, rich, ask, refused):
    caller, said = KEYED[first]
    done = await ask(rich.as_(caller), mutation(first, lambda _: {}).text, input={**said(rich.ids()), **key("first")})
    assert done["data"][first]["__typename"] != "Refused"

    for name, code in TWICE[first].items():
        who, words = KEYED[name]
        assert (await refused(who, name, **words(rich.ids()), **key("second")))[0] == code


OTHERWISE: dict[str, Any] = {
    "deposit": lambda _: {"amount": {"amount": "6"}},
    "withdraw": lambda _: {"purse": "EARNINGS"},
    "buyConnects": lambda _: {"size": 20},
    "submitProposal": lambda _: offer({"amount": "6"}),
    "fundMilestone": lambda ids: {"milestoneId": ids["working"]},
    "requestChanges": lambda _: {"message": "Smaller."},
    "acceptMilestone": lambda _: {"amount": {"amount": "6"}, "rest": "REFUND"},
    "payPaymentRequest": lambda ids: {"paymentRequestId": ids["request"][:-32] + "0" * 32},
    "cancelPaymentRequest": lambda ids: {"paymentRequestId": ids["request"][:-32] + "0" * 32},
    "payBonus": lambda _: {"note": "Thanks."},
    "decideTermination": lambda _: {"decision": "REJECT"},
}
"""What is said otherwise with the same key; something that is not there is something else, too."""


@pytest.mark.parametrize("name", OTHERWISE)
async def test_a_key_stands_for_one_request(name, house, rich, ask, refused):
    await make.give(house, FUNDS, rich.account("freelancer").id, PLENTY)
    caller, said = KEYED[name]
    words = said(rich.ids()) | key()
    done = await ask(rich.as_(caller), mutation(name, lambda _: {}).text, input=words)
    assert done["data"][name]["__typename"] != "Refused"

    other = words | OTHERWISE[name](rich.ids())
    assert (await refused(caller, name, **other))[0] == "IDEMPOTENCY_KEY_REUSED"
