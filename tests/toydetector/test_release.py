from pathlib import Path

import edges
import plants
import pytest
from chain import ORDER, RELEASE, release_loaded, upstream

from b2cal import releases
from b2cal.calibration.script import load
from b2cal.model.enums import Kind


@pytest.fixture(scope="module")
def inspection():
    return releases.inspect(RELEASE)


@pytest.fixture(scope="module")
def definitions(inspection):
    assert not inspection.flags
    return {definition.module: definition for definition in inspection.definitions}


def test_the_release_has_seven_items_over_all_steps(definitions):
    assert tuple(definitions) == ORDER
    assert [str(definition.step) for definition in definitions.values()] == [
        "local",
        "pre-tracking",
        "pre-tracking",
        "alignment",
        "cdst-production",
        "post-tracking",
        "analysis",
    ]


def test_every_edge_of_the_graph_names_the_result_that_it_improves(inspection, definitions):
    graph = releases.graph(list(definitions.values()), inspection.vocabulary)
    script = {definition.name: definition.module for definition in definitions.values()}
    declared = {(script[upper], script[name]) for name, uppers in graph.items() for upper in uppers}
    assert {(edge.upstream, edge.downstream) for edge in edges.EDGES} == declared
    for edge in edges.EDGES:
        assert edge.downstream == edge.judged_by or edge.downstream in upstream(edge.judged_by)


def test_every_limit_can_be_broken_by_a_planted_deviation(definitions):
    limited = set()
    for script, definition in definitions.items():
        if definition.kind == Kind.CALIBRATE:
            with release_loaded():
                limits = load(RELEASE, script).calibration().limits
            limited |= {f"{script}.{name}" for name in limits}
    assert {name for name, plant in plants.PLANTS.items() if plant.numeric} == limited


def test_scripts_import_nothing_that_slows_down_the_start_of_a_job():
    for script in Path(RELEASE).glob("*.py"):
        assert "scipy" not in script.read_text()


def test_the_form_explains_every_key_and_refuses_numbers_that_make_no_sense(definitions):
    """A crystal without pulses has no mean: `min_pulses = -5` would end in constants that are no numbers."""
    for definition in definitions.values():
        if definition.kind is not Kind.COPY:
            config, properties = definition.settings["expert_config"], definition.config_schema["properties"]
            assert {key for key, schema in properties.items() if schema.get("description")} == config.keys()
            for key, value in config.items():
                if isinstance(value, int | float):
                    (problem,) = releases.config_problems(definition, {**config, key: -5})
                    assert problem.key == key
    scale = definitions["energy_scale"]
    (problem,) = releases.config_problems(scale, {**scale.settings["expert_config"], "min_pulses": -5})
    assert str(problem) == "min_pulses must be at least 1, not -5."
    (problem,) = releases.config_problems(scale, {**scale.settings["expert_config"], "min_pulse": 5})
    assert problem.key == "min_pulse"
