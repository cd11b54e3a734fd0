"""Who people are."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.accounts import (
    Account,
    ClientProfile,
    ClientWords,
    FreelancerProfile,
    FreelancerWords,
    ItemKind,
    ItemWords,
    NotAClient,
    NotAFreelancer,
    OwnAccount,
    ProfileItem,
    RefreshToken,
    Role,
    Session,
    SignInFailed,
    Throttle,
    TooManyAttempts,
    as_set,
    check_password,
    digest,
    normal_email,
)
from models.base import Audience
from models.config import Config
from models.errors import Checks, Forbidden, Invalid, NotFound, Stale
from models.money import AMOUNT_MAX_CENTS
from tests import make
from tests.models.rules import faults, refusal_of, values

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
CONFIG = Config()
ADDRESS = Throttle.of_address("192.0.2.1")

TWISTED = "aAjJ\xdf\u1e9e\u0130\u0131\u017f\u03a3\u03c2\u01f0\u03b1\u0301\u0308\u030c\u0323\u0331\u0345\u0307\u200d"
"""Letters and marks that change when they are folded or normalised."""

texts = st.text(max_size=20) | st.text(TWISTED, max_size=20)


def register(**said: Any) -> Account:
    usual: dict[str, Any] = {
        "email": "ada@example.org",
        "password": "correct horse",
        "full_name": "Ada",
        "roles": [Role.CLIENT],
    }
    return Account.register(**usual | said, at=AT)


# Registering


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ([Role.CLIENT], ["CLIENT"]),
        ([Role.FREELANCER], ["FREELANCER"]),
        ([Role.FREELANCER, Role.CLIENT], ["CLIENT", "FREELANCER"]),
        ([Role.CLIENT, Role.CLIENT], ["CLIENT"]),
    ],
)
def test_somebody_registers_as_a_client_a_freelancer_or_both(roles, expected):
    account = register(email=" Ada@Example.ORG ", full_name=" Ada Lovelace ", roles=roles)

    assert (account.email, account.full_name, account.roles) == ("ada@example.org", "Ada Lovelace", expected)
    assert (account.created_at, account.suspended_at) == (AT, None)


@pytest.mark.parametrize("roles", [[], [Role.ADMIN], [Role.CLIENT, Role.ADMIN], list(Role)])
def test_nobody_registers_as_an_administrator_or_as_nothing(roles):
    assert faults(lambda: register(roles=roles)) == ["roles"]


def test_everything_wrong_with_a_registration_is_said_at_once():
    said = {"email": "ada", "password": "short", "full_name": " ", "roles": [Role.ADMIN]}

    assert faults(lambda: register(**said)) == ["email", "password", "full_name", "roles"]


@pytest.mark.parametrize("length", [10, 1_000])
def test_a_password_of_fair_length_is_taken(length):
    register(password="p" * length)
    register(password="\N{OLD KEY}" * length)


@pytest.mark.parametrize("password", ["", "p" * 9, "p" * 1_001, "0123456789\ud800"], ids=lambda text: f"{text!a:.20}")
def test_a_password_that_is_too_short_too_long_or_cannot_be_hashed_is_not(password):
    assert faults(lambda: register(password=password)) == ["password"]


def test_a_refused_password_is_not_repeated():
    secret = "my secret"
    with pytest.raises(Invalid) as refused:
        register(password=secret)

    assert secret not in f"{refused.value!r} {refused.value} {refused.value.problems}"


def test_an_account_does_not_hold_the_password_it_was_registered_with():
    assert "correct horse" not in values(register(password="correct horse")).values()


def test_a_password_is_checked_under_the_name_of_its_field():
    def change():
        with Checks() as check:
            check_password(check, "short", "new_password")

    assert faults(change) == ["new_password"]


@pytest.mark.parametrize("name", ["A", "x" * 120, "Ada \N{FAMILY}", "Ada\u200d"])
def test_a_name_is_something_one_can_see(name):
    assert register(full_name=name).full_name == name.strip()


@pytest.mark.parametrize(
    "name", ["", "  ", "\u200b", "\u200b \u2060", "\u202e", "x" * 121, "Ada\0", "Ada\ud800"], ids=ascii
)
def test_a_name_that_nobody_could_see_or_keep_is_none(name):
    assert faults(lambda: register(full_name=name)) == ["full_name"]


# Addresses


@given(texts)
@example("J\u030c\u0323@example.org")
@example("\u1f88\u0304\u0c0a")
@example(" \u00a8\u3000")
def test_an_address_that_was_normalised_is_normal(text):
    normal = normal_email(text)

    assert normal_email(normal) == normal
    assert normal == normal.strip()


@given(
    st.from_regex(
        r"[a-z0-9.+-]{1,20}@[a-z0-9]{1,10}\.[a-z]{2,5}", fullmatch=True, alphabet=st.characters(max_codepoint=127)
    ),
    st.data(),
)
def test_an_address_is_the_same_however_it_is_typed(email, data):
    upper = data.draw(st.lists(st.booleans(), min_size=len(email), max_size=len(email)))
    typed = "".join(letter.upper() if up else letter for letter, up in zip(email, upper, strict=True))
    before, after = data.draw(st.text(" \t\n\u00a0", max_size=3)), data.draw(st.text(" \t\n\u3000", max_size=3))

    assert normal_email(before + typed + after) == email
    assert register(email=before + typed + after).email == email
    assert Throttle.of_account(typed) == Throttle.of_account(email)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ADA@EXAMPLE.ORG", "ada@example.org"),
        ("\uff41\uff44\uff41\uff20example.org", "ada@example.org"),
        ("STRASSE@example.org", "strasse@example.org"),
        ("straße@example.org", "strasse@example.org"),
        ("e\u0301@example.org", "é@example.org"),
        ("É@example.org", "é@example.org"),
    ],
)
def test_addresses_that_differ_only_in_case_or_form_are_one(typed, expected):
    assert normal_email(typed) == expected


@pytest.mark.parametrize(
    "email",
    [
        "a@b.c",
        "ada.lovelace+jobs@mail.example.org",
        "o'brien@example.org",
        "ada@bücher.example",
        "用户@例子.公司",
        "a" * 64 + "@example.org",
        "a" * 64 + "@" + "b" * 185 + ".org",
    ],
    ids=lambda text: f"{text:.30}",
)
def test_an_address_that_mail_could_reach_is_taken(email):
    assert register(email=email).email == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@example",
        "ada@example.",
        "ada@.org",
        "ada@example..org",
        "ada@@example.org",
        "ada@bob@example.org",
        "ada lovelace@example.org",
        "ada@exam ple.org",
        "ada\n@example.org",
        "ada\0@example.org",
        "ada\x01@example.org",
        "ada\x7f@example.org",
        "ada\u200b@example.org",
        "\u202eada@example.org",
        "ada\ud800@example.org",
        "a" * 65 + "@example.org",
        "a" * 64 + "@" + "b" * 186 + ".org",
    ],
    ids=lambda text: f"{text!a:.30}",
)
def test_what_no_mail_could_reach_is_no_address(email):
    assert faults(lambda: register(email=email)) == ["email"]


@pytest.mark.parametrize("email", ["ada\0@example.org", "ada@example.org\ud800"], ids=ascii)
def test_an_address_that_cannot_be_kept_is_nobodys(email):
    assert normal_email(email) == ""
    assert Throttle.of_account(email) != Throttle.of_account("ada@example.org")


# Roles


@pytest.mark.parametrize("role", [Role.CLIENT, Role.FREELANCER])
def test_taking_on_a_role_twice_is_the_same_as_once(role):
    account = make.account(Role.CLIENT)

    account.add(role)
    account.add(role)

    assert account.roles == sorted({"CLIENT", role.value})
    assert account.has(role)


def test_nobody_makes_herself_an_administrator():
    account = make.account(Role.CLIENT)

    with pytest.raises(Forbidden):
        account.add(Role.ADMIN)

    assert account.roles == ["CLIENT"]


@pytest.mark.parametrize("has", Role, ids=lambda role: f"has {role.value}")
@pytest.mark.parametrize(
    ("needed", "code"),
    [(Role.CLIENT, "NOT_A_CLIENT"), (Role.FREELANCER, "NOT_A_FREELANCER"), (Role.ADMIN, "FORBIDDEN")],
)
def test_whoever_has_not_the_role_is_told_which(has, needed, code):
    account = make.account(has)

    assert refusal_of(lambda: account.must_be(needed)) == (None if has is needed else code)


def test_refusals_of_roles_are_told_apart_by_kind():
    with pytest.raises(NotAClient):
        make.freelancer().must_be(Role.CLIENT)
    with pytest.raises(NotAFreelancer):
        make.client().must_be(Role.FREELANCER)


@pytest.mark.parametrize(
    ("roles", "audience"),
    [
        ([Role.CLIENT], Audience.MEMBER),
        ([Role.CLIENT, Role.FREELANCER], Audience.MEMBER),
        ([Role.ADMIN], Audience.ADMIN),
        ([Role.CLIENT, Role.ADMIN], Audience.ADMIN),
    ],
)
def test_an_administrator_looks_with_other_eyes(roles, audience):
    assert make.account(*roles).audience is audience


# Signing in, and being shut out


def test_whoever_knows_the_password_may_sign_in():
    account = make.client()

    account.must_be_able_to_sign_in(account.password_hash)


@pytest.mark.parametrize("known", [None, "", "$argon2id$another"])
def test_a_password_that_was_changed_meanwhile_does_not_sign_in(known):
    with pytest.raises(SignInFailed):
        make.client().must_be_able_to_sign_in(known)


def test_a_suspended_account_does_not_sign_in_and_is_not_told_why():
    account = make.account(suspended_at=AT)

    with pytest.raises(SignInFailed) as suspended:
        account.must_be_able_to_sign_in(account.password_hash)
    with pytest.raises(SignInFailed) as mistaken:
        make.client().must_be_able_to_sign_in("$argon2id$another")

    assert (suspended.value.code, suspended.value.message) == (mistaken.value.code, mistaken.value.message)


def test_an_administrator_cannot_shut_out_herself():
    admin = make.admin()

    with pytest.raises(OwnAccount):
        admin.suspend(admin, at=AT)

    assert admin.suspended_at is None


def test_suspending_twice_keeps_the_first_moment():
    account, admin = make.client(), make.admin()

    account.suspend(admin, at=AT)
    account.suspend(admin, at=AT + DAY)

    assert account.suspended_at == AT


def throttle(failures: int, last_at: datetime = AT, subject: str = "account:x") -> Throttle:
    return Throttle(subject=subject, failures=failures, last_at=last_at, forgiven_at=last_at)


@pytest.mark.parametrize("failures", [0, 1, 9])
def test_fewer_than_ten_failures_make_nobody_wait(failures):
    throttle(failures).must_be_open(AT, CONFIG)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [
        (10, 30), (11, 60), (12, 120), (13, 240), (14, 480), (15, 960), (16, 1_920),
        (17, 3_600), (18, 3_600), (22, 3_600), (23, 3_600), (1_000_000, 3_600),
    ],
)  # fmt: skip
def test_the_wait_doubles_with_every_further_failure_up_to_an_hour(failures, seconds):
    held = throttle(failures)

    for too_soon in (AT, AT + seconds * SECOND - MOMENT):
        with pytest.raises(SignInFailed):
            held.must_be_open(too_soon, CONFIG)
    held.must_be_open(AT + seconds * SECOND, CONFIG)


@pytest.mark.parametrize(
    ("most", "backoff", "failures", "seconds"),
    [
        (3, 30, 2, 0),
        (3, 30, 3, 30),
        (3, 1, 3, 1),
        (3, 1, 15, 3_600),
        (3, 1, 14, 2_048),
        (3, 3_600, 3, 3_600),
        (1_000, 30, 999, 0),
    ],
)
def test_the_operator_says_how_patient_the_house_is(most, backoff, failures, seconds):
    config = Config({"accounts.sign_in_failures_max": most, "accounts.sign_in_backoff_seconds": backoff})
    held = throttle(failures)

    held.must_be_open(AT + seconds * SECOND, config)
    if seconds:
        with pytest.raises(SignInFailed):
            held.must_be_open(AT + seconds * SECOND - MOMENT, config)


def test_of_many_attempts_at_once_ten_are_looked_at():
    held, looked_at = throttle(0), 0

    for _ in range(1_000):
        if refusal_of(lambda: held.must_be_open(AT, CONFIG)) is None:
            held.count(AT, CONFIG)
            looked_at += 1

    assert looked_at == 10


def test_somebody_who_never_stops_guessing_has_fewer_than_fifty_guesses_a_day():
    held, guesses = throttle(0), 0

    for moment in range(0, 86_400, 10):
        now = AT + moment * SECOND
        if refusal_of(partial(held.must_be_open, now, CONFIG)) is None:
            held.count(now, CONFIG)
            guesses += 1

    assert 10 < guesses < 50


@pytest.mark.parametrize(
    ("later", "failures"),
    [(0, 8), (359, 8), (360, 7), (719, 7), (720, 6), (7 * 360 - 1, 2), (7 * 360, 1), (3_600, 1), (86_400, 1)],
)
def test_every_six_minutes_a_failure_is_forgiven(later, failures):
    held = throttle(7)

    held.count(AT + later * SECOND, CONFIG)

    assert (held.failures, held.last_at) == (failures, AT + later * SECOND)


def test_frequent_attempts_do_not_keep_time_from_forgiving():
    held = throttle(0, subject=ADDRESS)

    for moment in range(0, 86_400, 40):
        now = AT + moment * SECOND
        held.must_be_open(now, CONFIG)
        held.count(now, CONFIG)

    assert held.failures == 1


def test_an_address_that_many_share_fails_a_hundred_times_before_it_waits():
    throttle(99, subject=ADDRESS).must_be_open(AT, CONFIG)
    held = throttle(100, subject=ADDRESS)
    with pytest.raises(SignInFailed):
        held.must_be_open(AT + 29 * SECOND, CONFIG)
    held.must_be_open(AT + 30 * SECOND, CONFIG)


def test_nothing_is_forgiven_while_the_wait_lasts():
    held = throttle(15)

    held.count(AT + 960 * SECOND, CONFIG)
    assert held.failures == 16
    held.count(AT + (960 + 1_920 + 359) * SECOND, CONFIG)
    assert held.failures == 17


def test_a_right_attempt_does_not_make_an_address_wait_longer():
    held = throttle(101, subject=ADDRESS)
    now = AT + 61 * SECOND
    held.must_be_open(now, CONFIG)

    before = held.count(now, CONFIG)
    assert refusal_of(lambda: held.must_be_open(now + SECOND, CONFIG)) == "SIGN_IN_FAILED"
    held.forgive(now, before)

    assert (held.failures, held.last_at) == (101, AT)
    held.must_be_open(now + SECOND, CONFIG)


def test_a_right_attempt_does_not_take_back_a_wrong_one_beside_it():
    held = throttle(0, subject=ADDRESS)
    before = held.count(AT, CONFIG)
    held.count(AT + SECOND, CONFIG)

    held.forgive(AT, before)

    assert (held.failures, held.last_at) == (1, AT + SECOND)


def test_thirty_register_from_one_address_in_an_hour_and_then_one_every_two_minutes():
    held = throttle(0, subject=Throttle.of_newcomers("192.0.2.1"))
    for _ in range(30):
        held.must_have_room(AT, CONFIG)
        held.count(AT, CONFIG)

    with pytest.raises(TooManyAttempts) as refused:
        held.must_have_room(AT + 20 * SECOND, CONFIG)

    assert refused.value.retry_after_seconds == 100
    held.must_have_room(AT + 120 * SECOND, CONFIG)
    held.count(AT + 120 * SECOND, CONFIG)
    assert refusal_of(lambda: held.must_have_room(AT + 121 * SECOND, CONFIG)) == "TOO_MANY_ATTEMPTS"


@pytest.mark.parametrize(
    ("subject", "failures", "left"),
    [
        (Throttle.of_account("ada@example.org"), 12, 0),
        (Throttle.of_account("ada@example.org"), 0, 0),
        (Throttle.of_address("192.0.2.1"), 12, 11),
        (Throttle.of_address("192.0.2.1"), 1, 0),
        (Throttle.of_address("192.0.2.1"), 0, 0),
        (Throttle.of_address("account:"), 5, 4),
    ],
)
def test_signing_in_forgives_all_of_an_account_and_one_of_an_address(subject, failures, left):
    held = throttle(failures, subject=subject)

    held.forgive(AT, AT)

    assert held.failures == left


def test_the_throttle_of_an_account_does_not_tell_its_address():
    assert "ada" not in Throttle.of_account("ada@example.org")
    assert Throttle.of_account("ada@example.org") != Throttle.of_account("bob@example.org")


# Sessions


def begin(at: datetime = AT, **said: Any) -> Session:
    return Session.begin(make.client(), **{"address": "192.0.2.1", "agent": "tests"} | said, at=at, config=CONFIG)


def test_signing_in_begins_a_session_of_thirty_days():
    account = make.client()

    session = Session.begin(account, address="192.0.2.1", agent="tests", at=AT, config=CONFIG)

    assert (session.account_id, session.address, session.agent) == (account.id, "192.0.2.1", "tests")
    assert (session.created_at, session.refreshed_at, session.expires_at) == (AT, AT, AT + 30 * DAY)
    assert session.ended_at is None


def test_how_long_a_session_lasts_is_for_the_operator_to_say():
    config = Config({"accounts.session_days": 1})

    assert Session.begin(make.client(), address="", agent="", at=AT, config=config).expires_at == AT + DAY


@pytest.mark.parametrize(("length", "kept"), [(200, 200), (201, 200), (100_000, 200)])
def test_what_a_device_calls_itself_is_cut(length, kept):
    assert begin(agent="x" * length).agent == "x" * kept


@pytest.mark.parametrize(
    ("at", "is_live"), [(AT, True), (AT + 30 * DAY - MOMENT, True), (AT + 30 * DAY, False), (AT + 31 * DAY, False)]
)
def test_a_session_is_live_until_its_last_moment(at, is_live):
    assert begin().is_live(at) is is_live


def test_a_session_that_has_ended_stays_as_it_ended():
    session = begin()

    session.end(AT + DAY)
    session.end(AT + 2 * DAY)

    assert session.ended_at == AT + DAY
    assert not session.is_live(AT + DAY)


def test_a_refresh_token_is_handed_out_and_not_kept():
    row, token = RefreshToken.issue(begin(), at=AT)

    assert token not in str(values(row))
    assert row.digest == digest(token)
    assert len(token) >= 43


def test_no_two_refresh_tokens_are_alike():
    session = begin()

    assert len({RefreshToken.issue(session, at=AT)[1] for _ in range(50)}) == 50


def test_a_refresh_token_is_traded_for_the_next_one_and_lengthens_the_session():
    session = begin()
    first, token = RefreshToken.issue(session, at=AT)
    later = AT + 29 * DAY

    traded = session.rotate(first, at=later, config=CONFIG)

    assert traded is not None
    row, fresh = traded
    assert fresh != token
    assert (row.session_id, row.digest, row.used_at) == (session.id, digest(fresh), None)
    assert first.used_at == later
    assert (session.refreshed_at, session.expires_at) == (later, later + 30 * DAY)


def test_a_chain_of_refreshes_goes_on_as_long_as_somebody_comes_back():
    session = begin()
    token, _ = RefreshToken.issue(session, at=AT)

    for day in range(29, 300, 29):
        traded = session.rotate(token, at=AT + day * DAY, config=CONFIG)
        assert traded is not None
        token, _ = traded


def test_trading_a_refresh_token_twice_ends_the_session_for_everybody():
    session = begin()
    stolen, _ = RefreshToken.issue(session, at=AT)
    traded = session.rotate(stolen, at=AT + HOUR, config=CONFIG)
    assert traded is not None

    assert session.rotate(stolen, at=AT + 2 * HOUR, config=CONFIG) is None
    assert session.ended_at == AT + 2 * HOUR
    assert session.rotate(traded[0], at=AT + 2 * HOUR, config=CONFIG) is None


@pytest.mark.parametrize(("at", "is_traded"), [(AT + 30 * DAY - MOMENT, True), (AT + 30 * DAY, False)])
def test_a_session_that_ran_out_is_not_refreshed(at, is_traded):
    session = begin()
    token, _ = RefreshToken.issue(session, at=AT)

    assert (session.rotate(token, at=at, config=CONFIG) is not None) is is_traded
    assert (token.used_at is not None) is is_traded


def test_a_session_that_was_signed_out_of_is_not_refreshed():
    session = begin()
    token, _ = RefreshToken.issue(session, at=AT)
    session.end(AT + HOUR)

    assert session.rotate(token, at=AT + HOUR, config=CONFIG) is None
    assert session.ended_at == AT + HOUR


@given(st.text())
@example("\ud800")
def test_any_text_can_be_looked_up_as_a_refresh_token(text):
    assert len(digest(text)) == 64


# Sets


@given(st.lists(texts))
def test_a_set_holds_the_first_spelling_of_each_word_in_the_order_they_came(words):
    expected: list[str] = []
    for word in (word.strip() for word in words):
        if word and word.casefold() not in [known.casefold() for known in expected]:
            expected.append(word)

    assert as_set(words) == expected


@given(st.lists(texts))
def test_a_set_of_a_set_is_the_same(words):
    assert as_set(as_set(words)) == as_set(words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["Python", "python", " PYTHON "], ["Python"]),
        (["A", "b", "a"], ["A", "b"]),
        (["Straße", "STRASSE"], ["Straße"]),
        (["", "  ", "Go"], ["Go"]),
    ],
)
def test_words_that_differ_only_in_case_or_outer_space_are_one(words, expected):
    assert as_set(words) == expected


# Profiles


def client_profile(version: int = 1) -> ClientProfile:
    profile = ClientProfile.open(make.client(), at=AT)
    profile.version = version
    return profile


def freelancer_profile(version: int = 1) -> FreelancerProfile:
    profile = FreelancerProfile.open(make.freelancer(), at=AT)
    profile.version = version
    return profile


def test_people_begin_under_their_own_names():
    account = make.account(Role.CLIENT, Role.FREELANCER, name="Ada")
    client, freelancer = ClientProfile.open(account, at=AT), FreelancerProfile.open(account, at=AT)

    assert (client.id, client.company_name, client.joined_at, client.version) == (account.id, "Ada", AT, 1)
    assert (freelancer.id, freelancer.full_name, freelancer.joined_at, freelancer.version) == (account.id, "Ada", AT, 1)
    assert (freelancer.languages, freelancer.skills, freelancer.birth_date) == ([], [], None)


def test_a_client_says_who_it_is():
    profile = client_profile()

    profile.edit(ClientWords("Acme", "Anvils", "Lisbon", "We fall.", 12), 1)

    assert (profile.company_name, profile.industry, profile.city) == ("Acme", "Anvils", "Lisbon")
    assert (profile.description, profile.employee_count, profile.version) == ("We fall.", 12, 2)


def test_what_a_client_leaves_out_is_emptied():
    profile = client_profile()
    profile.edit(ClientWords("Acme", "Anvils", "Lisbon", "We fall.", 12), 1)

    profile.edit(ClientWords("Acme"), 2)

    assert (profile.industry, profile.city, profile.description, profile.employee_count) == (None, None, None, None)


@pytest.mark.parametrize(
    ("edit", "profile"),
    [
        (lambda profile, version: profile.edit(ClientWords("Late"), version), client_profile(4)),
        (lambda profile, version: profile.edit(FreelancerWords("Late"), version, at=AT), freelancer_profile(4)),
    ],
    ids=["client", "freelancer"],
)
@pytest.mark.parametrize("version", [3, 5, 0, -1])
def test_an_edit_of_a_profile_that_has_changed_since_is_refused_and_shown_what_is_there(edit, profile, version):
    before = values(profile)

    with pytest.raises(Stale) as refused:
        edit(profile, version)

    assert refused.value.current is profile
    assert values(profile) == before


def test_an_edit_that_does_not_say_what_it_has_seen_is_made():
    profile = client_profile(4)

    profile.edit(ClientWords("Whatever it was"), None)

    assert (profile.company_name, profile.version) == ("Whatever it was", 5)


CLIENT_TEXTS = [("company_name", 120), ("industry", 200), ("city", 200), ("description", 5_000)]
FREELANCER_TEXTS = [("full_name", 120), ("title", 200), ("city", 200), ("country", 200), ("description", 5_000)]
ITEM_TEXTS = [("title", 200), ("organization", 200), ("description", 5_000)]

SAY: dict[str, Callable[[dict[str, Any]], object]] = {
    "client": lambda said: client_profile().edit(ClientWords(**{"company_name": "Acme"} | said), None),
    "freelancer": lambda said: freelancer_profile().edit(FreelancerWords(**{"full_name": "Fritz"} | said), None, at=AT),
    "item": lambda said: ProfileItem.put(
        freelancer_profile(), ItemKind.EDUCATION, ItemWords(**{"title": "School"} | said), count=0
    ),
}

TEXTS = [
    (who, field, most)
    for who, fields in (("client", CLIENT_TEXTS), ("freelancer", FREELANCER_TEXTS), ("item", ITEM_TEXTS))
    for field, most in fields
]


@pytest.mark.parametrize(("who", "field", "most"), TEXTS)
def test_a_text_of_a_profile_keeps_its_bounds(who, field, most):
    SAY[who]({field: "x"})
    SAY[who]({field: "x" * most})

    for beyond in ("x" * (most + 1), "x\0", "x\ud800", "\udfffx"):
        assert faults(partial(SAY[who], {field: beyond})) == [field]


@pytest.mark.parametrize(("who", "field"), [("client", "company_name"), ("freelancer", "full_name"), ("item", "title")])
@pytest.mark.parametrize("nothing", ["", " ", "\t\n", "\u3000", "\u200b", "\u200e \u200f"], ids=ascii)
def test_what_something_is_called_is_something_one_can_see(who, field, nothing):
    assert faults(lambda: SAY[who]({field: nothing})) == [field]


@pytest.mark.parametrize("count", [None, 1, 10_000_000])
def test_a_client_counts_its_employees(count):
    SAY["client"]({"employee_count": count})


@pytest.mark.parametrize("count", [0, -1, 10_000_001])
def test_a_client_has_no_fewer_than_one_employee_and_no_more_than_there_could_be(count):
    assert faults(lambda: SAY["client"]({"employee_count": count})) == ["employee_count"]


def test_everything_wrong_with_a_clients_words_is_said_at_once_and_nothing_changed():
    profile = client_profile()
    before = values(profile)
    words = ClientWords("", "x" * 201, "x\0", "x" * 5_001, 0)

    assert faults(lambda: profile.edit(words, 1)) == [
        "company_name",
        "industry",
        "city",
        "description",
        "employee_count",
    ]
    assert values(profile) == before


def test_a_freelancer_says_who_she_is():
    profile = freelancer_profile()
    words = FreelancerWords(
        full_name="Fritz",
        title="Carpenter",
        city="Graz",
        country="Austria",
        description="Wood.",
        hourly_rate_cents=45_00,
        birth_date=date(1990, 2, 3),
        languages=[" German", "german", "English"],
        skills=["Joinery", "JOINERY"],
    )

    profile.edit(words, 1, at=AT)

    assert (profile.full_name, profile.title, profile.city) == ("Fritz", "Carpenter", "Graz")
    assert (profile.country, profile.description, profile.hourly_rate_cents) == ("Austria", "Wood.", 45_00)
    assert (profile.birth_date, profile.version) == (date(1990, 2, 3), 2)
    assert (profile.languages, profile.skills) == (["German", "English"], ["Joinery"])


@pytest.mark.parametrize("rate", [None, 1, AMOUNT_MAX_CENTS])
def test_an_hourly_rate_is_an_amount(rate):
    SAY["freelancer"]({"hourly_rate_cents": rate})


@pytest.mark.parametrize("rate", [0, -1, AMOUNT_MAX_CENTS + 1])
def test_an_hourly_rate_is_no_less_and_no_more_than_an_amount(rate):
    assert faults(lambda: SAY["freelancer"]({"hourly_rate_cents": rate})) == ["hourly_rate"]


@pytest.mark.parametrize(
    ("born", "today", "is_grown"),
    [
        (date(2008, 11, 20), AT, True),
        (date(2008, 11, 21), AT, False),
        (date(2008, 2, 29), datetime(2026, 2, 28, tzinfo=UTC), False),
        (date(2008, 2, 29), datetime(2026, 3, 1, tzinfo=UTC), True),
        (date(2010, 2, 28), datetime(2028, 2, 28, tzinfo=UTC), True),
        (date(2026, 11, 21), AT, False),
        (date(1888, 11, 20), AT, True),
        (date(1887, 11, 20), AT, False),
        (date.min, AT, False),
        (date.max, AT, False),
    ],
)
def test_a_freelancer_is_grown_up_and_was_born_in_living_memory(born, today, is_grown):
    profile = freelancer_profile()
    words = FreelancerWords("Fritz", birth_date=born)

    if is_grown:
        profile.edit(words, None, at=today)
        assert profile.birth_date == born
    else:
        assert faults(lambda: profile.edit(words, None, at=today)) == ["birth_date"]


@pytest.mark.parametrize("name", ["languages", "skills"])
def test_a_set_of_words_keeps_its_bounds(name):
    SAY["freelancer"]({name: []})
    SAY["freelancer"]({name: [str(number) for number in range(50)]})
    SAY["freelancer"]({name: ["x" * 60]})

    for beyond in ([str(number) for number in range(51)], ["x" * 61], [""], [" "], ["\u200b"], ["x\0"], ["\ud800"]):
        assert faults(partial(SAY["freelancer"], {name: beyond})) == [name]


def test_several_bad_words_are_one_fault():
    assert faults(lambda: SAY["freelancer"]({"skills": ["", "x" * 61, "\0"] * 20})) == ["skills"]


def test_everything_wrong_with_a_freelancers_words_is_said_at_once_and_nothing_changed():
    profile = freelancer_profile()
    before = values(profile)
    words = FreelancerWords(
        full_name="",
        title="x" * 201,
        city="\0",
        country="\ud800",
        description="x" * 5_001,
        hourly_rate_cents=0,
        birth_date=AT.date(),
        languages=[""],
        skills=["x"] * 51,
    )

    assert faults(lambda: profile.edit(words, 1, at=AT)) == [
        "full_name",
        "title",
        "city",
        "country",
        "description",
        "hourly_rate",
        "birth_date",
        "languages",
        "skills",
    ]
    assert values(profile) == before


# Items


@pytest.mark.parametrize("kind", ItemKind, ids=lambda kind: kind.value)
def test_an_item_is_put_on_its_owners_profile(kind):
    profile = freelancer_profile()
    words = ItemWords("Master", "Guild", "With honours.", date(2020, 1, 1), date(2021, 1, 1))

    item = ProfileItem.put(profile, kind, words, count=0)

    assert (item.freelancer_id, item.kind, item.title, item.organization) == (profile.id, kind, "Master", "Guild")
    assert (item.description, item.starts_on, item.ends_on) == (words.description, words.starts_on, words.ends_on)


@pytest.mark.parametrize(("count", "code"), [(0, None), (99, None), (100, "TOO_MANY_ITEMS"), (101, "TOO_MANY_ITEMS")])
def test_a_profile_holds_a_hundred_items(count, code):
    put = partial(ProfileItem.put, freelancer_profile(), ItemKind.EDUCATION, ItemWords("School"), count=count)

    assert refusal_of(put) == code


@pytest.mark.parametrize(
    ("starts", "ends"),
    [
        (None, None),
        (date(2020, 1, 1), None),
        (None, date(2020, 1, 1)),
        (date(2020, 1, 1), date(2020, 1, 1)),
        (date(2020, 1, 1), date(2020, 1, 2)),
    ],
)
def test_an_item_starts_before_it_ends_or_on_the_same_day(starts, ends):
    SAY["item"]({"starts_on": starts, "ends_on": ends})


def test_an_item_does_not_end_before_it_starts():
    assert faults(lambda: SAY["item"]({"starts_on": date(2020, 1, 2), "ends_on": date(2020, 1, 1)})) == ["ends_on"]


def test_everything_wrong_with_an_item_is_said_at_once_and_nothing_changed():
    item = ProfileItem.put(freelancer_profile(), ItemKind.EDUCATION, ItemWords("School"), count=0)
    before = values(item)
    words = ItemWords(" ", "x" * 201, "\0", date(2020, 1, 2), date(2020, 1, 1))

    assert faults(lambda: item.edit(words)) == ["title", "organization", "description", "ends_on"]
    assert values(item) == before


def test_an_item_is_its_owners_and_to_others_it_is_not_there_to_change():
    owner, other = make.freelancer(), make.freelancer()
    profile = FreelancerProfile.open(owner, at=AT)
    item = ProfileItem.put(profile, ItemKind.EXPERIENCE, ItemWords("Shop"), count=0)

    item.must_belong_to(owner)
    with pytest.raises(NotFound):
        item.must_belong_to(other)


BLANKS = [(None, None), ("", None), (" \t\u3000", None), (" Bern\n", "Bern")]


@pytest.mark.parametrize(("said", "kept"), BLANKS)
def test_texts_are_kept_without_space_around_them_and_blank_ones_not_at_all(said, kept):
    client, freelancer = client_profile(), freelancer_profile()
    client.edit(ClientWords(" Acme ", said, said, said), None)
    freelancer.edit(FreelancerWords(" Fritz ", said, said, said, said), None, at=AT)
    item = ProfileItem.put(freelancer, ItemKind.EDUCATION, ItemWords(" Master ", said, said), count=0)

    assert (client.company_name, client.industry, client.city, client.description) == ("Acme", kept, kept, kept)
    assert (freelancer.full_name, freelancer.title, freelancer.city) == ("Fritz", kept, kept)
    assert (freelancer.country, freelancer.description) == (kept, kept)
    assert (item.title, item.organization, item.description) == ("Master", kept, kept)
