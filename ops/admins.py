"""How the first administrator comes to be: an operator appoints one from the command line."""

from collections.abc import Callable

import loaders.accounts
from models.accounts import Account, Role
from ops.app import House
from ops.settings import Settings
from resolvers.context import Context


async def appoint(settings: Settings, email: str, ask: Callable[[], str]) -> str:
    """Give the role to the account with this address, or make one with a password that is asked for."""
    house = House.of(settings)
    async with house.open(with_bell=False):
        ctx = house.context()
        return await _promoted(ctx, email) or await _registered(ctx, email, ask())


async def _promoted(ctx: Context, email: str) -> str | None:
    async with ctx.writing() as work:
        account = await loaders.accounts.with_email(work, email)
        if account is None:
            return None
        account.roles = sorted({*account.roles, Role.ADMIN.value})
        return f"{account.email} is an administrator now."


async def _registered(ctx: Context, email: str, password: str) -> str:
    account = Account.register(
        email=email, password=password, full_name="Administrator", roles=[Role.CLIENT], at=ctx.now()
    )
    account.password_hash = await ctx.passwords.hash(password)
    account.roles = [Role.ADMIN.value]
    async with ctx.writing() as work:
        work.add(account)
    return f"{account.email} is registered, and an administrator."
