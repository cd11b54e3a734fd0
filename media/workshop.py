"""What is made of files: they are judged and made anew by processes that may do little and can be lost.

A hostile file can at worst break the decoder that reads it. So decoders run in processes of their own
(`media/workbench.py`), which know nothing worth stealing and can write no file: what they make comes back through a
pipe. Each has limits on memory and time, and is replaced after a number of jobs, or at once when a job breaks it.
"""

import asyncio
import json
import signal
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog

from media.kinds import PNG, PREVIEW, SUFFIXES, Group, TooLarge, Unacceptable, Variant
from models.errors import Busy

BENCHES = 2
JOBS_MAX = 100
WAITING_MAX = 64
WAIT_SECONDS = 20.0
JOB_SECONDS = 20.0
PREVIEW_SECONDS = 5.0
START_SECONDS = 30.0
LINE_BYTES_MAX = 64_000
DRAWN_BYTES_MAX = 8_000_000
DRAWN_MAX = 16

ROOT = Path(__file__).parents[1]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Piece:
    """A file as it is to be kept; `sha256` and the size are those of its bytes."""

    path: Path
    mime: str
    size_bytes: int
    sha256: str
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True)
class Made(Piece):
    """What became of an upload: its main piece, and all of them by the names of their variants.

    A document is its own main piece, still where it came from; with it there may be a `preview`.
    """

    files: dict[str, Piece]


@dataclass(frozen=True, slots=True)
class Drawn:
    """An encoded image, as it comes from a bench."""

    width: int
    height: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a bench says about a job, and what it has drawn."""

    facts: dict[str, Any]
    drawn: list[Drawn]


class Bench:
    """One process that works on one thing at a time, started when it is first needed; `program` is its module."""

    def __init__(self, program: str = "media.workbench") -> None:
        self._program = program
        self._process: Process | None = None
        self._jobs = 0
        self._closed = False

    async def ready(self) -> None:
        """Have a process that listens."""
        if self._closed:
            raise Busy
        if self._process is not None and self._process.returncode is None:
            return
        self._jobs = 0
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-B", "-E", "-s", "-m", self._program),
            cwd=ROOT,
            # Nothing of ours: neither secrets nor what could change how Python or the loader behave.
            env={"LANG": "C.UTF-8"},
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            limit=LINE_BYTES_MAX,
            # A Ctrl-C is for the server, which ends its benches when it has drained.
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                greeting = await self._pipes()[1].readline()
        except BaseException:
            await self._end()
            raise
        if greeting != b"ready\n":
            raise RuntimeError(f"{self._program} does not start; it left with {await self._end()}.")

    async def work(self, job: dict[str, Any], seconds: float) -> Answer:
        """Have a job done; whoever does not wait for its end, or waits in vain, costs the bench its process.

        What a file may cost is limited by CPU time. Whatever takes long without using it is due to others.
        """
        await self.ready()
        self._jobs += 1
        try:
            async with asyncio.timeout(seconds):
                answer = await self._ask(job)
        except TimeoutError:
            await self._end()
            raise Busy from None
        except (EOFError, OSError, LookupError, TypeError, ValueError) as error:
            await self._must_be_to_blame(error)
            raise Unacceptable from error
        except BaseException:
            await self._end()
            raise
        if self._jobs >= JOBS_MAX:
            await self._end()
        return answer

    async def close(self) -> None:
        """End the process, whatever it does, and start no other."""
        self._closed = True
        await self._end()

    async def _ask(self, job: dict[str, Any]) -> Answer:
        writer, reader = self._pipes()
        writer.write(json.dumps(job).encode() + b"\n")
        await writer.drain()
        facts = json.loads(await reader.readline())
        sizes = [int(size["bytes"]) for size in facts["drawn"]]
        if len(sizes) > DRAWN_MAX or any(size > DRAWN_BYTES_MAX for size in sizes):
            raise ValueError(sizes)
        drawn = [
            Drawn(int(size["width"]), int(size["height"]), await reader.readexactly(size["bytes"]))
            for size in facts["drawn"]
        ]
        return Answer(facts, drawn)

    def _pipes(self) -> tuple[StreamWriter, StreamReader]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    async def _must_be_to_blame(self, error: Exception) -> None:
        """Say whether it was the job that broke the process, or we who ended it."""
        if self._closed:
            raise Busy from error
        code = await self._end()
        log.warning("media_bench_broken", exit_code=code, reason=repr(error))
        if code == -signal.SIGXCPU:
            raise Unacceptable("This file takes too long to read.") from error

    async def _end(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        with suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


class Benches:
    """A few benches of one kind, and a line before them."""

    def __init__(self, count: int, program: str) -> None:
        self._benches = [Bench(program) for _ in range(count)]
        # The bench that was left last is taken first, so that the others need no process while there is little to do.
        self._free: asyncio.LifoQueue[Bench] = asyncio.LifoQueue()
        for bench in reversed(self._benches):
            self._free.put_nowait(bench)
        self._waiting = 0

    async def open(self) -> None:
        """Warm up a bench; the others start when they are needed."""
        async with self.bench() as bench:
            await bench.ready()

    async def close(self) -> None:
        """End all benches; what is being worked on is refused as BUSY."""
        for bench in self._benches:
            await bench.close()

    @asynccontextmanager
    async def bench(self) -> AsyncIterator[Bench]:
        """A bench, when there is one free; `Busy` if too many wait for one, or it takes too long."""
        if self._waiting >= WAITING_MAX:
            raise Busy
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                bench = await self._free.get()
        except TimeoutError:
            raise Busy from None
        finally:
            self._waiting -= 1
        try:
            yield bench
        finally:
            self._free.put_nowait(bench)


class Workshop(Benches):
    """Where uploads are judged and made anew.

    async with Workshop() as workshop:
        made = await workshop.make(arrived, GROUPS["photos"], into=directory)
    """

    def __init__(self, benches: int = BENCHES) -> None:
        super().__init__(benches, "media.workbench")

    async def __aenter__(self) -> "Workshop":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def make(self, source: Path, group: Group, into: Path) -> Made:
        """Judge a file that arrived, and put what is to be kept of it `into` a directory of the caller's.

        An image is kept in each variant of its group, `into/<variant><suffix>`, anew from its pixels; a document stays
        where and as it is. After a refusal there is nothing in the directory; the source is the caller's to remove.
        """
        source = await asyncio.to_thread(source.resolve)
        size_bytes = (await asyncio.to_thread(source.stat)).st_size
        group.must_hold(size_bytes)
        async with self.bench() as bench:
            if group.variants:
                answer = await self._work(bench, "image", source, group)
                return _made(await asyncio.to_thread(_keep, answer, group.variants, group.stores, into))
            answer = await self._work(bench, "document", source, group)
            document = Piece(source, group.stores, size_bytes, str(answer.facts["sha256"]), None, None)
            return _made({Group.DOCUMENT: document, **await self._preview(bench, source, group, into)})

    async def _preview(self, bench: Bench, source: Path, group: Group, into: Path) -> dict[str, Piece]:
        try:
            answer = await self._work(bench, "preview", source, group, PREVIEW_SECONDS)
        except (Unacceptable, TooLarge, Busy):
            # A document can be fine and yet be more than we care to draw.
            return {}
        return await asyncio.to_thread(_keep, answer, (PREVIEW,), PNG, into)

    async def _work(self, bench: Bench, task: str, source: Path, group: Group, seconds: float = JOB_SECONDS) -> Answer:
        answer = await bench.work({"task": task, "source": str(source), "group": asdict(group)}, seconds)
        if "refused" in answer.facts:
            log.info("media_refused", task=task, message=answer.facts["message"], why=answer.facts.get("why"))
            raise _REFUSALS[answer.facts["refused"]](str(answer.facts["message"]))
        return answer


_REFUSALS: dict[str, Callable[[str], Unacceptable | TooLarge]] = {
    Unacceptable.code: Unacceptable,
    TooLarge.code: TooLarge,
}


def _made(files: dict[str, Piece]) -> Made:
    main = next(iter(files.values()))
    return Made(main.path, main.mime, main.size_bytes, main.sha256, main.width, main.height, files)


def _keep(answer: Answer, variants: tuple[Variant, ...], mime: str, into: Path) -> dict[str, Piece]:
    kept: dict[str, Piece] = {}
    try:
        for variant, drawn in zip(variants, answer.drawn, strict=True):
            path, print_ = into / f"{variant.name}{SUFFIXES[mime]}", sha256(drawn.body).hexdigest()
            kept[variant.name] = Piece(path, mime, len(drawn.body), print_, drawn.width, drawn.height)
            path.write_bytes(drawn.body)
    except BaseException:
        for piece in kept.values():
            piece.path.unlink(missing_ok=True)
        raise
    return kept
