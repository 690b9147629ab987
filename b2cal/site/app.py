"""The Flask application."""

import secrets
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

from flask import Flask, request, url_for
from flask_login import LoginManager
from werkzeug.routing import IntegerConverter, Map

from b2cal.core.checksums import sha256_file
from b2cal.core.clock import Clock, SystemClock
from b2cal.loop import Workplace
from b2cal.model import Database, Person
from b2cal.settings import Settings

from . import desk, failures, looks, security, sign_of_life, wording
from .desk import LARGEST_NUMBER, Desk, Visitor
from .entrance import Entrance
from .pages import BLUEPRINTS


def serve() -> Flask:
    """The site of a worker of Gunicorn, `gunicorn 'b2cal.site:serve()'`: it shows that people can reach it."""
    app = create_app()
    workplace = app.extensions["b2cal"].workplace
    Thread(target=sign_of_life.leave, args=(workplace, Event()), name="sign of life", daemon=True).start()
    return app


class RowNumber(IntegerConverter):
    """A number in an address that a row may have: no database can be asked for a larger one."""

    def __init__(self, map: Map) -> None:  # noqa: A002 (Werkzeug's name)
        super().__init__(map, max=LARGEST_NUMBER)


def create_app(settings: Settings | None = None, clock: Clock | None = None) -> Flask:
    """The site of one process."""
    settings, clock = settings or Settings(), clock or SystemClock()
    app = Flask(__name__)
    app.secret_key = _secret_key(settings.folder("site.key"))
    app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(hours=24)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    workplace = Workplace(settings, Database(settings.url, clock))
    app.extensions["b2cal"] = Desk(workplace, Entrance(settings.folder("site.db"), clock))
    security.protect(app)
    _recognise_visitors(app)
    failures.explain(app)
    app.url_map.converters["int"] = RowNumber
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.teardown_request(desk.stop_reading)
    _address_static_files_by_content(app)
    _furnish_templates(app)
    return app


def _recognise_visitors(app: Flask) -> None:
    manager = LoginManager(app, add_context_processor=False)  # a page without people asks for none
    manager.session_protection = None  # the visit's token is the protection; an address may change under way

    @manager.user_loader  # type: ignore[untyped-decorator]
    def _visitor(token: str) -> Visitor | None:
        entrance = desk.desk().entrance
        visit = entrance.visit(token)
        person = None if visit is None else desk.reading().get(Person, visit.username)
        if visit is None or person is None or not visit.belongs_to(person.password_hash):
            return None
        if request.method != "GET" or "HX-Request" not in request.headers:  # an open page renews itself: no click
            entrance.clicked(token)
        return Visitor(token, person)


def _address_static_files_by_content(app: Flask) -> None:
    """Addresses of static files change with their contents, so browsers may keep them for good."""
    versions: dict[str, str] = {}

    @app.url_defaults
    def _version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and "filename" in values:
            name = values["filename"]
            if name not in versions or app.debug:
                versions[name] = sha256_file(Path(app.static_folder or "") / name)[:10]
            values["v"] = versions[name]


def _furnish_templates(app: Flask) -> None:
    app.jinja_env.globals.update(looks=looks, theme=lambda: _theme(request.cookies.get("theme")))
    app.jinja_env.globals.update(wording.GLOBALS)
    app.jinja_env.filters.update(wording.FILTERS)
    app.context_processor(lambda: {"reader": desk.reader(), "me": desk.whoever()})
    app.jinja_env.globals["here"] = _here


def _here(**changes: Any) -> str:
    """The address of this page with its query, changed."""
    query = {name: text for name, text in request.args.items() if name.isalpha()}  # the others are url_for's own
    query.pop("endpoint", None)
    return url_for(request.endpoint or "", **{**query, **(request.view_args or {}), **changes})


def _theme(cookie: str | None) -> str:
    return cookie if cookie in ("light", "dark") else "system"


def _secret_key(path: Path) -> bytes:
    """The key that signs cookies: made once, readable by this user only, shared by the site's workers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    if not path.exists():
        temporary.touch(mode=0o600)
        temporary.write_bytes(secrets.token_bytes(32))
        try:
            path.hardlink_to(temporary)  # fails where another worker was first
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_bytes()
