"""What pydantic finds wrong is told in words of b2cal, wherever a document of people or of their scripts is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from b2cal.data.registry import RunEntry
from b2cal.refusal import explained, spelled
from b2cal.releases.description import Described
from b2cal.releases.manifest import Manifest
from b2cal.settings import Settings

MODELS: tuple[type[BaseModel], ...] = (RunEntry, Described, Manifest)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=200)
    | st.sampled_from(["2026-11-02", "2026-11-02T06:00:00", "2026-11-02T06:00:00Z", "raw", "local", "calibrate"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def documents(model: type[BaseModel]) -> st.SearchStrategy[dict[str, object]]:
    """Documents with the keys of a model, some with a key too many, some with one too few."""
    known = dict.fromkeys(model.model_fields, values)
    inside = {"settings": st.fixed_dictionaries({}, optional=dict.fromkeys(Described.model_fields, values))}
    keys = known | {name: each for name, each in inside.items() if name in known} | {"unknown": values}
    return st.fixed_dictionaries({}, optional=keys)


@given(st.sampled_from(MODELS).flatmap(lambda model: st.tuples(st.just(model), documents(model) | values)))
def test_no_word_of_pydantic_reaches_a_person(case: tuple[type[BaseModel], object]) -> None:
    model, document = case
    try:
        model.model_validate_json(json.dumps(document))
    except ValidationError as error:
        for _, what in explained(error, model):
            assert not what.startswith("cannot be used: "), what


def test_a_place_is_told_as_people_count() -> None:
    assert spelled(("definition", 1, "script")) == "definition.2.script"


def test_what_stands_there_is_cut_where_it_would_hide_what_is_wrong() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"home": ["x"] * 1000})
    ((_, what),) = explained(refused.value, Settings)
    assert len(what) < 100


@pytest.mark.parametrize(
    ("centre", "place", "said"),
    [
        ({"backend": "htcondor", "memroy_mb": 3}, "memroy_mb", "is not known; did you mean 'memory_mb'?"),
        ({"backend": "lsf", "rules": [{"codes": 3}]}, "rules.1.codes", "is not known; did you mean 'code'?"),
        ({"backend": "slurm"}, "backend", "must be one of 'htcondor', 'lsf', not 'slurm'"),
        ({}, "backend", "is missing"),
        ({"backend": "lsf", "rules": [{"pattern": "(x"}]}, "rules.1.pattern", "must be a regular expression, not '(x'"),
        ({"backend": "lsf", "doors": ["x"]}, "doors.1", "must be an address such as root://host:1094//store, not 'x'"),
    ],
)
def test_what_is_wrong_with_a_centre_is_told_with_its_place_in_the_file(
    centre: dict[str, object], place: str, said: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(centres={"bnl": centre})  # type: ignore[dict-item]
    found = {spelled(place): said for place, said in explained(refused.value, Settings)}
    assert found[f"centres.bnl.{place}"] == said


@pytest.mark.parametrize("name", ["local", "../../x", "a b", "", ".x", "x" * 65])
def test_a_centre_has_a_name_that_a_folder_can_have_and_no_other_centre_has(name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(centres={name: {"backend": "lsf"}})  # type: ignore[dict-item]
    ((place, said),) = explained(refused.value, Settings)
    assert place == ("centres", name)
    assert "name" in said
