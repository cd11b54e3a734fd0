"""What is said of files, and to whom."""

import pytest

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
