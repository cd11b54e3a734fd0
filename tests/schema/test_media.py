"""What is said of files, and to whom."""

import pytest

from models.media import UploadGroup, UploadState
from schema.scalars import id_of
from tests import make
from tests.schema.callers import Ask, Scene, mutation, rows

TABLE = """
                    nobody           rival         stranger          client            freelancer          admin
requestUpload       UNAUTHENTICATED  UploadTicket  =                 =                 =                   =
deleteUpload        UNAUTHENTICATED  NOT_FOUND     =                 =                 Upload              FORBIDDEN
setClientPhoto      UNAUTHENTICATED  NOT_A_CLIENT  NOT_FOUND         NOT_FOUND         NOT_A_CLIENT        NOT_A_CLIENT
setFreelancerPhoto  UNAUTHENTICATED  NOT_FOUND     NOT_A_FREELANCER  NOT_A_FREELANCER  UPLOAD_NOT_ARRIVED  NOT_A_FREELANCER
setResume           UNAUTHENTICATED  NOT_FOUND     NOT_A_FREELANCER  NOT_A_FREELANCER  UPLOAD_NOT_ARRIVED  NOT_A_FREELANCER
attachToContract    UNAUTHENTICATED  NOT_FOUND     =                 =                 UPLOAD_NOT_ARRIVED  FORBIDDEN
detachFromContract  UNAUTHENTICATED  NOT_FOUND     =                 =                 =                   =
"""  # noqa: E501 - a table


def with_contract(scene: Scene) -> dict[str, str]:
    return {"contractId": scene.ids()["contract"], "uploadId": scene.ids()["upload"]}


ASKS: dict[str, Ask] = {
    "requestUpload": mutation("requestUpload", lambda _: {"group": "PHOTOS", "name": "me.png", "size": 1_000}),
    "attachToContract": mutation("attachToContract", with_contract),
    "detachFromContract": mutation("detachFromContract", with_contract),
    **{
        name: mutation(name, lambda scene: {"uploadId": scene.ids()["upload"]})
        for name in ("deleteUpload", "setClientPhoto", "setFreelancerPhoto", "setResume")
    },
}


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


TICKET = """
mutation ($input: RequestUploadInput!) {
  requestUpload(input: $input) {
    ... on UploadTicket {
      url method headers { name value } expiresAt
      upload { id group name state size mimeType sha256 url arrivesBefore arrivedAt availableActions }
    }
    ... on Refused { code problems { field message } }
  }
}
"""
UPLOADS = """
query ($first: Int, $after: Cursor) {
  viewer { uploads(first: $first, after: $after) { totalCount nodes { id state url } pageInfo { endCursor } } }
}
"""


async def test_a_ticket_says_where_to_send_what_and_until_when(scene, ask):
    words = {"group": "RESUME", "name": "cv.pdf", "size": 1_000}

    answer = await ask(scene.as_("freelancer"), TICKET, input=words)

    ticket = answer["data"]["requestUpload"]
    assert ticket["url"].startswith("/upload/")
    assert (ticket["method"], ticket["headers"]) == (
        "PUT",
        [{"name": "Content-Type", "value": "application/octet-stream"}],
    )
    assert ticket["expiresAt"] == ticket["upload"].pop("arrivesBefore")
    assert ticket["upload"].pop("id").startswith("upload_")
    assert ticket["upload"] == {
        **words,
        "state": "REQUESTED",
        "mimeType": None,
        "sha256": None,
        "url": None,
        "arrivedAt": None,
        "availableActions": ["ARRIVE", "DELETE"],
    }


async def test_everything_wrong_with_a_wish_is_said_at_once(scene, ask):
    answer = await ask(scene.as_("freelancer"), TICKET, input={"group": "PHOTOS", "name": " ", "size": 20_000_001})

    refused = answer["data"]["requestUpload"]
    assert refused["code"] == "BAD_USER_INPUT"
    assert [problem["field"] for problem in refused["problems"]] == [["name"], ["size"]]


async def test_ones_uploads_come_in_pages_the_latest_first(scene, ask, keep):
    owner = scene.account("rival")
    uploads = [await keep(make.upload(owner, state=state)) for state in UploadState if state is not UploadState.SWEPT]
    await keep(make.upload(scene.account("freelancer")))
    gone = make.upload(owner)
    gone.delete(owner, at=gone.requested_at)
    await keep(gone)

    found, after = [], None
    for _ in uploads:
        page = (await ask(scene.as_("rival"), UPLOADS, first=1, after=after))["data"]["viewer"]["uploads"]
        assert page["totalCount"] == len(uploads)
        found += page["nodes"]
        after = page["pageInfo"]["endCursor"]

    assert [node["id"] for node in found] == [id_of(upload) for upload in reversed(uploads)]
    assert [node["url"] is None for node in found] == [False, False, True]


@pytest.mark.parametrize("group", UploadGroup)
async def test_an_upload_is_its_owners_until_it_is_kept_where_everybody_looks(group, scene, ask, keep):
    owner = scene.account("admin" if group is UploadGroup.ICONS else "freelancer")
    loose, kept = [await keep(make.upload(owner, group, state)) for state in (UploadState.ARRIVED, UploadState.KEPT)]

    async def seen(caller: str) -> list[bool]:
        text = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
        answer = await ask(scene.as_(caller), text, ids=[id_of(loose), id_of(kept)])
        return [node is not None for node in answer["data"]["nodes"]]

    for caller in ("nobody", "rival", "stranger", "client"):
        assert await seen(caller) == [False, group.is_public]
    assert await seen("admin") == [True, True]
