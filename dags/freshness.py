"""Whether the hours of each source can be read as soon as its file promises by `fresh`.

A run every ten minutes looks into the books, whatever ran or did not run. The log of `look` says of each source
that promises anything how it stands. Who is named in `dags/alerts.yml` is told once when hours are late (which,
and what they wait for), and once when they have come and an hour after them was there in time.

**`look` is red**: the books could not be read, or a notifier of `dags/alerts.yml` can't be used. Its message says
why; the next run tries again. Late hours make no run red: see `tidegate status`, and the runs of `land_<source>`.
"""

# Unless told otherwise, Airflow looks for DAGs only into files that have both of these words.
from tidegate.orchestration.dags import freshness_dag

freshness = freshness_dag(__doc__)
