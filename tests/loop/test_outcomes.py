"""How an attempt may end, from what its jobs left behind to what stands in the tag."""

import json
from pathlib import Path

import numpy as np
import pytest
import uproot
from sqlalchemy import func, select
from sqlalchemy.orm import Session

import b2cal
from b2cal import conditions, loop
from b2cal.core.iov import ExpRun, IoV
from b2cal.model import AttemptPayload, Job, NoVerdictPolicy, Payload, SignOffPolicy
from tests.loop.outputs import COLLECTED, MEASURED, document, fitted, jobs_bring, jobs_fail
from tests.loop.world import Defined, World

pytestmark = pytest.mark.processes

ALL = IoV(ExpRun(26, 100), None)


def collected(folder: Path, base: str = "new", **policies: object) -> World:
    """One calibration whose collect jobs have ended; nothing was valid before."""
    world = World(folder, (Defined("A"),))
    world.database.write(lambda db: conditions.create_tag(db, "new"))
    world.process(base_tag=base, target_tag=base, **policies)
    world.do("submit", "A")
    world.advance("A")
    jobs_bring(world, COLLECTED)
    world.advance("A")
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return collected(tmp_path)


def problem(world: World) -> str:
    with world.database.read() as db:
        return world.view(db).calibration("A").problem


def checks(world: World) -> dict[str, str]:
    """The grade of each check of the verdict."""
    with world.database.read() as db:
        verdict = world.view(db).attempts["A"].verdict
        assert verdict is not None
        return {check["name"]: check["grade"] for check in verdict.checks}


def published(world: World, tag: str) -> list[str]:
    with world.database.read() as db:
        return [str(entry.iov) for entry in conditions.tag_entries(db, conditions.tag_named(db, tag).id)]


def test_good_constants_are_signed_off_and_published_by_themselves(world: World) -> None:
    jobs_bring(world, fitted(ALL))
    world.advance("A")
    jobs_bring(world, MEASURED)
    assert world.advance("A").state == "signed_off"
    assert set(checks(world).values()) == {"pass"}
    assert loop.advance_processing(world.workplace, "bucket1").state == "published"
    assert published(world, "new") == ["e26r100 - open"]


def test_the_report_says_which_code_computed_on_which_hosts(world: World) -> None:
    jobs_bring(world, fitted(ALL))
    world.advance("A")
    jobs_bring(world, MEASURED)

    def told_by_the_agent(db: Session) -> None:
        attempt = world.view(db).attempts["A"]
        attempt.code_version, attempt.code_digest = "1.2.3", "ab" * 32
        for number, job in enumerate(db.scalars(select(Job).order_by(Job.id))):
            job.host = "node7" if number else "node8.example"

    world.database.write(told_by_the_agent)
    world.advance("A")
    with world.database.read() as db:
        verdict = world.view(db).attempts["A"].verdict
        assert verdict is not None
    report = (world.workplace.settings.reports / verdict.report).read_text()
    assert "<dt>jobs ran</dt><dd>b2cal 1.2.3 (abababababab)</dd>" in report
    assert "<dt>on</dt><dd>node7 (2 jobs), node8.example (1 job)</dd>" in report
    assert f"<dt>judged by</dt><dd>b2cal {b2cal.version()}</dd>" in report


def no_root_file(path: Path) -> None:
    path.write_bytes(b"not a payload, although its name says so")


def not_finite(path: Path) -> None:
    meta = {"payload": "PA", "identity": "0" * 64, "arrays": {"values/gain": ["<f8", [2]]}}
    with uproot.recreate(path) as file:
        file["meta"] = json.dumps(meta)
        file.mktree("values/gain", {"value": "f8"}).extend({"value": np.array([1.0, np.nan])})


@pytest.mark.parametrize(
    ("leave", "said"),
    [
        (fitted(ALL, damage=no_root_file), "PA.root: it is not a ROOT file"),
        (fitted(ALL, damage=not_finite), "is nan, not a finite number"),
        (fitted(ALL, identity="0" * 64), "PA.root holds other contents than its job reported"),
        (fitted(IoV(ExpRun(26, 101), None)), "PA has no constants for e26r100 - e26r100"),
        (fitted(IoV(ExpRun(26, 100), ExpRun(26, 104))), "PA has no constants for e26r105 - open"),
    ],
    ids=["no ROOT file", "not finite", "another identity", "begins too late", "ends too early"],
)
def test_payloads_that_are_not_what_they_should_be_end_the_attempt_as_failed(
    tmp_path: Path, leave: object, said: str
) -> None:
    world = collected(tmp_path)
    with world.database.read() as db:
        before = db.scalar(select(func.count()).select_from(Payload))
    jobs_bring(world, leave)
    assert world.advance("A").state == "failed"
    assert problem(world).startswith("Its payloads were refused: ")
    assert said in problem(world)
    with world.database.read() as db:
        assert db.scalar(select(func.count()).select_from(AttemptPayload)) == 0
        assert db.scalar(select(func.count()).select_from(Payload)) == before
    with pytest.raises(loop.Conflict):
        world.do("sign_off", "A")


def test_too_few_data_are_a_green_end_and_open_no_iov(tmp_path: Path) -> None:
    world = collected(tmp_path, base="main")
    before = published(world, "main")
    jobs_bring(world, document("result.json", outcome="not_enough_data", message="1 of 9 tracks.", payloads=[]))
    assert world.advance("A").state == "signed_off"
    with world.database.read() as db:
        view = world.view(db)
        assert loop.why(view, view.calibration("A"), world.clock.now()).sentence.startswith("1 of 9 tracks;")
    assert loop.advance_processing(world.workplace, "bucket1").state == "published"
    assert published(world, "main") == before == ["e0r0 - open"]


def test_constants_that_have_not_converged_come_before_a_person(world: World) -> None:
    jobs_bring(world, fitted(ALL, outcome="iterate"))
    world.advance("A")
    jobs_bring(world, MEASURED)
    assert world.advance("A").state == "review"
    assert {name for name, grade in checks(world).items() if grade != "pass"} == {"converged"}
    world.do("sign_off", "A")
    assert world.state("A") == "signed_off"


def test_a_validation_job_that_fails_ends_the_attempt_as_failed(world: World) -> None:
    jobs_bring(world, fitted(ALL))
    world.advance("A")
    jobs_fail(world, "ZeroDivisionError in measure")
    assert world.advance("A").state == "failed"
    assert problem(world) == "The validation job failed: ZeroDivisionError in measure"


def test_measurements_that_cannot_be_read_end_the_attempt_as_failed(world: World) -> None:
    jobs_bring(world, fitted(ALL))
    world.advance("A")
    jobs_bring(world, document("measurements.json"))
    assert world.advance("A").state == "failed"
    assert "measurements.json cannot be used" in problem(world)


@pytest.mark.parametrize("policy", [{"sign_off": SignOffPolicy.MANUAL}, {"no_verdict": NoVerdictPolicy.ASK}])
def test_green_constants_wait_for_a_person_where_the_processing_says_so(
    tmp_path: Path, policy: dict[str, object]
) -> None:
    world = collected(tmp_path, **policy)
    jobs_bring(world, fitted(ALL))
    world.advance("A")
    jobs_bring(world, MEASURED)
    assert world.advance("A").state == "review"
    assert set(checks(world).values()) == {"pass"}


def test_whoever_asks_where_a_script_gives_no_verdict_is_not_asked_where_it_gives_one(tmp_path: Path) -> None:
    world = collected(tmp_path, no_verdict=NoVerdictPolicy.ASK)
    jobs_bring(world, fitted(ALL))
    world.advance("A")
    shift = {"name": "shift", "values": 0.5, "unit": "mm"}
    jobs_bring(world, document("measurements.json", measurements=[shift], limits={"shift": {"low": 0, "high": 1}}))
    assert world.advance("A").state == "signed_off"
    assert checks(world)["shift"] == "pass"
