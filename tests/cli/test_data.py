"""`b2cal data scan` registers what is there, and what waits for it looks again."""

from pathlib import Path

from click.testing import CliRunner

from b2cal import loop
from b2cal.cli.main import group
from tests.loop.world import World


def test_a_scan_wakes_what_waits_also_when_it_finds_nothing_new(tmp_path: Path) -> None:
    """The one before may have been killed when everything was registered and nobody woken."""
    world = World(tmp_path)
    world.process()
    world.do("submit", "A")
    world.do("veto", "D")
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "runs.json").write_text("[]")

    def signals() -> list[int]:
        keys = [("bucket1", name) for name in "ABD"]
        return [loop.signals(world.workplace, keys)[key][0] for key in keys]

    before = signals()
    environment = {"B2CAL_HOME": str(world.workplace.settings.home)}
    ended = CliRunner().invoke(group, ["--as", "manager", "data", "scan", str(raw)], env=environment)
    assert ended.exit_code == 0, ended.output
    assert "Runs: 0 new" in ended.output
    assert [now > then for now, then in zip(signals(), before, strict=True)] == [True, True, False]
    world.database.dispose()
