"""Vetoes of a whole subsystem, and such as are there from the beginning."""

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.core.errors import B2calError
from b2cal.core.iov import ExpRun
from b2cal.loop import Act, Actor
from b2cal.model import Role, StandingVeto
from tests.loop.world import MANAGER, Defined, World

EXPERT = Actor("tracking", Role.EXPERT)
PARTS = (
    Defined("A", subsystem="tracker"),
    Defined("B", ("A",), subsystem="calorimeter"),
    Defined("C", ("A",), subsystem="calorimeter"),
    Defined("D", ("B", "C")),
)


def begin(world: World, name: str, reason: str = "no muons", by: Actor = MANAGER) -> None:
    world.database.write(lambda db: loop.begin_standing_veto(db, name, by, reason))


def end(world: World, name: str, by: Actor = MANAGER, reason: str = "") -> None:
    world.database.write(lambda db: loop.end_standing_veto(db, name, by, reason))


def standing(world: World) -> list[str]:
    with world.database.read() as db:
        return [it.name for it in loop.standing_vetoes(db)]


def states(world: World, processing: str = "bucket1") -> str:
    """Those that are vetoed."""
    return "".join(name for name in "ABCD" if world.state(name, processing) == "vetoed")


@pytest.fixture
def parts(tmp_path: Path) -> World:
    """A tracker and a calorimeter; everything has been signed off."""
    world = World(tmp_path, PARTS)
    world.process()
    for name in "ABCD":
        world.do("submit", name)
        world.finish(name, 1)
    return world


def veto_subsystem(world: World, name: str, by: Actor = MANAGER, reason: str = "crate off", **how: str) -> None:
    key = how.pop("request_key", None)
    it = world.processing()
    act = Act(by, it.version, reason, key)
    world.database.write(lambda db: loop.veto_subsystem(db, it.id, name, act, **how))


def test_a_subsystem_is_vetoed_with_one_decision_for_each_of_its_calibrations(parts: World) -> None:
    with parts.database.read() as db:
        tracker = loop.subsystems(parts.view(db))[1]
        calorimeter = loop.subsystems(parts.view(db))[0]
    assert (tracker.name, tracker.calibrations) == ("tracker", ("A",))
    assert tracker.in_doubt == ("B (signed off)", "C (signed off)", "D (signed off)")
    assert (calorimeter.calibrations, calorimeter.in_doubt) == (("B", "C"), ("D (signed off)",))
    veto_subsystem(parts, "calorimeter")
    assert states(parts) == "BC"
    last = parts.decisions()[-3:]
    assert [(it.verb, it.actor, it.reason) for it in last if it.verb == "veto"] == [
        ("veto", "manager", "crate off")
    ] * 2
    with pytest.raises(loop.NotFound, match="nothing of the subsystem 'calorimeter' to veto") as refused:
        veto_subsystem(parts, "calorimeter")
    assert refused.value.hint == "Subsystems with calibrations that are not vetoed: tracker."


def test_a_subsystem_is_vetoed_as_a_whole_or_not_at_all(parts: World) -> None:
    def lacking_one(db: Session) -> None:
        tag_id = conditions.create_tag(db, "only-B")
        conditions.publish(db, tag_id, [parts.constants(db, "B", "old", first=ExpRun(0, 0))])

    parts.database.write(lacking_one)
    before = len(parts.decisions())
    with pytest.raises(loop.InvalidChoice, match="cannot stand in for C"):
        veto_subsystem(parts, "calorimeter", fallback_tag="only-B")
    with pytest.raises(loop.InvalidChoice, match="needs a reason"):
        veto_subsystem(parts, "calorimeter", reason=" ")
    with pytest.raises(loop.NotAllowed):
        veto_subsystem(parts, "calorimeter", by=EXPERT)
    assert (states(parts), len(parts.decisions())) == ("", before)
    veto_subsystem(parts, "calorimeter", fallback_tag="main")
    assert states(parts) == "BC"


def test_the_same_form_vetoes_a_subsystem_once(parts: World) -> None:
    veto_subsystem(parts, "calorimeter", request_key="form-1")
    parts.do("lift", "B")
    with pytest.raises(loop.Repeated):
        veto_subsystem(parts, "calorimeter", request_key="form-1")
    assert states(parts) == "C"


def test_what_is_named_at_the_creation_is_left_out_from_the_start(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process(vetoes=("B", "D"))
    assert states(world) == "BD"
    vetoes = [it for it in world.decisions() if it.verb == "veto"]
    assert [(it.actor, it.reason) for it in vetoes] == [("manager", "left out from the start of this processing")] * 2
    world.do("lift", "B")
    assert world.state("B") == "open"


def test_a_name_that_the_release_does_not_have_is_refused_before_anything_is_planned(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(loop.NotFound, match="has no calibration b, Z to veto") as refused:
        world.process(vetoes=("b", "A", "Z"))
    assert refused.value.hint == "It has: A, B, C, D."
    with pytest.raises(loop.NotFound, match="There is no processing"):
        world.processing()


def test_a_standing_veto_holds_for_processings_that_begin_while_it_stands(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process("before", 100, 101)
    begin(world, "C", "no muons until the summer")
    world.process("during", 102, 103, vetoes=("A", "C"))
    end(world, "C")
    world.process("after", 104, 105)
    assert [states(world, name) for name in ("before", "during", "after")] == ["", "AC", ""]
    begin(world, "B", "dead crate")
    world.process("later", 106, 107)
    reasons = [it.reason for it in world.decisions() if it.verb == "veto"]
    assert reasons[-1] == "standing veto of manager since 2026-11-01: dead crate"
    with world.database.read() as db:
        ended, holds = db.scalars(select(StandingVeto).order_by(StandingVeto.id))
    assert (ended.name, ended.reason, ended.begun_by, ended.ended_by) == (
        "C",
        "no muons until the summer",
        "manager",
        "manager",
    )
    assert (holds.name, holds.live, holds.ended_at) == ("B", True, None)


def test_whoever_begins_or_ends_a_standing_veto_leaves_a_decision_with_the_reason(tmp_path: Path) -> None:
    world = World(tmp_path)
    begin(world, "B", "dead crate")
    end(world, "B", reason="mended")
    kept = [(it.verb, it.actor, it.role, it.reason, it.from_state, it.to_state) for it in world.decisions()]
    assert kept == [
        ("begin", "manager", Role.MANAGER, "dead crate", "takes_part", "left_out"),
        ("end", "manager", Role.MANAGER, "mended", "left_out", "takes_part"),
    ]
    with world.database.read() as db:
        row = db.scalars(select(StandingVeto)).one()
    about = {(it.standing_veto_id, it.processing_id, it.calibration_id, it.tag_id) for it in world.decisions()}
    assert about == {(row.id, None, None, None)}


@pytest.mark.parametrize(
    ("name", "reason", "by", "why"),
    [
        ("A", "no muons", EXPERT, "for managers"),
        ("A", "  ", MANAGER, "needs a reason"),
        ("a", "no muons", MANAGER, "No release has a calibration a"),
        ("B", "again", MANAGER, "B has a standing veto of manager already: no muons"),
    ],
)
def test_a_standing_veto_that_cannot_be_is_refused(tmp_path: Path, name: str, reason: str, by: Actor, why: str) -> None:
    world = World(tmp_path)
    begin(world, "B")
    with pytest.raises(B2calError, match=why):
        begin(world, name, reason, by)
    assert standing(world) == ["B"]


def test_only_a_manager_ends_a_standing_veto_and_only_one_that_holds(tmp_path: Path) -> None:
    world = World(tmp_path)
    begin(world, "B")
    with pytest.raises(loop.NotAllowed):
        end(world, "B", EXPERT)
    with pytest.raises(loop.NotFound, match="A has no standing veto") as refused:
        end(world, "A")
    assert refused.value.hint == "There are: B."
    end(world, "B")
    assert standing(world) == []


def test_the_longest_key_of_a_form_does_for_each_part_of_it(parts: World) -> None:
    veto_subsystem(parts, "calorimeter", request_key="k" * 128)
    assert states(parts) == "BC"
    keys = [it.request_key for it in parts.decisions() if it.verb == "veto"]
    assert len(set(keys)) == 2
