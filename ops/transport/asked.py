"""What a client asks: the same four things by POST, by GET and over a websocket, read with distrust."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from ops.transport.errors import rejected


class Asked(NamedTuple):
    """One operation as a client sent it."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None
    extensions: dict[str, Any]


def read_json(raw: bytes | str, deepest: int) -> Any:
    """Read JSON that is well-formed and not nested beyond what recursive code can follow."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise rejected(f"This is not JSON: {error.msg}.", status=HTTPStatus.BAD_REQUEST) from None
    if _may_be_deep(raw, deepest) and _is_deeper(value, deepest):
        message = f"The JSON is nested more than {deepest} levels deep."
        raise rejected(message, status=HTTPStatus.BAD_REQUEST)
    return value


def asked(params: Any) -> Asked:
    """Check the shape of a request before anything looks into it."""
    if isinstance(params, list):
        raise _malformed("Batches are not taken: send one operation a request.")
    if not isinstance(params, dict):
        raise _malformed("A request is a JSON object with a query.")
    query = params.get("query")
    if not isinstance(query, str) or not query.strip():
        raise _malformed("The query is missing: it must be a string.")
    name = params.get("operationName")
    if name is not None and not isinstance(name, str):
        raise _malformed("The operationName must be a string.")
    return Asked(query, _object(params, "variables"), name or None, _object(params, "extensions"))


def asked_by_get(params: Mapping[str, str], deepest: int) -> Asked:
    """Read the same from a query string, where variables and extensions are JSON in text."""
    parsed: dict[str, Any] = dict(params)
    for name in ("variables", "extensions"):
        if text := params.get(name):
            parsed[name] = read_json(text, deepest)
        else:
            parsed.pop(name, None)
    return asked(parsed)


def _object(params: dict[str, Any], name: str) -> dict[str, Any]:
    value = params.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _malformed(f"The {name} must be an object.")
    return value


def _malformed(message: str) -> Exception:
    return rejected(message, status=HTTPStatus.BAD_REQUEST)


def _may_be_deep(raw: bytes | str, deepest: int) -> bool:
    # Most bodies hold fewer brackets than they may be deep, and counting is quicker than looking.
    if isinstance(raw, str):
        return raw.count("{") + raw.count("[") > deepest
    return raw.count(b"{") + raw.count(b"[") > deepest


def _is_deeper(value: Any, deepest: int) -> bool:
    level = [value]
    for _ in range(deepest + 1):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
