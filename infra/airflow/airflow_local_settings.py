"""For an Airflow of one's own: put this file on its path (`$AIRFLOW_HOME/config`), and import the pools.

    airflow pools import infra/airflow/pools.json

The embedded stack does the same by itself. Its other settings, each with its reason, are in
`jobs/tidegate/stack/airflow.cfg`.
"""

from tidegate.orchestration.policy import task_instance_mutation_hook

__all__ = ["task_instance_mutation_hook"]
