"""What pytest has written about long tests, and the tables that pages make of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET


@dataclass(frozen=True)
class Case:
    """What one test showed: nothing that it did not come to.

    Attributes:
        module: of the test, with dots.
        test: name of the function.
        case: the parameters in brackets; empty without any.
        figures: what it recorded.
    """

    module: str
    test: str
    case: str
    passed: bool
    took_s: float
    figures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A JUnit report of pytest."""

    cases: list[Case]
    figures: dict[str, str]
    took_s: float

    @property
    def passed(self) -> int:
        return sum(case.passed for case in self.cases)

    @property
    def minutes(self) -> str:
        return f"{self.took_s / 60:.0f}"


def read(report: Path) -> Report:
    """A report in the family xunit1, in which tests record figures."""
    suite = ET.parse(report).getroot()[0]  # noqa: S314 (pytest has just written it)
    cases = [_case(test) for test in suite.iter("testcase")]
    return Report(cases, _figures(suite.findall("properties/property")), float(suite.attrib["time"]))


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """As Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))


def _case(test: ET.Element) -> Case:
    name, _, case = test.attrib["name"].partition("[")
    passed = not any(test.find(bad) is not None for bad in ("failure", "error", "skipped"))
    figures = _figures(list(test.iter("property")))
    module = test.attrib.get("classname", "")
    return Case(module, name, case.removesuffix("]"), passed, float(test.attrib.get("time", 0)), figures)


def _figures(properties: list[ET.Element]) -> dict[str, str]:
    return {it.attrib["name"]: it.attrib["value"] for it in properties}
