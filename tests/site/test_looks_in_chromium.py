"""How the pages look in a real Chromium, on wide and narrow screens, in light and dark, and by keyboard."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from matplotlib.image import imread
from playwright.sync_api import FloatRect, Locator, Page, expect

from b2cal.model import Calibration

from .conftest import NARROW, PAGES, WIDE, Open

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent / "axe-core-4.14.1" / "axe.min.js"

Find = Callable[..., Calibration]

SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll('.scroll svg text')].map(
    it => parseFloat(getComputedStyle(it).fontSize) * it.getScreenCTM().a))"""


@pytest.mark.parametrize("size", [WIDE, NARROW, {"width": 360, "height": 740}], ids=["1280", "390", "360"])
def test_no_page_is_wider_than_the_screen(visit: Open, find: Find, size: dict[str, int]) -> None:
    page = visit("manager", size)
    for where in addresses(find):
        page.goto(where)
        unfold(page)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], (where, width)


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
def test_axe_finds_nothing(visit: Open, find: Find, colours: str, size: dict[str, int]) -> None:
    page = visit("manager", size, color_scheme=colours)
    found = []
    for where in addresses(find):
        page.goto(where)
        unfold(page)
        page.evaluate(AXE.read_text())
        rules = "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})"
        violations = page.evaluate(f"{rules}.then(result => result.violations)")
        found += [
            (where, v["id"], v["nodes"][0]["html"][:160], v["nodes"][0]["failureSummary"][:300]) for v in violations
        ]
    assert found == []


def test_everything_can_be_reached_and_done_with_the_keyboard(visit: Open, find: Find) -> None:
    page = visit("tracking")
    page.goto("/processings/bucket23")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    node = page.get_by_label("x-t relation: in review")
    node.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="x-t relation")).to_be_visible()
    page.get_by_role("button", name="Sign off").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("is signed off")


def test_the_zone_of_the_browser_is_taken_at_the_first_visit(visit: Open) -> None:
    page = visit("tracking")
    expect(page.get_by_text("as of").or_(page.locator("#age"))).to_be_visible()
    page.goto("/processings/bucket23")
    expect(page.get_by_text("window ends")).to_contain_text("JST")


def test_the_colours_follow_the_system(visit: Open) -> None:
    page = visit("tracking", color_scheme="dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_on_a_telephone_each_job_says_at_a_glance_how_it_stands_and_the_form_has_straight_edges(visit: Open) -> None:
    page = visit("manager", NARROW)
    page.goto("/processings/bucket23/jobs?state=failed")
    for row in page.locator("table.jobs tbody tr").all():
        whole, job, state, error = (box(row if n is None else row.locator("td").nth(n)) for n in (None, 0, 1, 2))
        assert abs(job["y"] - state["y"]) < 8
        assert abs(whole["x"] + whole["width"] - state["x"] - state["width"]) < 2
        assert error["width"] == whole["width"]
    edges = [box(it) for it in page.get_by_role("search").locator("select, input:not([type=hidden]), button").all()]
    assert len(edges) > 3
    assert len({it["x"] for it in edges}) == len({it["x"] + it["width"] for it in edges}) == 2


def box(of: Locator) -> FloatRect:
    found = of.bounding_box()
    assert found is not None
    return found


def addresses(find: Find) -> list[str]:
    """Every kind of page, calibrations in every state."""
    xt = find("x-t relation").id
    of_one = ("", "/submit", "/inputs", "/jobs", "/do/veto", "/do/select", "/do/replace", "/do/name_deputy")
    others = [("dE/dx gain", "bucket23"), ("Muon efficiency", "bucket23"), ("cDST production", "bucket22")]
    others += [(name, "proc12-chunk3") for name in ("Channel masks", "Crystal energy", "Beam spot", "Noise")]
    of_xt = [f"/calibrations/{xt}{page}" for page in of_one]
    return ["/login", *PAGES, *of_xt, *(f"/calibrations/{find(*other).id}" for other in others), "/jobs/1"]


def unfold(page: Page) -> None:
    """Open everything that is folded up."""
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")


def corners(box: Locator) -> tuple[float, float]:
    """How bright the two lower corners of a box are, where nothing is drawn."""
    picture = imread(BytesIO(box.screenshot()))[-3:-1, :, :3]
    return float(picture[:, 1:4].mean()), float(picture[:, -4:-1].mean())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("where", ["/tags/prompt", "/processings/bucket23", "calibration"])
def test_on_a_telephone_a_box_shows_at_which_edge_more_follows_and_its_text_can_be_read(
    visit: Open, find: Find, where: str, scheme: str
) -> None:
    page = visit("manager", NARROW, color_scheme=scheme)
    page.goto(f"/calibrations/{find('x-t relation').id}" if where == "calibration" else where)
    assert page.evaluate(SMALLEST_TEXT) > 10.99
    box = page.locator(".scroll").first
    box.evaluate("it => it.scrollTo(0, 0)")  # the graph comes scrolled to what needs somebody
    left_at_the_start, right_at_the_start = corners(box)
    box.evaluate("it => it.scrollTo(it.scrollWidth, 0)")
    left_at_the_end, right_at_the_end = corners(box)
    assert left_at_the_start == pytest.approx(right_at_the_end, abs=0.01)  # nothing follows
    assert abs(right_at_the_start - right_at_the_end) > 0.05
    assert abs(left_at_the_end - left_at_the_start) > 0.05
