"""Hourly dumps of a source: landed, audited, published to `warehouse/events`.

**A run is a dump hour**: its logical date. `wait` looks until the dump is complete, `land` makes the
candidate and fills `ops/quarantine`, `publish` runs `expectations/events.yml` on it and commits it.

**A task is red**
- `wait`: the dump did not come within a day. Have it uploaded, then clear `wait`.
- `land`: a file could not be read whole, or the source file is wrong. The message says which and why.
  Have the file uploaded again (or fix the source file), then clear `land` and what follows.
- `publish`: a critical expectation failed: the hour is held, its neighbours are not. The message names
  table, slice, expectation, expected and observed. Fix the dump, then clear `land` and what follows.
  The slice may be a later hour, which would have lost or regained rows by this one.

**Backfill**: the Backfill form of this DAG, both bounds inclusive. To land hours again whose files
changed, choose a reprocess behaviour; hours whose files did not change are left as they are.

**Engine**: rows are computed on the Spark server of the stack, or, where `TIDEGATE_ENGINE` is `duckdb`, in the
task's own process.
"""

# By default Airflow searches for DAGs only in files that have both of these words.
from tidegate.common.errors import TidegateError
from tidegate.config.settings import load_settings
from tidegate.config.source import load_source, source_files
from tidegate.orchestration.dags import land_dag

for file in source_files(load_settings().sources):
    try:
        source = load_source(file)
    except TidegateError:
        continue  # dags/sources_with_faults.py shows it; the other sources' DAGs stay
    globals()[f"land_{source.source}"] = land_dag(source, __doc__)
