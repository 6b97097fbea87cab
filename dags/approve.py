"""Publish a held slice knowingly: somebody has looked, and its rows are right all the same.

Start it by its form: the slice, as the held task's message and `tidegate held` name it, and the reason. Who
started the run, when, and the reason are kept in `ops.audits`, the publication names the approval, and `derive`
follows by itself.

An approval is of what failed. Other files for the hour are audited afresh; a rebuild of the same ones takes it
as given. An hour whose files could not be read whole can't be approved: have them uploaded again.
"""

# Unless told otherwise, Airflow looks for DAGs only into files that have both of these words.
from tidegate.orchestration.dags import approve_dag

approve = approve_dag(__doc__)
