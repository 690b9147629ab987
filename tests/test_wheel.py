"""The wheel alone is enough: installed beside the locked packages, it finds all that it ships from any folder."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")

pytestmark = pytest.mark.processes

Run = Callable[..., str]


def ran(*command: object, folder: Path, **variables: str) -> str:
    environment = {"PATH": os.defpath, "HOME": str(folder), "B2CAL_HOME": str(folder / "home")} | variables
    words = list(map(str, command))
    ended = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel, which sees the locked packages, but not the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (wheel,) = folder.glob("*.whl")
    ran(UV, "venv", "--quiet", "--offline", "--python", sys.executable, "venv", folder=folder)
    python = folder / "venv/bin/python"
    ran(UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel, folder=folder)
    # What a .pth file adds is searched last, and .pth files in there, the one of the checkout among them, do not count.
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    (packages / "locked.pth").write_text(sysconfig.get_path("purelib"))
    where = ran(python, "-c", "import b2cal; print(b2cal.__file__)", folder=folder)
    assert Path(where.strip()) == packages / "b2cal" / "__init__.py"
    return python.parent


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Runs a program of that environment in an empty folder."""
    return lambda program, *words, **variables: ran(installed / program, *words, folder=tmp_path, **variables)


def test_it_tells_its_version_and_prepares_a_home(run: Run, tmp_path: Path) -> None:
    assert run("b2cal", "--version").strip() == "b2cal, version 0.1.0"
    assert "Ready in" in run("b2cal", "init")
    assert (tmp_path / "home/b2cal.db").is_file()


def test_the_demo_finds_its_simulation_and_its_release(run: Run, tmp_path: Path) -> None:
    run("b2cal", "init")
    assert "Simulated" in run("b2cal", "data", "simulate", "data", "--profile", "small")
    assert "0 not usable" in run("b2cal", "data", "scan", "data/raw")
    toydetector = run("python", "-c", "from b2cal.cli.data import TOYDETECTOR; print(TOYDETECTOR)").strip()
    assert "7 definitions" in run("b2cal", "release", "add", f"{toydetector}/release")


def test_airflow_finds_the_dags(run: Run, tmp_path: Path, installed: Path) -> None:
    folder = run("python", "-c", "from b2cal import shipped; print(shipped('dags'))").strip()
    assert Path(folder).is_relative_to(installed.parent)
    (tmp_path / "graphs").mkdir()
    variables = {"AIRFLOW_HOME": str(tmp_path / "airflow"), "B2CAL_DAGS": str(tmp_path / "graphs")}
    run("python", f"{folder}/processings.py", **variables)
