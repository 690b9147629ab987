"""Publication: all or nothing, in run order, and what it makes stale."""

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.core.iov import OPEN, ExpRun, IoV
from b2cal.loop import THE_LOOP, Act
from b2cal.model import Processing, ProcessingKind, PublishPolicy, TagState
from tests.loop.world import MANAGER, Defined, World

ALL = ("A", "B", "C", "D")


def finish_all(world: World, value: object, processing: str = "bucket1") -> None:
    for name in ALL:
        world.do("submit", name, processing=processing)
    for name in ALL:
        world.finish(name, value, processing)


def tag(world: World, name: str, tag: str = "main") -> list[tuple[int, int]]:
    """First and last run of the IoVs of a payload in the tag; -1 is open."""
    with world.database.read() as db:
        entries = conditions.tag_entries(db, conditions.tag_named(db, tag).id)
    return [
        (ExpRun.from_number(e.first).run, -1 if e.last == OPEN else ExpRun.from_number(e.last).run)
        for e in entries
        if e.name == name
    ]


def test_a_complete_processing_publishes_by_itself_and_leaves_the_last_iov_open(world: World) -> None:
    finish_all(world, 1)
    assert loop.advance_processing(world.workplace, "bucket1").state == "published"
    assert tag(world, "PA") == [(0, 99), (100, -1)]
    (publication,) = [it for it in world.decisions() if it.verb == "publish"]
    assert (publication.actor, publication.seen) == (THE_LOOP.username, ""), "nobody has looked at the preview"


def test_nothing_is_published_while_one_is_unfinished(world: World) -> None:
    for name in ALL:
        world.do("submit", name)
    for name in ALL[:-1]:
        world.finish(name, 1)
    assert loop.advance_processing(world.workplace, "bucket1").state == "active"
    assert tag(world, "PA") == [(0, -1)]


def previewed_by_the_manager(folder: Path) -> tuple[World, Processing, str]:
    """A complete processing that its manager publishes, and the mark of what she has just seen."""
    world = World(folder)
    world.process(publish=PublishPolicy.MANUAL)
    finish_all(world, 1)
    progress = loop.advance_processing(world.workplace, "bucket1")
    assert (progress.state, progress.finished) == ("complete", False)
    with world.database.read() as db:
        previewed = loop.publication_preview(world.view(db)).fingerprint
    return world, world.processing(), previewed


def test_by_policy_the_manager_publishes(tmp_path: Path) -> None:
    world, it, previewed = previewed_by_the_manager(tmp_path)
    world.database.write(lambda db: loop.publish(db, it.id, Act(MANAGER, it.version), previewed))
    assert loop.advance_processing(world.workplace, "bucket1").finished
    assert [(one.actor, one.seen) for one in world.decisions() if one.verb == "publish"] == [("manager", previewed)]


def test_only_what_was_previewed_is_published(tmp_path: Path) -> None:
    world, it, previewed = previewed_by_the_manager(tmp_path)

    def somebody_else_puts_constants_into_the_tag(db: Session) -> None:
        conditions.publish(db, it.target_tag_id, [world.constants(db, "A", "better", first=ExpRun(26, 50))])

    world.database.write(somebody_else_puts_constants_into_the_tag)
    with pytest.raises(loop.Conflict, match="not what was previewed any more"):
        world.database.write(lambda db: loop.publish(db, it.id, Act(MANAGER, it.version), previewed))
    assert tag(world, "PA") == [(0, 49), (50, -1)]
    with world.database.read() as db:
        previewed = loop.publication_preview(world.view(db)).fingerprint
    world.database.write(lambda db: loop.publish(db, it.id, Act(MANAGER, it.version), previewed))
    assert tag(world, "PA") == [(0, 49), (50, 99), (100, -1)]


def test_the_decision_to_publish_keeps_what_it_changed(world: World) -> None:
    finish_all(world, 1)
    loop.advance_processing(world.workplace, "bucket1")
    kept = next(one.details["changes"] for one in world.decisions() if one.verb == "publish")
    with world.database.read() as db:
        old, new = (e for e in conditions.tag_entries(db, conditions.tag_named(db, "main").id) if e.name == "PA")
    assert [change["name"] for change in kept] == ["PA", "PB", "PC", "PD"]
    assert kept[0]["closed"] == {"first": "e0r0", "last": "e26r99", "identity": old.identity}
    assert kept[0]["created"] == [{"first": "e26r100", "last": "open", "identity": new.identity}]


def test_the_preview_says_what_publishing_does(world: World) -> None:
    finish_all(world, 1)
    with world.database.read() as db:
        preview = loop.publication_preview(world.view(db))
    loop.advance_processing(world.workplace, "bucket1")
    assert preview.obstacle == ""
    for change in preview.changes:
        assert [(ExpRun.from_number(e.first).run) for e in change.created] == [100]
        assert tag(world, change.name)[1] == (100, -1)


@pytest.mark.parametrize(
    ("kind", "first", "said"),
    [
        (ProcessingKind.REPROCESSING, 100, "curated has constants of PA for these runs already: only equal ones"),
        (ProcessingKind.PROMPT, 100, "curated has constants of PA for these runs or later ones already"),
        (ProcessingKind.REPROCESSING, 103, ""),
        (ProcessingKind.PROMPT, 103, ""),
    ],
)
def test_who_creates_a_processing_is_told_of_constants_that_could_not_change(
    tmp_path: Path, kind: ProcessingKind, first: int, said: str
) -> None:
    world = World(tmp_path, (Defined("A"),))
    world.curated_tag("curated", "A")
    world.process(kind=kind, first=first, target_tag="curated")
    told = told_of_constants(world)
    assert told.startswith(said)
    assert bool(told) == bool(said)
    world.do("submit", "A")
    world.finish("A", 1)
    assert loop.advance_processing(world.workplace, "bucket1").state == ("complete" if said else "published")


@pytest.mark.parametrize(
    ("kind", "state", "counts"),
    [
        (ProcessingKind.REPROCESSING, TagState.OPEN, False),
        (ProcessingKind.REPROCESSING, TagState.RUNNING, True),
        (ProcessingKind.PROMPT, TagState.OPEN, True),
    ],
)
def test_later_runs_count_for_a_reprocessing_where_the_tag_grows_only_forwards(
    tmp_path: Path, kind: ProcessingKind, state: TagState, counts: bool
) -> None:
    world = World(tmp_path, (Defined("A"),))
    world.database.write(lambda db: conditions.create_tag(db, "later", state))
    world.add_to_tag("later", "A", "of later runs", first=108)
    world.process(kind=kind, target_tag="later")
    told = told_of_constants(world)
    assert told.startswith("later has constants of PA for these runs or later ones already" if counts else "")
    assert bool(told) is counts


def test_who_is_left_out_of_a_processing_is_not_said_to_clash_with_its_tag(tmp_path: Path) -> None:
    """Planned or active, and whether it was named for the processing or has a standing veto."""
    world = World(tmp_path, (Defined("A"), Defined("B")))
    world.curated_tag("curated", "A")
    plan(world, "named", vetoes=("A",))
    plan(world, "planned")
    assert told_of_constants(world, "named") == ""
    assert "constants of PA" in told_of_constants(world, "planned")
    world.do_to_processing(loop.ProcessingVerb.ACTIVATE, processing="named")
    assert told_of_constants(world, "named") == ""

    world.database.write(lambda db: loop.begin_standing_veto(db, "A", MANAGER, "no muons"))
    assert told_of_constants(world, "planned") == ""
    world.do_to_processing(loop.ProcessingVerb.ACTIVATE, processing="planned")
    assert told_of_constants(world, "planned") == ""

    world.database.write(lambda db: loop.end_standing_veto(db, "A", MANAGER))
    assert told_of_constants(world, "planned") == ""
    world.do("lift", "A", processing="planned")
    assert "constants of PA" in told_of_constants(world, "planned")


def plan(world: World, name: str, vetoes: tuple[str, ...] = ()) -> None:
    runs = IoV(ExpRun(26, 100), ExpRun(26, 104))
    kind = ProcessingKind.REPROCESSING
    wanted = loop.NewProcessing(name, runs, "toy", "manager", "main", "curated", kind=kind, vetoes=vetoes)
    world.database.write(lambda db: loop.create_processing(db, wanted))


def told_of_constants(world: World, processing: str = "bucket1") -> str:
    with world.database.read() as db:
        return loop.published_before(db, world.view(db, processing).processing)


def test_the_same_constants_open_no_new_iov(world: World) -> None:
    finish_all(world, "old")
    loop.advance_processing(world.workplace, "bucket1")
    assert tag(world, "PA") == [(0, -1)]


def test_a_veto_leaves_the_open_iov_of_the_running_tag(world: World) -> None:
    world.do("veto", "B")
    for name in ("A", "C", "D"):
        world.do("submit", name)
        world.finish(name, 1)
    assert loop.advance_processing(world.workplace, "bucket1").state == "published"
    assert tag(world, "PB") == [(0, -1)]
    assert tag(world, "PD") == [(0, 99), (100, -1)]


@pytest.mark.parametrize("kind", ProcessingKind)
@pytest.mark.parametrize("fallback", [None, "main"])
def test_of_a_vetoed_calibration_only_a_stated_fallback_is_published(
    tmp_path: Path, kind: ProcessingKind, fallback: str | None
) -> None:
    world = World(tmp_path)
    world.process(kind=kind)
    world.do("veto", "B", fallback_tag=fallback)
    with world.database.read() as db:
        changes = loop.publication_preview(world.view(db)).changes
    assert [change.name for change in changes] == ([] if fallback is None else ["PB"])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(ProcessingKind.PROMPT, [(100, 101), (102, -1)]), (ProcessingKind.REPROCESSING, [(100, 101), (102, 104)])],
)
def test_the_stated_fallback_of_a_veto_is_published_clipped_to_the_runs(
    tmp_path: Path, kind: ProcessingKind, expected: list[tuple[int, int]]
) -> None:
    world = World(tmp_path)
    fallback = world.curated_tag("curated", "A")
    world.database.write(lambda db: conditions.create_tag(db, "new"))
    world.process(kind=kind, target_tag="new")
    world.do("veto", "A", fallback_tag="curated")
    for name in "BCD":
        world.do("submit", name)
        world.finish(name, 1)
    assert loop.advance_processing(world.workplace, "bucket1").state == "published"
    assert tag(world, "PA", "new") == expected
    with world.database.read() as db:
        new = conditions.tag_entries(db, conditions.tag_named(db, "new").id)
    assert tuple(entry.identity for entry in new if entry.name == "PA") == fallback


def test_the_later_of_two_waits_for_the_earlier_and_what_it_read_is_stale_then(world: World) -> None:
    world.process("bucket2", first=105, last=109)
    for name in ALL:
        world.do("submit", name, processing="bucket2")
    for name in "ABC":
        world.finish(name, 2, "bucket2")
    world.advance("D", "bucket2")
    world.jobs_end("D", 2, "bucket2", names_read={"PB", "PD"})  # PD: its own constants of the base
    world.judged("D", processing="bucket2")
    world.advance("D", "bucket2")
    assert loop.advance_processing(world.workplace, "bucket2").state == "complete"
    with world.database.read() as db:
        assert loop.publication_preview(world.view(db, "bucket2")).obstacle.startswith("bucket1 ")

    finish_all(world, 1)
    assert loop.advance_processing(world.workplace, "bucket1").state == "published"

    assert world.freshness("D", "bucket2") == "stale"
    assert world.freshness("A", "bucket2") == "fresh"
    progress = loop.advance_processing(world.workplace, "bucket2")
    assert (progress.state, progress.finished, progress.generation) == ("active", False, 2)

    world.do("keep", "D", processing="bucket2")
    assert loop.advance_processing(world.workplace, "bucket2").state == "published"
    assert tag(world, "PD") == [(0, 99), (100, 104), (105, -1)]


@pytest.mark.parametrize("policy", PublishPolicy)
def test_that_an_earlier_one_comes_first_is_told_as_waiting_and_not_as_a_failure(
    tmp_path: Path, policy: PublishPolicy
) -> None:
    world = World(tmp_path)
    world.process()
    world.process("bucket2", first=105, last=109, publish=policy)
    finish_all(world, 2, "bucket2")
    assert loop.advance_processing(world.workplace, "bucket2").state == "complete"
    assert whole(world, "bucket2") == (
        "All calibrations are finished; it is published after bucket1, which has earlier runs."
    )
    with pytest.raises(loop.Conflict, match="bucket1 has earlier runs and is not published yet") as refused:
        world.do_to_processing(loop.ProcessingVerb.PUBLISH, processing="bucket2")
    assert refused.value.hint == "It comes after that one: look at what that waits for with `b2cal why bucket1`."


def test_prompt_processings_of_one_tag_may_not_overlap(world: World) -> None:
    with pytest.raises(loop.Conflict, match="bucket1"):
        world.process("bucket2", first=104, last=109)


def test_a_prompt_processing_for_runs_before_what_is_published_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process("bucket2", first=105, last=109)
    finish_all(world, 2, "bucket2")
    assert loop.advance_processing(world.workplace, "bucket2").state == "published"
    with pytest.raises(
        loop.Conflict, match="e26r100 - e26r104 lie before e26r105 - e26r109, which bucket2 has published"
    ) as refused:
        world.process("bucket1")
    assert refused.value.hint == f"Choose later runs. {conditions.way_to_correct('main')}"
    world.process("again", kind=ProcessingKind.REPROCESSING)


def test_before_the_later_one_is_published_there_may_still_be_an_earlier_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process("bucket2", first=105, last=109)
    finish_all(world, 2, "bucket2")
    world.process("bucket1")
    assert loop.advance_processing(world.workplace, "bucket2").state == "complete"


def test_a_published_processing_cannot_be_changed(world: World) -> None:
    finish_all(world, 1)
    loop.advance_processing(world.workplace, "bucket1")
    with pytest.raises(loop.Conflict, match="published") as refused:
        world.do("reject", "A")
    assert conditions.way_to_correct("ITS_TAG") in refused.value.hint


def test_a_rejected_upstream_takes_the_processing_back_from_complete(tmp_path) -> None:
    world = World(tmp_path)
    world.process(publish=PublishPolicy.MANUAL)
    finish_all(world, 1)
    loop.advance_processing(world.workplace, "bucket1")
    world.do("reject", "A")
    assert world.processing().state.value == "active"
    assert [world.freshness(name) for name in ALL] == ["fresh", "in doubt", "in doubt", "in doubt"]


def test_what_stands_against_publishing_is_said_with_what_helps(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process(publish=PublishPolicy.MANUAL)
    assert whole(world) == ""
    finish_all(world, 1)
    loop.advance_processing(world.workplace, "bucket1")
    assert whole(world) == "All calibrations are finished; publishing waits for manager."

    world.add_to_tag("main", "A", "by somebody else", first=102)
    it = world.processing()
    with pytest.raises(loop.Conflict, match="PA is already published with other constants") as refused:
        world.database.write(lambda db: loop.publish(db, it.id, Act(MANAGER, it.version), None))
    assert refused.value.hint == (
        "Veto the calibrations that are in the way: main keeps what it holds of them."
        " Or, if it corrects them, cancel bucket1."
        " Corrections go into an empty tag: calibrate into it with `--base main`."
    )
    assert "cannot be published: PA is already published with other constants" in whole(world)
    assert refused.value.hint in whole(world)

    world.do("veto", "A")
    for name in ("B", "C", "D"):
        world.do("keep", name)
    loop.advance_processing(world.workplace, "bucket1")
    world.do_to_processing(loop.ProcessingVerb.PUBLISH)
    assert world.processing().state.value == "published"


def keep_what_is_stale(world: World) -> None:
    for name in ALL:
        if world.freshness(name) == "stale":
            world.do("keep", name)
    loop.advance_processing(world.workplace, "bucket1")


def test_a_fallback_that_the_tag_does_not_take_is_left_out_by_another_veto(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.curated_tag("curated", "A")
    world.curated_tag("clash", "A")
    world.add_to_tag("clash", "B", "by somebody else", first=102)
    world.process(publish=PublishPolicy.MANUAL, target_tag="clash")
    finish_all(world, 1)
    world.do("veto", "A", fallback_tag="main")
    keep_what_is_stale(world)
    lift = "ift the veto of A and veto again without a fallback: clash keeps what it holds of them."
    assert f"Veto the calibrations that are in the way. L{lift}" in whole(world)

    world.do("veto", "B")
    keep_what_is_stale(world)
    assert f"L{lift}" in whole(world)
    assert "Veto the calibrations" not in whole(world)

    world.do("lift", "A")
    world.do("veto", "A")
    keep_what_is_stale(world)
    world.do_to_processing(loop.ProcessingVerb.PUBLISH)
    assert world.processing().state.value == "published"


def test_what_is_cancelled_is_told_so_before_anything_that_would_keep_it_from_being_published(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process(publish=PublishPolicy.MANUAL)
    finish_all(world, 1)
    world.add_to_tag("main", "A", "by somebody else", first=102)
    world.do_to_processing(loop.ProcessingVerb.CANCEL)
    with world.database.read() as db:
        preview = loop.publication_preview(world.view(db))
    assert (preview.obstacle, preview.way_out) == (
        "bucket1 is cancelled: nothing of it is published.",
        "Calibrate its runs in another processing.",
    )
    with pytest.raises(loop.Conflict, match="bucket1 is cancelled: publish is not possible"):
        world.do_to_processing(loop.ProcessingVerb.PUBLISH)


def test_a_second_click_on_publish_is_told_that_it_is_done(tmp_path: Path) -> None:
    world, it, previewed = previewed_by_the_manager(tmp_path)
    click = Act(MANAGER, it.version, request_key="click")
    world.database.write(lambda db: loop.publish(db, it.id, click, previewed))
    with pytest.raises(loop.Repeated):
        world.database.write(lambda db: loop.publish(db, it.id, click, previewed))


def test_a_tag_that_takes_nothing_is_opened_again_where_it_can_be(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process(publish=PublishPolicy.MANUAL)
    finish_all(world, 1)
    loop.advance_processing(world.workplace, "bucket1")
    world.database.write(lambda db: conditions.set_tag_state(db, world.processing().target_tag_id, TagState.TESTING))
    assert "main is testing" in whole(world)
    assert "Open it again with `b2cal tag set-state main open`." in whole(world)


def whole(world: World, processing: str = "bucket1") -> str:
    with world.database.read() as db:
        return loop.why_unpublished(world.view(db, processing))
