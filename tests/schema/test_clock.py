"""What is said of the time, and to whom."""

import pytest

from tests.schema.callers import Ask, mutation, query, rows

TABLE = """
              nobody           rival      stranger   client     freelancer  admin
clock         Clock            =          =          =          =           =
advanceClock  UNAUTHENTICATED  FORBIDDEN  FORBIDDEN  FORBIDDEN  FORBIDDEN   CLOCK_IS_REAL
"""

ASKS: dict[str, Ask] = {
    "clock": query("clock"),
    "advanceClock": mutation("advanceClock", lambda _: {"days": 1}),
}


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


async def test_the_time_is_told(ask, house):
    answer = await ask(None, "{ clock { now aheadSeconds isSandbox } }")

    assert answer["data"]["clock"]["aheadSeconds"] == 0
    assert answer["data"]["clock"]["isSandbox"] is False
    assert answer["data"]["clock"]["now"][:10] in {str(house.clock().date()), str(house.clock.wall().date())}
