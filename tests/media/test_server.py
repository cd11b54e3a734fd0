"""Files over HTTP: found, not found, and found to be unchanged."""

from hashlib import sha256

from models.media import UploadGroup
from tests.media import files


async def test_what_a_machine_brings_is_read_by_everybody(site):
    brought = await site.deliver("icons", "Home Sweet Home.JPG", files.noise(64, 64))

    assert brought.status_code == 201
    assert brought.json()["path"] == "/static/icons/home_sweet_home.png"
    read = await site.get(brought.json()["path"])
    assert read.status_code == 200
    assert read.headers["content-type"] == "image/png"
    assert read.headers["etag"] == f'"{sha256(read.content).hexdigest()}"'
    assert "x-placeholder" not in read.headers
    again = await site.get(brought.json()["path"])
    assert again.content == read.content
    assert again.headers["etag"] == read.headers["etag"]


async def test_a_person_brings_a_photo_with_a_ticket(site, people):
    upload = await site.brought(people.freelancer, UploadGroup.PHOTOS, files.noise(800, 600))

    read = await site.get(site.address(upload))
    assert read.headers["content-type"] == "image/webp"
    assert upload.sha256 == sha256(read.content).hexdigest()
    assert (await site.get(site.address(upload, "avatar"))).status_code == 200
