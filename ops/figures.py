"""What a process says of itself: how busy it is, and how quickly it answers."""

import time
from collections import deque
from typing import Any

from ops.database import Database
from ops.gate import HouseGate
from ops.transport.record import Record

DURATIONS_MAX = 2_000
"""Operations looked back upon; more say nothing more."""
WINDOW_SECONDS = 10.0
"""How far to look back."""
PROCESSOR_SECONDS = 1.0
"""Over how long the use of the processor is measured at least."""


class Figures:
    """The figures of the last seconds."""

    def __init__(self, gate: HouseGate, database: Database) -> None:
        self._gate = gate
        self._database = database
        self._durations: deque[tuple[float, float]] = deque(maxlen=DURATIONS_MAX)
        self._percent = 0
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def observe(self, record: Record) -> None:
        """Note how long an operation took; a subscription takes as long as somebody listens."""
        if record.kind != "subscription":
            self._durations.append((time.perf_counter(), record.seconds))

    def read(self) -> dict[str, Any]:
        """Say how it fares, as a node's row has it."""
        pool = self._database.pool
        loads = {
            service.value: {
                "running": bulkhead.running,
                "waiting": bulkhead.waiting,
                "followers": len(bulkhead.followers),
            }
            for service, bulkhead in self._gate.bulkheads.items()
        }
        lines, idle, waiting = map(sum, zip(self._database.lines.figures, self._database.pens.figures, strict=True))
        used = {
            "used": pool.checkedout() + lines - idle,
            "idle": pool.checkedin() + idle,
            "waiting": pool.waiting + waiting,
        }
        return {
            "connections": self._database.size,
            "cpu_percent": self._processor_percent(),
            "p95_ms": self._p95_ms(),
            "in_flight": self._gate.running,
            "waiting": self._gate.waiting,
            "figures": {"services": loads, "pool": used},
        }

    def _processor_percent(self) -> int:
        wall, processor = time.perf_counter(), time.process_time()
        if (passed := wall - self._wall) >= PROCESSOR_SECONDS:
            self._percent = round(100 * (processor - self._processor) / passed)
            self._wall, self._processor = wall, processor
        return self._percent

    def _p95_ms(self) -> int:
        since = time.perf_counter() - WINDOW_SECONDS
        durations = sorted(seconds for at, seconds in self._durations if at >= since)
        return round(durations[len(durations) * 95 // 100] * 1000) if durations else 0
