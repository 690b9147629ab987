import json
from pathlib import Path

import pytest
from sqlalchemy import select

from b2cal.cli import demo
from b2cal.cli.demo import NotTheDemo
from b2cal.model import Person
from b2cal.settings import AirflowSettings, Settings
from tests import factories


@pytest.mark.parametrize("begun_before", [False, True])
def test_the_demo_does_not_touch_a_database_that_the_settings_name(tmp_path: Path, begun_before: bool) -> None:
    production = factories.database(tmp_path)
    settings = Settings(home=tmp_path / "var", database_url=str(production.engine.url))
    if begun_before:
        settings.folder("").mkdir()
        settings.folder("demo.json").write_text(json.dumps({"profile": "small", "seed": 1}))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NotTheDemo, match=r"^database_url"):
        demo._begin(settings, demo.SMALL, seed=1)
    assert sorted(tmp_path.rglob("*")) == before
    with production.read() as db:
        assert db.scalars(select(Person)).all() == []


def test_the_demo_does_not_take_over_the_database_of_another_airflow(tmp_path: Path) -> None:
    postgres = AirflowSettings(database_url="postgresql+psycopg://airflow@db/airflow")
    with pytest.raises(NotTheDemo, match=r"^airflow\.database_url"):
        demo._begin(Settings(home=tmp_path, airflow=postgres), demo.SMALL, seed=1)
    assert not list(tmp_path.iterdir())


def test_the_demo_does_not_take_over_a_home_that_is_in_use(tmp_path: Path) -> None:
    factories.database(tmp_path)
    with pytest.raises(NotTheDemo, match="is no demo"):
        demo._begin(Settings(home=tmp_path), demo.SMALL, seed=1)
