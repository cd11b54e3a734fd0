"""The running house."""

from models.control import Actor, Control, ControlMessage, Desired, NodeKind, NodeState, Order, ServerNode, Service
from models.control import message_of as said
from ops.app import wall_clock

OPERATOR = Actor(None, "root@here", "here", "the command line")


def server_node(name: str = "here/0", kind: NodeKind = NodeKind.WEB, **values: object) -> ServerNode:
    """A node that has just said that it lives."""
    now = wall_clock()
    usual = {
        "state": NodeState.RUNNING,
        "host": "here",
        "address": "http://here:8000",
        "pid": 1,
        "started_at": now,
        "seen_at": now,
        "version": 0,
        "connections": 10,
        "cpu_percent": 0,
        "p95_ms": 0,
        "in_flight": 0,
        "waiting": 0,
        "figures": {},
    }
    return ServerNode(name=name, kind=kind, **(usual | values))


def control() -> Control:
    """What is wanted before anybody wanted anything."""
    return Control(id=Control.THE_ONE, version=0, changed_at=wall_clock())


def control_message(version: int = 1) -> ControlMessage:
    """Somebody wants fewer jobs at once."""
    change = Desired().with_threads(Service.JOBS, 5)
    return said(change, OPERATOR, Order(), version=version, at=wall_clock())
