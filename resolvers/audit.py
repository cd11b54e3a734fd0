"""What administrators find out about the ledger."""

from collections.abc import Sequence

import loaders.audit
from loaders.audit import Total
from loaders.ledger import Report
from loaders.work import read_steadily
from models.accounts import Role
from resolvers.context import Context


async def audit(ctx: Context) -> Report:
    """Whether the ledger is right, and if not, what is wrong first."""
    ctx.me.must_be(Role.ADMIN)
    return await read_steadily(ctx.reading, loaders.audit.audit)


async def totals(ctx: Context) -> Sequence[Total]:
    """What there is of each currency, and where."""
    ctx.me.must_be(Role.ADMIN)
    return await read_steadily(ctx.reading, loaders.audit.totals)
