"""The filter vocabulary of a release, and what a list of filter values asks for.

A list is flat: `["hadron_calib", "Good", "NOT cosmic", "On"]`. The category of a value follows from the vocabulary,
values of one category are alternatives, categories must all be fulfilled, `NOT x` excludes. A category without a
wanted value asks for nothing but that; so does `Either`. (Belle II states none of this; it is concluded from use.)
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from b2cal.core.errors import sentence
from b2cal.refusal import suggestion

DATA_TAG = "Data Tag"
"""The category that says which streams a data name reads; all others are about runs."""

EITHER = "Either"

Vocabulary = Mapping[str, Sequence[str]]
"""Category -> values, frozen with the release."""


@dataclass(frozen=True)
class Asked:
    """What a list of filter values asks of one category."""

    category: str
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]

    def fits(self, values: Collection[str]) -> bool:
        """Whether a run or stream with these values is asked for."""
        return (not self.wanted or not set(self.wanted).isdisjoint(values)) and set(self.unwanted).isdisjoint(values)

    def __str__(self) -> str:
        wanted = " or ".join(map(shown, self.wanted))
        unwanted = " or ".join(map(shown, self.unwanted))
        if not unwanted:
            return wanted
        return f"{wanted}, not {unwanted}" if wanted else f"not {unwanted}"


def asked_for(vocabulary: Vocabulary, filters: Sequence[str]) -> list[Asked]:
    """What the values ask for, by category in the order of the vocabulary; values that it does not know are ignored."""
    found = []
    for category, values in vocabulary.items():
        given = [_value_of(text) for text in filters]
        wanted = tuple(value for excluded, value in given if not excluded and value in values)
        unwanted = tuple(value for excluded, value in given if excluded and value in values)
        if EITHER in wanted:
            wanted = ()
        if wanted or unwanted:
            found.append(Asked(category, wanted, unwanted))
    return found


def streams_of(vocabulary: Vocabulary, data_name: str, filters: Sequence[str]) -> frozenset[str]:
    """The streams that a data name reads: those of its Data Tag values; without one the stream of its own name."""
    tags = next((asked for asked in asked_for(vocabulary, filters) if asked.category == DATA_TAG), None)
    if tags is None:
        return frozenset({data_name})
    return frozenset(tags.wanted or (data_name,)) - set(tags.unwanted)


def filter_problems(vocabulary: Vocabulary, filters: Sequence[str]) -> list[str]:
    """Values that the vocabulary does not know or cannot tell apart, and contradictions: parts of a sentence."""
    known = [value for values in vocabulary.values() for value in values]
    problems = []
    for value in dict.fromkeys(_value_of(text)[1] for text in filters):
        categories = [repr(category) for category, values in vocabulary.items() if value in values]
        if len(categories) > 1:
            problems.append(f"asks for {value!r}, which may be a {' or a '.join(categories)}; rename one of them.")
        if not categories:
            meant = suggestion(value, [shown(each) for each in known])
            problems.append(sentence(f"asks for {value!r}, which is no filter of this release; {meant}"))
    for asked in asked_for(vocabulary, filters):
        both = set(asked.unwanted) & {*asked.wanted, EITHER}
        problems += [f"asks for {value!r} and for its opposite." for value in sorted(both)]
    return problems


def shown(value: str) -> str:
    """A filter value for people: Belle II's beam energies have an empty one."""
    return value or "(empty)"


def _value_of(text: str) -> tuple[bool, str]:
    """Whether a filter excludes, and its value; like Belle II's settings it takes one leading NOT."""
    value = text.removeprefix("NOT ")
    return value != text, value.strip() if value != text else value
