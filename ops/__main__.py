"""The command line: `python -m ops <verb>`."""

import argparse
import asyncio
import gc
import getpass
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import Refusal
from ops.settings import BadSettings, CloudSettings, Settings, database_url_of

if TYPE_CHECKING:
    from ops.app import House

SDL = Path(__file__).parents[1] / "schema" / "schema.graphql"
DRAIN_SECONDS = 30
STEWARD_CONNECTIONS = 3
"""Whoever sees to machines has little to say to the database."""


def up(_: argparse.Namespace) -> int:
    """Run everything here: databases, demo data, web server, worker."""
    from ops import up as launcher

    return launcher.run()


def serve(arguments: argparse.Namespace) -> int:
    """Run the web server."""
    import uvicorn

    from ops import app, go, wire
    from ops.transport import protocol
    from schema.limits import FRAME_BYTES_MAX

    _settle()
    go.wait()
    settings = Settings.of(os.environ)
    # uvicorn raises the signal it stopped for once more when all is done; to stop when told to is no failure.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        uvicorn.run(
            f"{app.__name__}:{'media_from_environment' if arguments.only else 'from_environment'}",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            loop="uvloop",
            http=wire.Protocol,
            ws=protocol.Protocol,
            ws_max_size=FRAME_BYTES_MAX,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            access_log=False,
            log_level="warning",
            server_header=False,
            forwarded_allow_ips=settings.trusted_proxies,
        )
    return 0


def work(_: argparse.Namespace) -> int:
    """Run the background worker."""
    from ops import go, logs, worker
    from ops import migrate as migrations
    from ops.app import House

    _settle()
    go.wait()
    settings = Settings.of(os.environ)
    logs.configure(settings.log_level, as_json=settings.log_json)
    migrations.must_be_reachable(settings.database_url)
    asyncio.run(worker.work(House.of(settings)))
    return 0


def machines(_: argparse.Namespace) -> int:
    """Make and retire machines in the cloud that the settings name."""
    from ops.machines.cloud import Cloud
    from ops.machines.keeper import keep

    return _attend(lambda house, stop: keep(house, [Cloud(CloudSettings.of(os.environ))], stop))


def autoscale(arguments: argparse.Namespace) -> int:
    """Ask for machines, and send some away, as the nodes are busy or idle."""
    from ops.autoscale import Autoscaler

    return _attend(lambda house, stop: Autoscaler(house, arguments.provider).work(stop))


def migrate(_: argparse.Namespace) -> int:
    """Bring the database at DATABASE_URL to the newest revision."""
    from ops import migrate as migrations

    with migrations.in_a_line():
        changed = migrations.to_head(database_url_of(os.environ))
    print(f"The database is at {migrations.newest()}{'' if changed else ' already'}.")
    return 0


def seed(_: argparse.Namespace) -> int:
    """Put the demo data into the database at DATABASE_URL, unless somebody lives there."""
    from ops import migrate as migrations
    from ops import seed as demo

    with migrations.in_a_line():
        done = asyncio.run(demo.seed(database_url_of(os.environ)))
    print("The demo data is in." if done else "There are accounts already: nothing was done.")
    return 0


def admin(arguments: argparse.Namespace) -> int:
    """Appoint an administrator: an account that exists, or a new one with a password that is asked for, or piped in."""
    from ops import admins
    from ops import migrate as migrations

    def ask() -> str:
        return getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")

    settings = Settings.of(os.environ)
    migrations.must_be_reachable(settings.database_url)
    print(asyncio.run(admins.appoint(settings, arguments.email, ask)))
    return 0


def control(arguments: argparse.Namespace) -> int:
    """Say what is wanted of the running servers, as the mutations do, and print what each node made of it."""
    from ops import logs, steering
    from ops import migrate as migrations

    settings = Settings.of(os.environ)
    # What is printed is the answer; the nodes write their own lines.
    logs.configure("ERROR", as_json=settings.log_json)
    migrations.must_be_reachable(settings.database_url)
    words = {name: getattr(arguments, name) for name in steering.Said._fields}
    told, is_done = asyncio.run(steering.steer(settings, steering.Said(**words)))
    print(told)
    return 0 if is_done else 1


def sign(arguments: argparse.Namespace) -> int:
    """Make a key for code that servers take while they run, or sign the source of a command with it."""
    from ops import code

    key = Path(arguments.key)
    if not arguments.words:
        print(f"WORKUP_CODE_KEY={code.make_key(key)}")
        return 0
    if len(arguments.words) != 2:
        print("Say a command and the file of its source, or nothing to make a key.", file=sys.stderr)
        return 2
    command, source = arguments.words
    print(code.sign(code.read_key(key), command, Path(source).read_text()))
    return 0


def check(_: argparse.Namespace) -> int:
    """Recompute the ledger in the database at DATABASE_URL, and name what is wrong first."""
    from ops import books
    from ops import migrate as migrations

    with migrations.in_a_line():
        is_right, words = asyncio.run(books.check(database_url_of(os.environ)))
    print(words)
    return 0 if is_right else 1


def sdl(arguments: argparse.Namespace) -> int:
    """Write schema/schema.graphql, or compare it with the code."""
    import schema.root

    text = schema.root.build().as_str() + "\n"
    if not arguments.check:
        SDL.write_text(text)
        return 0
    if SDL.exists() and SDL.read_text() == text:
        return 0
    print("schema/schema.graphql is not what the code says: run `make sdl` and look at the difference.")
    return 1


def _attend(work: "Callable[[House, asyncio.Event], Awaitable[None]]") -> int:
    """Do something with a house around it until told to stop."""
    from ops import logs
    from ops import migrate as migrations
    from ops.app import House

    async def attend(house: House) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with house.open():
            await work(house, stop)

    _settle()
    settings = Settings.of(os.environ)
    logs.configure(settings.log_level, as_json=settings.log_json)
    migrations.must_be_reachable(settings.database_url)
    asyncio.run(attend(House.of(replace(settings, db_connections=STEWARD_CONNECTIONS))))
    return 0


def _settle() -> None:
    """Collect garbage from here on, and never look again at what was loaded: it stays."""
    gc.freeze()
    gc.enable()


ARGUMENTS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "serve": (("--only", {"choices": ["media"], "help": "a server of files alone"}),),
    "check": (("what", {"choices": ["ledger"], "help": "what to look at"}),),
    "sdl": (("--check", {"action": "store_true", "help": "only compare"}),),
    "autoscale": (("--provider", {"default": "process", "help": "the kind of machines that come and go"}),),
    "admin": (("email", {"help": "whose address"}),),
    "control": (
        ("verb", {"help": "show, or what a mutation is called: setMaxThreads, freeze, …"}),
        ("words", {"nargs": "*", "help": "what it takes: JOBS 5"}),
        ("--why", {"default": "", "help": "the reason, which is kept"}),
        ("--node", {"help": "one node, by its name, instead of all"}),
        ("--version", {"type": int, "help": "refuse if somebody wanted anything since this version"}),
        ("--timeout-seconds", {"type": int, "default": 5, "help": "how long to wait for the nodes"}),
    ),
    "sign": (
        ("key", {"help": "the file that the private key is in, or is to be put into"}),
        ("words", {"nargs": "*", "help": "a command, and the file of its source"}),
    ),
}


def _read() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops", description="Runs WorkUp.")
    verbs = parser.add_subparsers(required=True, metavar="verb")
    for verb in (up, serve, work, machines, autoscale, migrate, seed, admin, control, sign, check, sdl):
        added = verbs.add_parser(verb.__name__, help=verb.__doc__, description=verb.__doc__)
        added.set_defaults(run=verb)
        for name, options in ARGUMENTS.get(verb.__name__, ()):
            added.add_argument(name, **options)
    return parser.parse_args()


def main() -> int:
    """Read the command line and do what it says."""
    # Loading makes a hundred thousand objects and no garbage; looking for some took a seventh of the time.
    gc.disable()
    arguments = _read()
    try:
        code: int = arguments.run(arguments)
    except BadSettings as error:
        print(f"WorkUp cannot start: {error}.", file=sys.stderr)
        return 2
    except Refusal as error:
        print("Not done:", " ".join(problem.message for problem in error.problems) or error, file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
