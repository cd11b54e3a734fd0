"""How an operator learns whether the ledger is right."""

import loaders.audit
from ops.database import Database


async def check(database_url: str) -> tuple[bool, str]:
    """Recompute the ledger, compare it with all that refers to it, and say in a line whether it is right."""
    database = Database.at(database_url, connections=1)
    try:
        async with database.reading() as session:
            report = await loaders.audit.audit(session)
    finally:
        await database.close()
    counted = (
        f"{report.accounts} accounts, {report.journals} journals, {report.entries} entries and {report.holds} holds"
    )
    if report.wrong is None:
        return True, f"The ledger is right: {counted}."
    return False, f"The ledger is wrong: {report.wrong}"
