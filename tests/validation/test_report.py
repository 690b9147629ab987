"""The report: one file that needs nothing else, anomalous first, and no plot that can cost the verdict."""

import json
import os
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from b2cal.calibration import Limit, Measurement
from b2cal.core.apart import Allowance
from b2cal.core.iov import ExpRun, IoV
from b2cal.validation import Judgement, Provenance, generic_checks, judge, judged, write_report
from b2cal.validation.report import _numbers
from tests.validation.payloads import REQUESTED, File, written

pytestmark = pytest.mark.processes

N = 120
RNG = np.random.default_rng(5)
OFFSETS = RNG.normal(0, 5, N)
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[File], list[File]]:
    """New and previous constants of every form that is drawn; channel 17 of the time offsets has jumped."""
    folder = tmp_path_factory.mktemp("files")
    jumped = OFFSETS + RNG.normal(0.1, 0.1, N)
    jumped[17] += 6.0
    covariance = 0.01 * np.eye(N)
    mask = np.arange(N) % 40 == 0
    pieces = [IoV(ExpRun(26, 5), ExpRun(26, 9)), IoV(ExpRun(26, 10), None)]
    previous = [
        written(folder, "TimeOffsets", {"offset": OFFSETS, "seen": ~mask}, covariance),
        written(folder, "Walk", {"slope": OFFSETS.reshape(10, 12), "order": np.arange(N)}),
        written(folder, "Mask", {"channel": mask.reshape(10, 12)}),
        written(folder, "Scale", {"scale": 1.001}, [[1e-6]]),
        written(folder, "Beam", {"x": 0.3, "nominal": np.zeros(3)}),
    ]
    new = [
        written(folder, "TimeOffsets", {"offset": jumped, "seen": ~mask}, covariance),
        written(folder, "Walk", {"slope": OFFSETS.reshape(10, 12) * 1.001, "order": np.arange(N)}),
        written(folder, "Mask", {"channel": (np.arange(N) % 30 == 0).reshape(10, 12)}),
        *(written(folder, "Scale", {"scale": 1.0 + 0.001 * i}, [[1e-6]], iov) for i, iov in enumerate(pieces)),
        written(folder, "Beam", {"x": 0.31, "nominal": np.ones(3)}),
        written(folder, "First", {"z": OFFSETS, "flag": mask, "empty": np.zeros(0)}),
    ]
    return new, previous


MEASUREMENTS = [
    Measurement("resolution", RNG.normal(120, 2, 12), np.full(12, 2.0), "µm", "layer", np.full(12, 121.0)).to_json(),
    Measurement("hit rate", np.where(np.arange(N) == 3, np.nan, OFFSETS), unit="%").to_json(),
    Measurement("chi2", 1.02, 0.01, previous=1.01).to_json(),
    Measurement("converged well", True).to_json(),
    Measurement("cost in $ and <b>", 3.0, unit="<script>alert(1)</script>").to_json(),
]
LIMITS = {"resolution": Limit(high=130.0).to_json(), "chi2": Limit(0.9, 1.1).to_json()}
PROVENANCE = Provenance(
    facts={"Release": "toy-2611", "Runs": "e26r5 - e26r60"},
    configuration={"min_pulses": 40},
    files=[("/data/raw/bhabha_e0026_r00005.root", "ab" * 32)],
    constants=[("Pedestals", "e26r0 - open", "cd" * 32)],
)


@pytest.fixture(scope="module")
def judgement(files: tuple[list[File], list[File]]) -> Judgement:
    return judge(MEASUREMENTS, LIMITS, generic_checks(*files, REQUESTED))


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory, files: tuple[list[File], list[File]], judgement: Judgement
) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "12"
    return write_report(folder, "Time <offsets> in bucket1", judgement, MEASUREMENTS, *files, PROVENANCE)


class Links(HTMLParser):
    """Everything that a page could load, and its ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def index(report: Path) -> list[dict[str, Any]]:
    return json.loads((report.parent / "plots.json").read_text())


def test_the_report_is_one_file_that_loads_nothing_and_runs_nothing(report: Path) -> None:
    page = report.read_text()
    found = Links(page)
    assert [link for link in found.links if not link.startswith(("#", "data:image/svg+xml;base64,"))] == []
    assert not {"script", "iframe", "link", "object", "form"} & set(found.tags)
    assert "url(" not in page
    assert "@import" not in page


def test_names_from_a_script_are_text_and_never_markup(report: Path) -> None:
    page = report.read_text()
    assert "<script>" not in page
    assert "Time &lt;offsets&gt; in bucket1" in page
    assert "cost in $ and &lt;b&gt;" in page


def test_the_anomalous_comes_first_with_its_plot_its_worst_channel_and_its_limit(report: Path) -> None:
    page = report.read_text()
    first = page[page.index("Anomalous first") : page.index("All other plots")]
    assert first.count("<img") == 1
    assert "change of TimeOffsets/offset" in first
    assert re.search(r"1 of 120 are outside \(limit: within ±8 σ\)\. The worst is offset\[17\]: \d", first)
    table = page[page.index("anomalous first</small>") :]
    assert table.index("change of TimeOffsets/offset") < table.index("resolution")


def test_what_is_shown_without_a_limit_is_not_counted_as_a_check(report: Path, judgement: Judgement) -> None:
    kept = judged([check.to_json() for check in judgement.checks])
    assert len(kept) < len(judgement.checks)
    assert re.findall(r"of (\d+) checks", report.read_text()) == [str(len(kept))] * 2


def test_the_numbers_that_were_judged_are_kept_beside_the_report(report: Path) -> None:
    assert json.loads((report.parent / "measurements.json").read_text()) == MEASUREMENTS


def test_of_too_many_numbers_the_anomalous_ones_are_kept_and_the_others_as_far_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long = [Measurement(name, np.full(200, 1.0)).to_json() for name in ("first", "second", "third", "bad")]
    short = Measurement("short", 1.0).to_json()
    judgement = judge([*long, short], {"bad": Limit(high=0.5).to_json()}, [])
    monkeypatch.setattr("b2cal.validation.report.MOST_BYTES_OF_NUMBERS", 2 * len(json.dumps(long[1])) + 200)
    text = _numbers([*long, short], judgement)
    assert [measurement["name"] for measurement in json.loads(text)] == ["bad", "first", "short"]


def test_every_array_and_every_measured_number_has_a_plot(report: Path) -> None:
    titles = {plot["title"] for plot in index(report)}
    assert titles == {
        "TimeOffsets/offset",
        "TimeOffsets/seen",
        "Walk/slope",
        "Walk/order",
        "Mask/channel",
        "Scale/scale",
        "Beam/x",
        "Beam/nominal",
        "First/z",
        "First/flag",
        "resolution",
        "hit rate",
        "chi2",
        "cost in $ and <b>",
    }


def test_the_index_names_files_that_are_there_the_anomalous_first(report: Path) -> None:
    plots = index(report)
    assert [(plot["title"], plot["check"]) for plot in plots if plot["anomalous"]] == [
        ("TimeOffsets/offset", "change of TimeOffsets/offset")
    ]
    assert plots[0]["anomalous"]
    for plot in plots:
        assert set(plot) == {"file", "title", "caption", "check", "anomalous"}
        assert ET.parse(report.parent / plot["file"]).getroot().tag.endswith("svg")  # noqa: S314  our own file


def test_a_caption_says_how_the_worst_channel_moved_and_how_wide_the_pulls_are(report: Path) -> None:
    caption = next(plot["caption"] for plot in index(report) if plot["title"] == "TimeOffsets/offset")
    assert re.search(r"Most: offset\[17\] from \S+ to \S+ \(\+\d+\.\d σ\)", caption)
    assert re.search(r"Statistical pulls: mean \S+, width \S+\.", caption)


def test_of_several_intervals_the_numbers_stand_side_by_side(report: Path) -> None:
    caption = next(plot["caption"] for plot in index(report) if plot["title"] == "Scale/scale")
    assert caption == "1 ± 0.001, was 1.001 ± 0.001 in the first IoV."


def test_everything_that_can_be_drawn_was_drawn(report: Path) -> None:
    page = report.read_text()
    assert "could not be drawn" not in page
    assert "First/empty" not in page


def test_the_provenance_of_the_numbers_stands_at_the_end(report: Path) -> None:
    page = report.read_text()
    end = page[page.index("Where the numbers come from") :]
    for text in ("toy-2611", "min_pulses", "bhabha_e0026_r00005.root", "ab" * 32, "Pedestals", "cd" * 32):
        assert text in end


def test_the_same_constants_give_the_same_plots(
    report: Path, tmp_path: Path, files: tuple[list[File], list[File]], judgement: Judgement
) -> None:
    new, previous = files
    again = index(write_report(tmp_path, "Again", judgement, MEASUREMENTS[1:2], new[:1], previous))
    assert len(again) == 3
    for plot in again:
        first = next(it for it in index(report) if it["title"] == plot["title"])
        assert (tmp_path / plot["file"]).read_bytes() == (report.parent / first["file"]).read_bytes()


def test_a_plot_that_fails_or_hangs_is_named_with_its_reason_and_the_verdict_stands(
    tmp_path: Path, files: tuple[list[File], list[File]], judgement: Judgement
) -> None:
    new, previous = files
    os.mkfifo(tmp_path / "pipe.root")
    broken = {"Mask": tmp_path / "gone.root", "Beam": tmp_path / "pipe.root"}
    chosen = [
        File(**(vars(it) | {"path": broken.get(it.name, it.path)})) for it in new if it.name in (*broken, "Scale")
    ]
    path = write_report(tmp_path / "report", "Broken", judgement, [], chosen, previous, allowance=Allowance(6))
    page = path.read_text()
    assert re.search("Mask</h3>.*This plot could not be drawn: UnreadableInput: .*it does not exist", page, re.DOTALL)
    assert re.search("Beam</h3>.*This plot could not be drawn: it took longer than 6 s", page, re.DOTALL)
    assert "1 of " in page
    assert [plot["title"] for plot in index(path)] == ["Scale/scale"]


def test_a_report_without_constants_says_so(tmp_path: Path) -> None:
    path = write_report(tmp_path, "cDST in bucket1", judge([], {}, []), [], [], [])
    assert "No new constants were made" in path.read_text()
    assert index(path) == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_the_report_loads_nothing_fits_the_width_and_shows_its_plots(report: Path, width: int) -> None:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": width, "height": 900}, offline=True).new_page()
        troubles: list[str] = []
        page.on("console", lambda message: troubles.append(message.text))
        page.on("request", lambda it: None if it.url.startswith(("file:", "data:")) else troubles.append(it.url))
        page.goto(report.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(it => it.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.images].every(it => it.complete && it.naturalWidth > 100)")
        assert page.evaluate("document.images.length") == len(index(report))
        browser.close()
        assert troubles == []
