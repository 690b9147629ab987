"""The site over a copy of the sample, and people who are signed in to it."""

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import ConsoleMessage, Playwright, expect, sync_playwright
from playwright.sync_api import Page as Window
from sqlalchemy import select
from werkzeug.datastructures import Headers
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from b2cal.core.clock import ManualClock
from b2cal.model import Calibration, Database, Processing
from b2cal.settings import Settings
from b2cal.site import create_app
from tests.site import sample

HERE = Path(__file__).parent
CHROMIUM = os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium")
QUIET = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

Open = Callable[..., Window]

PAGES = (
    "/",
    "/processings",
    "/processings/bucket22",
    "/processings/bucket23",
    "/processings/proc12-chunk3",
    "/processings/bucket24",
    "/processings/bucket23/publication",
    "/processings/bucket23/arrival",
    "/processings/bucket23/jobs",
    "/processings/bucket23/do/hold",
    "/processings/bucket23/do/extend",
    "/processings/bucket23/do/veto",
    "/incidents",
    "/vetoes",
    "/tags",
    "/tags/prompt",
    "/data",
    "/data/e26r180",
    "/decisions",
    "/result",
    "/help",
    "/nothing-here",
)
OF_A_CALIBRATION = (
    "/inputs",
    "/jobs",
    "/do/veto",
    "/do/name_deputy",
    "/do/reassign",
    "/do/replace",
    "/do/select",
    "/do/extend",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for pages; what a page is made from is tested here too, without the mark."""
    sites = {"template", "app", "sign_in"}
    for item in items:
        if HERE in item.path.parents and sites & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.pages)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, made once."""
    folder = tmp_path_factory.mktemp("sample")
    sample.served(folder)
    return folder


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(sample.NOW)


@pytest.fixture
def settings(template: Path, tmp_path: Path) -> Settings:
    """A home of the test's own."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return sample.settings(tmp_path)


@pytest.fixture
def app(settings: Settings, clock: ManualClock) -> Iterator[Flask]:
    site = site_of(settings, clock)
    yield site
    site.extensions["b2cal"].database.dispose()


@pytest.fixture
def database(app: Flask) -> Database:
    found: Database = app.extensions["b2cal"].database
    return found


class Compiled(BytecodeCache):
    """Templates compiled once for all sites of the tests."""

    known: ClassVar[dict[str, bytes]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.known:
            bucket.bytecode_from_string(self.known[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.known[bucket.key] = bucket.bytecode_to_string()


def site_of(settings: Settings, clock: ManualClock) -> Flask:
    """The site over a home."""
    site = create_app(settings, clock)
    site.jinja_env.bytecode_cache = Compiled()
    return site


class Browser:
    """A person at the site: gets pages, fills in their forms as they stand, without JavaScript."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self._token = ""

    def sign_in(self, username: str) -> None:
        answer = self.post("/login", username=username, password=sample.PASSWORD)
        assert answer.status_code == 302, answer.text
        self._token = ""  # a visit has tokens of its own

    def get(self, address: str, **options: object) -> TestResponse:
        return self.client.get(address, buffered=True, **options)  # type: ignore[arg-type]

    def token(self) -> str:
        """A token of this visit for forms."""
        if not self._token:
            found = re.search(r'name="csrf_token" value="([^"]+)"', self.client.get("/login").text)
            assert found is not None
            self._token = found.group(1)
        return self._token

    def post(self, address: str, headers: dict[str, str] | None = None, **fields: object) -> TestResponse:
        data = {"csrf_token": self.token(), **fields}
        return self.client.post(address, data=data, headers=headers, buffered=True)


@dataclass(frozen=True)
class Page:
    """A page as somebody saw it."""

    where: str
    status: int
    text: str
    headers: Headers


@pytest.fixture(scope="session")
def pages(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Page]]:
    """Every kind of page, as a manager sees it and where it differs as an expert; nobody changes anything on them."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    site = site_of(sample.settings(folder), ManualClock(sample.NOW))
    database: Database = site.extensions["b2cal"].database
    with database.read() as db:
        numbers = {(it.processing.name, it.name): it.id for it in db.scalars(select(Calibration))}
    chosen = [numbers["bucket23", name] for name in ("x-t relation", "dE/dx gain", "Pedestals", "Alignment")]
    chosen += [numbers["proc12-chunk3", name] for name in ("Channel masks", "Crystal energy")]
    manager, expert = Browser(site.test_client()), Browser(site.test_client())
    seen = []
    for username, browser in (("manager", manager), ("tracking", expert)):
        browser.sign_in(username)
    on_each = ["", "/submit", "/do/reject"]
    for browser, addresses in (
        (manager, [*PAGES, *(f"/calibrations/{n}{page}" for n in chosen for page in on_each)]),
        (manager, [f"/calibrations/{chosen[0]}{page}" for page in OF_A_CALIBRATION]),
        (expert, ["/", "/processings/bucket23", *(f"/calibrations/{number}" for number in chosen)]),
    ):
        for where in addresses:
            answer = browser.get(where)
            seen.append(Page(where, answer.status_code, answer.text, answer.headers))
    yield seen
    database.dispose()


@pytest.fixture
def signed_in(app: Flask) -> Callable[[str], Browser]:
    """Somebody's browser after the log-in."""

    def sign_in(username: str) -> Browser:
        browser = Browser(app.test_client())
        browser.sign_in(username)
        return browser

    return sign_in


@pytest.fixture
def expert(signed_in: Callable[[str], Browser]) -> Browser:
    """The tracking expert."""
    return signed_in("tracking")


@pytest.fixture
def manager(signed_in: Callable[[str], Browser]) -> Browser:
    return signed_in("manager")


@pytest.fixture
def anonymous(app: Flask) -> Browser:
    return Browser(app.test_client())


@pytest.fixture
def find(database: Database) -> Callable[..., Calibration]:
    """A calibration as it stands now, by its name and that of its processing."""

    def look(name: str, processing: str = "bucket23") -> Calibration:
        with database.read() as db:
            found = db.scalars(
                select(Calibration)
                .join(Processing, Processing.id == Calibration.processing_id)
                .where(Calibration.name == name, Processing.name == processing)
            ).one()
            db.expunge_all()
            return found

    return look


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Chromium]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: install it, or name one in TEST_CHROMIUM")
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
    yield browser
    browser.close()


@pytest.fixture
def served(app: Flask) -> Iterator[str]:
    """The address of a real server over the sample."""
    with serving(app) as address:
        yield address


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """A real server; its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def visit(chromium: Chromium, served: str) -> Iterator[Open]:
    """Opens a browser window of somebody who signed in; nothing may be reported on its console."""
    said: list[str] = []
    contexts = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "Failed to " not in message.text:
            said.append(message.text)

    def open_window(username: str, size: dict[str, int] = WIDE, **options: object) -> Window:
        context = chromium.new_context(base_url=served, viewport=size, timezone_id="Asia/Tokyo", **options)  # type: ignore[arg-type]
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto("/login")
        page.get_by_label("Name").fill(username)
        page.get_by_label("Password").fill(sample.PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Needs me")).to_be_visible()
        return page

    yield open_window
    for context in contexts:
        context.close()
    assert said == []
