"""What cannot be a release is refused, with all its problems, and without a trace."""

import os

import pytest

from b2cal import releases
from tests.releases.folders import script, write_release
from tests.releases.traces import nothing_is_left

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("temporary")]

MASK = script("Channel mask")
PRODUCE = '[[definition]]\nscript = "cdst"\nstep = "cdst-production"\nkind = "produce"\n'
COPY = '[[definition]]\nscript = "pedestals"\nstep = "local"\nkind = "copy"\n'

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
    "a number that cannot be": (
        {"mask": MASK, "offsets": script("Offsets", more="Offsets.max_iterations = 0\n")},
        "",
        ["offsets.py: max_iterations must be at least 1, not 0. Correct it in offsets.py."],
    ),
    "a name that is too long": (
        {"mask": script("Mask", payloads=["x" * 200])},
        "",
        ["mask.py: settings.produced_payloads.1 may have at most 128 characters. Correct it in mask.py."],
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
        ("", "release.toml, name is missing."),
        ("name = 'x'\ndefinition = []", "release.toml, definition must have a length of at least 1, not 0."),
        ("name = 'x'\n[[definition]]\nskript='mask'\nstep='local'", "skript is not known; did you mean 'script'?"),
        ("name = 'x'\ndefinitions = []", "definitions is not known; did you mean 'definition'?"),
        (b"\xff\xfe", "not valid TOML"),
        ("name = 'x'\ninterpreter = 'python'\n[[definition]]\nscript='mask'\nstep='local'", "interpreter python"),
        (
            "name = 'x'\nenvironment.XRD_STREAMTIMEOUT = '9'\n[[definition]]\nscript='mask'\nstep='local'",
            "XRD_STREAMTIMEOUT is",
        ),
        (
            "name = 'x'\nenvironment.OMP_NUM_THREADS = '9'\n[[definition]]\nscript='mask'\nstep='local'",
            "OMP_NUM_THREADS is",
        ),
        ("name = 'x'\nenvironment.'A B' = '9'\n[[definition]]\nscript='mask'\nstep='local'", "'A B' is no variable"),
        (
            "name = 'x'\nenvironment.A = 9\n[[definition]]\nscript='mask'\nstep='local'",
            "release.toml, environment.A must be",
        ),
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


def test_a_release_toml_is_not_said_to_name_too_few_scripts_because_of_a_step_that_is_refused(tmp_path):
    entry = '[[definition]]\nscript = "mask"\nstep = "tracking"\n'
    folder = write_release(tmp_path / "release", {"mask": MASK}, entry)
    (problem,) = releases.inspect(folder).problems
    assert problem.startswith("release.toml, definition.1.step must be ")


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
