"""Guards on every request and promises of every page."""

import re
import stat
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from flask import Flask
from werkzeug.routing import Rule

from b2cal.model import Calibration
from b2cal.settings import Settings

from .conftest import Browser, Page
from .test_policy import SAFE, address

__all__ = ["address"]


class Tags(HTMLParser):
    """All start tags of a page with their attributes, forms with what is in them, text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.forms: list[tuple[dict[str, str | None], set[str]]] = []
        self.inside: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "form":
            self.forms.append((dict(attrs), set()))
        elif tag in ("input", "select", "textarea", "button") and self.forms:
            self.forms[-1][1].add(dict(attrs).get("name") or "")
        if tag in ("script", "style"):
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if self.inside and data.strip():
            self.inline.append(data)


def test_an_unsafe_request_without_a_token_is_refused(
    app: Flask, address: Callable[[Rule], str], manager: Browser
) -> None:
    unsafe = [rule for rule in app.url_map.iter_rules() if (rule.methods or set()) - SAFE]
    assert unsafe
    for rule in unsafe:
        assert manager.client.post(address(rule), data={"reason": "because"}).status_code == 400, rule


def test_a_token_may_come_as_the_header_that_htmx_sends(manager: Browser) -> None:
    headers = {"X-CSRFToken": manager.token()}
    answer = manager.client.post("/processings/bucket23/do/hold", data={"seen": "1", "reason": "x"}, headers=headers)
    assert answer.status_code == 303


def test_every_form_sends_a_token_and_every_page_tells_htmx(pages: list[Page]) -> None:
    n_forms = 0
    for page in pages:
        where, parsed = page.where, Tags(page.text)
        for attributes, names in parsed.forms:
            if (attributes.get("method") or "get").lower() == "post":
                n_forms += 1
                assert "csrf_token" in names, where
            assert not (attributes.get("action") or "/").startswith(("http", "//")), where
        body = next(attributes for tag, attributes in parsed.tags if tag == "body")
        assert "X-CSRFToken" in (body["hx-headers:inherited"] or ""), where
    assert n_forms > 60


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "http://localhost:81", "null"])
def test_what_another_site_sends_is_refused(manager: Browser, origin: str) -> None:
    answer = manager.post("/processings/bucket23/do/hold", headers={"Origin": origin}, seen="1", reason="x")
    assert answer.status_code == 403
    assert "another site" in answer.text


def test_what_our_own_page_sends_is_taken(manager: Browser) -> None:
    answer = manager.post("/processings/bucket23/do/hold", headers={"Origin": "http://localhost"}, seen="1", reason="x")
    assert answer.status_code == 303


def test_no_page_has_anything_that_its_policy_forbids(pages: list[Page]) -> None:
    for page in pages:
        where, parsed = page.where, Tags(page.text)
        assert parsed.inline == [], where
        for tag, attributes in parsed.tags:
            assert "style" not in attributes, (where, tag)
            assert not any(name.startswith(("on", "hx-on")) for name in attributes), (where, tag)
            assert not (attributes.get("href") or "").startswith("javascript:"), (where, tag)
            if tag == "script":
                assert (attributes["src"] or "").startswith("/static/"), where
            if tag == "link":
                assert (attributes["href"] or "").startswith("/static/"), where


def test_every_element_of_htmx_carries_the_word_of_its_page(pages: list[Page]) -> None:
    for page in pages:
        policy = page.headers["Content-Security-Policy"]
        found = re.search(r"'nonce-([^']+)'", policy)
        assert found is not None
        for tag, attributes in Tags(page.text).tags:
            if any(name.startswith("hx-") for name in attributes):
                assert attributes.get("hx-nonce") == found.group(1), (page.where, tag)


def test_every_answer_has_the_headers(pages: list[Page], anonymous: Browser) -> None:
    others = [(where, anonymous.get(where).headers) for where in ("/login", "/health", "/static/site.css")]
    for where, headers in [*((page.where, page.headers) for page in pages), *others]:
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy, where
        for part in ("default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert part in policy, where
        assert headers["X-Content-Type-Options"] == "nosniff", where
        assert headers["Referrer-Policy"] == "same-origin", where
        cached = "public, max-age=31536000, immutable" if where.startswith("/static/") else "no-store"
        assert headers["Cache-Control"] == cached, where


def test_a_report_may_show_pictures_and_nothing_else(manager: Browser, find: Callable[..., Calibration]) -> None:
    answer = manager.get(f"/calibrations/{find('x-t relation').id}/attempts/2/report")
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert policy.endswith("sandbox")
    assert "script" not in policy


def test_the_cookie_is_for_this_site_and_not_for_scripts(app: Flask) -> None:
    plain = app.test_client().get("/login").headers["Set-Cookie"]
    assert plain.startswith("b2cal=")
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    secure = app.test_client().get("/login", base_url="https://localhost")
    assert secure.headers["Set-Cookie"].startswith("__Host-b2cal=")
    assert "Secure" in secure.headers["Set-Cookie"]
    assert "Strict-Transport-Security" in secure.headers


def test_the_key_of_the_cookies_and_who_is_signed_in_are_for_this_user_only(
    expert: Browser, settings: Settings
) -> None:
    for name in ("site.key", "site.db"):
        assert stat.S_IMODE(settings.folder(name).stat().st_mode) == 0o600, name


def test_sites_of_one_home_share_their_key(app: Flask, settings: Settings) -> None:
    from b2cal.site import create_app

    assert create_app(settings).secret_key == app.secret_key


@pytest.mark.parametrize("number", ["99999999999999999999", "-1", "1e9", "9" * 5000])
def test_numbers_that_no_row_has_are_no_fault_of_ours(
    manager: Browser, find: Callable[..., Calibration], number: str
) -> None:
    it = find("x-t relation")
    assert manager.get(f"/calibrations/{number}").status_code == 404
    for where in (f"/decisions?before={number}", f"/calibrations/{it.id}/jobs?from={number}", f"/jobs/1?line={number}"):
        assert manager.get(where).status_code == 200, where
    assert manager.get(f"/data?from=e{number}r1").status_code == 200
    assert manager.post(f"/calibrations/{it.id}/do/sign_off", seen=number).status_code == 409
    assert manager.post(f"/calibrations/{it.id}/do/extend", seen=str(it.version), hours=number).status_code in (
        409,
        422,
    )


@pytest.mark.parametrize(
    "path",
    ["/calibrations/9999999", "/calibrations/-1", "/jobs/9999999", "/tags/../../etc", "/processings/%00", "/data/e1r2"],
)
def test_what_does_not_exist_is_not_found(manager: Browser, path: str) -> None:
    assert manager.get(path).status_code == 404


@pytest.mark.parametrize("identity", ["..%2f..%2fetc%2fpasswd", "%2e%2e", "A" * 64, "0" * 63, "0" * 64])
def test_payloads_are_found_by_their_identity_only(manager: Browser, identity: str) -> None:
    assert manager.get(f"/payloads/{identity}").status_code == 404


@pytest.mark.parametrize(
    "query", ["_external=1&_scheme=javascript", "endpoint=login.form", "name=bucket22", "_anchor=%22%3E"]
)
def test_an_address_cannot_be_made_to_lead_its_own_links_elsewhere(manager: Browser, query: str) -> None:
    answer = manager.get(f"/processings/bucket23?{query}")
    assert answer.status_code == 200
    assert "javascript:" not in answer.text
    assert 'hx-get="/processings/bucket23?' in answer.text


def test_text_that_looks_like_a_tag_is_text(manager: Browser, find: Callable[..., Calibration]) -> None:
    nasty = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    it = find("x-t relation")
    manager.post(f"/calibrations/{it.id}/do/reject", seen=str(it.version), reason=nasty)
    for where in (f"/calibrations/{it.id}", "/decisions"):
        text = manager.get(where).text
        assert nasty not in text
        assert "&lt;script&gt;alert(1)" in text
