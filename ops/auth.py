"""How people prove who they are: signed tokens, and passwords that nobody can read back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.accounts import Account, Session
from models.errors import Busy, Unauthenticated
from ops.settings import SigningKey

K = TypeVar("K")
V = TypeVar("V")

ALGORITHM = "EdDSA"
ISSUER = "workup"
AUDIENCE = "workup-api"
TOKEN_MAX = 4_000
CLAIMS = ["iss", "aud", "sub", "sid", "iat", "exp", "jti"]
KEPT_MAX = 5_000
"""Tokens that a process remembers, and whom they named: some 20 MB at most."""
HASHES_AT_ONCE = 2
"""Each takes 64 MiB for some 50 ms; more at once would only wait for the same cores."""
HASHES_WAITING_MAX = 50
"""Anybody may stand in this line; who comes when it is so long is told at once to come back."""


class BadToken(Unauthenticated):
    """The token was not made here, or is spoilt; `expired` tells the one that was good once."""

    message = "This access token is not valid. Sign in again."

    def __init__(self, *, expired: bool = False) -> None:
        super().__init__("This access token has expired. Refresh it." if expired else None)
        self.expired = expired


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says."""

    session_id: UUID
    expires_at: datetime


class KeyRing:
    """Signs tokens with the first key, verifies them with any: a new key is put in front, an old one stays a while."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        self._private = {key.kid: Ed25519PrivateKey.from_private_bytes(key.seed) for key in keys}
        self._public = {kid: key.public_key() for kid, key in self._private.items()}
        self._kid = keys[0].kid
        self._read: dict[str, Claims] = {}
        """What was verified before, by the whole token: a signature stays as good as it was."""

    def issue(self, account: Account, session: Session, *, at: datetime, seconds: int) -> str:
        """Sign an access token (RFC 7519) for this account and session."""
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": account.id.hex,
            "sid": session.id.hex,
            "roles": account.roles,
            "iat": at,
            "exp": at + timedelta(seconds=seconds),
            "jti": uuid4().hex,
        }
        return jwt.encode(claims, self._private[self._kid], ALGORITHM, headers={"kid": self._kid})

    def verify(self, token: str, *, at: datetime) -> Claims:
        """Read a token that was signed here."""
        read = self._read.get(token)
        if read is None:
            read = self._verified(token)
            if at < read.expires_at:
                keep(self._read, token, read)
        if at >= read.expires_at:
            raise BadToken(expired=True)
        return read

    def _verified(self, token: str) -> Claims:
        """Verify its signature; the algorithm is ours to choose, whatever the token says."""
        try:
            kid = jwt.get_unverified_header(token[:TOKEN_MAX]).get("kid")
            claims = jwt.decode(
                token,
                self._public[kid or ""],
                [ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                # The house has one clock, and it is not the library's.
                options={"require": CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            return Claims(UUID(hex=claims["sid"]), datetime.fromtimestamp(claims["exp"], UTC))
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, AttributeError):
            raise BadToken from None


def keep(kept: "dict[K, V]", key: K, value: V) -> None:
    """Keep a bounded number of things; whatever was kept longest goes first."""
    kept[key] = value
    if len(kept) > KEPT_MAX:
        del kept[next(iter(kept))]


def bearer(authorization: str | None) -> str | None:
    """The token in an Authorization header (RFC 6750); nothing without one, refused if it is another scheme."""
    if not authorization:
        return None
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise BadToken
    return token.strip()


class Argon2:
    """Hashes passwords with argon2id (RFC 9106), a few at a time, beside the event loop."""

    def __init__(self, memory_kib: int) -> None:
        self._hasher = PasswordHasher(memory_cost=memory_kib)
        self._room = asyncio.Semaphore(HASHES_AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Make the only form in which a password is kept."""
        async with self._turn():
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Verify a password; where there is no hash to verify it against, work as long and say no."""
        if password_hash is None:
            await self.hash(password)
            return False
        async with self._turn():
            return await asyncio.to_thread(self._verify, password_hash, password)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= HASHES_WAITING_MAX:
            raise Busy
        self._waiting += 1
        try:
            await self._room.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._room.release()

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except VerifyMismatchError:
            return False
