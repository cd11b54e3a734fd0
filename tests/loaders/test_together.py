"""What many ask at the same moment is read once, and told to all of them and to nobody else."""

import asyncio

import pytest

from loaders.together import Together


class Book:
    """Something that is read, and says how often."""

    def __init__(self) -> None:
        self.read: list[list[str]] = []
        self.may_answer, self.is_read = asyncio.Event(), asyncio.Event()
        self.may_answer.set()

    async def whole(self) -> int:
        return await self.about(set())

    async def about(self, wanted: set[str]) -> int:
        self.read.append(sorted(wanted))
        number = len(self.read)
        self.is_read.set()
        await self.may_answer.wait()
        return number


async def test_those_who_ask_at_the_same_moment_have_one_answer():
    together, book = Together(), Book()

    found = await asyncio.gather(*(together.ask("how many", book.whole) for _ in range(100)))

    assert found == [1] * 100
    assert await together.ask("how many", book.whole) == 2


async def test_whoever_asks_when_it_is_being_read_already_has_it_read_once_more():
    together, book = Together(), Book()
    book.may_answer.clear()
    first = asyncio.create_task(together.ask("how many", book.whole))
    await book.is_read.wait()

    second = asyncio.create_task(together.ask("how many", book.whole))
    await asyncio.sleep(0)
    book.may_answer.set()

    assert (await first, await second) == (1, 2)


async def test_another_question_has_another_answer():
    together, book = Together(), Book()

    found = await asyncio.gather(together.ask("one", book.whole), together.ask("other", book.whole))

    assert sorted(found) == [1, 2]


async def test_several_things_are_asked_for_at_once():
    together, book = Together(), Book()

    await asyncio.gather(*(together.ask_for("which", which, book.about) for which in ("a", "b", "a")))

    assert book.read == [["a", "b"]]


async def test_whoever_leaves_takes_the_answer_from_nobody():
    together, book = Together(), Book()
    book.may_answer.clear()
    first, second = (asyncio.create_task(together.ask("how many", book.whole)) for _ in range(2))
    await book.is_read.wait()

    first.cancel()
    await asyncio.wait([first])
    book.may_answer.set()

    assert first.cancelled()
    assert await second == 1


async def test_all_are_told_that_it_cannot_be_read_and_the_next_one_tries_again():
    together, book = Together(), Book()

    async def fails() -> int:
        raise OSError("away")

    found = await asyncio.gather(*(together.ask("how many", fails) for _ in range(3)), return_exceptions=True)

    assert [type(one) for one in found] == [OSError] * 3
    assert await together.ask("how many", book.whole) == 1
    with pytest.raises(OSError, match="away"):
        await together.ask("how many", fails)
