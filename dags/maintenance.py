"""What is done again and again for no processing in particular."""

from b2cal.airflow import maintenance_dags

globals().update(maintenance_dags())
