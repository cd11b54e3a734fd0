"""When there should be more machines, and when fewer: decided once a pass, from what the nodes say of themselves.

A pass asks for one machine more, for one less, or for nothing; never for both. A peak is tolerated until it has lasted
for some passes, and after every change, whoever made it, there is peace for a while. The bounds wait for nothing,
except after a machine that failed: the next one would most likely fail, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from models.config import Config, option

LEAST = option("machines.least", default=1, least=1, most=100, means="Machines that the autoscaler sees to.")
MOST = option(
    "machines.most", default=4, least=1, most=100, means="Machines there may be at once, whoever asks for more."
)
CPU_UP_PERCENT = option(
    "scaling.cpu_up_percent",
    default=85,
    least=1,
    most=100,
    means="Share of a processor that the nodes use on average from which there should be more machines.",
)
CPU_DOWN_PERCENT = option(
    "scaling.cpu_down_percent",
    default=25,
    least=0,
    most=100,
    means="Share of a processor that the nodes use on average up to which there may be fewer machines.",
)
WAITING_UP = option(
    "scaling.waiting_up",
    default=20,
    least=1,
    most=100_000,
    means="Operations that wait in line on a node, on average, from which there should be more machines.",
)
P95_UP_MS = option(
    "scaling.p95_up_ms",
    default=2_000,
    least=1,
    most=600_000,
    means="Milliseconds that 95 of 100 operations stay within, on average of nodes, from which there should be more.",
)
MARGIN_PERCENT = option(
    "scaling.margin_percent",
    default=10,
    least=1,
    most=100,
    means="How far below the upper mark those who stay would have to be for a machine to go.",
)
TOLERANCE_PASSES = option(
    "scaling.tolerance_passes",
    default=3,
    least=1,
    most=100,
    means="Passes in a row that have to say the same before anything is done.",
)
COOLDOWN_SECONDS = option(
    "scaling.cooldown_seconds",
    default=60,
    least=0,
    most=86_400,
    means="Seconds after a change, whoever made it, in which load changes nothing.",
)
PASS_SECONDS = option(
    "scaling.pass_seconds", default=5, least=1, most=3_600, means="Seconds from one look at the nodes to the next."
)


@dataclass(frozen=True)
class Limits:
    """Between what, and from where on."""

    least: int
    most: int
    cpu_up: float
    cpu_down: float
    waiting_up: float
    p95_up_ms: float
    margin: float
    tolerance_passes: int
    cooldown: timedelta

    @classmethod
    def of(cls, config: Config) -> Self:
        """Take them from the options; a least that is above the most stands back."""
        return cls(
            least=min(config[LEAST], config[MOST]),
            most=config[MOST],
            cpu_up=config[CPU_UP_PERCENT],
            cpu_down=config[CPU_DOWN_PERCENT],
            waiting_up=config[WAITING_UP],
            p95_up_ms=config[P95_UP_MS],
            margin=config[MARGIN_PERCENT],
            tolerance_passes=config[TOLERANCE_PASSES],
            cooldown=timedelta(seconds=config[COOLDOWN_SECONDS]),
        )


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a node says it is."""

    cpu_percent: float
    waiting: float = 0
    p95_ms: float = 0


@dataclass(frozen=True)
class Reading:
    """How busy the nodes are on average, at one pass; nothing is known where none says anything."""

    load: Load | None

    @classmethod
    def of(cls, nodes: Sequence[Load]) -> Self:
        """Put together what they say."""
        if not nodes:
            return cls(None)
        count = len(nodes)
        return cls(
            Load(
                sum(node.cpu_percent for node in nodes) / count,
                sum(node.waiting for node in nodes) / count,
                sum(node.p95_ms for node in nodes) / count,
            )
        )

    def is_busy(self, limits: Limits) -> bool:
        """Whether any signal says that there is too much to do."""
        load = self.load
        return load is not None and (
            load.cpu_percent >= limits.cpu_up or load.waiting >= limits.waiting_up or load.p95_ms >= limits.p95_up_ms
        )

    def is_calm(self, limits: Limits, machines: int) -> bool:
        """Whether all signals say that one machine less would do, and would go on doing."""
        load = self.load
        if load is None or self.is_busy(limits) or machines < 2:
            return False
        after = machines / (machines - 1)
        return (
            load.cpu_percent <= limits.cpu_down
            and load.cpu_percent * after < limits.cpu_up - limits.margin
            and load.waiting * 2 <= limits.waiting_up
            and load.p95_ms * 2 <= limits.p95_up_ms
        )


@dataclass(frozen=True)
class Fleet:
    """How many machines there are or are about to be, whether any comes or goes just now, and when that changed."""

    machines: int
    is_moving: bool
    changed_at: datetime | None
    failed_at: datetime | None = None
    """When one last failed that was to come."""


@dataclass(frozen=True)
class Decision:
    """How many machines more, or less, and why."""

    change: int
    why: str


def decide(limits: Limits, fleet: Fleet, readings: Sequence[Reading], *, at: datetime) -> Decision:
    """Look at the last passes, the latest last, and say what to do."""
    if fleet.machines > limits.most:
        return Decision(limits.most - fleet.machines, f"there are to be {limits.most} at most")
    if fleet.failed_at is not None and at < fleet.failed_at + limits.cooldown:
        return Decision(0, "a machine failed a short while ago")
    if fleet.machines < limits.least:
        return Decision(limits.least - fleet.machines, f"there are to be {limits.least} at least")
    if fleet.is_moving:
        return Decision(0, "a machine comes or goes")
    if fleet.changed_at is not None and at < fleet.changed_at + limits.cooldown:
        return Decision(0, "there was a change a short while ago")
    return _by_load(limits, fleet, readings[-limits.tolerance_passes :])


def _by_load(limits: Limits, fleet: Fleet, recent: Sequence[Reading]) -> Decision:
    if len(recent) < limits.tolerance_passes:
        return Decision(0, "too little is known yet")
    if all(reading.is_busy(limits) for reading in recent):
        if fleet.machines < limits.most:
            return Decision(1, f"too busy: {_said(recent)}")
        return Decision(0, f"too busy, but there are to be {limits.most} at most: {_said(recent)}")
    if fleet.machines > limits.least and all(reading.is_calm(limits, fleet.machines) for reading in recent):
        return Decision(-1, f"one less would do: {_said(recent)}")
    return Decision(0, f"as it should be: {_said(recent)}")


def _said(recent: Sequence[Reading]) -> str:
    load = recent[-1].load
    if load is None:
        return "no node says how it is"
    return f"{load.cpu_percent:.0f} % of a processor, {load.waiting:.0f} waiting, p95 {load.p95_ms:.0f} ms"
