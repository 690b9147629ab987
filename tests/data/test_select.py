"""From a selection to runs and files."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func
from sqlalchemy import select as query

from b2cal.core.iov import ExpRun
from b2cal.data import ChosenFile, Completeness, Inputs, InvalidSelection, select
from b2cal.model import Database, DataFormat, Run, UnreadableFile, now
from tests import factories
from tests.data.catalogues import PHYSICS, VOCABULARY, file, run

FIRST, LAST = ExpRun(26, 0).number, ExpRun(26, 999).number
STREAMS = ("bhabha", "cosmic", "hadron")


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Iterator[Database]:
    database = factories.database(tmp_path_factory.mktemp("catalogue"))
    yield database
    database.dispose()


@pytest.fixture
def db(database):
    """A session whose rows are gone after the test."""
    with database.read() as db:
        yield db


def chosen(db, filters, *, first=FIRST, last=None, formats=("raw",), produced_by=(), **selection) -> Inputs:
    """Up to the newest run if no other is given."""
    last = last or db.scalar(query(func.max(Run.exprun))) or LAST
    return select(
        db, VOCABULARY, formats, list(filters), {"filters": filters, **selection}, first, last, produced_by=produced_by
    )


def reason(inputs: Inputs, number: int) -> str:
    [found] = [choice.reason for choice in inputs.runs if choice.exprun == ExpRun(26, number).number]
    return found


def names(inputs: Inputs) -> list[str]:
    """Stream and run of the files, and under which data name they are read, if that is another one."""
    return [
        f"{one.file.data_name} {ExpRun.from_number(one.file.exprun).run}"
        + (f" as {one.data_name}" if one.data_name != one.file.data_name else "")
        for one in inputs.files
    ]


# --- the rules of filters against a model that tries every one of them by hand ---------------------------------------


@dataclass
class World:
    """Some runs with their attributes and streams, and somebody's selection."""

    runs: dict[int, dict[str, list[str]]]
    files: dict[int, dict[str, int]]
    filters: dict[str, list[str]]
    exclude: set[int] = field(default_factory=set)
    only: set[int] | None = None

    def takes(self, number: int, name: str) -> bool:
        """The rules, said as plainly as possible."""
        if number in self.exclude or (self.only is not None and number not in self.only):
            return False
        category_of = {value: category for category, values in VOCABULARY.items() for value in values}
        attributes = {**self.runs[number], "Data Tag": None}
        yes: dict[str, bool] = {}
        for text in self.filters[name]:
            value = text.removeprefix("NOT ")
            category = category_of[value]
            if category == "Data Tag":
                continue
            has = value in attributes.get(category, [])
            if text.startswith("NOT "):
                if has:
                    return False
            else:
                yes[category] = yes.get(category, False) or has or value == "Either"
        return all(yes.values())

    def streams(self, name: str) -> set[str]:
        tags = set(VOCABULARY["Data Tag"])
        wanted = {text for text in self.filters[name] if text in tags} or {name}
        return wanted - {text.removeprefix("NOT ") for text in self.filters[name] if text.startswith("NOT ")}

    def expected_files(self) -> set[tuple[int, str, str]]:
        return {
            (number, name, stream)
            for number, streams in self.files.items()
            for stream, n_events in streams.items()
            for name in self.filters
            if n_events and stream in self.streams(name) and self.takes(number, name)
        }


@st.composite
def worlds(draw: st.DrawFn) -> World:
    numbers = range(draw(st.integers(0, 6)))
    of_runs = {
        category: [value for value in values if value != "Either"]
        for category, values in VOCABULARY.items()
        if category != "Data Tag"
    }
    attributes = st.fixed_dictionaries(
        {}, optional={category: st.lists(st.sampled_from(values), unique=True) for category, values in of_runs.items()}
    )
    values = [value for of_category in VOCABULARY.values() for value in of_category]
    asked = st.lists(st.sampled_from(values + [f"NOT {value}" for value in values if value != "Either"]), max_size=5)
    return World(
        runs={number: draw(attributes) for number in numbers},
        files={
            number: draw(st.dictionaries(st.sampled_from(STREAMS), st.sampled_from([0, 50, 100]))) for number in numbers
        },
        filters=draw(st.dictionaries(st.sampled_from(STREAMS), asked, min_size=1)),
        exclude=draw(st.sets(st.integers(0, 6), max_size=2)),
        only=draw(st.none() | st.sets(st.integers(0, 6))),
    )


def laid_out(db, world: World) -> Inputs:
    for number, attributes in world.runs.items():
        run(db, number, attributes, expected={"bhabha": 100})
        for stream, n_events in world.files[number].items():
            file(db, number, stream, n_events)
    only = {} if world.only is None else {"only": [f"e26r{number}" for number in sorted(world.only)]}
    return chosen(db, world.filters, exclude=[f"e26r{number}" for number in sorted(world.exclude)], **only)


@given(world=worlds())
def test_files_reasons_and_missing_events_are_those_of_the_rules(database, world):
    with database.read() as db:
        inputs = laid_out(db, world)
        found = [(ExpRun.from_number(one.file.exprun).run, one.data_name, one.file.data_name) for one in inputs.files]
    assert set(found) == world.expected_files()
    assert found == sorted(set(found))

    with_files = {number for number, _, _ in found}
    assert [choice.exprun for choice in inputs.runs] == [ExpRun(26, number).number for number in sorted(world.runs)]
    for choice in inputs.runs:
        assert choice.taken == (ExpRun.from_number(choice.exprun).run in with_files)
        assert choice.reason.startswith("taken: " if choice.taken else "left out: ")
        assert len(choice.reason) > len("left out: ")
        assert "\n" not in choice.reason

    short = {
        number
        for number in world.runs
        for name in world.filters
        if "bhabha" in world.streams(name) and world.takes(number, name) and world.files[number].get("bhabha", 0) < 100
    }
    assert {ExpRun.from_number(shortfall.exprun).run for shortfall in inputs.missing} == short
    assert (inputs.completeness is Completeness.MISSING) == bool(short or not found)


# --- reasons, word by word -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "filters", "sentence"),
    [
        ({**PHYSICS, "Magnet": ["Off"]}, ["Good", "On"], "left out: magnet is Off, asked for On"),
        (
            {**PHYSICS, "Data Quality Tag": []},
            ["Good", "Good Or Recoverable"],
            "left out: data quality tag is not known, asked for Good or Good Or Recoverable",
        ),
        (PHYSICS, ["NOT physics"], "left out: run type is physics, asked for not physics"),
        (
            {**PHYSICS, "Magnet": ["Off"], "Beam Energy": [""]},
            ["On", "4S"],
            "left out: magnet is Off, asked for On and beam energy is (empty), asked for 4S",
        ),
        (PHYSICS, ["Good", "On"], "taken: 100 events of bhabha"),
        (PHYSICS, [], "taken: 100 events of bhabha"),
        ({"Magnet": ["Off"]}, ["Either"], "taken: 100 events of bhabha"),
    ],
)
def test_the_reason_names_what_the_run_is_and_what_was_asked_for(db, attributes, filters, sentence):
    run(db, 5, attributes)
    file(db, 5)
    assert reason(chosen(db, {"bhabha": filters}), 5) == sentence


def test_a_run_without_files_is_left_out_for_that(db):
    run(db, 5)
    assert reason(chosen(db, {"bhabha": ["Good"]}), 5) == "left out: no events of bhabha"


def test_a_run_may_be_taken_for_one_data_name_and_not_for_another(db):
    run(db, 5)
    file(db, 5, "bhabha")
    file(db, 5, "cosmic")
    inputs = chosen(db, {"bhabha": ["physics"], "cosmic": ["cosmic_run"]})
    assert names(inputs) == ["bhabha 5"]
    assert reason(inputs, 5) == (
        "taken: 100 events of bhabha; not for cosmic: run type is physics, asked for cosmic_run"
    )


def test_a_person_sees_which_runs_were_excluded_or_not_chosen(db):
    for number in (1, 2, 3):
        run(db, number)
        file(db, number)
    inputs = chosen(db, {"bhabha": []}, exclude=["26/1"], only=["e26r1", "e26r2"])
    assert reason(inputs, 1) == "left out: excluded by the selection"
    assert reason(inputs, 3) == "left out: not among the runs that the selection names"
    assert names(inputs) == ["bhabha 2"]
    assert names(chosen(db, {"bhabha": []}, only=[])) == []


# --- completeness ----------------------------------------------------------------------------------------------------


def test_inputs_are_complete_when_all_expected_events_are_there(db):
    for number in (1, 2):
        run(db, number, expected={"bhabha": 100, "cosmic": 100})
        file(db, number)
    inputs = chosen(db, {"bhabha": ["Good"]})
    assert inputs.completeness is Completeness.COMPLETE
    assert str(inputs) == "Complete: 2 of 2 runs taken; events: 200; files: 2."


def test_missing_events_are_named_with_their_run_and_stream(db):
    run(db, 1, expected={"bhabha": 100})
    file(db, 1, n_events=60)
    run(db, 2, expected={"bhabha": 100})
    inputs = chosen(db, {"bhabha": ["Good"]})
    assert inputs.completeness is Completeness.MISSING
    assert [str(one) for one in inputs.missing] == [
        "60 of 100 events of bhabha in e26r1",
        "0 of 100 events of bhabha in e26r2",
    ]
    assert str(inputs) == "Missing: 60 of 100 events of bhabha in e26r1 and 1 more."
    assert reason(inputs, 1) == "taken: 60 events of bhabha, 40 still missing"
    assert reason(inputs, 2) == "left out: no events of bhabha, 100 still missing"


def test_nothing_is_missing_in_a_run_that_the_filters_leave_out(db):
    run(db, 1, {**PHYSICS, "Magnet": ["Off"]}, expected={"bhabha": 100})
    run(db, 2, expected={"bhabha": 100})
    file(db, 2)
    assert chosen(db, {"bhabha": ["On"]}).completeness is Completeness.COMPLETE


def test_more_events_than_expected_are_outdated_not_complete(db):
    run(db, 1, expected={"bhabha": 100})
    file(db, 1, path="/data/a.root")
    file(db, 1, path="/data/copy/a.root")
    inputs = chosen(db, {"bhabha": []})
    assert inputs.completeness is Completeness.OUTDATED
    assert str(inputs) == "More than expected: 200 of 100 events of bhabha in e26r1."


def test_inputs_are_not_complete_before_the_registry_has_come_to_the_last_run(db):
    run(db, 1, expected={"bhabha": 100})
    file(db, 1)
    inputs = chosen(db, {"bhabha": []}, last=ExpRun(26, 3).number)
    assert inputs.completeness is Completeness.MISSING
    assert str(inputs) == "The newest registered run is e26r1: those up to e26r3 may still come."
    run(db, 7, expected={"bhabha": 100})
    assert chosen(db, {"bhabha": []}, last=ExpRun(26, 3).number).completeness is Completeness.COMPLETE


@pytest.mark.parametrize(
    ("selection", "completeness"),
    [
        ({"only": ["e26r1"]}, Completeness.COMPLETE),
        ({"only": ["e26r1", "e26r3"]}, Completeness.MISSING),
        ({"only": ["e26r1", "e26r3"], "exclude": ["e26r3"]}, Completeness.COMPLETE),
        ({"only": ["e26r1", "e26r9"]}, Completeness.COMPLETE),
        ({"exclude": ["e26r2", "e26r3"]}, Completeness.COMPLETE),
        ({"exclude": ["e26r3"]}, Completeness.MISSING),
    ],
)
def test_runs_that_the_selection_would_not_take_need_not_be_registered(db, selection, completeness):
    run(db, 1, expected={"bhabha": 100})
    file(db, 1)
    found = chosen(db, {"bhabha": []}, last=ExpRun(26, 3).number, **selection)
    assert found.completeness is completeness


def test_a_run_range_without_data_is_missing_and_says_so(db):
    run(db, 1)
    file(db, 1)
    inputs = chosen(db, {"bhabha": []}, first=ExpRun(24, 0).number, last=ExpRun(25, 0).number)
    assert inputs.completeness is Completeness.MISSING
    assert str(inputs) == "The run registry knows no run in this range."


def test_a_selection_that_leaves_out_every_run_is_missing_and_gives_an_example(db):
    run(db, 1)
    file(db, 1)
    inputs = chosen(db, {"bhabha": ["Off"]})
    assert inputs.completeness is Completeness.MISSING
    assert str(inputs) == "No run was taken; e26r1 was left out: magnet is On, asked for Off."


def test_the_range_includes_both_ends_and_nothing_else(db):
    for number in (4, 5, 6, 7):
        run(db, number)
        file(db, number)
    assert names(chosen(db, {"bhabha": []}, first=ExpRun(26, 5).number, last=ExpRun(26, 6).number)) == [
        "bhabha 5",
        "bhabha 6",
    ]


# --- which files -----------------------------------------------------------------------------------------------------


def test_a_file_that_became_unreadable_is_not_taken_and_its_events_are_missing(db):
    run(db, 1, expected={"bhabha": 100})
    row = file(db, 1)
    db.add(UnreadableFile(path=row.path, reason="it is truncated", seen_at=now(db)))
    db.flush()
    inputs = chosen(db, {"bhabha": []})
    assert inputs.files == []
    assert inputs.missing[0].found_events == 0


def test_a_file_without_events_is_not_taken(db):
    run(db, 1)
    file(db, 1, n_events=0)
    assert chosen(db, {"bhabha": []}).files == []


def test_data_tags_choose_streams_and_a_name_without_one_reads_its_own(db):
    run(db, 1)
    for stream in STREAMS:
        file(db, 1, stream)
    assert names(chosen(db, {"anything": ["bhabha", "cosmic"]})) == [
        "bhabha 1 as anything",
        "cosmic 1 as anything",
    ]
    assert names(chosen(db, {"hadron": ["Good", "NOT cosmic"]})) == ["hadron 1"]
    assert names(chosen(db, {"anything": ["Good"]})) == []
    assert names(chosen(db, {"hadron": ["NOT hadron"]})) == []


def test_a_file_that_two_data_names_read_is_read_under_each_and_counted_once(db):
    run(db, 1, expected={"bhabha": 300})
    file(db, 1)
    inputs = chosen(db, {"on_resonance": ["bhabha", "4S"], "all": ["bhabha"]})
    assert names(inputs) == ["bhabha 1 as all", "bhabha 1 as on_resonance"]
    assert len(inputs.missing) == 1
    file(db, 1, n_events=200, path="/data/late.root")
    db.flush()
    inputs = chosen(db, {"on_resonance": ["bhabha", "4S"], "all": ["bhabha"]})
    assert str(inputs) == "Complete: 1 of 1 runs taken; events: 300; files: 2."


def test_cdst_comes_only_from_the_given_attempts_and_raw_only_from_the_detector(db):
    run(db, 1, expected={"bhabha": 100})
    raw = file(db, 1)
    mine, other = factories.attempt(db), factories.attempt(db)
    cdst = file(db, 1, path="/a/1.root", format=DataFormat.CDST, attempt_id=mine.id, n_events=7)
    file(db, 1, path="/a/2.root", format=DataFormat.CDST, attempt_id=other.id)
    file(db, 1, path="/a/3.root", format=DataFormat.RAW, attempt_id=mine.id)
    assert chosen(db, {"bhabha": []}, formats=["cdst"], produced_by=[mine.id]).files == [ChosenFile("bhabha", cdst)]
    assert chosen(db, {"bhabha": []}, formats=["cdst"], produced_by=[mine.id]).completeness is Completeness.COMPLETE
    assert chosen(db, {"bhabha": []}, formats=["cdst"]).completeness is Completeness.MISSING
    assert chosen(db, {"bhabha": []}, produced_by=[mine.id]).files == [ChosenFile("bhabha", raw)]


def test_who_reads_raw_files_and_a_production_waits_for_the_raw_ones_that_are_promised(db):
    run(db, 1, expected={"bhabha": 100, "cosmic": 100})
    file(db, 1, n_events=60)
    made_by = factories.attempt(db)
    for name in ("a", "b"):
        file(db, 1, path=f"/made/{name}.root", format=DataFormat.CDST, attempt_id=made_by.id, n_events=80)
    both = {"formats": ["raw", "cdst"], "produced_by": [made_by.id]}
    inputs = chosen(db, {"bhabha": ["Good"]}, **both)
    assert inputs.completeness is Completeness.MISSING
    assert str(inputs) == "Missing: 60 of 100 events of bhabha in e26r1."
    assert reason(inputs, 1) == "taken: 220 events of bhabha, 40 still missing"
    file(db, 1, n_events=40, path="/data/late.root")
    assert chosen(db, {"bhabha": ["Good"]}, **both).completeness is Completeness.COMPLETE
    file(db, 1, n_events=1, path="/data/later.root")
    assert chosen(db, {"bhabha": ["Good"]}, **both).completeness is Completeness.OUTDATED


def test_a_selection_of_another_form_is_refused(db):
    for wrong in ({"filters": ["bhabha"]}, {"filters": {}, "only": ["run 5"]}, {"filters": {}, "exclude": 5}):
        with pytest.raises(InvalidSelection):
            select(db, VOCABULARY, ["raw"], ["bhabha"], wrong, FIRST, LAST)
