"""Saying no."""

import re
from pathlib import Path

import pytest

import schema.root  # noqa: F401  # every room's refusals are defined
from models.accounts import EmailTaken
from models.base import Base
from models.errors import (
    BY_CONSTRAINT,
    Busy,
    Checks,
    Conflict,
    Invalid,
    NotFound,
    Problem,
    Refusal,
    Stale,
    every_refusal,
    refuses,
)
from models.proposals import AlreadyProposed, ProposalDecided
from tests.models.rules import faults


def check(*rules):
    with Checks() as checks:
        for holds, path in rules:
            checks.require(holds, path, f"{path} is wrong.")


def test_what_is_right_is_not_refused():
    check((True, "title"), (True, ("budget", "amount")))


def test_everything_wrong_is_said_at_once_in_the_order_it_was_found():
    rules = [(False, "title"), (True, "city"), (False, ("milestones", "1", "amount")), (False, "bid")]

    assert faults(lambda: check(*rules)) == ["title", "milestones.1.amount", "bid"]


def test_a_field_is_at_fault_once_with_the_first_thing_wrong():
    def twice():
        with Checks() as checks:
            checks.require(False, "title", "first")
            checks.require(False, "title", "second")

    with pytest.raises(Invalid) as refused:
        twice()

    assert refused.value.problems == (Problem(("title",), "first"),)


def test_what_holds_a_faulty_field_is_not_at_fault_as_well():
    assert faults(lambda: check((False, ("milestones", "0", "amount")), (False, "milestones"))) == [
        "milestones.0.amount"
    ]


def test_fields_whose_names_begin_alike_are_told_apart():
    assert faults(lambda: check((False, ("bid", "amount")), (False, "bi"))) == ["bid.amount", "bi"]


def test_a_rule_says_whether_it_holds():
    checks = Checks()

    assert checks.require(True, "title", "wrong")
    assert not checks.require(False, "title", "wrong")
    assert not checks.require(False, "title", "known already")


def test_a_bug_inside_checks_is_not_hidden_by_what_was_found():
    def stumble():
        with Checks() as checks:
            checks.require(False, "title", "wrong")
            raise LookupError

    with pytest.raises(LookupError):
        stumble()


def test_one_problem_is_the_message_and_several_are_summed_up():
    one, two = Problem(("title",), "Too short."), Problem(("city",), "Too long.")

    assert str(Invalid((one,))) == Invalid((one,)).message == "Too short."
    assert Invalid((one, two)).message == Invalid.message
    assert Invalid((one, two)).path == ("title",)


def test_a_refusal_about_a_field_is_a_problem_of_that_field():
    assert Conflict("Taken.", path=("email",)).problems == (Problem(("email",), "Taken."),)
    assert Conflict("Taken.").problems == ()


def test_a_stale_edit_carries_what_is_there_now():
    current = object()

    refused = Stale(current)

    assert refused.current is current
    assert refused.problems == (Problem(("version",), Stale.message),)


def test_a_refusal_carries_its_code_to_where_there_is_no_union():
    assert NotFound().extensions == {"code": "NOT_FOUND"}
    assert Busy().extensions == {"code": "BUSY", "retryAfterSeconds": 1}


def test_every_code_is_said_by_one_refusal_in_an_order_that_no_import_changes():
    codes = [kind.code for kind in every_refusal()]

    assert codes == sorted(set(codes))


@pytest.mark.parametrize("kind", every_refusal(), ids=lambda kind: kind.__name__)
def test_a_refusal_has_a_code_for_programs_and_a_sentence_for_people(kind):
    assert kind.code.replace("_", "").isalpha()
    assert kind.code.isupper()
    assert kind.message[0].isupper()
    assert kind.message.endswith(".")


def test_a_refusal_without_a_code_of_its_own_is_not_listed():
    class Late(NotFound):
        pass

    assert Late not in every_refusal()
    assert Late().code == "NOT_FOUND"


@pytest.mark.parametrize(
    ("constraint", "refusal"),
    [
        ("uq_accounts_email", EmailTaken),
        ("uq_proposals_live", AlreadyProposed),
        ("uq_contracts_proposal_id", ProposalDecided),
    ],
)
def test_a_constraint_is_a_rule_too(constraint, refusal):
    assert BY_CONSTRAINT[constraint] is refusal


def test_every_constraint_that_refuses_is_one_that_some_table_or_function_has():
    tables = Base.metadata.tables.values()
    known = {str(constraint.name) for table in tables for constraint in table.constraints}
    known |= {str(index.name) for table in tables for index in table.indexes if index.unique}

    for migration in (Path(__file__).parents[2] / "migrations" / "versions").glob("*.py"):
        known |= set(re.findall(r"CONSTRAINT = '(\w+)'", migration.read_text()))

    assert set(BY_CONSTRAINT) <= known


def test_a_constraint_is_one_refusal_only():
    before = dict(BY_CONSTRAINT)
    with pytest.raises(AssertionError):
        refuses("uq_accounts_email")(Refusal)

    assert before == BY_CONSTRAINT
