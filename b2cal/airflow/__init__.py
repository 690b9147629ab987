"""Airflow as the engine of the loop: DAGs, operators, one trigger, and the configuration of Airflow itself.

Airflow holds no truth: it asks `b2cal.loop` what is due, waits, and asks again.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import DAG


def processing_dags() -> "dict[str, DAG]":
    """The DAGs of all processings (of the one asked for, in a worker), by their id."""
    # The launcher `python -m b2cal.airflow` goes through this module too and must not pay 2 s for Airflow's classes.
    from .builder import processing_dags as build

    return build()


def maintenance_dags() -> "dict[str, DAG]":
    """The DAGs that belong to no processing, by their id."""
    from .maintenance import maintenance_dags as build

    return build()
