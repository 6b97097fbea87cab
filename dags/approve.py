"""Publish a held slice knowingly: a person has checked that its rows are right all the same.

Start it by its form: the slice, as the held task's message and `tidegate held` name it, and the reason. Who
started the run, when, and the reason are kept in `ops.audits`, the publication names the approval, and `derive`
follows by itself.

An approval is of what failed. Other files for the hour are audited again; a rebuild of the same ones takes it
as given. An hour whose files could not be read whole can't be approved: have them uploaded again.
"""

# By default Airflow searches for DAGs only in files that have both of these words.
from tidegate.orchestration.dags import approve_dag

approve = approve_dag(__doc__)
