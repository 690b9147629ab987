"""One DAG for each open processing."""

from b2cal.airflow import processing_dags

globals().update(processing_dags())
