import gzip
import hashlib
import json
import re
from pathlib import Path

import httpx
import pytest
from graphql import parse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ops import graphiql

ROOM = Path(graphiql.__file__).parent
RECORDED = json.loads((ROOM / "assets.json").read_text())
NAMES = [*RECORDED, *graphiql.OURS]


async def ask(path: str, **headers: str) -> httpx.Response:
    async def page(_: Request) -> Response:
        return graphiql.page(demo_password='pass"word')

    app = Starlette(routes=[Route("/graphql", page), *graphiql.routes()])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://workup") as browser:
        return await browser.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def linked() -> dict[str, str]:
    """Where the page finds each of its assets, by the name it has on the shelf."""
    html = (await ask("/graphql")).text
    found = re.findall(r'(?:src|href)="(graphiql/([\w-]+)\.[0-9a-f]{16}\.(js|css))"', html)
    return {f"{stem}.{kind}": f"/{address}" for address, stem, kind in found}


def test_every_asset_is_the_one_that_was_published():
    shelf = {path.stem: gzip.decompress(path.read_bytes()) for path in (ROOM / "assets").iterdir()}

    assert shelf.keys() == RECORDED.keys()
    for name, body in shelf.items():
        assert hashlib.sha256(body).hexdigest() == RECORDED[name]["sha256"], name
        assert len(body) == RECORDED[name]["bytes"], name


def test_every_asset_has_its_licence():
    licences = (ROOM / "LICENCES.txt").read_text()

    assert [name for name, asset in RECORDED.items() if asset["package"] not in licences] == []


async def test_the_page_is_made_of_these_assets_and_nothing_else():
    html = (await ask("/graphql")).text
    loads = re.findall(r'(?:src|href)="([^"]*)"', html)

    assert (await linked()).keys() == set(NAMES)
    assert len(loads) == len(NAMES) + 1
    assert [load for load in loads if not load.startswith("graphiql/")] == ["data:,"]


def test_what_we_wrote_names_no_other_host():
    for name in ("index.html", *graphiql.OURS):
        assert re.search(r"(https?|wss?)://", (ROOM / name).read_text()) is None, name


def test_no_stylesheet_loads_anything():
    for path in [*(ROOM / "assets").glob("*.css.gz"), ROOM / "page.css"]:
        css = path.read_bytes()
        css = gzip.decompress(css) if path.suffix == ".gz" else css
        assert b"@import" not in css
        assert set(re.findall(rb"url\(['\"]?(.{5})", css)) <= {b"data:"}


async def test_the_page_lets_nothing_in_from_elsewhere():
    answer = await ask("/graphql")
    policy = answer.headers["content-security-policy"]

    assert "unsafe" not in policy
    assert not re.search(r"\*|https?:|wss?:", policy)
    for rule in ("default-src 'self'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"):
        assert rule in policy.split("; ")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert re.search(r"<script(?! defer src=)|<style| on\w+=| style=", answer.text) is None


async def test_every_page_has_a_nonce_of_its_own_and_shows_it_to_its_script():
    first, second = await ask("/graphql"), await ask("/graphql")
    nonces = [re.findall(r"'nonce-([\w-]+)'", each.headers["content-security-policy"]) for each in (first, second)]

    assert nonces[0] != nonces[1]
    assert f'nonce="{nonces[0][0]}"' in first.text


async def test_only_a_demo_offers_its_sign_in():
    assert 'data-demo="pass&quot;word"' in (await ask("/graphql")).text
    assert 'data-demo=""' in bytes(graphiql.page().body).decode()


def test_the_example_is_graphql():
    assert len(parse((ROOM / "example.graphql").read_text()).definitions) >= 2


@pytest.mark.parametrize("name", NAMES)
async def test_an_asset_may_be_kept_for_good(name: str):
    answer = await ask((await linked())[name], accept_encoding="gzip, br")

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"] == graphiql.TYPES[Path(name).suffix]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0", "gzip; q=0.0, br"])
async def test_who_does_not_take_gzip_gets_it_plain(accepted: str):
    path = (await linked())["react.js"]
    packed, plain = await ask(path, accept_encoding="br, gzip;q=0.5"), await ask(path, accept_encoding=accepted)

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.content == packed.content
    assert hashlib.sha256(plain.content).hexdigest() == RECORDED["react.js"]["sha256"]
    assert plain.headers["etag"] != packed.headers["etag"]


@pytest.mark.parametrize("held", ["{tag}", "W/{tag}", '"other", {tag}', "*"])
async def test_what_is_held_is_not_sent_again(held: str):
    path = (await linked())["graphiql.js"]
    tag = (await ask(path)).headers["etag"]

    answer = await ask(path, if_none_match=held.format(tag=tag))

    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == tag
    assert (await ask(path, if_none_match='"other"')).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/graphiql/",
        "/graphiql/nothing.js",
        "/graphiql/graphiql.js",
        "/graphiql/graphiql.0000000000000000.js",
        "/graphiql/index.html",
        "/graphiql/assets.json",
        "/graphiql/assets/react.js.gz",
        "/graphiql/..",
        "/graphiql/../__init__.py",
        "/graphiql/%2e%2e/__init__.py",
        "/graphiql/..%2f__init__.py",
        "/graphiql/..%5c__init__.py",
        "/graphiql/%2fetc%2fpasswd",
        "/graphiql/react.js%00",
    ],
)
async def test_there_is_nothing_else_to_be_had(path: str):
    assert (await ask(path)).status_code == 404
