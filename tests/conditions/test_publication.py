"""Publication into a global tag, against a dictionary run -> payload."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from b2cal.conditions import (
    Entry,
    PublicationRefused,
    TagRefused,
    create_tag,
    preview,
    publish,
    set_tag_state,
    store_payload,
    tag_entries,
    way_to_correct,
)
from b2cal.core.ids import new_token
from b2cal.core.iov import OPEN, ExpRun, IoV
from b2cal.model import Database, GlobalTag, TagState
from tests import factories
from tests.conditions.brute_force import a_result, as_map, identity, runs_of

NAMES = ("Gains", "Offsets")


class _Undo(Exception):
    pass


def new_tag(db: Session, state: TagState = TagState.OPEN) -> int:
    return create_tag(db, f"tag_{new_token()}", state)


def entry(first: int, last: int = OPEN, letter: str = "a") -> Entry:
    return Entry("Gains", first, last, "ab".index(letter) + 1, identity(letter))


def standing(db: Session, tag: int) -> list[tuple[int, int, str]]:
    return [(it.first, it.last, it.identity[0]) for it in tag_entries(db, tag)]


def allowed_by_the_model(present: Sequence[Entry], new: Sequence[Entry], state: TagState) -> bool:
    """Only runs without constants, and runs of an open IoV after its first, may change; RUNNING: only later runs."""
    before, after = as_map(present), as_map(new)
    changed = {(name, run) for (name, run), payload in after.items() if before.get((name, run)) != payload}
    open_iovs = [it for it in present if it.last == OPEN]
    for name, run in changed:
        inside_open = any(it.name == name and run > it.first for it in open_iovs)
        if (name, run) in before and not inside_open:
            return False
        starts_and_ends = [it.first if it in open_iovs else it.last for it in present if it.name == name]
        if state is TagState.RUNNING and any(run <= edge for edge in starts_and_ends):
            return False
    return True


@given(results=st.lists(a_result(NAMES), max_size=6), state=st.sampled_from([TagState.OPEN, TagState.RUNNING]))
def test_any_sequence_of_publications_gives_exactly_what_the_dictionary_says(
    database: Database, results: list[list[Entry]], state: TagState
) -> None:
    def unit(db: Session) -> None:
        tag = new_tag(db, state)
        model: dict[tuple[str, int], str] = {}
        for result in results:
            before = tag_entries(db, tag)
            foreseen = preview(db, tag, result)
            if allowed_by_the_model(before, result, state):
                assert publish(db, tag, result) == foreseen
                model |= as_map(result)
            else:
                with pytest.raises(PublicationRefused):
                    publish(db, tag, result)
                assert any(change.forbidden for change in foreseen)
                assert tag_entries(db, tag) == before
            after = tag_entries(db, tag)
            assert as_map(after) == model  # as_map also fails on overlaps
            assert {it for it in before if it.last != OPEN} <= set(after), "a closed IoV was altered"
            assert {(it.name, it.first) for it in before} <= {(it.name, it.first) for it in after}
        raise _Undo

    with pytest.raises(_Undo):
        database.write(unit)


@settings(max_examples=40)
@given(results=st.lists(a_result(), min_size=2, max_size=5))
def test_the_preview_names_what_is_closed_what_is_created_and_which_runs_stay_without_constants(
    database: Database, results: list[list[Entry]]
) -> None:
    def unit(db: Session) -> None:
        tag = new_tag(db)
        for result in results:
            before = set(tag_entries(db, tag))
            (change,) = preview(db, tag, result)
            if change.forbidden:
                continue
            publish(db, tag, result)
            after = set(tag_entries(db, tag))
            closed = {change.closed} if change.closed else set()
            assert after - before == {*change.created, *closed}
            assert len(before - after) == len(closed)
            covered = {run for it in after for run in runs_of(it)}
            inner = set(range(min(covered), max(covered) + 1)) - covered
            assert {run for gap in change.gaps for run in range(gap.first.number, gap.last_number + 1)} == inner
        raise _Undo

    with pytest.raises(_Undo):
        database.write(unit)


def test_a_prompt_result_closes_the_open_iov_and_opens_its_own(db: Session) -> None:
    tag = new_tag(db, TagState.RUNNING)
    publish(db, tag, [entry(0, letter="a")])
    (change,) = publish(db, tag, [entry(5, letter="b")])
    assert standing(db, tag) == [(0, 4, "a"), (5, OPEN, "b")]
    assert (change.closed, change.created, change.forbidden) == (entry(0, 4), (entry(5, letter="b"),), "")


def test_a_change_is_told_in_one_sentence_with_its_runs(db: Session) -> None:
    tag = new_tag(db)
    run = ExpRun(26, 10).number
    publish(db, tag, [entry(ExpRun(26, 1).number, letter="a")])
    (change,) = preview(db, tag, [entry(run, run + 4, letter="b")])
    assert str(change) == ("Gains: the open IoV is closed with e26r9; created: e26r10 - e26r14, e26r15 - open.")
    (change,) = preview(db, tag, [entry(run, letter="a")])
    assert str(change) == "Gains: goes on as it is: e26r10 - open."
    (change,) = preview(db, tag, [entry(ExpRun(26, 0).number, letter="b")])
    assert str(change) == "Gains is already published with other constants for e26r1 - open."
    other = new_tag(db)
    publish(db, other, [entry(run, run + 4)])
    (change,) = preview(db, other, [entry(run + 10, letter="b")])
    assert str(change) == "Gains: created: e26r20 - open; gap: e26r15 - e26r19."


def test_equal_constants_go_on_without_a_new_iov(db: Session) -> None:
    tag = new_tag(db, TagState.RUNNING)
    publish(db, tag, [entry(0)])
    (change,) = publish(db, tag, [entry(5)])
    assert standing(db, tag) == [(0, OPEN, "a")]
    assert (change.closed, change.created, change.unchanged) == (None, (), (IoV.from_numbers(5, OPEN),))


def test_a_closed_result_inside_an_open_iov_leaves_the_later_runs_as_they_were(db: Session) -> None:
    tag = new_tag(db)
    publish(db, tag, [entry(0)])
    publish(db, tag, [entry(5, 7, "b")])
    assert standing(db, tag) == [(0, 4, "a"), (5, 7, "b"), (8, OPEN, "a")]


def test_a_refusal_names_the_payload_and_the_runs_in_the_way_and_writes_nothing(db: Session) -> None:
    tag = new_tag(db)
    publish(db, tag, [entry(0, 9)])
    version = db.get_one(GlobalTag, tag).version
    with pytest.raises(PublicationRefused, match=r"Gains is already published with other constants for e0r5 - e0r9"):
        publish(db, tag, [entry(5, letter="b"), Entry("Offsets", 5, OPEN, 1, identity("a"))])
    assert standing(db, tag) == [(0, 9, "a")]
    assert db.get_one(GlobalTag, tag).version == version


def test_the_first_run_of_an_open_iov_cannot_get_other_constants(db: Session) -> None:
    tag = new_tag(db)
    publish(db, tag, [entry(5)])
    with pytest.raises(PublicationRefused, match="e0r5 - open"):
        publish(db, tag, [entry(5, letter="b")])


def test_two_sets_of_constants_for_one_run_in_one_result_are_refused(db: Session) -> None:
    with pytest.raises(PublicationRefused, match=r"more than once for e0r3 - e0r4"):
        publish(db, new_tag(db), [entry(0, 4), entry(3, 8, "b")])


def test_a_running_tag_grows_only_towards_later_runs(db: Session) -> None:
    tag = new_tag(db, TagState.RUNNING)
    publish(db, tag, [entry(5, 9)])
    with pytest.raises(PublicationRefused, match="is running and grows only forwards"):
        publish(db, tag, [entry(0, 4)])
    publish(db, tag, [entry(12)])
    (change,) = preview(db, tag, [entry(13)])
    assert change.gaps == (IoV.from_numbers(10, 11),)


@pytest.mark.parametrize("state", [TagState.TESTING, TagState.VALIDATED, TagState.PUBLISHED, TagState.INVALID])
def test_a_tag_that_is_neither_open_nor_running_takes_nothing(db: Session, state: TagState) -> None:
    tag = new_tag(db, state)
    with pytest.raises(PublicationRefused, match=f"is {state}; only tags that are open or running") as refused:
        publish(db, tag, [entry(0)])
    opens_again = state in (TagState.TESTING, TagState.VALIDATED)
    assert ("b2cal tag set-state" if opens_again else "Later runs go into a copy") in refused.value.hint
    assert "itself" not in refused.value.hint
    assert standing(db, tag) == []


@pytest.mark.parametrize("final", [TagState.RUNNING, TagState.PUBLISHED])
def test_who_wants_to_correct_is_sent_to_an_empty_tag_since_a_copy_keeps_what_it_holds(
    db: Session, final: TagState
) -> None:
    tag = new_tag(db)
    publish(db, tag, [entry(0, 9)])
    with pytest.raises(PublicationRefused, match="other constants") as refused:
        publish(db, tag, [entry(5, 9, "b")])
    name = db.get_one(GlobalTag, tag).name
    assert refused.value.hint == f"Later runs go into {name} itself. {way_to_correct(name)}"

    db.get_one(GlobalTag, tag).state = final
    with pytest.raises(TagRefused) as unchangeable:
        set_tag_state(db, tag, TagState.OPEN)
    assert unchangeable.value.hint.endswith(way_to_correct(name))

    copy, empty = new_tag(db), new_tag(db)
    publish(db, copy, tag_entries(db, tag))
    with pytest.raises(PublicationRefused):
        publish(db, copy, [entry(5, 9, "b")])
    publish(db, empty, [entry(5, 9, "b")])


def test_every_publication_raises_the_version_of_the_tag(db: Session) -> None:
    tag = new_tag(db)
    publish(db, tag, [entry(0, 4)])
    publish(db, tag, [entry(5)])
    assert db.get_one(GlobalTag, tag).version == 3


def test_of_two_publications_at_the_same_time_one_is_refused_and_the_other_whole(tmp_path: Path) -> None:
    database = factories.database(tmp_path)

    def prepare(db: Session) -> int:
        for name in NAMES:
            for letter in "ab":
                store_payload(db, name, identity(letter), identity("0"), 1)
        return new_tag(db)

    tag = database.write(prepare)
    for start in range(0, 100, 10):
        results = {
            letter: [Entry(name, start, start + 9, "ab".index(letter) + 1, identity(letter)) for name in NAMES]
            for letter in "ab"
        }
        won, refused = _at_once(tmp_path, tag, results)
        assert len(won) == 1
        assert len(refused) == 1
        with database.read() as db:
            found = tag_entries(db, tag, overlapping=IoV.from_numbers(start, start + 9))
        assert {(it.name, it.identity) for it in found} == {(name, identity(won[0])) for name in NAMES}
    database.dispose()


def _at_once(folder: Path, tag: int, results: dict[str, list[Entry]]) -> tuple[list[str], list[str]]:
    """Publish each result in a thread and with a database connection of its own; who won, who was refused."""
    won: list[str] = []
    refused: list[str] = []
    start = threading.Barrier(len(results))

    def work(letter: str) -> None:
        own = Database(f"sqlite:///{folder / 'b2cal.db'}", factories.SystemClock())
        start.wait()
        try:
            own.write(lambda db: publish(db, tag, results[letter]))
            won.append(letter)
        except PublicationRefused:
            refused.append(letter)
        finally:
            own.dispose()

    threads = [threading.Thread(target=work, args=(letter,)) for letter in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won, refused


def test_publishing_goes_through_the_states_of_a_tag_only_by_its_rules(db: Session) -> None:
    tag = new_tag(db)
    publish(db, tag, [entry(0)])
    for state in (TagState.TESTING, TagState.VALIDATED, TagState.PUBLISHED):
        set_tag_state(db, tag, state)
    with pytest.raises(PublicationRefused):
        publish(db, tag, [entry(5, letter="b")])
