"""Machines of a cloud: EC2 as moto plays it, DigitalOcean as its documentation has it, and libcloud's own dummy."""

import asyncio
import json
import re
import threading
from functools import partial
from uuid import uuid4

import pytest
import responses
from libcloud.compute.drivers.dummy import DummyNodeDriver
from libcloud.compute.providers import get_driver
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from ops.machines import Away, CannotSpawn
from ops.machines.cloud import KINDS, Cloud, driver_of
from ops.settings import CLOUDS, BadSettings, CloudSettings

SCRIPT = "#cloud-config\nruncmd: [WORKUP_MACHINE=$WORKUP_MACHINE serve, echo $HOME]\n"
IMAGE = "ami-12c6146b"
"""One of those that moto has."""
API = "https://api.digitalocean.com/v2"


def settings_of(name, **more):
    given = {"key": "key", "secret": "", "region": "", "size": "", "image": "", "user_data": SCRIPT, **more}
    return CloudSettings(name=name, **given)


# EC2


@pytest.fixture(scope="module")
def amazon():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


def account(host, port):
    where = {"region": "eu-west-1", "host": host, "port": port, "secure": False}
    return get_driver("ec2")("testing", "testing", **where, **KINDS["ec2"].given)


@pytest.fixture
def ec2(amazon, monkeypatch):
    # Keys of a stranger, should any be around.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    # moto writes the name of Amazon's namespace without the slash at its end.
    monkeypatch.setattr("libcloud.compute.drivers.ec2.NAMESPACE", "http://ec2.amazonaws.com/doc/2016-11-15")
    host, port = amazon
    connect = partial(account, host, port)
    prefix = f"workup-{uuid4().hex[:6]}"
    settings = settings_of("ec2", region="eu-west-1", size="t3.micro", image=IMAGE, prefix=prefix)
    cloud = Cloud(settings, connect)
    yield cloud
    cloud.close()


async def test_a_machine_of_ec2_is_made_found_by_its_id_and_given_back(ec2):
    one, other = uuid4(), uuid4()

    made = await ec2.spawn(one)
    await ec2.spawn(other)

    assert made.machine_id == one
    assert {found.machine_id for found in await ec2.present()} == {one, other}
    (found,) = [found for found in await ec2.present() if found.machine_id == one]
    assert found.handle == made.handle
    assert re.fullmatch(r"[0-9.]+:8000", found.address)
    assert await ec2.end(one, 10)
    assert [found.machine_id for found in await ec2.present()] == [other]


async def test_to_make_a_machine_of_ec2_twice_makes_one(ec2):
    machine = uuid4()

    first, second = await ec2.spawn(machine), await ec2.spawn(machine)

    assert first.handle == second.handle
    assert len(await ec2.present()) == 1


async def test_to_end_a_machine_that_is_gone_does_no_harm(ec2):
    assert await ec2.end(uuid4(), 10)


async def test_machines_of_others_in_the_same_account_are_left_alone(ec2, amazon):
    host, port = amazon
    driver = account(host, port)
    image = driver.get_image(IMAGE)
    size = next(size for size in driver.list_sizes() if size.id == "t3.micro")
    for name in ("database", f"staging-{uuid4().hex}", "workup-production"):
        driver.create_node(name=name, size=size, image=image)

    assert await ec2.present() == []


async def test_a_size_that_the_cloud_does_not_have_is_said(ec2):
    ec2._settings = settings_of("ec2", region="eu-west-1", size="enormous", image=ec2._settings.image)

    with pytest.raises(CannotSpawn, match="there is no size 'enormous'"):
        await ec2.spawn(uuid4())


# DigitalOcean


class Ocean:
    """Droplets, as far as we have to do with them."""

    def __init__(self, mock):
        self.droplets = {}
        self.asked = []
        self.refuses = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.creating = threading.Event()
        mock.add_callback("GET", f"{API}/regions", partial(self.say, "regions", [self.region()]))
        mock.add_callback("GET", f"{API}/sizes", partial(self.say, "sizes", [self.size()]))
        mock.add_callback("GET", f"{API}/images/77", partial(self.say, "image", self.image()))
        mock.add_callback("GET", f"{API}/droplets", self.list)
        mock.add_callback("POST", f"{API}/droplets", self.create)
        mock.add_callback("DELETE", re.compile(f"{API}/droplets/([0-9]+)"), self.delete)

    def say(self, name, what, _request):
        return 200, {}, json.dumps({name: what, "links": {}, "meta": {}})

    def region(self):
        return {"slug": "fra1", "name": "Frankfurt 1", "available": True, "features": [], "sizes": []}

    def size(self):
        prices = {"price_hourly": 0.01, "price_monthly": 6, "transfer": 1}
        return {"slug": "s-1vcpu-1gb", "vcpus": 1, "memory": 1024, "disk": 25, "regions": ["fra1"], **prices}

    def image(self):
        place = {"distribution": "Debian", "public": True, "slug": "debian-12-x64", "regions": ["fra1"]}
        return {"id": 77, "name": "12 x64", "min_disk_size": 7, "created_at": "2026-01-01T00:00:00Z", **place}

    def list(self, request):
        if self.refuses:
            return self.refuses
        return self.say("droplets", list(self.droplets.values()), request)

    def create(self, request):
        self.creating.set()
        self.go_on.wait(10)
        if self.refuses:
            return self.refuses
        asked = json.loads(request.body)
        self.asked.append((request.headers["Authorization"], asked))
        number = len(self.asked)
        self.droplets[number] = {
            "id": number,
            "name": asked["name"],
            "status": "new",
            "created_at": "2026-01-01T00:00:00Z",
            "networks": {"v4": [], "v6": []},
            "region": {"name": "Frankfurt 1", "slug": "fra1"},
            "image": self.image(),
            "size_slug": asked["size"],
        }
        return 202, {}, json.dumps({"droplet": self.droplets[number], "links": {}})

    def come_up(self, number):
        addresses = [{"ip_address": "203.0.113.9", "type": "public"}, {"ip_address": "10.0.0.9", "type": "private"}]
        self.droplets[number] |= {"status": "active", "networks": {"v4": addresses, "v6": []}}

    def delete(self, request):
        del self.droplets[int(re.findall(r"droplets/(\d+)", request.url)[0])]
        return 204, {}, ""


OCEAN = settings_of("digitalocean", key="a token", region="fra1", size="s-1vcpu-1gb", image="77")


@pytest.fixture
def ocean():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Ocean(mock)


@pytest.fixture
def digitalocean(ocean):
    cloud = Cloud(OCEAN)
    yield cloud
    ocean.go_on.set()
    cloud.close()


async def test_a_droplet_is_made_as_the_settings_say_and_learns_who_it_is(digitalocean, ocean):
    machine = uuid4()

    await digitalocean.spawn(machine)

    assert ocean.asked == [
        (
            "Bearer a token",
            {
                "name": f"workup-{machine.hex}",
                "size": "s-1vcpu-1gb",
                "image": "77",
                "region": "fra1",
                "user_data": SCRIPT.replace("$WORKUP_MACHINE", str(machine)),
            },
        )
    ]


async def test_the_address_of_a_droplet_is_known_when_it_has_come_up(digitalocean, ocean):
    machine = uuid4()

    assert (await digitalocean.spawn(machine)).address is None
    ocean.come_up(1)
    (made,) = await digitalocean.present()

    assert made.address == "203.0.113.9:8000"


async def test_a_private_address_is_taken_where_that_is_wanted(ocean):
    cloud = Cloud(
        settings_of("digitalocean", key="a token", region="fra1", size="s-1vcpu-1gb", image="77", private=True)
    )
    await cloud.spawn(uuid4())
    ocean.come_up(1)

    (made,) = await cloud.present()

    assert made.address == "10.0.0.9:8000"
    cloud.close()


async def test_a_droplet_that_stands_still_is_out_of_service_and_yet_given_back(digitalocean, ocean):
    machine = uuid4()
    await digitalocean.spawn(machine)
    ocean.droplets[1]["status"] = "off"

    assert await digitalocean.present() == []
    await digitalocean.end(machine, 0)
    assert ocean.droplets == {}


async def test_whoever_gives_up_while_a_droplet_is_being_made_leaves_none_behind(digitalocean, ocean):
    ocean.go_on.clear()
    machine = uuid4()
    making = asyncio.create_task(digitalocean.spawn(machine))
    await asyncio.to_thread(ocean.creating.wait, 10)

    making.cancel()
    ending = asyncio.create_task(digitalocean.end(machine, 0))
    await asyncio.sleep(0)
    ocean.go_on.set()
    await ending

    assert making.cancelled()
    assert len(ocean.asked) == 1
    assert ocean.droplets == {}


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "Unable to authenticate"), (422, "You have reached the droplet limit"), (500, "Server Error")],
)
async def test_a_cloud_that_says_no_is_quoted(digitalocean, ocean, status, words):
    ocean.refuses = (status, {}, json.dumps({"id": "no", "message": words}))

    with pytest.raises(Away, match=words if status != 401 else "InvalidCreds"):
        await digitalocean.present()


async def test_a_droplet_that_is_refused_cannot_be_made(digitalocean, ocean, monkeypatch):
    monkeypatch.setattr(ocean, "list", partial(ocean.say, "droplets", []))
    ocean.refuses = (422, {}, json.dumps({"id": "no", "message": "You have reached the droplet limit"}))

    with pytest.raises(Away, match="droplet limit"):
        await digitalocean.present()
    assert ocean.asked == []


# libcloud's dummy


class NamingDummy(DummyNodeDriver):
    """It calls its machines by numbers, whatever they are to be called."""

    def create_node(self, name, size, image, ex_user_data=None, location=None):  # type: ignore[override]  # as drivers do
        node = super().create_node(name, size, image)
        node.name = name
        node.extra = {"user_data": ex_user_data, "location": location}
        return node

    def get_image(self, image_id):
        return next(image for image in self.list_images() if str(image.id) == image_id)


async def test_the_dummy_cloud_does_as_it_is_told():
    driver = NamingDummy("secret")
    cloud = Cloud(settings_of("digitalocean", region="London Loft", size="Medium", image="2"), lambda: driver)
    machine = uuid4()

    made = await cloud.spawn(machine)

    (node,) = [node for node in driver.list_nodes() if str(node.id) == made.handle]
    assert node.extra["location"].country == "GB"
    assert [found.machine_id for found in await cloud.present()] == [machine]
    await cloud.end(machine, 0)
    assert await cloud.present() == []
    assert len(driver.list_nodes()) == 2
    cloud.close()


# Settings


def test_every_cloud_that_can_be_chosen_is_known():
    assert KINDS.keys() == set(CLOUDS)


@pytest.mark.parametrize("name", CLOUDS)
def test_a_driver_is_made_of_the_settings(name):
    given = {"ec2": {"secret": "s", "region": "eu-west-1"}}.get(name, {})

    assert driver_of(settings_of(name, **given)).connection is not None


TOLD = {
    "WORKUP_CLOUD": "digitalocean",
    "WORKUP_CLOUD_KEY": "key",
    "WORKUP_CLOUD_REGION": "fra1",
    "WORKUP_CLOUD_SIZE": "small",
    "WORKUP_CLOUD_IMAGE": "77",
}


def test_settings_of_a_cloud_are_read(tmp_path):
    script = tmp_path / "script"
    script.write_text(SCRIPT)

    read = CloudSettings.of(TOLD | {"WORKUP_CLOUD_USER_DATA": str(script), "WORKUP_CLOUD_PRIVATE": "on"})

    assert read == CloudSettings("digitalocean", "key", "", "fra1", "small", "77", SCRIPT, private=True)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WORKUP_CLOUD", "basement", "is one of digitalocean, ec2, not basement"),
        ("WORKUP_CLOUD_KEY", "", "WORKUP_CLOUD_KEY is not set"),
        ("WORKUP_CLOUD_USER_DATA", "/nowhere", "there is none at /nowhere"),
        ("WORKUP_CLOUD_PREFIX", "work up", "has letters, digits and hyphens"),
        ("WORKUP_CLOUD_PORT", "0", "is a number from 1 to 65535"),
    ],
)
def test_bad_settings_of_a_cloud_are_refused(tmp_path, name, value, words):
    script = tmp_path / "script"
    script.write_text(SCRIPT)

    with pytest.raises(BadSettings, match=words):
        CloudSettings.of(TOLD | {"WORKUP_CLOUD_USER_DATA": str(script)} | {name: value})


def test_a_script_is_given_as_clouds_take_it():
    """Nothing else is replaced: a script has variables of its own."""
    cloud = Cloud(OCEAN)
    machine = uuid4()

    assert cloud._user_data(machine) == SCRIPT.replace("$WORKUP_MACHINE", str(machine))
