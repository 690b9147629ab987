"""How much a browser loads before it shows anything, and that it is what was vendored."""

import gzip
import hashlib
import re
from pathlib import Path

import b2cal.site

from .conftest import Browser

STATIC = Path(b2cal.site.__file__).parent / "static"
LIMIT_KIB = 100


def loaded(text: str) -> list[Path]:
    found = re.findall(r'(?:src|href)="/static/([^"?]+)\?v=[0-9a-f]{10}"', text)
    return [STATIC / name for name in found if name.endswith((".js", ".css"))]


def test_scripts_and_styles_of_the_first_page_are_light(anonymous: Browser) -> None:
    files = loaded(anonymous.get("/login").text)
    assert len(files) >= 4
    total = sum(len(gzip.compress(path.read_bytes(), 9)) for path in files)
    assert total <= LIMIT_KIB * 1024, f"{total / 1024:.1f} KiB"


def test_no_page_loads_more_than_the_first(expert: Browser, anonymous: Browser) -> None:
    first = loaded(anonymous.get("/login").text)
    for where in ("/", "/processings/bucket23", "/tags/prompt"):
        assert loaded(expert.get(where).text) == first


def test_vendored_files_are_those_whose_checksums_are_kept(anonymous: Browser) -> None:
    kept = dict(reversed(line.split("  ", 1)) for line in (STATIC / "vendor" / "SHA256SUMS").read_text().splitlines())
    for path in loaded(anonymous.get("/login").text):
        if "vendor" in path.parts:
            name = path.relative_to(STATIC / "vendor").as_posix()
            assert hashlib.sha256(path.read_bytes()).hexdigest() == kept[name]
