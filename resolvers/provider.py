"""What resolvers know of payment providers: who carries money to us from outside, and out again."""

from typing import Protocol

from models.transfers import Answer, Order


class Provider(Protocol):
    """Somebody who moves money in the world, and who keeps his own books.

    Neither of the two raises because a provider is away, slow or confused: they answer `UNKNOWN`, within seconds.
    An order may be submitted any number of times, by anybody at once: it is carried out once.
    """

    async def submit(self, order: Order) -> Answer:
        """Have an order carried out, or hear what came of it when it was submitted before."""
        ...

    async def ask(self, order: Order) -> Answer:
        """Hear what came of an order that the provider has."""
        ...
