"""How people prove who they are."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from models.accounts import Role, Session
from models.config import Config
from models.errors import Busy
from ops.auth import AUDIENCE, HASHES_AT_ONCE, HASHES_WAITING_MAX, ISSUER, Argon2, BadToken, KeyRing, bearer
from ops.settings import SigningKey
from tests import make

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
QUARTER = 15 * 60

KEY, OTHER_KEY = SigningKey("one", bytes(range(32))), SigningKey("two", bytes(range(32, 64)))
RING = KeyRing([KEY])
ACCOUNT = make.account(Role.CLIENT, Role.FREELANCER)
SESSION = Session.begin(ACCOUNT, address="", agent="", at=AT, config=Config())
TOKEN = RING.issue(ACCOUNT, SESSION, at=AT, seconds=QUARTER)


def claims(**changed: Any) -> dict[str, Any]:
    """What a good token says, with some of it changed; `None` leaves it out."""
    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": ACCOUNT.id.hex,
        "sid": SESSION.id.hex,
        "roles": ["CLIENT"],
        "iat": int(AT.timestamp()),
        "exp": int(AT.timestamp()) + QUARTER,
        "jti": "1",
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(part if isinstance(part, bytes) else json.dumps(part).encode()).decode().rstrip("=")


def forged(header: Any, said: Any, signature: bytes = b"") -> str:
    return f"{encoded(header)}.{encoded(said)}.{encoded(signature)}"


def signed(said: Any, *, key: SigningKey = KEY, **headers: Any) -> str:
    """A token that says this, rightly signed; `kid=None` leaves the name of the key out."""
    header = {"alg": "EdDSA", "typ": "JWT", "kid": "one"} | headers
    body = f"{encoded({name: value for name, value in header.items() if value is not None})}.{encoded(said)}"
    return f"{body}.{encoded(Ed25519PrivateKey.from_private_bytes(key.seed).sign(body.encode()))}"


def is_refused(token: str, *, ring: KeyRing = RING, at: datetime = AT, expired: bool = False) -> bool:
    with pytest.raises(BadToken) as refused:
        ring.verify(token, at=at)
    return refused.value.expired is expired


# Tokens


def test_a_token_that_was_signed_here_is_read():
    read = RING.verify(TOKEN, at=AT)

    assert (read.session_id, read.expires_at) == (SESSION.id, AT + timedelta(seconds=QUARTER))


def test_a_token_says_what_the_marketplace_says_it_does():
    header, said = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in TOKEN.split(".")[:2])

    assert (header["alg"], header["kid"]) == ("EdDSA", "one")
    assert said == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": ACCOUNT.id.hex,
        "sid": SESSION.id.hex,
        "roles": ["CLIENT", "FREELANCER"],
        "iat": int(AT.timestamp()),
        "exp": int(AT.timestamp()) + QUARTER,
        "jti": said["jti"],
    }


def test_no_two_tokens_are_alike():
    assert RING.issue(ACCOUNT, SESSION, at=AT, seconds=QUARTER) != TOKEN


def test_a_token_is_good_until_its_last_moment_and_expired_from_then_on():
    end = AT + timedelta(seconds=QUARTER)

    assert RING.verify(TOKEN, at=end - MOMENT).expires_at == end
    assert is_refused(TOKEN, at=end, expired=True)
    assert is_refused(TOKEN, at=end + timedelta(days=9), expired=True)


def test_an_expired_token_and_a_bad_one_are_told_apart():
    with pytest.raises(BadToken) as expired:
        RING.verify(TOKEN, at=AT + timedelta(days=1))
    with pytest.raises(BadToken) as bad:
        RING.verify(TOKEN + "x", at=AT)

    assert expired.value.code == bad.value.code == "UNAUTHENTICATED"
    assert expired.value.message != bad.value.message


def test_a_forged_token_that_would_have_expired_is_only_bad():
    assert is_refused(signed(claims(), key=OTHER_KEY), at=AT + timedelta(days=1))


def test_the_clock_of_the_house_is_the_only_one():
    past = datetime(2001, 1, 1, tzinfo=UTC)
    token = RING.issue(ACCOUNT, SESSION, at=past, seconds=60)

    assert RING.verify(token, at=past).session_id == SESSION.id


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, "HS256", "RS256", "ES256", "Ed448"])
@pytest.mark.parametrize("signature", [b"", b"x" * 64], ids=["unsigned", "signed with anything"])
def test_the_algorithm_is_the_houses_to_choose(algorithm, signature):
    assert is_refused(forged({"alg": algorithm, "typ": "JWT", "kid": "one"}, claims(), signature))


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_good_signature_under_another_algorithm_is_refused(algorithm):
    _, said, signature = TOKEN.split(".")

    assert is_refused(f"{encoded({'alg': algorithm, 'kid': 'one'})}.{said}.{signature}")


@pytest.mark.parametrize(
    ("encoding", "form"),
    [
        (Encoding.Raw, PublicFormat.Raw),
        (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.OpenSSH, PublicFormat.OpenSSH),
    ],
    ids=str,
)
def test_the_public_key_is_no_password(encoding, form):
    public = Ed25519PrivateKey.from_private_bytes(KEY.seed).public_key().public_bytes(encoding, form)
    body = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'one'})}.{encoded(claims())}"
    mark = hmac.digest(public, body.encode(), hashlib.sha256)

    assert is_refused(f"{body}.{encoded(mark)}")


@pytest.mark.parametrize("kid", ["two", "", "ONE", "one ", "../one", "one' or '1'='1"])
def test_a_token_of_an_unknown_key_is_refused(kid):
    assert is_refused(signed(claims(), kid=kid))


@pytest.mark.parametrize("kid", [None, 1, True, ["one"], {"one": 1}])
def test_a_token_names_its_key_in_text(kid):
    assert is_refused(signed(claims(), kid=kid))


def test_a_token_signed_by_somebody_else_under_our_name_is_refused():
    assert is_refused(signed(claims(), key=OTHER_KEY))


def test_a_key_that_a_token_brings_along_is_not_used():
    public = Ed25519PrivateKey.from_private_bytes(OTHER_KEY.seed).public_key()
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": encoded(raw)}

    assert is_refused(signed(claims(), key=OTHER_KEY, jwk=jwk))
    assert is_refused(signed(claims(), key=OTHER_KEY, jku="https://evil.example/keys"))


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "somebody else"},
        {"iss": ""},
        {"iss": ["workup"]},
        {"aud": "another-api"},
        {"aud": []},
        {"aud": ["another-api"]},
        {"aud": {"workup-api": 1}},
        {"sub": 5},
        {"sid": "not an id"},
        {"sid": ""},
        {"sid": 5},
        {"sid": []},
        {"exp": "soon"},
        {"exp": []},
    ],
    ids=repr,
)
def test_a_token_that_says_something_else_is_refused(changed):
    assert is_refused(signed(claims(**changed)))


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "sid", "iat", "exp", "jti"])
def test_a_token_that_leaves_something_out_is_refused(missing):
    assert is_refused(signed(claims(**{missing: None})))


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b"null", b'"text"', b"{", b"\xff", b'{"exp": 1}'])
def test_a_token_that_says_nothing_is_refused(body):
    assert is_refused(signed(body))


@given(st.data())
def test_a_token_with_a_changed_bit_is_refused(data):
    parts = [bytearray(base64.urlsafe_b64decode(part + "==")) for part in TOKEN.split(".")]
    part = data.draw(st.sampled_from(parts))
    part[data.draw(st.integers(0, len(part) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    assert is_refused(".".join(encoded(bytes(part)) for part in parts))


@given(st.integers(0, len(TOKEN) - 1))
def test_a_token_that_was_cut_is_refused(length):
    assert is_refused(TOKEN[:length])


@given(st.text() | st.text("eyJ.-_=0aZ", max_size=200))
def test_garbage_is_refused(text):
    assert is_refused(text)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "\0",
        "\ud800",
        "é.é.é",
        TOKEN + ".x",
        "x" * 1_000_000,
        "." * 1_000_000,
        TOKEN + "A" * 1_000_000,
        forged({"alg": "EdDSA", "kid": "one"}, claims(more="x" * 100_000), b"x" * 64),
        forged({"alg": "EdDSA", "kid": "one", "more": "x" * 100_000}, claims(), b"x" * 64),
        forged({"alg": "EdDSA", "kid": "x" * 100_000}, claims(), b"x" * 64),
        forged([], claims()),
        forged("EdDSA", claims()),
        forged(b"[" * 3_000, claims()),
    ],
    ids=lambda token: f"{token!a:.20} {len(token)}",
)
def test_what_is_oversized_or_no_token_at_all_is_refused(token):
    assert is_refused(token)


def test_a_good_token_that_is_oversized_is_refused():
    assert RING.verify(signed(claims(more="x" * 100)), at=AT).session_id == SESSION.id
    assert is_refused(signed(claims(more="x" * 10_000)))


# Keys


def test_a_new_key_signs_nobody_out():
    rotated = KeyRing([OTHER_KEY, KEY])
    fresh = rotated.issue(ACCOUNT, SESSION, at=AT, seconds=QUARTER)

    assert rotated.verify(TOKEN, at=AT) == rotated.verify(fresh, at=AT)
    assert jwt.get_unverified_header(fresh)["kid"] == "two"


def test_a_key_that_was_put_in_front_is_known_to_those_that_have_it_behind():
    # While processes restart one by one, the old ones have to read what the new ones sign.
    old, new = KeyRing([KEY, OTHER_KEY]), KeyRing([OTHER_KEY, KEY])

    assert old.verify(new.issue(ACCOUNT, SESSION, at=AT, seconds=60), at=AT).session_id == SESSION.id


def test_what_a_key_signed_is_refused_when_the_key_is_gone():
    assert is_refused(TOKEN, ring=KeyRing([OTHER_KEY]))


# Headers


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        ("", None),
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER abc", "abc"),
        ("  Bearer   abc  ", "abc"),
    ],
)
def test_a_token_is_taken_from_its_header(header, token):
    assert bearer(header) == token


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", " ", "abc", "Basic YTpi", "Token abc", "Bearerabc", "Bearer:abc", "Bear er abc"]
)
def test_a_header_that_holds_no_token_is_refused(header):
    with pytest.raises(BadToken):
        bearer(header)


# Passwords


class Counting(PasswordHasher):
    """The library's own hasher, which counts what it does; each hash waits for a second one to work beside it."""

    def __init__(self, together: int = 1) -> None:
        super().__init__(memory_cost=256, time_cost=2)
        self.hashed, self.inside, self.most = 0, 0, 0
        self._lock, self._gate = threading.Lock(), threading.Barrier(together, timeout=20)

    def hash(self, *args: Any, **named: Any) -> str:
        with self._lock:
            self.hashed += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
        self._gate.wait()
        made = super().hash(*args, **named)
        with self._lock:
            self.inside -= 1
        return made


def hasher(counting: Counting) -> Argon2:
    made = Argon2(memory_kib=256)
    made._hasher = counting
    return made


async def test_a_password_is_known_by_its_hash_alone():
    passwords = Argon2(memory_kib=256)

    kept = await passwords.hash("correct horse")

    assert await passwords.matches(kept, "correct horse")
    assert not await passwords.matches(kept, "correct horse ")
    assert not await passwords.matches(kept, "Correct horse")
    assert not await passwords.matches(kept, "")


async def test_a_hash_is_argon2id_of_the_memory_it_was_told_and_says_nothing_of_the_password():
    passwords = Argon2(memory_kib=256)

    one, two = await passwords.hash("correct horse"), await passwords.hash("correct horse")

    assert one.startswith("$argon2id$v=19$m=256,")
    assert "correct" not in one
    assert one != two


async def test_a_hash_made_with_other_costs_is_still_verified():
    kept = await Argon2(memory_kib=512).hash("correct horse")

    assert await Argon2(memory_kib=256).matches(kept, "correct horse")


async def test_where_there_is_no_account_the_same_work_is_done_and_the_answer_is_no():
    counting = Counting()

    assert not await hasher(counting).matches(None, "correct horse")
    assert counting.hashed == 1


async def test_passwords_of_any_characters_are_hashed():
    passwords = Argon2(memory_kib=64)

    for password in ("пароль пароль", "\0" * 10, "\N{OLD KEY}" * 1_000):
        assert await passwords.matches(await passwords.hash(password), password)


async def test_only_a_few_passwords_are_hashed_at_once():
    counting = Counting(together=HASHES_AT_ONCE)
    passwords = hasher(counting)

    # Known and unknown accounts wait in the same line.
    await asyncio.gather(*(passwords.hash("x") for _ in range(6)), *(passwords.matches(None, "x") for _ in range(6)))

    assert (counting.hashed, counting.most) == (12, HASHES_AT_ONCE)


async def test_a_line_that_is_too_long_is_joined_by_nobody():
    counting = Counting(together=HASHES_AT_ONCE)
    passwords = hasher(counting)
    room = HASHES_AT_ONCE + HASHES_WAITING_MAX

    told = await asyncio.gather(*(passwords.hash("x") for _ in range(room + 10)), return_exceptions=True)

    assert [type(answer) for answer in told] == [str] * room + [Busy] * 10
    assert counting.hashed == room
    # Who comes back later finds room.
    assert not any(await asyncio.gather(passwords.matches(None, "x"), passwords.matches(None, "x")))


async def test_somebody_who_gives_up_waiting_leaves_room_for_others():
    passwords = Argon2(memory_kib=256)

    waiting = [asyncio.create_task(passwords.hash("x")) for _ in range(20)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    kept = await passwords.hash("correct horse")
    assert await passwords.matches(kept, "correct horse")
