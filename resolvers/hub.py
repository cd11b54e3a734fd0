"""What resolvers know of the bell: they ring it after the commit, and those who hear it look in the activity table.

A ring is a hint and never the news. It may come twice, and it may come as a RESYNC; what happened, and in which
order, is in the table alone.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Final, Protocol, TypeAlias

from models.errors import Refusal


class Resync(Enum):
    """The ring that says: something may have been missed, look in the table."""

    RESYNC = "RESYNC"


RESYNC: Final = Resync.RESYNC

Ring: TypeAlias = str | Resync
"""What was rung, as it was given to `ring`, or RESYNC."""

Bell: TypeAlias = AsyncIterator[Ring]
"""One subscriber's ear, for one task. It ends only by raising `GoingAway`."""


class GoingAway(Refusal):
    """The server stops before the listener does; whoever subscribes again finds another one and misses nothing."""

    code = "GOING_AWAY"
    message = "This server is going away. Subscribe again."
    retry_after_seconds = 1


class Hub(Protocol):
    """The bell of the whole house: every process hears what any of them rings."""

    def listen(self, channel: str) -> AbstractAsyncContextManager[Bell]:
        """Hear every ring of a channel from the moment the block is entered, so look in the table after entering.

        While the bell is out of order the block is entered all the same, and RESYNC is heard when it works again.
        Raises `GoingAway` on a server that takes no more subscribers.
        """
        ...

    async def ring(self, channel: str, payload: str) -> None:
        """Tell everyone who listens to the channel; call it after the commit.

        It neither fails nor waits for the network. The payload is an id or a number, 1024 bytes at most;
        none, or one longer than that, is heard as RESYNC.
        """
        ...
