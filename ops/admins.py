"""How the first administrator comes to be: an operator appoints one from the command line."""

import loaders.accounts
from models.accounts import Account, Role
from ops.app import House
from ops.settings import Settings


async def appoint(settings: Settings, email: str, password: str) -> str:
    """Give the role to the account with this address, or make one; say what was done."""
    house = House.of(settings)
    async with house.open():
        ctx = house.context()
        async with ctx.writing() as work:
            account = await loaders.accounts.with_email(work, email)
            if account is None:
                account = Account.register(
                    email=email, password=password, full_name="Administrator", roles=[Role.CLIENT], at=ctx.now()
                )
                account.password_hash = await ctx.passwords.hash(password)
                account.roles = [Role.ADMIN.value]
                work.add(account)
                return f"{account.email} is registered, and an administrator."
            account.roles = sorted({*account.roles, Role.ADMIN.value})
            return f"{account.email} is an administrator now."
