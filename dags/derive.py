"""Sessions and aggregates follow what is published of events; then a release pins what belongs together.

Started by every publication of events; one run at a time, which takes all publications that wait. It
builds again only what they touch. While a backfill lands, hours of the past add up for some minutes first: few
rounds derive them all.

**`report` is red**: a candidate failed a critical expectation. Its source's derived tables stay as they
were, the others are published and released. The message names table, slices, expectation, expected and
observed. Fix the cause; the next run takes up what this one left.

**Engine**: as for `land_<source>`.
"""

# By default Airflow searches for DAGs only in files that have both of these words.
from tidegate.orchestration.dags import derive_dag

derive = derive_dag(__doc__)
