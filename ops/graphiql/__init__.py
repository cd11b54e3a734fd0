"""GraphiQL from our own shelves: a browser that opens /graphql asks no other host for anything."""

import gzip
import hashlib
import re
import secrets
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from string import Template

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

HERE = Path(__file__).parent
OURS = ("page.css", "page.js")
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
A_YEAR_SECONDS = 31_536_000

# `connect-src 'self'` covers websockets to this host, and no other. The nonce is for the one <style> that a
# dialog of GraphiQL's writes. The fonts are inside its stylesheet.
POLICY = (
    "default-src 'self'",
    "script-src 'self'",
    "connect-src 'self'",
    "style-src 'self' 'nonce-{nonce}'",
    "img-src 'self' data:",
    "font-src data:",
    "object-src 'none'",
    "worker-src 'none'",
    "frame-src 'none'",
    "frame-ancestors 'none'",
    "form-action 'none'",
    "base-uri 'none'",
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page, kept packed: nearly every browser takes it so."""

    name: str
    digest: str
    packed: bytes

    @property
    def address(self) -> str:
        """Where it is served: other bytes have another name, so a browser may keep these for good."""
        stem, dot, kind = self.name.rpartition(".")
        return f"{stem}.{self.digest[:16]}{dot}{kind}"


def page(*, demo_password: str | None = None) -> Response:
    """The page itself; given the demo's password, it offers to sign in as each of the demo's people."""
    nonce = secrets.token_urlsafe(16)
    html = _template().substitute(nonce=nonce, demo=escape(demo_password or ""), example=escape(_example()))
    return HTMLResponse(
        html,
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": "; ".join(POLICY).format(nonce=nonce),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept",
            "X-Content-Type-Options": "nosniff",
        },
    )


def routes() -> list[BaseRoute]:
    """What the page is made of, under `/graphiql/`."""
    return [Route("/graphiql/{address}", _serve, methods=["GET"], name="graphiql")]


async def _serve(request: Request) -> Response:
    # A name is looked up, never opened: there is no path to climb.
    asset = _shelf().get(request.path_params["address"])
    if asset is None:
        raise HTTPException(404)
    packed = _takes_gzip(request.headers.get("accept-encoding", ""))
    tag = f'"{asset.digest[:32]}{"-gzip" if packed else ""}"'
    headers = {
        "Cache-Control": f"public, max-age={A_YEAR_SECONDS}, immutable",
        "Cross-Origin-Resource-Policy": "same-origin",
        "ETag": tag,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if _holds(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    body = asset.packed if packed else _unpacked(asset)
    return Response(body, headers=headers, media_type=TYPES[Path(asset.name).suffix])


def _takes_gzip(accepted: str) -> bool:
    return re.search(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", accepted, re.IGNORECASE) is not None


def _holds(held: str, tag: str) -> bool:
    tags = [each.strip().removeprefix("W/") for each in held.split(",")]
    return tag in tags or "*" in tags


@cache
def _shelf() -> dict[str, Asset]:
    packed = {path.stem: path.read_bytes() for path in (HERE / "assets").glob("*.gz")}
    packed |= {name: gzip.compress((HERE / name).read_bytes(), mtime=0) for name in OURS}
    assets = [Asset(name, hashlib.sha256(gzip.decompress(body)).hexdigest(), body) for name, body in packed.items()]
    return {asset.address: asset for asset in assets}


@cache
def _unpacked(asset: Asset) -> bytes:
    return gzip.decompress(asset.packed)


@cache
def _template() -> Template:
    html = (HERE / "index.html").read_text(encoding="utf-8")
    for asset in _shelf().values():
        html = html.replace(f'"graphiql/{asset.name}"', f'"graphiql/{asset.address}"')
    return Template(html)


@cache
def _example() -> str:
    return (HERE / "example.graphql").read_text(encoding="utf-8")
