"""A release is looked through and taken in, or refused without a trace."""

import errno
import json
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from b2cal import releases
from b2cal.core.files import CannotWrite
from b2cal.model import Base, Definition, Kind, Release, Step
from b2cal.releases.snapshot import copy_release, digest_of, store
from b2cal.settings import Settings
from tests import factories
from tests.core.test_confined import wait_until_gone
from tests.releases.folders import VOCABULARY, script, write_release

pytestmark = pytest.mark.processes

MASK, OFFSETS = script("Channel mask"), script("Time offsets", depends_on=["mask"])
PRODUCE = '[[definition]]\nscript = "cdst"\nstep = "cdst-production"\nkind = "produce"\n'
COPY = '[[definition]]\nscript = "pedestals"\nstep = "local"\nkind = "copy"\n'
TAG = {"source_tag": "calorimeter_local", "unchanged": False}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings(home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def database(settings):
    database = factories.database(settings.home)
    yield database
    database.dispose()


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Temporary files of b2cal go where the test sees them."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def row_counts(database):
    with database.read() as db:
        tables = Base.metadata.sorted_tables
        return {table.name: db.scalar(select(func.count()).select_from(table)) for table in tables}


@contextmanager
def nothing_is_left(database, *folders):
    """No row and no file comes, goes or changes."""
    files = [{path: path.stat().st_mtime_ns for path in folder.rglob("*")} for folder in folders]
    rows = row_counts(database)
    yield
    assert row_counts(database) == rows
    # SQLite's own files beside the database may come and go with its connections
    after = [{path: path.stat().st_mtime_ns for path in folder.rglob("*")} for folder in folders]
    for before, now in zip(files, after, strict=True):
        assert {p: t for p, t in now.items() if "b2cal.db" not in p.name} == {
            p: t for p, t in before.items() if "b2cal.db" not in p.name
        }


REFUSED = {
    "syntax error": (
        {"mask": MASK, "broken": "def f(:\n"},
        "",
        ["broken cannot be imported", "SyntaxError", "line 1"],
    ),
    "error at import": (
        {"mask": MASK, "broken": "1 / 0"},
        "",
        ["broken cannot be imported", "ZeroDivisionError", "(broken.py, line 1)"],
    ),
    "ends the interpreter politely": (
        {"mask": "import sys; sys.exit(0)"},
        "",
        ["mask cannot be imported", "SystemExit"],
    ),
    "ends the interpreter": ({"mask": "import os; os._exit(0)"}, "", ["A script ended its interpreter"]),
    "kills the interpreter": (
        {"mask": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"},
        "",
        ["died of SIGSEGV", "mask.py, line 1"],
    ),
    "keys that cannot be carried over": (
        {
            "mask": script(
                "Mask", config={"payload_boundaries": []}, more='Mask.carried_over = ["payload_boundaries"]\n'
            ),
            "offsets": script("Offsets", config={"min_events": 1}, more='Offsets.carried_over = ("min_event",)\n'),
        },
        "",
        [
            "mask ('Mask'): carried_over: payload_boundaries holds runs of one processing",
            "offsets ('Offsets'): carried_over: min_event is no key of expert_config; did you mean 'min_events'?",
        ],
    ),
    "no settings": ({"mask": "x = 1"}, "", ["mask cannot be imported", "no settings"]),
    "wrong type of expert_config": (
        {"mask": MASK.replace("expert_config={}", "expert_config={'x': object()}")},
        "",
        ["mask cannot be imported", "expert_config"],
    ),
    "circle": (
        {
            "first": script("First", depends_on=["second"]),
            "second": script("Second", depends_on=["third"]),
            "third": script("Third", depends_on=["first"]),
        },
        "",
        ["import each other in a circle: first -> second -> third -> first"],
    ),
    "circle through a production": (
        {"cdst": script("cDST", kind="produce"), "early": script("Early", formats=["cdst"])},
        PRODUCE,
        ["wait for each other in a circle: 'Early' (early) -> 'cDST' (cdst) -> 'Early' (early)"],
    ),
    "unknown filter": (
        {"mask": script("Channel mask", filters={"bhabha": ["God", "NOT beem"]})},
        "",
        ["mask ('Channel mask')", "'God'", "did you mean 'Good'?", "'beem'", "did you mean 'beam'?"],
    ),
    "one name twice": (
        {"mask": MASK, "again": script("Channel mask", payloads=["Other"])},
        "",
        ["mask and again have the same name 'Channel mask'"],
    ),
    "one payload twice": (
        {"mask": MASK, "other": script("Other", payloads=["ChannelMask", "Mine"])},
        "",
        ["payload 'ChannelMask' is made by mask and by other"],
    ),
    "no payload": ({"mask": script("Channel mask", payloads=[])}, "", ["mask", "must name its produced_payloads"]),
    "schema that its defaults do not fit": (
        {"mask": script("M", config={"n": 5}, more="expert_config_schema = {'properties': {'n': {'maximum': 3}}}")},
        "",
        ["the default n must be at most 3, not 5"],
    ),
    "schema that is none": ({"mask": script("M", more="expert_config_schema = 5")}, "", ["mask", "no JSON object"]),
    "endless limit": (
        {
            "mask": MASK.replace(
                "(Calibration):", "(Calibration):\n    limits = {'step': Limit(high=float('inf'))}"
            ).replace("import Calibration,", "import Limit, Calibration,")
        },
        "",
        ["mask cannot be imported", "not JSON"],
    ),
    "copy with a class": ({"pedestals": MASK}, COPY, ["release.toml says copy, but its class is a Calibration"]),
    "copy of no tag": (
        {"pedestals": script("P", kind="copy", payloads=["Pedestals"])},
        COPY,
        ["pedestals ('P')", "source_tag"],
    ),
    "production with payloads": (
        {"cdst": script("cDST", kind="produce", payloads=["Files"])},
        PRODUCE,
        ["cdst ('cDST')", "can have no produced_payloads"],
    ),
    "writes into the release": (
        {"mask": MASK + "open(__file__ + '.txt', 'w').write('x')\n"},
        "",
        ["wrote into the release's folder"],
    ),
    "named but not there": ({"mask": MASK}, '[[definition]]\nscript = "gone"\nstep = "local"\n', ["no file gone.py"]),
    "outside of the folder": (
        {"mask": MASK},
        '[[definition]]\nscript = "../mask"\nstep = "local"\n',
        ["'../mask' cannot be imported"],
    ),
    "unknown step": (
        {"mask": MASK},
        '[[definition]]\nscript = "mask"\nstep = "tracking"\n',
        ["release.toml, definition.1.step", "pre-tracking"],
    ),
    "unknown key": (
        {"mask": MASK},
        '[[definition]]\nscript = "mask"\nstep = "local"\nsort = "copy"\n',
        ["release.toml, definition.1.sort"],
    ),
}


@pytest.mark.parametrize("release", REFUSED.values(), ids=REFUSED)
def test_a_bad_release_is_refused_with_its_scripts_named_and_nothing_kept(
    database, settings, tmp_path, temporary, release
):
    scripts, entries, words = release
    folder = write_release(tmp_path / "release", scripts, entries)
    with (
        nothing_is_left(database, settings.home, folder, temporary),
        pytest.raises(releases.ReleaseRefused) as refused,
    ):
        releases.add(database, settings, folder)
    assert all(word in str(refused.value) for word in words), str(refused.value)
    assert all(problem in str(refused.value) for problem in refused.value.problems)
    assert refused.value.hint


def test_an_endless_loop_at_import_is_ended_and_its_line_named(database, settings, tmp_path, temporary):
    loop = "import time\nwhile True:\n    time.sleep(0.01)\n"
    folder = write_release(tmp_path / "release", {"mask": MASK, "endless": loop})
    with (
        nothing_is_left(database, settings.home, folder, temporary),
        pytest.raises(releases.ReleaseRefused, match=r"endless\.py, line 3 did not come to its end within 5 s"),
    ):
        releases.add(database, settings, folder, time_limit_s=5)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (None, "There is no release.toml"),
        ("name = ", "not valid TOML"),
        ("", "release.toml, name: Field required"),
        ("name = 'x'\ndefinition = []", "at least 1 item"),
        (b"\xff\xfe", "not valid TOML"),
        ("name = 'x'\ninterpreter = 'python'\n[[definition]]\nscript='mask'\nstep='local'", "interpreter python"),
        (f"name = '{'x' * 65}'\n[[definition]]\nscript='mask'\nstep='local'", "at most 64 characters"),
        ("name = 'x'\n" + 2 * "[[definition]]\nscript='mask'\nstep='local'\n", "'mask' 2 times"),
    ],
)
def test_a_release_toml_that_cannot_be_used_is_explained(database, settings, tmp_path, toml, words):
    folder = write_release(tmp_path / "release", {"mask": MASK})
    path = folder / "release.toml"
    path.unlink()
    if toml is not None:
        path.write_bytes(toml if isinstance(toml, bytes) else toml.encode())
    with nothing_is_left(database, settings.home), pytest.raises(releases.ReleaseRefused, match=words):
        releases.add(database, settings, folder)
    assert words in releases.inspect(folder).problems[0]


@pytest.mark.parametrize("named", ["", sys.executable])
def test_a_release_keeps_the_interpreter_that_it_names_and_none_else(database, settings, tmp_path, named):
    folder = write_release(tmp_path / "release", {"mask": MASK})
    toml = folder / "release.toml"
    if named:
        toml.write_text(f'interpreter = "{named}"\n{toml.read_text()}')
    release_id = releases.add(database, settings, folder)
    with database.read() as db:
        assert db.get_one(Release, release_id).interpreter == named


def test_links_and_devices_are_not_followed(database, settings, tmp_path):
    folder = write_release(tmp_path / "release", {"mask": MASK})
    (folder / "secret.py").symlink_to("/etc/passwd")
    (folder / "elsewhere").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    with nothing_is_left(database, settings.home), pytest.raises(releases.ReleaseRefused) as refused:
        releases.add(database, settings, folder)
    assert [problem.split()[0] for problem in refused.value.problems] == ["elsewhere", "pipe", "secret.py"]


def test_a_folder_that_is_none_is_refused(database, settings, tmp_path):
    with pytest.raises(releases.ReleaseRefused, match="is not a folder"):
        releases.add(database, settings, tmp_path / "nowhere")


# --- a good one ------------------------------------------------------------------------------------------------------


@pytest.fixture
def good(tmp_path):
    scripts = {
        "pedestals": script("Pedestals", kind="copy", payloads=["Pedestals"], config=TAG),
        "mask": script("Channel mask", config={"min_events": 300}, filters={}),
        "offsets": OFFSETS,
        "cdst": script("cDST", kind="produce"),
        "energy": script("Energy", formats=["cdst"], more="\nprint('hello')\n"),
    }
    later = '[[definition]]\nscript = "energy"\nstep = "post-tracking"\n'
    folder = write_release(tmp_path / "good", scripts, COPY + PRODUCE + later)
    (folder / "tables").mkdir()
    (folder / "tables" / "geometry.json").write_text("{}")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "mask.pyc").write_text("old")
    (folder / ".git").mkdir()
    return folder


def test_a_good_release_becomes_rows_and_a_snapshot(database, settings, good):
    with nothing_is_left(database, good.parent / "temporary"):
        inspection = releases.inspect(good)
    assert inspection.problems == []
    release_id = releases.add(database, settings, good)
    with database.read() as db:
        release = db.get_one(Release, release_id)
        assert release.name == "toy"
        assert release.vocabulary["Run Type"] == ["beam", "physics"]
        rows = {row.name: row for row in release.definitions}
        assert {row.name: (row.module, row.step, row.kind) for row in rows.values()} == {
            "Pedestals": ("pedestals", Step.LOCAL, Kind.COPY),
            "cDST": ("cdst", Step.CDST_PRODUCTION, Kind.PRODUCE),
            "Channel mask": ("mask", Step.PRE_TRACKING, Kind.CALIBRATE),
            "Time offsets": ("offsets", Step.PRE_TRACKING, Kind.CALIBRATE),
            "Energy": ("energy", Step.POST_TRACKING, Kind.CALIBRATE),
        }
        assert rows["Channel mask"].config_schema["properties"] == {"min_events": {"type": "integer"}}
        assert rows["Time offsets"].traits["branches"] == {"bhabha": ["energy"]}
        assert rows["Time offsets"].settings["depends_on"] == ["Channel mask"]
        assert [payload.payload_name for payload in rows["Time offsets"].payloads] == ["TimeOffsets"]
        snapshot = releases.folder(settings, release)
    names = sorted(str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file())
    scripts = ["cdst.py", "energy.py", "mask.py", "offsets.py", "pedestals.py"]
    assert names == sorted([*scripts, "release.toml", "tables/geometry.json"])
    assert all((snapshot / name).read_bytes() == (good / name).read_bytes() for name in names)


def test_a_definition_without_filters_is_flagged_not_refused(good):
    flags = releases.inspect(good).flags
    assert flags == [
        "mask ('Channel mask') has no filters: it is not submitted automatically until the manager gives a selection."
    ]


def test_a_reader_of_cdst_that_nobody_produces_and_a_wait_for_a_later_step_are_flagged(tmp_path):
    scripts = {
        "energy": script("Energy", formats=["cdst"], depends_on=["momentum"]),
        "momentum": script("Momentum"),
    }
    entries = '[[definition]]\nscript = "momentum"\nstep = "analysis"\n'
    assert releases.inspect(write_release(tmp_path / "release", scripts, entries)).flags == [
        "energy ('Energy') reads bhabha after the cDST production, but no definition produces that.",
        "energy ('Energy') of step pre-tracking waits for 'Momentum' of the later step analysis.",
    ]


def test_the_same_contents_are_the_same_release_wherever_they_lie(database, settings, good, tmp_path):
    first = releases.add(database, settings, good)
    again = shutil.copytree(good, tmp_path / "elsewhere")
    os.utime(again / "mask.py", ns=(1, 1))
    with nothing_is_left(database, settings.home):
        assert releases.add(database, settings, again) == first


def test_one_changed_byte_is_another_release_beside_the_first(database, settings, good):
    first = releases.add(database, settings, good)
    with (good / "mask.py").open("a") as file:
        file.write("\n")
    second = releases.add(database, settings, good)
    assert second != first
    with database.read() as db:
        folders = [releases.folder(settings, db.get_one(Release, number)) for number in (first, second)]
    assert (folders[0] / "mask.py").read_bytes() + b"\n" == (folders[1] / "mask.py").read_bytes()


def test_a_spoilt_snapshot_is_made_whole_by_adding_the_release_again(database, settings, good):
    release_id = releases.add(database, settings, good)
    with database.read() as db:
        snapshot = releases.folder(settings, db.get_one(Release, release_id))
    (snapshot / "mask.py").unlink()
    assert releases.add(database, settings, good) == release_id
    assert (snapshot / "mask.py").read_bytes() == (good / "mask.py").read_bytes()
    assert not [path for path in settings.releases.iterdir() if path.name.startswith(".")]


def take_in(folder: Path, snapshots: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        copy_release(folder, Path(temporary) / "copy")
        store(Path(temporary) / "copy", snapshots)


def test_a_disk_that_is_full_at_any_moment_leaves_nothing(good, tmp_path, temporary, monkeypatch):
    """Each flush to the disk but the last fails once; the last comes when the snapshot stands already."""
    snapshots, fsync, room_for = tmp_path / "snapshots", os.fsync, 0
    snapshots.mkdir()

    def fsync_while_there_is_room(descriptor: int) -> None:
        nonlocal room_for
        room_for -= 1
        if room_for == -1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_while_there_is_room)
    n_files = sum(path.is_file() for path in good.rglob("*")) - 1  # compiled code does not count
    n_folders = len({path.parent for path in good.rglob("*") if path.is_file()} - {good / "__pycache__"})
    flushes = n_files + n_folders + 1  # and the snapshot's own name
    for flushed in range(flushes - 1):
        room_for = flushed
        with pytest.raises(CannotWrite, match="No space left on device") as refused:
            take_in(good, snapshots)
        assert refused.value.hint
        assert not [*temporary.iterdir(), *snapshots.iterdir()]
    room_for = flushes
    take_in(good, snapshots)
    assert room_for == 0
    assert len(list(snapshots.iterdir())) == 1


def test_a_folder_for_snapshots_that_cannot_be_made_is_explained(database, good, tmp_path):
    (tmp_path / "home").write_text("a file where a folder should be")
    rows = row_counts(database)
    with pytest.raises(CannotWrite, match="Not a directory") as refused:
        releases.add(database, Settings(home=tmp_path / "home"), good)
    assert refused.value.hint
    assert row_counts(database) == rows


def test_two_who_add_the_same_release_at_once_leave_one_snapshot(good, tmp_path):
    snapshots = tmp_path / "snapshots"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: take_in(good, snapshots), range(8)))
    [snapshot] = snapshots.iterdir()
    assert digest_of(snapshot) == snapshot.name


def test_a_whole_snapshot_is_never_moved_away_by_who_comes_at_the_same_time(good, tmp_path):
    """Also where a spoilt one lies, as after a broken restore: only the first who comes replaces it."""
    snapshots = tmp_path / "snapshots"
    take_in(good, snapshots)
    [snapshot] = snapshots.iterdir()
    script = next(path for path in snapshot.rglob("*.py"))
    script.chmod(0o644)
    script.write_text("spoilt")
    inodes = set()

    def add(_: int) -> None:
        take_in(good, snapshots)
        inodes.add(snapshot.stat().st_ino)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert len(inodes) == 1
    assert digest_of(snapshot) == snapshot.name


# --- what a script can and cannot do ---------------------------------------------------------------------------------


def test_a_script_sees_no_secret_and_no_open_file_of_b2cal(database, tmp_path, monkeypatch):
    monkeypatch.setenv("B2CAL_PASSWORD", "canary")
    look = """
import os
seen = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")]
settings = CalibrationSettings(name="Look", expert_username="x", description="", input_data_formats=["raw"],
    input_data_names=["bhabha"], expert_config={"environment": dict(os.environ), "files": seen})
"""
    text = script("Look", more=look)
    with database.read() as db, (tmp_path / "private").open("w") as private:
        db.scalar(select(func.count()).select_from(Release))
        os.set_inheritable(private.fileno(), True)
        [definition] = releases.inspect(write_release(tmp_path / "release", {"look": text})).definitions
    config = definition.settings["expert_config"]
    assert "canary" not in str(config)
    assert "PATH" in config["environment"]
    assert not [path for path in config["files"] if "b2cal.db" in path or "private" in path]


def test_what_a_script_starts_ends_with_the_inspection(tmp_path):
    start = """
import subprocess
config = {"pid": subprocess.Popen(["sleep", "1000"]).pid}
settings = CalibrationSettings(name="Start", expert_username="x", description="", input_data_formats=["raw"],
    input_data_names=["bhabha"], expert_config=config)
"""
    [definition] = releases.inspect(
        write_release(tmp_path / "release", {"start": script("Start", more=start)})
    ).definitions
    wait_until_gone(definition.settings["expert_config"]["pid"])


def test_two_releases_with_the_same_module_names_live_side_by_side(database, settings, tmp_path):
    ids = []
    for number in (1, 2):
        mask = script("Channel mask", config={"number": number})
        folder = write_release(tmp_path / str(number), {"mask": mask, "offsets": OFFSETS})
        ids.append(releases.add(database, settings, folder))
    with database.read() as db:
        masks = [db.scalars(select(Definition).filter_by(release_id=one, name="Channel mask")).one() for one in ids]
        assert [mask.settings["expert_config"] for mask in masks] == [{"number": 1}, {"number": 2}]
    assert not [name for name in sys.modules if name.split(".")[-1] == "mask"]


def test_belle2s_prompt_calibrations_pass_whole(tmp_path):
    facts = json.loads(Path(__file__).with_name("belle2_prompt.json").read_text())
    modules = {one["name"]: one["module"] for one in facts["calibrations"]}
    scripts = {
        one["module"]: script(
            one["name"],
            depends_on=[modules[name] for name in one["depends_on"]],
            formats=one["input_data_formats"],
            filters=one["input_data_filters"],
            config=one["expert_config"],
            payloads=one["produced_payloads"] or [f"{one['module']}_payload"],
        )
        for one in facts["calibrations"]
    }
    entries = "".join(
        f'[[definition]]\nscript = "{one["module"]}"\nstep = "{one["step"]}"\n' for one in facts["calibrations"]
    )
    folder = write_release(tmp_path / "release", scripts, entries)
    toml = (folder / "release.toml").read_text()
    vocabulary = "".join(f"{json.dumps(name)} = {json.dumps(values)}\n" for name, values in facts["vocabulary"].items())
    (folder / "release.toml").write_text(toml.replace(VOCABULARY, f"[vocabulary]\n{vocabulary}"))
    inspection = releases.inspect(folder)
    assert inspection.problems == []
    assert len(inspection.definitions) == 26
    assert {flag.split(" reads ")[1].split(" after")[0] != "" for flag in inspection.flags} == {True}
    assert len(inspection.flags) == 14  # no cDST production among them
