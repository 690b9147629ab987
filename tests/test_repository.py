"""What must hold for the repository as a whole."""

import ast
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pytest_socket import SocketBlockedError, SocketConnectBlockedError

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "b2cal"
VENDOR = PACKAGE / "site" / "static" / "vendor"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Written so that this file does not hold what it looks for.
REGISTRIES = r"pypi[.]org|python[h]osted|registry[.]npmjs|deb[.]debian[.]org|archive[.]ubuntu"
MACHINE = "|".join(re.escape(f"{folder}/") for folder in (ROOT, Path.home()) if folder != Path("/"))


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository, also those that are about to be added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def imports(path: Path) -> Iterator[str]:
    """Absolute names that a module imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module
            yield node.module


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    forbidden = re.compile(f"{REGISTRIES}|{MACHINE}")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in tracked()
        if not path.is_relative_to(VENDOR)
        for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1)
        if forbidden.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_module_is_longer_than_400_lines():
    modules = [path for path in tracked("*.py") if path.relative_to(ROOT).parts[0] not in {"tests", "migrations"}]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules}
    assert lengths
    assert not {name: length for name, length in lengths.items() if length >= 400}


def test_core_and_the_job_wrapper_need_nothing_but_the_standard_library():
    for path in [*(PACKAGE / "core").rglob("*.py"), PACKAGE / "calibration" / "job.py"]:
        foreign = {name for name in imports(path) if name.split(".")[0] not in sys.stdlib_module_names}
        assert all(name.startswith("b2cal.core") for name in foreign), f"{path}: {foreign}"


def test_what_ships_with_a_job_needs_nothing_but_numpy_and_uproot_and_xrootd_only_behind_doors():
    allowed = {*sys.stdlib_module_names, "numpy", "uproot", "b2cal"}
    behind_doors = {"doors.py": {"XRootD"}}
    for path in (PACKAGE / "calibration").rglob("*.py"):
        foreign = {
            name for name in imports(path) if name.split(".")[0] not in allowed | behind_doors.get(path.name, set())
        }
        assert not foreign, f"{path}: {foreign}"


@pytest.mark.processes
def test_the_dag_builder_loads_nothing_heavy(tmp_path):
    loaded = "import b2cal.airflow.builder, sys; print(*sys.modules)"
    environment = {"AIRFLOW_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", loaded]
    modules = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()
    assert "b2cal.airflow.operators" in modules
    assert not {"numpy", "uproot", "b2cal.settings", "b2cal.model", "b2cal.loop"} & set(modules)


def test_other_rooms_come_in_by_the_door():
    """Not so core, which has no door, and calibration, whose door is for the experts' scripts."""
    behind = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in PACKAGE.rglob("*.py")
        for name in imports(path)
        if name.startswith("b2cal.") and name.count(".") > 1
        if name.split(".")[1] not in {"core", "calibration", path.relative_to(PACKAGE).parts[0]}
    ]
    assert not behind, "\n".join(behind)


def lint_imports(folder: Path) -> str:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True).stdout


def test_the_arrows_between_the_rooms_hold():
    report = lint_imports(ROOT)
    assert "BROKEN" not in report, report
    assert "0 broken" in report, report


PLANTED = {
    "core/planted.py": "import b2cal.model, airflow, click, flask, matplotlib\n",
    "runtime/planted.py": "import sqlalchemy\n",
    "airflow/builder.py": "\nimport b2cal.settings\n",
}


def test_every_import_contract_notices_its_violation(tmp_path):
    """Forbidden imports planted in a copy of the package break all contracts."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "b2cal", ignore=shutil.ignore_patterns("static", "templates", "__pycache__"))
    for module, line in PLANTED.items():
        path = tmp_path / "b2cal" / module
        path.write_text((path.read_text() if path.exists() else "") + line)

    report = lint_imports(tmp_path)

    for contract in PYPROJECT["tool"]["importlinter"]["contracts"]:
        assert f"{contract['name']} BROKEN" in report, report


def test_every_requirement_is_locked_with_hashes_and_without_an_address():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert not re.search(r"^(-|--)", lock, flags=re.MULTILINE)
    entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    locked = {entry.split("==")[0]: entry.split("==")[1].split()[0] for entry in entries}
    assert all("--hash=sha256:" in entry for entry in entries)

    project = PYPROJECT["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        wanted = Requirement(text)
        assert locked[canonicalize_name(wanted.name)] in wanted.specifier, f"{text}: run make lock"


def test_every_package_that_is_imported_is_declared_and_the_other_way_round():
    distributions = packages_distributions()
    declared = {canonicalize_name(Requirement(text).name) for text in PYPROJECT["project"]["dependencies"]}
    imported = {name.split(".")[0] for path in tracked("b2cal/*.py", "examples/*.py") for name in imports(path)}
    provided = {name: {canonicalize_name(it) for it in distributions.get(name, [])} for name in imported}
    foreign = {name: providers for name, providers in provided.items() if providers - {"b2cal"}}
    assert not {name for name, providers in foreign.items() if not providers & declared}
    by_others = {"gunicorn", "pymysql", "fsspec-xrootd"}  # started, loaded by SQLAlchemy, and by uproot through fsspec
    assert declared - set.union(*foreign.values()) == by_others


def test_vendored_files_are_what_their_checksums_say_and_nothing_else_is_there():
    lines = (VENDOR / "SHA256SUMS").read_text().splitlines()
    recorded = {path: digest for digest, path in (line.split("  ") for line in lines)}
    found = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert found == recorded


def test_vendored_versions_are_those_of_the_lock_file_and_carry_their_licence():
    lock = json.loads((ROOT / "assets" / "package-lock.json").read_text())
    packages = {name.removeprefix("node_modules/"): package for name, package in lock["packages"].items() if name}
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not any("resolved" in package for package in packages.values())
    folders = {f"{name.removeprefix('@').replace('/', '-')}-{package['version']}" for name, package in packages.items()}
    assert {path.name for path in VENDOR.iterdir() if path.is_dir()} == folders
    assert all(list((VENDOR / folder).glob("LICENSE*")) for folder in folders)


SKIPS = {
    "test": "import pytest\ndef test_one(): pytest.skip('no server')\n",
    "module": "import pytest\npytest.skip('no server', allow_module_level=True)\n",
}


@pytest.fixture
def run_with_skip(pytester, monkeypatch):
    """Run one file that skips, on CI or not."""

    def run(skip, ci):
        monkeypatch.setenv("CI", ci)
        pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text())
        pytester.makepyfile(test_it=skip)
        return pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider")

    return run


@pytest.mark.parametrize("skip", SKIPS.values(), ids=SKIPS)
def test_a_skip_on_ci_is_a_failure(run_with_skip, skip):
    result = run_with_skip(skip, "true")
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*no server*", "*A skip on CI is a failure*"])


@pytest.mark.parametrize("skip", SKIPS.values(), ids=SKIPS)
def test_a_skip_elsewhere_has_one_loud_line_at_the_end(run_with_skip, skip):
    result = run_with_skip(skip, "false")
    assert result.ret in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
    result.stdout.fnmatch_lines(["NOT TESTED test_it.py*no server"])


@pytest.mark.filterwarnings("ignore:A test tried to use socket:UserWarning")
def test_the_network_is_closed_to_a_unit_test():
    with pytest.raises(SocketBlockedError):
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.filterwarnings("ignore:A test tried to use socket:UserWarning")
def test_a_test_that_says_so_may_talk_to_this_machine_only():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
    with pytest.raises(SocketConnectBlockedError):
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)


def test_a_wheel_holds_all_that_the_demo_needs(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())

    wanted = {
        "migrations/env.py",
        "migrations/script.py.mako",
        "dags/processings.py",
        "site/static/vendor/SHA256SUMS",
        "py.typed",
    }
    wanted |= {str(path.relative_to(ROOT)) for path in tracked("examples/toydetector")}
    wanted |= {str(path.relative_to(PACKAGE)) for path in tracked("b2cal")}
    assert {f"b2cal/{name}" for name in wanted} <= packed
    assert not [name for name in packed if name.startswith("b2cal/tests") or "__pycache__" in name]


@pytest.mark.parametrize("asked", [[], ["help"]])
def test_make_alone_prints_what_there_is_and_starts_nothing(asked: list[str]) -> None:
    make = ["make", "--no-print-directory", *asked]  # it may be make that runs this test
    told = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^make (\w+)", told, flags=re.MULTILINE) == [
        "demo",
        "test",
        "lint",
        "proof",
        "benchmarks",
        "lock",
        "assets",
    ]
    assert len(told.splitlines()) == 8
