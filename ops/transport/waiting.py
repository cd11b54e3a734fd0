"""What an operation does at once has begun before it is given up.

When a field fails, graphql-core gives up what stands beside it, by a gather that cancels all that is beneath it in the
same turn of the loop. What has not had its first turn by then is dropped with the coroutines that it holds, its own
and those of our fields, and of each that nobody ever waited for Python complains; a list may leave hundreds.
"""

from asyncio import FIRST_EXCEPTION, ensure_future, gather, wait
from collections.abc import Awaitable
from typing import Any

from graphql.execution import executor


async def wait_for_all(*awaitables: Awaitable[Any]) -> list[Any]:
    """Wait for all, of which there is at least one, and answer with their results in order.

    If one fails, or if this is cancelled, the others are cancelled, and the error is raised when they have ended. A
    `gather` hands a cancellation on at once; this does so a turn later, when all that it waits for have begun.
    """
    futures = [ensure_future(awaitable) for awaitable in awaitables]
    try:
        await wait(futures, return_when=FIRST_EXCEPTION)
        return [future.result() for future in futures if future.done()]
    except BaseException:
        for future in futures:
            future.cancel()
        await gather(*futures, return_exceptions=True)
        raise


def replace_gather() -> None:
    """Have graphql-core wait so. There is no other place to tell it than its own name for it."""
    executor.gather_with_cancel = wait_for_all  # type: ignore[attr-defined]  # it imports the name, and exports it not
