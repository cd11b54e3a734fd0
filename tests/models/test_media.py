"""Uploads, from the wish to what is left."""

from datetime import UTC, datetime, timedelta

import pytest

from media.kinds import GROUPS
from models.config import Config
from models.errors import Forbidden
from models.media import (
    ACCOUNT_BYTES_MAX,
    LOOSE_HOURS,
    OPEN_MAX,
    PUTTING_AWAY,
    REMEMBERED,
    TICKET_SECONDS,
    UPLOAD_SECONDS,
    NoRoomLeft,
    Stored,
    TooManyUploads,
    Upload,
    UploadAction,
    UploadArrived,
    UploadDiffers,
    UploadGone,
    UploadGroup,
    UploadOfAnotherKind,
    UploadState,
    UploadUnderWay,
    UploadWords,
    Usage,
)
from tests import make
from tests.models.rules import faults, refusal_of, table, values

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONFIG = Config()
NOTHING = Usage(0, 0)
STORED = Stored("0" * 32 + ".pdf", 900, "application/pdf", "0" * 64)

LEADS_TO = table("""
            REQUESTED           ARRIVED          KEPT            SWEPT
    ARRIVE  ARRIVED             UPLOAD_ARRIVED   UPLOAD_ARRIVED  UPLOAD_GONE
    KEEP    UPLOAD_NOT_ARRIVED  KEPT             UPLOAD_IN_USE   UPLOAD_GONE
    DELETE  SWEPT               SWEPT            UPLOAD_IN_USE   UPLOAD_GONE
""")


def request(by=None, group=UploadGroup.RESUME, size=1_000, usage=NOTHING, name="cv.pdf", config=CONFIG):
    return Upload.request(by or make.freelancer(), UploadWords(group, name, size), usage, at=AT, config=config)


def arrived(by=None):
    upload = request(by)
    upload.arrive(upload.take(at=AT, config=CONFIG), STORED, at=AT, config=CONFIG)
    return upload


def in_state(state, by):
    upload = request(by) if state is UploadState.REQUESTED else arrived(by)
    if state is UploadState.KEPT:
        upload.keep(by, UploadGroup.RESUME, at=AT)
    if state is UploadState.SWEPT:
        upload.delete(by, at=AT)
    return upload


DO = {
    "ARRIVE": lambda upload, _: upload.arrive(upload.take(at=AT, config=CONFIG), STORED, at=AT, config=CONFIG),
    "KEEP": lambda upload, by: upload.keep(by, UploadGroup.RESUME, at=AT),
    "DELETE": lambda upload, by: upload.delete(by, at=AT),
}


# Steps


def test_the_table_speaks_of_every_state_and_action():
    assert set(LEADS_TO) == {action.value for action in UploadAction}
    assert all(set(row) == {state.value for state in UploadState} for row in LEADS_TO.values())


@pytest.mark.parametrize("state", UploadState, ids=lambda state: state.value)
@pytest.mark.parametrize("action", DO)
def test_an_upload_moves_as_the_table_says_and_stays_when_refused(action, state):
    owner = make.freelancer()
    upload = in_state(state, owner)
    before = values(upload)

    code = refusal_of(lambda: DO[action](upload, owner))

    expected = LEADS_TO[action][state.value]
    if code is None:
        assert upload.state.value == expected
    else:
        assert code == expected
        assert values(upload) == before


@pytest.mark.parametrize("state", [UploadState.REQUESTED, UploadState.ARRIVED], ids=lambda state: state.value)
@pytest.mark.parametrize("action", ["KEEP", "DELETE"])
def test_nobody_but_its_owner_does_anything_with_an_upload(action, state):
    upload = in_state(state, make.freelancer())

    for other in (make.freelancer(), make.client(), make.admin()):
        before = values(upload)
        assert refusal_of(lambda: DO[action](upload, other)) == "FORBIDDEN"  # noqa: B023 - called at once
        assert values(upload) == before


@pytest.mark.parametrize("state", UploadState, ids=lambda state: state.value)
def test_what_is_offered_is_what_leads_somewhere(state):
    owner = make.freelancer()
    upload = in_state(state, owner)

    offered = {action.value for action in upload.actions_for(owner)}

    assert offered == {action for action, row in LEADS_TO.items() if row[state.value] in UploadState.__members__}
    assert upload.actions_for(make.admin()) == upload.actions_for(None) == []


# The wish


def test_a_wish_is_for_one_file_of_ones_own_until_a_moment():
    owner = make.freelancer()

    upload = request(owner, name="  My résumé.pdf ")

    assert (upload.owner_id, upload.state, upload.name, upload.size) == (
        owner.id,
        UploadState.REQUESTED,
        "My résumé.pdf",
        1_000,
    )
    assert upload.arrives_before == upload.due_at == AT + timedelta(seconds=CONFIG[TICKET_SECONDS])


def test_no_two_uploads_are_called_alike_in_storage():
    names = {request(name="same.pdf").stored_name for _ in range(1_000)}

    assert len(names) == 1_000


@pytest.mark.parametrize("group", UploadGroup)
def test_a_file_is_as_big_as_its_group_takes(group):
    most = CONFIG[group.bytes_max]

    assert request(make.admin(), group, most).size == most
    assert faults(lambda: request(make.admin(), group, most + 1)) == ["size"]
    assert faults(lambda: request(make.admin(), group, 0)) == ["size"]
    assert faults(lambda: request(make.admin(), group, -1, name="")) == ["name", "size"]


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\0b", "\ud800"])
def test_a_name_is_a_text(name):
    assert faults(lambda: request(name=name)) == ["name"]


def test_administrators_alone_bring_icons():
    assert request(make.admin(), UploadGroup.ICONS).group is UploadGroup.ICONS
    for other in (make.client(), make.freelancer()):
        with pytest.raises(Forbidden):
            request(other, UploadGroup.ICONS)


def test_nobody_wishes_for_more_than_a_few_at_once():
    most = CONFIG[OPEN_MAX]

    request(usage=Usage(most - 1, 0))
    with pytest.raises(TooManyUploads):
        request(usage=Usage(most, 0))


def test_all_of_an_accounts_uploads_have_so_much_room():
    most = CONFIG[ACCOUNT_BYTES_MAX]

    request(size=1_000, usage=Usage(0, most - 1_000))
    with pytest.raises(NoRoomLeft):
        request(size=1_001, usage=Usage(0, most - 1_000))


def test_the_groups_are_those_of_the_files():
    assert {group.value for group in UploadGroup} == set(GROUPS)
    for group in UploadGroup:
        kind = GROUPS[group.value]
        assert group.is_image == bool(kind.variants)
        assert group.is_public != kind.private
        assert group.suffix == kind.suffix
        assert group.bytes_max.most == group.bytes_max.default == kind.bytes_max


# The attempt


def test_of_two_attempts_at_once_one_waits_until_the_other_is_over():
    upload = request(config=CONFIG)
    until = upload.take(at=AT, config=CONFIG)

    with pytest.raises(UploadUnderWay):
        upload.take(at=AT, config=CONFIG)
    upload.give_back(until)

    assert upload.take(at=AT, config=CONFIG) == until
    assert upload.due_at == until


def test_an_attempt_that_died_is_over_when_its_time_is():
    config = Config({TICKET_SECONDS.name: 86_400})
    upload = request(config=config)
    until = upload.take(at=AT, config=config)

    again = upload.take(at=until, config=config)

    assert again > until
    with pytest.raises(UploadGone):
        upload.arrive(until, STORED, at=until, config=config)
    upload.give_back(until)
    assert upload.taken_until == again
    upload.arrive(again, STORED, at=until, config=config)


def test_what_takes_too_long_to_come_is_not_put_away():
    upload = request()
    until = upload.take(at=AT, config=CONFIG)

    upload.must_be_in_time(until, at=until - PUTTING_AWAY - timedelta(seconds=1))
    with pytest.raises(UploadGone):
        upload.must_be_in_time(until, at=until - PUTTING_AWAY)
    with pytest.raises(UploadGone):
        upload.arrive(until, STORED, at=until, config=CONFIG)
    assert upload.state is UploadState.REQUESTED
    assert until - AT > timedelta(seconds=CONFIG[UPLOAD_SECONDS])


def test_a_ticket_is_good_until_it_expires_and_an_attempt_that_has_begun_goes_on():
    upload = request()
    last = upload.arrives_before - timedelta(microseconds=1)

    with pytest.raises(UploadGone):
        upload.take(at=upload.arrives_before, config=CONFIG)
    until = upload.take(at=last, config=CONFIG)
    upload.arrive(until, STORED, at=upload.arrives_before + timedelta(seconds=5), config=CONFIG)

    assert upload.state is UploadState.ARRIVED


def test_a_ticket_works_once():
    with pytest.raises(UploadArrived):
        arrived().take(at=AT, config=CONFIG)


def test_a_body_that_will_not_be_as_long_as_was_said_need_not_come():
    upload = request(size=1_000)

    upload.must_have_size(1_000)
    upload.must_have_size(None)
    for length in (0, 999, 1_001):
        with pytest.raises(UploadDiffers):
            upload.must_have_size(length)


def test_what_has_arrived_is_what_was_found_and_not_what_was_said():
    upload = arrived()

    assert (upload.size, upload.mime_type, upload.sha256) == (900, "application/pdf", "0" * 64)
    assert upload.due_at == AT + timedelta(hours=CONFIG[LOOSE_HOURS])
    assert upload.taken_until is None


# Being attached


def test_a_photo_is_no_resume():
    owner = make.freelancer()
    upload = arrived(owner)

    for other in set(UploadGroup) - {UploadGroup.RESUME}:
        before = values(upload)
        with pytest.raises(UploadOfAnotherKind):
            upload.keep(owner, other, at=AT)
        assert values(upload) == before


def test_what_is_attached_is_not_swept_however_long_it_is():
    upload = in_state(UploadState.KEPT, make.freelancer())

    assert not upload.sweep(at=AT + timedelta(days=10_000))
    assert upload.state is UploadState.KEPT


def test_what_is_let_go_is_due_at_once():
    upload = in_state(UploadState.KEPT, make.freelancer())

    upload.let_go(at=AT)

    assert (upload.state, upload.swept_at, upload.due_at) == (UploadState.SWEPT, AT, AT)
    assert upload.stored_name is not None


# Time


@pytest.mark.parametrize("state", [UploadState.REQUESTED, UploadState.ARRIVED], ids=lambda state: state.value)
def test_an_upload_that_leads_nowhere_is_swept_when_its_time_is_over_and_not_before(state):
    upload = in_state(state, make.freelancer())
    due = upload.due_at

    assert not upload.sweep(at=due - timedelta(microseconds=1))
    assert upload.state is state
    assert upload.sweep(at=due)
    assert (upload.state, upload.swept_at) == (UploadState.SWEPT, due)


def test_an_attempt_under_way_is_not_swept():
    upload = request()
    until = upload.take(at=upload.arrives_before - timedelta(seconds=1), config=CONFIG)

    assert not upload.sweep(at=upload.arrives_before)
    upload.arrive(until, STORED, at=upload.arrives_before, config=CONFIG)

    assert upload.state is UploadState.ARRIVED


def test_bytes_that_could_not_be_deleted_are_tried_again_later():
    upload = in_state(UploadState.SWEPT, make.freelancer())

    assert upload.sweep(at=AT)

    assert upload.due_at > AT
    assert upload.swept_at == AT


def test_the_bytes_of_a_deleted_upload_wait_for_an_attempt_to_end():
    owner = make.freelancer()
    upload = request(owner)
    until = upload.take(at=AT, config=CONFIG)

    upload.delete(owner, at=AT)

    assert upload.due_at == until
    with pytest.raises(UploadGone):
        upload.arrive(until, STORED, at=AT, config=CONFIG)
    upload.give_back(until)
    assert upload.due_at == AT


def test_a_row_is_forgotten_a_month_after_its_bytes_unless_something_may_point_to_it():
    loose, kept = in_state(UploadState.SWEPT, make.freelancer()), in_state(UploadState.KEPT, make.freelancer())
    kept.let_go(at=AT)

    for upload in (loose, kept):
        assert not upload.is_forgotten
        upload.forget_bytes()
        assert upload.is_forgotten

    assert loose.due_at == AT + REMEMBERED
    assert kept.due_at is None


# Machines


def test_what_a_machine_brings_is_nobodys_and_stays():
    upload = Upload.delivered(UploadGroup.ICONS, "home.png", STORED, at=AT)

    assert (upload.owner_id, upload.state, upload.due_at) == (None, UploadState.KEPT, None)
    assert upload.parties(make.admin()) == upload.parties(None) == frozenset()


def test_a_machine_may_bring_another_file_of_the_same_name():
    upload = Upload.delivered(UploadGroup.ICONS, "home.png", STORED, at=AT)
    later = AT + timedelta(days=1)

    upload.deliver_again(Stored("home.png", 77, "image/png", "1" * 64), at=later)

    assert (upload.size, upload.sha256, upload.arrived_at, upload.state) == (77, "1" * 64, later, UploadState.KEPT)
