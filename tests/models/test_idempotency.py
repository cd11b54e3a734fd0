"""What one request is."""

import pytest

from models.base import uuid7
from models.errors import Invalid
from models.idempotency import KEY_MAX, IdempotencyKeyReused, Once
from tests import make

BY = make.account()


@pytest.mark.parametrize("key", ["", "k" * (KEY_MAX + 1), "a\nb", "\x00"])
def test_a_key_is_short_and_printable(key):
    with pytest.raises(Invalid) as caught:
        Once.of(BY, key, "deposit", 1)

    assert caught.value.path == ("idempotency_key",)


def test_other_words_are_another_request():
    about = uuid7()
    said = Once.of(BY, "k", "deposit", 100, about=about)

    said.must_be(Once.of(BY, "k", "deposit", 100, about=about).fingerprint)
    for other in (
        Once.of(BY, "k", "deposit", 101, about=about),
        Once.of(BY, "k", "withdraw", 100, about=about),
        Once.of(BY, "k", "deposit", 100, about=uuid7()),
    ):
        with pytest.raises(IdempotencyKeyReused):
            said.must_be(other.fingerprint)


def test_what_is_made_has_the_same_id_for_the_request_that_made_it_alone():
    assert Once.of(BY, "k", "deposit").subject_id != Once.of(BY, "k", "deposit").subject_id
