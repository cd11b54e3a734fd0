"""What is said of files, and to whom."""

import pytest

from tests.schema.callers import Ask, mutation, rows

TABLE = """
               nobody           rival         stranger  client  freelancer  admin
requestUpload  UNAUTHENTICATED  UploadTicket  =         =       =           =
deleteUpload   UNAUTHENTICATED  NOT_FOUND     =         =       Upload      FORBIDDEN
"""

ASKS: dict[str, Ask] = {
    "requestUpload": mutation("requestUpload", lambda _: {"group": "PHOTOS", "name": "me.png", "size": 1_000}),
    "deleteUpload": mutation("deleteUpload", lambda scene: {"uploadId": scene.ids()["upload"]}),
}


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]
