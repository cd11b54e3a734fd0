"""What asks: wrk, where there is one, and else a small client of our own, in a process apart.

    python -m benchmarks.load <port> <seconds> <connections> <file of requests>

A file of requests has one a line: a token, or nothing, then a tab and the body. They are asked in turn.
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import cast

import uvloop

PATIENCE_SECONDS = 30
"""How long the last answers are waited for by the client of our own: what is answered late is slow, and no error."""

SCRIPT = """
local requests, at = {}, 0
function init(args)
    for line in io.lines(args[1]) do
        local token, body = line:match("^(.-)\\t(.*)$")
        local headers = {["content-type"] = "application/json"}
        if token ~= "" then headers["authorization"] = "Bearer " .. token end
        requests[#requests + 1] = wrk.format("POST", "/graphql", headers, body)
    end
end
function request()
    at = at % #requests + 1
    return requests[at]
end
function done(summary, latency)
    local e = summary.errors
    print(string.format("SAID %d %d %f %f %d", summary.requests, summary.duration, latency:percentile(50),
        latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody who asked has to tell."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def ask(port: int, requests: Path, *, seconds: int, connections: int) -> Said:
    """Ask as fast as it is answered."""
    if shutil.which("wrk") is None:
        told = [str(port), str(seconds), str(connections), str(requests)]
        return _read(_run([sys.executable, "-m", "benchmarks.load", *told]))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT)
        script.flush()
        told = ["-t1", f"-c{connections}", f"-d{seconds}", "-s", script.name]
        return _read(_run(["wrk", *told, f"http://127.0.0.1:{port}/graphql", str(requests)]))


def _run(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _read(text: str) -> Said:
    line = next(line for line in text.splitlines() if line.startswith("SAID"))
    requests, micros, p50, p99, errors = map(float, line.split()[1:])
    return Said(int(requests), micros / 1e6, p50 / 1e3, p99 / 1e3, int(errors))


class Client(asyncio.Protocol):
    """One connection: sends a request, waits for the whole answer, notes how long it took, sends the next."""

    def __init__(self, requests: Iterator[bytes], took: list[float], until: float) -> None:
        self.requests, self.took, self.until = requests, took, until
        self.over = asyncio.get_running_loop().create_future()
        self.errors = 0
        self.seen, self.whole, self.began = b"", 0, 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # Those of uvloop are as those of asyncio, but do not descend from them.
        self.transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        self.began = time.perf_counter()
        if self.began > self.until:
            self.transport.close()
            return
        self.transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        """Gather an answer."""
        self.seen += data
        if not self.whole and b"\r\n\r\n" in self.seen:
            head, _, _ = self.seen.partition(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            self.whole = len(head) + 4 + int(length.partition(b":")[2])
            self.errors += not head.startswith(b"HTTP/1.1 200")
        if self.whole and len(self.seen) >= self.whole:
            self.seen, self.whole = b"", 0
            self.took.append(time.perf_counter() - self.began)
            self._ask()

    def connection_lost(self, _: Exception | None) -> None:
        """End; it is an error if it was not we who ended it."""
        self.errors += self.began <= self.until
        self.over.set_result(None)


def _formatted(line: bytes) -> bytes:
    token, _, body = line.partition(b"\t")
    who = b"authorization: Bearer %s\r\n" % token if token else b""
    head = b"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return head + who + b"content-length: %d\r\n\r\n" % len(body) + body


async def _ask_all(port: int, seconds: int, connections: int, requests: Iterator[bytes]) -> None:
    began, took = time.perf_counter(), list[float]()
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(requests, took, began + seconds), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    _, late = await asyncio.wait([client.over for client in clients], timeout=seconds + PATIENCE_SECONDS)
    micros = sorted(one * 1e6 for one in took)
    p50, p99 = (micros[len(micros) * share // 100] if micros else 0.0 for share in (50, 99))
    lasted, errors = (time.perf_counter() - began) * 1e6, sum(client.errors for client in clients) + len(late)
    print(f"SAID {len(micros)} {lasted:.0f} {p50:.1f} {p99:.1f} {errors}")


if __name__ == "__main__":
    _lines = [_formatted(line) for line in Path(sys.argv[4]).read_bytes().splitlines()]
    uvloop.run(_ask_all(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), cycle(_lines)))
