"""What is decided when a process starts."""

import base64
import stat
from dataclasses import fields
from typing import Any

import pytest

from ops.settings import BadSettings, Settings, SigningKey, local_secrets

SEED = bytes(range(32))
ENCODED = base64.urlsafe_b64encode(SEED).decode().rstrip("=")

NEEDED = {
    "DATABASE_URL": "postgresql+asyncpg://localhost/workup",
    "REDIS_URL": "redis://localhost",
    "WORKUP_SECRET": "s" * 32,
    "WORKUP_SIGNING_KEYS": f"one:{ENCODED}",
}


def of(**said: str) -> Settings:
    return Settings.of(NEEDED | said)


def test_what_is_needed_is_enough():
    settings = Settings.of(NEEDED)

    assert (settings.database_url, settings.redis_url) == (NEEDED["DATABASE_URL"], NEEDED["REDIS_URL"])
    assert (settings.secret, settings.signing_keys) == (b"s" * 32, (SigningKey("one", SEED),))


def test_what_is_not_said_is_as_usual():
    settings = Settings.of(NEEDED)
    usual = Settings(settings.database_url, settings.redis_url, settings.secret, settings.signing_keys)

    assert settings == usual
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert (settings.origins, settings.demo, settings.log_level) == ((), False, "INFO")


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_needed_is_missed_by_name(name, value):
    environment = {key: text for key, text in (NEEDED | {name: value}).items() if text is not None}

    with pytest.raises(BadSettings, match=f"{name} is not set"):
        Settings.of(environment)


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("PORT", "1", "port", 1),
        ("PORT", "65535", "port", 65_535),
        ("WORKUP_WORKERS", "1", "workers", 1),
        ("WORKUP_WORKERS", "64", "workers", 64),
        (
            "WORKUP_ORIGINS",
            "https://a.example, https://b.example ,",
            "origins",
            ("https://a.example", "https://b.example"),
        ),
        ("WORKUP_TRUSTED_PROXIES", "10.0.0.1", "trusted_proxies", "10.0.0.1"),
        ("WORKUP_INTROSPECTION", "off", "introspection", False),
        ("WORKUP_INTROSPECTION", "ON", "introspection", True),
        ("WORKUP_COMPILED", "off", "compiled", False),
        ("WORKUP_GRAPHIQL", "off", "graphiql", False),
        ("WORKUP_DEMO", "on", "demo", True),
        ("WORKUP_SANDBOX_CLOCK", "on", "sandbox_clock", True),
        ("WORKUP_LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("WORKUP_LOG_JSON", "on", "log_json", True),
        ("WORKUP_DB_CONNECTIONS", "1", "db_connections", 1),
        ("WORKUP_DB_CONNECTIONS", "100", "db_connections", 100),
        ("WORKUP_PASSWORD_MEMORY_KIB", "32", "password_memory_kib", 32),
        ("WORKUP_PASSWORD_MEMORY_KIB", "1048576", "password_memory_kib", 1_048_576),
        ("WORKUP_CHANNEL_PREFIX", "blue:", "channel_prefix", "blue:"),
        ("WORKUP_PAYMENTS_PROVIDER", "sandbox", "payments_provider", "sandbox"),
        ("WORKUP_PAYMENTS_SECRET", "p" * 32, "payments_secret", b"p" * 32),
        ("WORKUP_PAYMENTS_WEBHOOK", "https://a.example/w", "payments_webhook", "https://a.example/w"),
        ("WORKUP_SANDBOX", "time-out", "sandbox", "time-out"),
        ("WORKUP_SANDBOX_SECONDS", "0", "sandbox_seconds", 0),
    ],
)
def test_each_variable_sets_its_own_field_and_no_other(name, text, field, value):
    settings, usual = of(**{name: text}), Settings.of(NEEDED)

    assert getattr(settings, field) == value
    for other in fields(Settings):
        if other.name != field:
            assert getattr(settings, other.name) == getattr(usual, other.name)


@pytest.mark.parametrize(
    "name",
    ["HOST", "PORT", "WORKUP_WORKERS", "WORKUP_ORIGINS", "WORKUP_DEMO", "WORKUP_LOG_LEVEL", "WORKUP_CHANNEL_PREFIX"],
)
def test_an_empty_variable_is_none(name):
    assert of(**{name: ""}) == Settings.of(NEEDED)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "8000.0"),
        ("PORT", "8e3"),
        ("PORT", " 8000"),
        ("PORT", "http"),
        ("WORKUP_WORKERS", "0"),
        ("WORKUP_WORKERS", "65"),
        ("WORKUP_DB_CONNECTIONS", "0"),
        ("WORKUP_DB_CONNECTIONS", "101"),
        ("WORKUP_PASSWORD_MEMORY_KIB", "31"),
        ("WORKUP_PASSWORD_MEMORY_KIB", "1048577"),
        ("WORKUP_DEMO", "yes"),
        ("WORKUP_INTROSPECTION", "1"),
        ("WORKUP_GRAPHIQL", "true"),
        ("WORKUP_LOG_JSON", "no"),
        ("WORKUP_PAYMENTS_PROVIDER", "bank"),
        ("WORKUP_PAYMENTS_SECRET", "p" * 31),
        ("WORKUP_SANDBOX", "SUCCEED"),
        ("WORKUP_SANDBOX_SECONDS", "3601"),
    ],
)
def test_what_is_said_wrongly_is_refused_by_name(name, text):
    with pytest.raises(BadSettings, match=name):
        of(**{name: text})


def test_a_secret_is_long_enough_not_to_be_guessed():
    with pytest.raises(BadSettings, match="at least 32"):
        of(WORKUP_SECRET="s" * 31)

    assert of(WORKUP_SECRET="s" * 33).secret == b"s" * 33


def test_webhooks_are_signed_with_what_was_agreed_upon_or_with_what_only_this_installation_knows():
    own, other = of(), of(WORKUP_SECRET="t" * 32)

    assert of(WORKUP_PAYMENTS_SECRET="p" * 32).webhook_secret == b"p" * 32
    assert own.webhook_secret == of().webhook_secret != other.webhook_secret
    assert own.webhook_secret != own.secret


def test_a_refused_secret_is_not_repeated():
    with pytest.raises(BadSettings) as short:
        of(WORKUP_SECRET="hush")
    with pytest.raises(BadSettings) as wrong:
        of(WORKUP_SIGNING_KEYS="one:hush")
    with pytest.raises(BadSettings) as other:
        of(WORKUP_PAYMENTS_SECRET="hush")

    assert "hush" not in f"{short.value} {wrong.value} {other.value}"


# Keys


@pytest.mark.parametrize("text", [f"one:{ENCODED}", f" one:{ENCODED} ", f"one:{ENCODED}="])
def test_a_key_is_a_name_and_a_seed(text):
    assert SigningKey.read(text) == SigningKey("one", SEED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "one",
        "one:",
        f":{ENCODED}",
        ENCODED,
        f"one:{ENCODED[:-2]}",
        f"one:{ENCODED}AA",
        "one:AAAAA",
        f"one:two:{ENCODED}A",
    ],
)
def test_what_is_no_key_is_refused(text):
    with pytest.raises(BadSettings, match="WORKUP_SIGNING_KEYS"):
        SigningKey.read(text)


def test_several_keys_are_kept_in_their_order():
    keys = of(WORKUP_SIGNING_KEYS=f"two:{ENCODED}, one:{ENCODED}").signing_keys

    assert [key.kid for key in keys] == ["two", "one"]


@pytest.mark.parametrize("keys", [f"one:{ENCODED},one:{ENCODED}", f"one:{ENCODED}, one:{ENCODED}"])
def test_two_keys_cannot_have_one_name(keys):
    with pytest.raises(BadSettings, match="kid twice"):
        of(WORKUP_SIGNING_KEYS=keys)


def test_a_list_with_a_gap_is_refused():
    with pytest.raises(BadSettings, match="WORKUP_SIGNING_KEYS"):
        of(WORKUP_SIGNING_KEYS=f"one:{ENCODED},")


# Secrets of a local installation


def test_local_secrets_are_made_once_and_are_good_settings(tmp_path):
    made = local_secrets(tmp_path / "home")

    assert local_secrets(tmp_path / "home") == made
    settings = of(**made)
    assert len(settings.secret) >= 32
    assert [key.kid for key in settings.signing_keys] == ["local"]


def test_local_secrets_differ_from_home_to_home(tmp_path):
    one, two = local_secrets(tmp_path / "one"), local_secrets(tmp_path / "two")

    assert all(one[name] != two[name] for name in ("WORKUP_SECRET", "WORKUP_SIGNING_KEYS"))


def test_only_their_owner_can_read_local_secrets(tmp_path):
    # What an interrupted start left behind may be readable by others, or long.
    (tmp_path / "secrets.new").write_text("WORKUP_SECRET=known to everybody\n" * 9)
    (tmp_path / "secrets.new").chmod(0o666)

    made: dict[str, Any] = local_secrets(tmp_path)

    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
    assert "known to everybody" not in made.values()
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.env"]
