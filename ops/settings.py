"""What is decided when a process starts: read from the environment once, and passed down as values."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import UUID

DATABASE_SCHEME = "postgresql+asyncpg://"
KEY_BYTES = 32
SECRET_CHARS_MIN = 32
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
CLOUDS = ("digitalocean", "ec2")
HOME = Path(__file__).parents[1] / ".workup"
PROVIDERS = ("sandbox",)
BEHAVIOURS = ("succeed", "fail", "delay", "delayed-failure", "time-out", "repeat")
"""What the payment sandbox can be told to do."""
MEDIA = "media"
"""The directory that uploads are kept in, at home, unless they are kept elsewhere."""


class BadSettings(Exception):
    """The environment does not say what is needed, or says it wrongly."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key for access tokens; `kid` is what tokens call it."""

    kid: str
    seed: bytes

    @classmethod
    def read(cls, text: str) -> Self:
        """Read `kid:seed`, the seed being 32 bytes in base64url."""
        kid, _, encoded = text.strip().partition(":")
        try:
            seed = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            seed = b""
        if not kid or len(seed) != KEY_BYTES:
            raise BadSettings("WORKUP_SIGNING_KEYS is a list of kid:seed, each seed 32 bytes in base64url")
        return cls(kid, seed)


@dataclass(frozen=True)
class Settings:
    """Everything a process is told. `secret` seals cursors; the first of `signing_keys` signs, all of them verify."""

    database_url: str
    redis_url: str
    secret: bytes
    signing_keys: tuple[SigningKey, ...]
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    origins: tuple[str, ...] = ()
    trusted_proxies: str = "127.0.0.1"
    introspection: bool = True
    graphiql: bool = True
    compiled: bool = True
    demo: bool = False
    sandbox_clock: bool = False
    log_level: str = "INFO"
    log_json: bool = False
    db_connections: int = 20
    db_role: str = "workup_app"
    password_memory_kib: int = 65_536
    channel_prefix: str = "workup:"
    node: str | None = None
    machine: UUID | None = None
    code_key: str | None = None
    media_url: str = (HOME / MEDIA).as_uri()
    media_endpoint: str | None = None
    media_origin: str = ""
    media_spool: Path | None = None
    upload_user: str | None = None
    upload_password: str | None = None
    payments_provider: str | None = None
    payments_secret: bytes | None = None
    payments_webhook: str = ""
    sandbox: str = "succeed"
    sandbox_seconds: int = 2

    @property
    def webhook_secret(self) -> bytes:
        """What webhooks are signed with: as agreed with the provider, or, for the sandbox, made of our own secret."""
        return self.payments_secret or hmac.digest(self.secret, b"payments", "sha256")

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read them all; every variable is listed in docs/operations.md."""
        secret = _required(environment, "WORKUP_SECRET")
        if len(secret) < SECRET_CHARS_MIN:
            raise BadSettings(f"WORKUP_SECRET has at least {SECRET_CHARS_MIN} characters")
        keys = tuple(SigningKey.read(key) for key in _required(environment, "WORKUP_SIGNING_KEYS").split(","))
        if len({key.kid for key in keys}) != len(keys):
            raise BadSettings("WORKUP_SIGNING_KEYS names a kid twice")
        return cls(
            database_url=database_url_of(environment),
            redis_url=_required(environment, "REDIS_URL"),
            secret=secret.encode(),
            signing_keys=keys,
            host=environment.get("HOST") or cls.host,
            port=_number(environment, "PORT", 1, 65_535, cls.port),
            workers=_number(environment, "WORKUP_WORKERS", 1, 64, cls.workers),
            origins=_words(environment, "WORKUP_ORIGINS"),
            trusted_proxies=environment.get("WORKUP_TRUSTED_PROXIES") or cls.trusted_proxies,
            introspection=_switch(environment, "WORKUP_INTROSPECTION", default=True),
            graphiql=_switch(environment, "WORKUP_GRAPHIQL", default=True),
            compiled=_switch(environment, "WORKUP_COMPILED", default=True),
            demo=_switch(environment, "WORKUP_DEMO", default=False),
            sandbox_clock=_switch(environment, "WORKUP_SANDBOX_CLOCK", default=False),
            log_level=_level(environment),
            log_json=_switch(environment, "WORKUP_LOG_JSON", default=False),
            db_connections=_number(environment, "WORKUP_DB_CONNECTIONS", 1, 100, cls.db_connections),
            db_role=environment.get("WORKUP_DB_ROLE") or cls.db_role,
            password_memory_kib=_number(
                environment, "WORKUP_PASSWORD_MEMORY_KIB", 32, 1_048_576, cls.password_memory_kib
            ),
            channel_prefix=environment.get("WORKUP_CHANNEL_PREFIX") or cls.channel_prefix,
            code_key=_code_key(environment),
            node=environment.get("WORKUP_NODE") or None,
            machine=_id(environment, "WORKUP_MACHINE"),
            media_url=environment.get("WORKUP_MEDIA_URL") or (home_of(environment) / MEDIA).absolute().as_uri(),
            media_endpoint=environment.get("WORKUP_MEDIA_ENDPOINT") or None,
            media_origin=(environment.get("WORKUP_MEDIA_ORIGIN") or "").rstrip("/"),
            media_spool=Path(spool) if (spool := environment.get("WORKUP_MEDIA_SPOOL")) else None,
            upload_user=environment.get("UPLOAD_USER") or None,
            upload_password=environment.get("UPLOAD_PASSWORD") or None,
            payments_provider=_one_of(environment, "WORKUP_PAYMENTS_PROVIDER", PROVIDERS),
            payments_secret=_payments_secret(environment),
            payments_webhook=environment.get("WORKUP_PAYMENTS_WEBHOOK") or cls.payments_webhook,
            sandbox=_one_of(environment, "WORKUP_SANDBOX", BEHAVIOURS) or cls.sandbox,
            sandbox_seconds=_number(environment, "WORKUP_SANDBOX_SECONDS", 0, 3_600, cls.sandbox_seconds),
        )


@dataclass(frozen=True)
class CloudSettings:
    """The account that machines are made in, and what kind of machines they are."""

    name: str
    key: str
    secret: str
    region: str
    size: str
    image: str
    user_data: str
    """What a machine does when it first starts; `$WORKUP_MACHINE` in it becomes its id."""
    port: int = 8000
    private: bool = False
    prefix: str = "workup"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read them all; every variable is listed in docs/operations.md."""
        name = _required(environment, "WORKUP_CLOUD")
        if name not in CLOUDS:
            raise BadSettings(f"WORKUP_CLOUD is one of {', '.join(CLOUDS)}, not {name}")
        prefix = environment.get("WORKUP_CLOUD_PREFIX") or cls.prefix
        if not prefix.replace("-", "").isalnum() or not prefix.isascii():
            raise BadSettings("WORKUP_CLOUD_PREFIX has letters, digits and hyphens")
        script = Path(_required(environment, "WORKUP_CLOUD_USER_DATA"))
        if not script.is_file():
            raise BadSettings(f"WORKUP_CLOUD_USER_DATA is a file, and there is none at {script}")
        return cls(
            name=name,
            key=_required(environment, "WORKUP_CLOUD_KEY"),
            secret=environment.get("WORKUP_CLOUD_SECRET") or "",
            region=_required(environment, "WORKUP_CLOUD_REGION"),
            size=_required(environment, "WORKUP_CLOUD_SIZE"),
            image=_required(environment, "WORKUP_CLOUD_IMAGE"),
            user_data=script.read_text(),
            port=_number(environment, "WORKUP_CLOUD_PORT", 1, 65_535, cls.port),
            private=_switch(environment, "WORKUP_CLOUD_PRIVATE", default=False),
            prefix=prefix,
        )


def database_url_of(environment: Mapping[str, str]) -> str:
    """Where the database is, in the one form that everything here reads."""
    url = _required(environment, "DATABASE_URL")
    if not url.startswith(DATABASE_SCHEME):
        raise BadSettings(f"DATABASE_URL begins with {DATABASE_SCHEME}")
    return url


def home_of(environment: Mapping[str, str]) -> Path:
    """Where everything is kept that this machine keeps itself."""
    return Path(environment.get("WORKUP_HOME") or HOME)


def local_secrets(home: Path) -> dict[str, str]:
    """The secrets of a local installation: made on the first start, and kept where only its owner can read them."""
    kept = home / "secrets.env"
    if not kept.exists():
        home.mkdir(parents=True, exist_ok=True)
        seed = base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode().rstrip("=")
        lines = [f"WORKUP_SECRET={secrets.token_urlsafe(KEY_BYTES)}", f"WORKUP_SIGNING_KEYS=local:{seed}"]
        # Whole or not at all, and never readable by others.
        draft = kept.with_suffix(".new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text("\n".join(lines) + "\n")
        draft.rename(kept)
    return dict(line.split("=", 1) for line in kept.read_text().splitlines() if line)


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise BadSettings(f"{name} is not set")
    return value


def _number(environment: Mapping[str, str], name: str, least: int, most: int, otherwise: int) -> int:
    text = environment.get(name) or str(otherwise)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise BadSettings(f"{name} is a number from {least} to {most}, not {text}")
    return int(text)


def _switch(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = (environment.get(name) or ("on" if default else "off")).lower()
    if text not in {"on", "off"}:
        raise BadSettings(f"{name} is on or off, not {text}")
    return text == "on"


def _level(environment: Mapping[str, str]) -> str:
    level = (environment.get("WORKUP_LOG_LEVEL") or Settings.log_level).upper()
    if level not in LEVELS:
        raise BadSettings(f"WORKUP_LOG_LEVEL is one of {', '.join(LEVELS)}, not {level}")
    return level


def _one_of(environment: Mapping[str, str], name: str, known: tuple[str, ...]) -> str | None:
    text = environment.get(name) or None
    if text is not None and text not in known:
        raise BadSettings(f"{name} is one of {', '.join(known)}, not {text}")
    return text


def _payments_secret(environment: Mapping[str, str]) -> bytes | None:
    said = environment.get("WORKUP_PAYMENTS_SECRET") or None
    if said is not None and len(said) < SECRET_CHARS_MIN:
        raise BadSettings(f"WORKUP_PAYMENTS_SECRET has at least {SECRET_CHARS_MIN} characters")
    return None if said is None else said.encode()


def _id(environment: Mapping[str, str], name: str) -> UUID | None:
    text = environment.get(name)
    try:
        return UUID(text) if text else None
    except ValueError:
        raise BadSettings(f"{name} is the id of a machine, not {text}") from None


def _code_key(environment: Mapping[str, str]) -> str | None:
    key = environment.get("WORKUP_CODE_KEY")
    if not key:
        return None
    try:
        raw = base64.b64decode(key + "=" * (-len(key) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise BadSettings("WORKUP_CODE_KEY is a public Ed25519 key, 32 bytes in base64url")
    return key


def _words(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in (environment.get(name) or "").split(",") if word.strip())
