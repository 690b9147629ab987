"""Where payloads made by hand come from, and that nothing is written when anything is wrong with them."""

import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import uproot
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.calibration import Payload
from b2cal.conditions import Entry
from b2cal.core.errors import B2calError
from b2cal.core.iov import OPEN, ExpRun, IoV
from b2cal.loop import Act, FromTag, LocalDatabase, PayloadFiles, Source
from b2cal.model import Base, Grade, NoVerdictPolicy, Outcome
from tests.loop.world import MANAGER, World

pytestmark = pytest.mark.processes

ALL = IoV(ExpRun(26, 100), None)


def payload_file(path: Path, *values: float, name: str = "PA") -> Path:
    Payload(name, ALL, {"x": list(values)}).write(path)
    return path


def published(world: World, path: Path, tag: str, first: ExpRun) -> None:
    """Put a payload file into a tag, from this run on."""
    (check,) = conditions.check_files([path])
    kept = world.workplace.store.put(check.path, check.identity, check.checksum)

    def unit(db: Session) -> None:
        known = conditions.store_payload(db, check.name, check.identity, kept.checksum, kept.size_bytes)
        entry = Entry(check.name, first.number, OPEN, known, check.identity)
        conditions.publish(db, conditions.tag_named(db, tag).id, [entry])

    world.database.write(unit)


def with_a_signed_off(folder: Path, **policies: object) -> World:
    """A has been signed off; the base has a payload file for it."""
    world = World(folder)
    published(world, payload_file(folder / "base.root", 1.0), "main", ExpRun(26, 1))
    world.process(**policies)
    world.do("submit", "A")
    world.finish("A", 1)
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return with_a_signed_off(tmp_path)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One for all tests that change nothing in it."""
    return with_a_signed_off(tmp_path_factory.mktemp("refusing"))


def local_database(folder: Path, *lines: str) -> Path:
    """`database.txt` with these lines beside two payloads of A."""
    folder.mkdir()
    payload_file(folder / "dbstore_PA_rev_1.root", 1.0)
    payload_file(folder / "dbstore_PA_rev_ab12.root", 2.0)
    (folder / "database.txt").write_text("\n".join(lines))
    return folder


TWO_IOVS = ("# made by hand", "dbstore/PA 1 26,100,26,102", "dbstore/PA ab12 26,103,-1,-1")


def replace(world: World, source: Source) -> None:
    with world.database.read() as db:
        it = world.view(db).calibration("A")
    act = Act(MANAGER, it.version, "by hand")
    made = loop.brought_by_hand(world.workplace, it.id, source, act)
    world.database.write(lambda db: loop.replace(db, it.id, made, act))


def everything(world: World) -> tuple[dict[str, int], list[Path]]:
    """Rows of each table, and all files of the home but those of the database."""
    with world.database.read() as db:
        rows = {t.name: db.scalar(select(func.count()).select_from(t)) or 0 for t in Base.metadata.sorted_tables}
    home = world.workplace.settings.home
    return rows, sorted(path for path in home.rglob("*") if path.is_file() and not path.name.startswith("b2cal.db"))


def iovs(world: World) -> list[tuple[str, str]]:
    with world.database.read() as db:
        attempt = world.view(db).attempts["A"]
        assert attempt.outcome is Outcome.REPLACED
        assert all(world.workplace.store.has(made.payload.identity) for made in attempt.payloads)
        return [(made.name, str(IoV.from_numbers(made.first, made.last))) for made in attempt.payloads]


def tar(folder: Path) -> Path:
    with tarfile.open(folder.with_suffix(".tar"), "w") as archive:
        archive.add(folder, "some/where")
    return folder.with_suffix(".tar")


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    return folder.with_suffix(".zip")


def test_a_payload_file_is_valid_for_the_runs_of_the_processing_and_is_judged_like_any_other(
    world: World, tmp_path: Path
) -> None:
    replace(world, PayloadFiles([payload_file(tmp_path / "mine.root", 1.05)]))
    assert world.state("A") == "validating"
    assert iovs(world) == [("PA", "e26r100 - open")]
    assert world.advance("A").state == "signed_off"
    with world.database.read() as db:
        attempt = world.view(db).attempts["A"]
        assert attempt.message == "Replaced by hand from a file"
        assert attempt.verdict is not None
        assert [check["name"] for check in attempt.verdict.checks][:3] == [
            "payload files open",
            "contents are finite",
            "IoVs cover the runs asked for",
        ]


@pytest.mark.parametrize("packed", [lambda f: f, lambda f: f / "database.txt", tar, zipped])
def test_a_local_database_comes_as_a_folder_a_file_or_an_archive(
    world: World, tmp_path: Path, packed: Callable[[Path], Path]
) -> None:
    replace(world, LocalDatabase(packed(local_database(tmp_path / "localdb", *TWO_IOVS))))
    assert iovs(world) == [("PA", "e26r100 - e26r102"), ("PA", "e26r103 - open")]
    quarantine = world.workplace.settings.quarantine
    assert not quarantine.exists() or not list(quarantine.iterdir())


def test_a_tag_gives_its_payloads_clipped_to_the_runs(world: World, tmp_path: Path) -> None:
    world.database.write(lambda db: conditions.create_tag(db, "expert_patch"))
    published(world, payload_file(tmp_path / "mine.root", 1.05), "expert_patch", ExpRun(25, 1))
    replace(world, FromTag("expert_patch"))
    assert iovs(world) == [("PA", "e26r100 - open")]


def test_a_limit_of_the_script_that_cannot_be_measured_any_more_is_put_to_a_person(
    world: World, tmp_path: Path
) -> None:
    def limit(db: Session) -> None:
        definition = world.view(db).calibration("A").definition
        definition.traits = {**definition.traits, "limits": {"resolution": {"high": 1.0}}}

    world.database.write(limit)
    replace(world, PayloadFiles([payload_file(tmp_path / "mine.root", 1.05)]))
    assert world.advance("A").state == "review"
    with world.database.read() as db:
        verdict = world.view(db).attempts["A"].verdict
    assert verdict is not None
    assert verdict.grade is Grade.WARN
    assert [check["name"] for check in verdict.checks if check["grade"] == "warn"] == ["measured by the script"]


def test_generic_checks_alone_sign_off_only_where_the_policy_lets_them(tmp_path: Path) -> None:
    world = with_a_signed_off(tmp_path, no_verdict=NoVerdictPolicy.ASK)
    replace(world, PayloadFiles([payload_file(tmp_path / "mine.root", 1.05)]))
    assert world.advance("A").state == "review"


def no_payload(folder: Path) -> Source:
    (folder / "mine.root").write_bytes(b"root of all evil")
    return PayloadFiles([folder / "mine.root"])


def not_finite(folder: Path) -> Source:
    with uproot.recreate(folder / "mine.root") as file:
        file["meta"] = json.dumps({"payload": "PA", "identity": "0" * 64, "arrays": {"values/x": ["<f8", [1]]}})
        file.mktree("values/x", {"value": "f8"}).extend({"value": np.array([np.nan])})
    return PayloadFiles([folder / "mine.root"])


def of_another(folder: Path) -> Source:
    good = payload_file(folder / "good.root", 1.0)
    return PayloadFiles([good, payload_file(folder / "other.root", 1.0, name="PB")])


def twice(folder: Path) -> Source:
    return PayloadFiles([payload_file(folder / "one.root", 1.0), payload_file(folder / "two.root", 2.0)])


def with_a_gap(folder: Path) -> Source:
    return LocalDatabase(local_database(folder / "db", "dbstore/PA 1 26,100,26,102", "dbstore/PA ab12 26,104,-1,-1"))


def too_far(folder: Path) -> Source:
    return LocalDatabase(local_database(folder / "db", "dbstore/PA 1 26,99,-1,-1"))


def file_missing(folder: Path) -> Source:
    return LocalDatabase(local_database(folder / "db", "dbstore/PA 7 26,100,-1,-1"))


def other_name(folder: Path) -> Source:
    database = local_database(folder / "db", "dbstore/PA 1 26,100,-1,-1", "dbstore/PB 1 26,100,-1,-1")
    (database / "dbstore_PB_rev_1.root").write_bytes((database / "dbstore_PA_rev_1.root").read_bytes())
    return LocalDatabase(database)


def bad_line(folder: Path) -> Source:
    return LocalDatabase(local_database(folder / "db", "dbstore/../../PA 1 26,100,-1,-1"))


def no_archive(folder: Path) -> Source:
    (folder / "mine.zip").write_bytes(b"no archive at all")
    return LocalDatabase(folder / "mine.zip")


def no_tag(_folder: Path) -> Source:
    return FromTag("nothing")


WRONG: dict[Callable[[Path], Source], str] = {
    no_payload: "mine.root: it is truncated",
    not_finite: r"mine.root: PA, value 'x'\[0\] is nan, not a finite number",
    of_another: "other.root: it holds PB, where PA was expected",
    twice: "PA has more than one set of constants for e26r100 - open",
    with_a_gap: "PA has no constants for e26r103 - e26r103, which was asked for",
    too_far: "PA is valid for e26r99 - open, which reaches beyond e26r100 - open",
    file_missing: "dbstore_PA_rev_7.root: it does not exist",
    other_name: "dbstore_PB_rev_1.root: it holds PA, where PB was expected",
    bad_line: "Line 1 of database.txt cannot be understood",
    no_archive: "it is neither a .tar nor a .zip",
    no_tag: "There is no global tag nothing",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_nothing_is_written_when_anything_is_wrong(
    refusing: World, tmp_path: Path, wrong: Callable[[Path], Source]
) -> None:
    source = wrong(tmp_path)
    before = everything(refusing)
    with pytest.raises(B2calError, match=WRONG[wrong]) as refused:
        replace(refusing, source)
    assert refused.value.hint
    assert all(str(refused.value).count(name) <= 1 for name in ("mine.root: ", "other.root: ", "rev_7.root: "))
    assert everything(refusing) == before


def test_whoever_may_not_replace_is_told_before_anything_is_looked_at(refusing: World, tmp_path: Path) -> None:
    with refusing.database.read() as db:
        it = refusing.view(db).calibration("B")
    before = everything(refusing)
    with pytest.raises(loop.Conflict, match="B is open now"):
        loop.brought_by_hand(
            refusing.workplace, it.id, PayloadFiles([tmp_path / "none.root"]), Act(MANAGER, it.version, "x")
        )
    with pytest.raises(loop.Conflict, match="signed off now"):
        loop.brought_by_hand(refusing.workplace, 1, PayloadFiles([tmp_path / "none.root"]), Act(MANAGER, 1, "x"))
    assert everything(refusing) == before
