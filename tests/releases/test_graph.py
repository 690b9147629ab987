"""The graph of a release."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.model import Definition, Kind, Step
from b2cal.releases import ReleaseRefused, graph
from b2cal.releases.graph import find_cycle

BELLE2 = json.loads(Path(__file__).with_name("belle2_prompt.json").read_text())


def definition(
    name,
    depends_on=(),
    *,
    step=Step.PRE_TRACKING,
    kind=Kind.CALIBRATE,
    formats=("raw",),
    names=("bhabha",),
    filters=None,
) -> Definition:
    return Definition(
        name=name,
        module=name.lower(),
        step=step,
        kind=kind,
        settings={
            "depends_on": list(depends_on),
            "input_data_formats": list(formats),
            "input_data_names": list(filters or names),
            "input_data_filters": filters or {},
        },
    )


NODES = st.integers(1, 12)


@st.composite
def acyclic(draw):
    """Names in an order in which each depends on earlier ones only, then shuffled."""
    names = [f"N{number}" for number in range(draw(NODES))]
    edges = {
        name: draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else []
        for place, name in enumerate(names)
    }
    return {name: edges[name] for name in draw(st.permutations(names))}


@given(edges=acyclic())
def test_a_graph_without_circle_has_exactly_the_declared_edges(edges):
    found = graph([definition(name, upstream) for name, upstream in edges.items()], {})
    assert {name: set(upstream) for name, upstream in found.items()} == {n: set(up) for n, up in edges.items()}
    assert list(found) == list(edges)


@given(edges=acyclic())
def test_no_circle_is_found_where_there_is_none(edges):
    assert find_cycle(edges) is None


@given(edges=acyclic(), data=st.data())
def test_a_circle_is_found_and_named_as_a_path_of_real_edges(edges, data):
    names = list(edges)
    circle = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    for name, waits_for in zip(circle, [*circle[1:], circle[0]], strict=True):
        edges[name] = [*edges[name], waits_for]
    path = find_cycle(edges)
    assert path is not None
    assert path[0] == path[-1]
    assert len(set(path)) == len(path) - 1
    assert all(waits_for in edges[name] for name, waits_for in pairwise(path))
    with pytest.raises(ReleaseRefused, match="wait for each other in a circle"):
        graph([definition(name, upstream) for name, upstream in edges.items()], {})


def test_a_long_chain_is_no_problem():
    assert find_cycle({str(number): [str(number + 1)] for number in range(5000)}) is None


def test_a_dangling_dependency_is_named_with_its_script():
    with pytest.raises(ReleaseRefused) as refused:
        graph([definition("Energy"), definition("Momentum", ["Energie"])], {})
    assert "momentum: 'Momentum' depends on 'Energie'" in str(refused.value)
    assert refused.value.hint


def test_a_production_waits_for_everything_in_earlier_steps_and_its_readers_for_it():
    definitions = [
        definition("Pedestals", step=Step.LOCAL, kind=Kind.COPY),
        definition("Alignment", step=Step.ALIGNMENT),
        definition("cDST", step=Step.CDST_PRODUCTION, kind=Kind.PRODUCE, names=("bhabha", "hadron")),
        definition("Other cDST", step=Step.CDST_PRODUCTION, kind=Kind.PRODUCE, names=("cosmic",)),
        definition("Energy", step=Step.POST_TRACKING, formats=("cdst",)),
        definition("Raw again", step=Step.POST_TRACKING),
    ]
    assert graph(definitions, {}) == {
        "Pedestals": [],
        "Alignment": [],
        "cDST": ["Pedestals", "Alignment"],
        "Other cDST": ["Pedestals", "Alignment"],
        "Energy": ["cDST"],
        "Raw again": [],
    }


def test_a_reader_of_cdst_waits_for_the_productions_of_its_streams_whatever_the_data_names_are():
    def production(name, **names_and_filters):
        return definition(name, step=Step.CDST_PRODUCTION, kind=Kind.PRODUCE, **names_and_filters)

    def reader(name, **names_and_filters):
        return definition(name, step=Step.POST_TRACKING, formats=("cdst",), **names_and_filters)

    definitions = [
        production("hadron cDST", filters={"hadron": ["hadron_calib", "Good"], "offip_calib": ["Good"]}),
        production("bhabha cDST", filters={"physics": ["bhabha_all_calib"]}),
        reader("Momentum", filters={"hadron4S": ["hadron_calib", "4S"]}),
        reader("Beam spot", filters={"all": ["offip_calib", "hadron_calib", "NOT hadron_calib"]}),
        reader("Energy", filters={"physics": ["hadron_calib"]}),
        reader("Both", filters={"a": ["hadron_calib"], "b": ["bhabha_all_calib"]}),
        reader("None", filters={"hadron": ["cosmic_calib"]}),
        reader("Without filters", names=("hadron",)),
    ]
    upstream = graph(definitions, BELLE2["vocabulary"])
    assert {name: upstream[name] for name in list(upstream)[2:]} == {
        "Momentum": ["hadron cDST"],
        "Beam spot": ["hadron cDST"],
        "Energy": ["hadron cDST"],
        "Both": ["hadron cDST", "bhabha cDST"],
        "None": [],
        "Without filters": ["hadron cDST"],
    }


def test_a_reader_of_cdst_in_a_step_before_the_production_closes_a_circle():
    definitions = [
        definition("cDST", step=Step.CDST_PRODUCTION, kind=Kind.PRODUCE),
        definition("Early", formats=("cdst",)),
    ]
    with pytest.raises(ReleaseRefused, match=r"'cDST' \(cdst\) -> 'Early' \(early\) -> 'cDST' \(cdst\)"):
        graph(definitions, {})


def test_belle2s_prompt_calibrations_keep_their_own_edges_and_get_those_of_a_cdst_production():
    facts = BELLE2["calibrations"]
    definitions = [
        definition(
            one["name"],
            one["depends_on"],
            step=Step(one["step"]),
            formats=one["input_data_formats"],
            filters=one["input_data_filters"],
        )
        for one in facts
    ]
    upstream = graph(definitions, BELLE2["vocabulary"])
    assert {name: set(names) for name, names in upstream.items()} == {o["name"]: set(o["depends_on"]) for o in facts}
    assert (len(upstream), sum(map(len, upstream.values()))) == (26, 19)

    every_stream = {"everything": BELLE2["vocabulary"]["Data Tag"]}
    production = definition("cDST", step=Step.CDST_PRODUCTION, kind=Kind.PRODUCE, filters=every_stream)
    upstream = graph([*definitions, production], BELLE2["vocabulary"])
    before = [one.name for one in definitions if one.step.order < production.step.order]
    assert upstream["cDST"] == before
    readers = {one["name"] for one in facts if "raw" not in one["input_data_formats"]}
    assert {name for name, names in upstream.items() if "cDST" in names} == readers
    assert len(readers) == 14
