"""Dumps that changed after they were landed, or came after their hour was given up, are landed again.

Every hour it compares what is in the bucket (names, sizes, ETags) with what was landed, a week back, or as many
days as its form says. For each hour that differs it starts that hour's run of `land_<source>` again, or a
run of its own where the hour never had one. Hours whose run is under way are left to it.

**`compare` is red**: the bucket or the lake can't be read; the message says why. The next run compares again.
"""

# By default Airflow searches for DAGs only in files that have both of these words.
from tidegate.orchestration.dags import reconcile_dag

reconcile = reconcile_dag(__doc__)
