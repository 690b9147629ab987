"""States of global tags, and payloads that are known once."""

from itertools import product

import pytest
from sqlalchemy.orm import Session

from b2cal.conditions import TagRefused, UnknownTag, create_tag, set_tag_state, store_payload, tag_entries, tag_named
from b2cal.core.iov import IoV
from b2cal.model import GlobalTag, Payload, TagState

# Belle II's table, written out once more.
ALLOWED = {
    ("open", "testing"),
    ("open", "running"),
    ("testing", "validated"),
    ("testing", "open"),
    ("validated", "published"),
    ("validated", "open"),
}


@pytest.mark.parametrize(("one", "other"), list(product(TagState, TagState)))
def test_a_tag_changes_its_state_only_by_the_rules_of_belle_ii(db: Session, one: TagState, other: TagState) -> None:
    tag = create_tag(db, "data_prompt", one)
    if one is other or (one, other) in ALLOWED:
        set_tag_state(db, tag, other)
        assert db.get_one(GlobalTag, tag).state is other
        return
    with pytest.raises(TagRefused, match=f"data_prompt is {one} and cannot become {other}: it may become"):
        set_tag_state(db, tag, other)
    assert db.get_one(GlobalTag, tag).state is one


def test_a_refused_change_of_state_says_what_the_tag_may_become(db: Session) -> None:
    tag = create_tag(db, "data_prompt")
    with pytest.raises(TagRefused, match="it may become running or testing"):
        set_tag_state(db, tag, TagState.PUBLISHED)
    set_tag_state(db, tag, TagState.RUNNING)
    with pytest.raises(TagRefused, match="it may become nothing else any more"):
        set_tag_state(db, tag, TagState.OPEN)


def test_there_is_only_one_tag_of_a_name(db: Session) -> None:
    create_tag(db, "data_prompt")
    with pytest.raises(TagRefused, match="already a global tag data_prompt"):
        create_tag(db, "data_prompt")


@pytest.mark.parametrize("name", ["", "two words", "-x", "x" * 65, "a/b", "é"])
def test_a_name_that_cannot_stand_in_a_path_or_a_command_is_refused(db: Session, name: str) -> None:
    with pytest.raises(TagRefused, match="cannot be the name of a global tag"):
        create_tag(db, name)


def test_an_unknown_tag_is_named(db: Session) -> None:
    with pytest.raises(UnknownTag, match="no global tag data_promt"):
        tag_named(db, "data_promt")
    tag = create_tag(db, "data_prompt")
    assert tag_named(db, "data_prompt").id == tag


def test_the_same_contents_of_the_same_name_are_one_payload(db: Session) -> None:
    first = store_payload(db, "Masks", "c" * 64, "1" * 64, 10)
    assert store_payload(db, "Masks", "c" * 64, "2" * 64, 11) == first
    assert store_payload(db, "Offsets", "c" * 64, "1" * 64, 10) != first
    assert store_payload(db, "Masks", "d" * 64, "1" * 64, 10) != first
    assert db.get_one(Payload, first).checksum == "1" * 64


def test_a_new_tag_is_empty(db: Session) -> None:
    tag = create_tag(db, "data_prompt")
    assert tag_entries(db, tag) == []
    assert tag_entries(db, tag, overlapping=IoV.from_numbers(0, 5)) == []
