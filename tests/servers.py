"""One Postgres and one Valkey for a whole test run, however many processes it has."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ops import local

RUNNING = pytest.StashKey[local.Local]()
ROOT = pytest.StashKey[Path]()


class Addresses(NamedTuple):
    """Where the servers of this run are."""

    database_url: str
    redis_url: str


def of(config: pytest.Config) -> Addresses:
    """Say where they are; a run that has one process starts them when it is first asked."""
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is not None:
        return Addresses(*given["servers"])
    if RUNNING not in config.stash:
        config.stash[ROOT] = Path(tempfile.mkdtemp(prefix="workup-tests-"))
        config.stash[RUNNING] = local.start(config.stash[ROOT], durable=False)
    running = config.stash[RUNNING]
    return Addresses(running.database_url, running.redis_url)


def share(node: Any) -> None:
    """Tell a worker of pytest-xdist, before it begins, where they are."""
    node.workerinput["servers"] = tuple(of(node.config))


def stop(config: pytest.Config) -> None:
    """Leave nothing running and nothing behind."""
    if RUNNING in config.stash:
        config.stash[RUNNING].stop()
    if ROOT in config.stash:
        local.remove(config.stash[ROOT])
