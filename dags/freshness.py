"""Whether the hours of each source can be read as soon as its file promises by `fresh`.

A run every ten minutes reads the system tables, whatever ran or did not run. The log of `look` has the state of each
source that promises anything. Who is named in `dags/alerts.yml` gets one message when hours are late (which,
and what they wait for), and one when they have come and an hour after them was there in time.

**`look` is red**: the system tables could not be read, or a notifier of `dags/alerts.yml` can't be used. Its message
says why; the next run tries again. Late hours make no run red: see `tidegate status`, and the runs of `land_<source>`.
"""

# By default Airflow searches for DAGs only in files that have both of these words.
from tidegate.orchestration.dags import freshness_dag

freshness = freshness_dag(__doc__)
