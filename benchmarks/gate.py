"""What the gate costs: how long an operation needs to come in and to leave again.

python -m benchmarks.gate [--times 1000000]
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable

import schema.root
from models.control import Desired, Kind, ServiceFrozen
from ops.gate import HouseGate

ROUNDS = 5
JOBS, BOTH = frozenset({"jobs"}), frozenset({"jobs", "proposal"})


def best(run: Callable[[int], None], times: int) -> float:
    """The microseconds of one, in the best of a few rounds: what others do on the machine only adds."""
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        run(times)
        found.append((time.perf_counter() - began) / times * 1e6)
    return min(found)


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=1_000_000)
    times = parser.parse_args().times
    gate = HouseGate(schema.root.commands())
    print("| what | µs |\n|---|---|")
    for name, run in {
        "nothing, in the same loop": _nothing,
        "in and out, with room": lambda count: _pass(gate, count),
        "refused, frozen": _refused,
        "in and out of two services": lambda count: asyncio.run(_both(gate, count)),
        "in and out, each after waiting in line": lambda count: asyncio.run(_line(count)),
    }.items():
        print(
            f"| {name} | {best(run, times if 'out of two' not in name and 'line' not in name else times // 10):.2f} |"
        )
    return 0


def _nothing(count: int) -> None:
    for _ in range(count):
        try:
            pass
        finally:
            pass


def _pass(gate: HouseGate, count: int) -> None:
    for _ in range(count):
        if gate.enter(JOBS) is not None:
            raise AssertionError("there is room")
        try:
            pass
        finally:
            gate.leave(JOBS)


def _refused(count: int) -> None:
    gate = HouseGate(schema.root.commands())
    gate.obey(Desired(1, {(Kind.FROZEN, "JOBS"): True}), 0)
    for _ in range(count):
        try:
            gate.enter(JOBS)
        except ServiceFrozen:
            continue


async def _both(gate: HouseGate, count: int) -> None:
    for _ in range(count):
        if (room := gate.enter(BOTH)) is not None:
            await room
        gate.leave(BOTH)


async def _line(count: int) -> None:
    gate = HouseGate(schema.root.commands())
    gate.obey(Desired(1, {(Kind.THREADS, "JOBS"): 1}), 1_000)

    async def visit(visits: int) -> None:
        for _ in range(visits):
            if (room := gate.enter(JOBS)) is not None:
                await room
            await asyncio.sleep(0)
            gate.leave(JOBS)

    await asyncio.gather(*(visit(count // 100) for _ in range(100)))


if __name__ == "__main__":
    sys.exit(main())
