"""Publishing from the page that shows what it changes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.security import generate_password_hash

from b2cal import conditions, loop
from b2cal.core.iov import ExpRun
from b2cal.model import Person, PublishPolicy
from tests.loop.world import Defined, World
from tests.site import sample
from tests.site.conftest import Browser, site_of

PREVIEW, PUBLISH = "/processings/bucket1/publication", "/processings/bucket1/do/publish"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A complete processing whose manager has not published it yet."""
    world = World(tmp_path, (Defined("A"),))
    world.process(publish=PublishPolicy.MANUAL)
    world.do("submit", "A")
    world.finish("A", 1)
    loop.advance_processing(world.workplace, "bucket1")
    password = generate_password_hash(sample.PASSWORD, method="scrypt:1024:8:1")
    world.database.write(lambda db: setattr(db.get_one(Person, "manager"), "password_hash", password))
    return world


@pytest.fixture
def app(world: World) -> Iterator[Flask]:
    site = site_of(world.workplace.settings, world.clock)
    yield site
    site.extensions["b2cal"].database.dispose()


@pytest.fixture
def manager(app: Flask) -> Browser:
    browser = Browser(app.test_client())
    browser.sign_in("manager")
    return browser


def form(browser: Browser) -> dict[str, str]:
    """The hidden fields of the form on the page of the preview."""
    text = browser.get(PREVIEW).text
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', text))


def test_the_page_publishes_exactly_what_it_showed(world: World, manager: Browser) -> None:
    seen = form(manager)
    it = world.processing()
    better = {"first": ExpRun(26, 50)}
    world.database.write(
        lambda db: conditions.publish(db, it.target_tag_id, [world.constants(db, "A", "better", **better)])
    )
    answer = manager.post(PUBLISH, **seen)
    assert answer.status_code == 409
    assert "not what was previewed any more" in answer.text
    assert f'href="{PREVIEW}"' in answer.text
    assert world.processing().state.value == "complete"

    assert manager.post(PUBLISH, **form(manager)).status_code == 303
    assert world.processing().state.value == "published"


def test_the_form_without_the_preview_leads_to_it(manager: Browser) -> None:
    text = manager.get(PUBLISH).text
    assert f'href="{PREVIEW}"' in text
    assert f'action="{PUBLISH}"' not in text


def test_what_cannot_be_published_is_not_offered_for_it(world: World, manager: Browser) -> None:
    assert "Look and publish" in manager.get("/processings/bucket1").text
    world.add_to_tag("main", "A", "by somebody else", first=102)
    page = manager.get("/processings/bucket1").text
    assert "Look and publish" not in page
    assert "See what stands in the way of publishing" in page
    assert "Veto the calibrations that are in the way" in page
    assert "Veto the calibrations that are in the way" in manager.get(PREVIEW).text


def test_of_a_cancelled_one_the_page_says_that_it_is_over_and_how_to_go_on(world: World, manager: Browser) -> None:
    world.add_to_tag("main", "A", "by somebody else", first=102)
    world.do_to_processing(loop.ProcessingVerb.CANCEL)
    page = manager.get(PREVIEW).text
    assert "bucket1 is cancelled: nothing of it is published." in page
    assert "Calibrate its runs in another processing." in page
    assert "Veto" not in page
    assert "Not yet" not in page
