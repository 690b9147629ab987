"""Who may do what in which state: the table of the design, written out once more and acted out."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.core.errors import B2calError
from b2cal.loop import PROCESSING_RULES, RULES, Act, ByHand, Choice, Reason
from b2cal.model import Calibration, Decision, Kind, State, Step
from tests import factories
from tests.loop.everywhere import in_every_state
from tests.loop.world import Defined, World

OWNERS = "expert deputy manager"
ALL_STATES = "open submitted running validating review signed_off vetoed failed"
TABLE = (
    # verb       from                                  to                   who               with a reason
    ("submit",   "open",                               "submitted",         f"{OWNERS} loop", ""),
    ("withdraw", "submitted",                          "open",              f"{OWNERS} loop", ""),
    ("start",    "submitted",                          "running",           "loop",           ""),
    ("ended",    "running",                            "validating failed", "loop",           ""),
    ("judged",   "validating",                         "review failed",     "loop",           ""),
    ("sign_off", "review",                             "signed_off",        f"{OWNERS} loop", ""),
    ("reject",   "failed review signed_off",           "open",              OWNERS,           "reason"),
    ("replace",  "failed review signed_off",           "validating",        "expert manager", "reason"),
    ("restart",  "running validating failed review",   "submitted",         f"{OWNERS} loop", ""),
    ("restart",  "signed_off",                         "submitted",         "manager",        "reason"),
    ("veto",     ALL_STATES.replace(" vetoed", ""),    "vetoed",            "manager",        "reason"),
    ("lift",     "vetoed",                             "open",              "manager",        ""),
    ("keep",     "signed_off",                         "",                  "manager",        "reason"),
    ("go_on",    "submitted",                          "",                  "manager",        "reason"),
    ("select",   "open",                               "",                  "manager",        ""),
    ("reassign", ALL_STATES,                           "",                  "manager",        ""),
    ("name_deputy", ALL_STATES,                        "",                  "expert manager", ""),
    ("extend",   "open",                               "",                  "manager loop",   ""),
    ("cancel_jobs", "running",                         "failed",            OWNERS,           "reason"),
    ("retry_jobs", "running",                          "",                   OWNERS,          ""),
    ("retry_jobs", "failed",                           "running validating", OWNERS,          ""),
)  # fmt: skip
PROCESSINGS = (
    ("activate", "planned",                 "active",    "manager",        ""),
    ("complete", "active",                  "complete",  "loop",           ""),
    ("reopen",   "complete",                "active",    f"{OWNERS} loop", ""),
    ("publish",  "complete",                "published", "manager loop",   ""),
    ("cancel",   "planned active complete", "cancelled", "manager",        "reason"),
    ("hold",     "active complete",         "",          "manager",        "reason"),
    ("release",  "active complete",         "",          "manager",        ""),
    ("take_over", "planned active complete", "",         "manager",        "reason"),
)  # fmt: skip

READ_DATA = {"calibrate", "produce"}
KINDS = {
    "replace": {"calibrate", "copy"},
    "go_on": READ_DATA,
    "select": READ_DATA,
    "cancel_jobs": READ_DATA,
    "retry_jobs": READ_DATA,
}
"""The kinds of definitions that a verb is for, where it is not for all."""

Row = tuple[str, frozenset[str], tuple[str, ...], frozenset[str], bool]


def row(verb: str, at: str, to: str, who: str, reason: str) -> Row:
    return verb, frozenset(at.split()), tuple(to.split()), frozenset(who.split()), bool(reason)


def test_the_rules_of_a_calibration_are_those_of_the_design() -> None:
    found = {(r.verb.value, frozenset(r.at), r.to, frozenset(r.who), r.reason is Reason.NEEDED) for r in RULES}
    assert found == {row(*line) for line in TABLE}


def test_a_verb_is_for_the_kinds_for_which_it_means_something() -> None:
    assert {r.verb.value: set(r.kinds) for r in RULES if r.kinds != set(Kind)} == KINDS


def test_the_rules_of_a_processing_are_those_of_the_design() -> None:
    found = {
        (r.verb.value, frozenset(r.at), (r.to,) if r.to else (), frozenset(r.who), r.reason is Reason.NEEDED)
        for r in PROCESSING_RULES
    }
    assert found == {row(*line) for line in PROCESSINGS}


VERBS: dict[str, Callable[[Session, int, Act], object]] = {
    "submit": lambda db, number, act: loop.submit(db, number, Choice(), act),
    "withdraw": loop.withdraw,
    "sign_off": loop.sign_off,
    "reject": loop.reject,
    "replace": lambda db, number, act: loop.replace(db, number, ByHand("nowhere", ()), act),
    "restart": loop.restart,
    "veto": loop.veto,
    "lift": loop.lift,
    "keep": loop.keep,
    "go_on": loop.go_on,
    "select": lambda db, number, act: loop.select_data(db, number, {"filters": {"bhabha": ["Good"]}}, act),
    "reassign": lambda db, number, act: loop.reassign(db, number, "manager", act),
    "name_deputy": lambda db, number, act: loop.name_deputy(db, number, "manager", act),
    "extend": lambda db, number, act: loop.extend(db, number, 1.0, act),
    "cancel_jobs": loop.cancel_jobs,
    "retry_jobs": loop.retry_jobs,
}
"""Every verb that people have."""

PEOPLE = {"tracking": "expert", "second": "deputy", "manager": "manager"}


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = in_every_state(tmp_path_factory.mktemp("everywhere"))
    yield world
    world.database.dispose()


def test_there_is_one_calibration_in_each_state(everywhere: World) -> None:
    assert [everywhere.state(state.value) for state in State] == [state.value for state in State]


@pytest.mark.parametrize(("username", "role"), PEOPLE.items())
@pytest.mark.parametrize("state", ALL_STATES.split())
def test_a_person_can_do_what_the_table_says_and_nothing_else(
    everywhere: World, state: str, username: str, role: str
) -> None:
    allowed = {
        verb: (to or state).split()[0] for verb, at, to, who, _ in TABLE if state in at.split() and role in who.split()
    }
    with everywhere.database.read() as db:  # nothing is committed: each verb finds what the others found
        it = everywhere.view(db).calibration(state)
        number, seen, by = it.id, it.version, loop.actor(db, username, it)
        assert {button.verb.value for button in loop.buttons(everywhere.view(db), it, username)} == allowed.keys()
        before = db.scalar(select(func.count(Decision.id)))
        done = {}
        for name, verb in VERBS.items():
            try:
                verb(db, number, Act(by, seen, "because"))
            except B2calError:
                assert db.scalar(select(func.count(Decision.id))) == before, name
            else:
                done[name] = db.scalar(select(Calibration.state).where(Calibration.id == number)).value
            db.rollback()
    assert done == allowed


@pytest.mark.parametrize("state", ALL_STATES.split())
def test_a_reason_is_asked_for_where_the_table_says_so(everywhere: World, state: str) -> None:
    asked = set()
    with everywhere.database.read() as db:
        it = everywhere.view(db).calibration(state)
        for name, verb in VERBS.items():
            try:
                verb(db, it.id, Act(loop.actor(db, "manager", it), it.version, "  "))
            except loop.InvalidChoice as error:
                asked.add((name, "needs a reason" in str(error)))
            except loop.Conflict:
                pass
            db.rollback()
    assert asked == {
        (verb, True) for verb, at, _, who, why in TABLE if state in at.split() and "manager" in who and why
    }


def test_who_has_no_part_in_a_calibration_can_do_nothing_to_it(everywhere: World) -> None:
    with everywhere.database.read() as db:
        factories.person(db, "muon")
        for it in everywhere.view(db).calibrations.values():
            with pytest.raises(loop.NotAllowed, match="not responsible"):
                loop.actor(db, "muon", it)
            assert not loop.buttons(everywhere.view(db), it, "muon")


@pytest.mark.parametrize(
    ("kind", "step", "verb", "allowed"),
    [
        (Kind.PRODUCE, Step.CDST_PRODUCTION, "replace", "calibrate, copy"),
        (Kind.COPY, Step.LOCAL, "select", "calibrate, produce"),
        (Kind.COPY, Step.LOCAL, "go_on", "calibrate, produce"),
    ],
)
def test_what_means_nothing_for_a_kind_is_neither_offered_nor_done(
    tmp_path: Path, kind: Kind, step: Step, verb: str, allowed: str
) -> None:
    world = World(tmp_path, (Defined("A", kind=kind, step=step, config={"source_tag": "nowhere", "unchanged": False}),))
    world.process()
    if verb != "select":
        world.do("submit", "A")
    if verb == "replace":
        world.advance("A")
        world.jobs_fail("A")
    with world.database.read() as db:
        it = world.view(db).calibration("A")
        assert it.state.value in {at for name, at_all, *_ in TABLE if name == verb for at in at_all.split()}
        assert verb not in {button.verb.value for button in loop.buttons(world.view(db), it, "manager")}
        with pytest.raises(loop.Conflict, match=f"A is of the kind {kind.value}: .* has no meaning for it") as refused:
            VERBS[verb](db, it.id, Act(loop.actor(db, "manager", it), it.version, "because"))
        assert refused.value.hint == f"It is for the kinds: {allowed}."
    world.database.dispose()
