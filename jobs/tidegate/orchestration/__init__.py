"""What Airflow's tasks do: each one step, for one hour or one derive run. DAG files only wire them."""
