"""Sealed addresses."""

from datetime import UTC, datetime, timedelta

import pytest

from loaders.pages import Seal
from media.tickets import NAME_CHARS_MAX, Addresses, BadTicket, TicketExpired
from models.base import uuid7

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOON = AT + timedelta(minutes=5)
ADDRESSES = Addresses(Seal(b"a secret"))


def sealed(address: str) -> str:
    return address.replace("?link=", "/").rpartition("/")[2]


def test_a_ticket_leads_to_its_upload_until_its_moment():
    upload_id = uuid7()
    ticket = sealed(ADDRESSES.upload(upload_id, SOON))

    assert ADDRESSES.upload_id(ticket, AT) == upload_id
    assert ADDRESSES.upload_id(ticket, SOON - timedelta(seconds=1)) == upload_id
    with pytest.raises(TicketExpired):
        ADDRESSES.upload_id(ticket, SOON)


def test_a_link_is_for_one_file_until_its_moment():
    link = sealed(ADDRESSES.private("resume", "a.pdf", save_as="cv.pdf", expires_at=SOON))

    found = ADDRESSES.link("resume", "a.pdf", link, AT)

    assert (found.save_as, found.expires_at) == ("cv.pdf", SOON)
    for group, name in (
        ("attachments", "a.pdf"),
        ("resume", "b.pdf"),
        ("resume", "a@preview.png"),
        ("", "resume/a.pdf"),
    ):
        with pytest.raises(BadTicket):
            ADDRESSES.link(group, name, link, AT)
    with pytest.raises(TicketExpired):
        ADDRESSES.link("resume", "a.pdf", link, SOON)


def test_tickets_and_links_are_not_each_other():
    ticket = sealed(ADDRESSES.upload(uuid7(), SOON))
    link = sealed(ADDRESSES.private("resume", "a.pdf", save_as="cv.pdf", expires_at=SOON))

    with pytest.raises(BadTicket):
        ADDRESSES.upload_id(link, AT)
    with pytest.raises(BadTicket):
        ADDRESSES.link("resume", "a.pdf", ticket, AT)


def test_another_secret_makes_other_tickets():
    ticket = sealed(Addresses(Seal(b"another secret")).upload(uuid7(), SOON))

    with pytest.raises(BadTicket):
        ADDRESSES.upload_id(ticket, AT)


def test_a_long_name_does_not_make_a_link_that_cannot_be_read():
    name = "x" * 1_000 + ".pdf"
    link = sealed(ADDRESSES.private("resume", "a.pdf", save_as=name, expires_at=SOON))

    assert ADDRESSES.link("resume", "a.pdf", link, AT).save_as == name[:NAME_CHARS_MAX]


@pytest.mark.parametrize("text", ["", "x", "=", "%", "\0", "ä", "A" * 16, "A" * 401, "-_" * 20])
def test_what_was_never_sealed_is_no_ticket(text):
    with pytest.raises(BadTicket):
        ADDRESSES.upload_id(text, AT)
    with pytest.raises(BadTicket):
        ADDRESSES.link("resume", "a.pdf", text, AT)


def test_addresses_begin_with_the_origin_if_there_is_one():
    elsewhere = Addresses(Seal(b"a secret"), "https://media.example.org")

    assert elsewhere.public("icons", "a.png") == "https://media.example.org/static/icons/a.png"
    assert elsewhere.upload(uuid7(), SOON).startswith("https://media.example.org/upload/")
    assert ADDRESSES.public("icons", "a.png") == "/static/icons/a.png"
