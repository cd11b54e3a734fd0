"""What is said of the time."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

import resolvers.clock
from models.clock import Span
from schema.edges import Info, known, shown
from schema.errors import Refused


@strawberry.type(description="What time it is here. In a sandbox it may be later than in the world.")
class Clock:
    @strawberry.field(description="The time by which everything here comes due.")
    def now(root: Any) -> datetime:
        return root()

    @strawberry.field(description="How many seconds that is ahead of the world.")
    def ahead_seconds(root: Any) -> int:
        return round((root() - root.wall()).total_seconds())

    @strawberry.field(description="Whether administrators may let time pass (`advanceClock`).")
    def is_sandbox(root: Any) -> bool:
        return root.is_sandbox

    @classmethod
    def is_type_of(cls, row: Any, _info: Any) -> bool:
        """Tell a clock from a refusal."""
        return hasattr(row, "is_sandbox")


@strawberry.input(description="How much time is to pass: days, hours and seconds together.")
class AdvanceClockInput:
    days: int = strawberry.field(default=0, description="Days.")
    hours: int = strawberry.field(default=0, description="Hours.")
    seconds: int = strawberry.field(default=0, description="Seconds.")


AdvanceClockResult = Annotated[
    Clock | Refused, strawberry.union("AdvanceClockResult", description="The clock, or a no.")
]


@strawberry.type
class ClockQueries:
    @known("What time it is here.")
    def clock(self, info: Info) -> Clock:
        return shown(info.context.now)


@strawberry.type
class ClockMutations:
    @strawberry.mutation(
        description="Let time pass in a sandbox, for everybody at once: whatever comes due by then is done. "
        "Nobody is signed out by it: sessions live in the world's time. For administrators."
    )
    async def advance_clock(self, info: Info, input: AdvanceClockInput) -> AdvanceClockResult:
        await resolvers.clock.advance(info.context, span=Span(input.days, input.hours, input.seconds))
        return shown(info.context.now)
