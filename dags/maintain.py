"""Keeps the lake's files few, and frees what nothing needs. Runs daily; with `dry_run` it only reports.

`compact` and `fold` put small files together, of quiet days and of the system tables. `vacuum`, `log` and `candidates`
remove files: those that no promised release refers to (`TIDEGATE_KEEP_RELEASES`, and always the newest release),
log entries that no version kept needs, and candidates that no publication will take. Each task returns what it
freed; `ops.maintenance` keeps it. Rows stay as they are, queries that have begun are not disturbed, and a
publication that wants the same files goes first.

**A task is red**: files could not be listed or removed, which needs `s3:ListBucket` and `s3:DeleteObject`, or a
table lacks files that its log names, so that nothing of it was removed. The message says which. Nothing is left
half-done: clear the task when the cause is fixed, or let the next run do it.
"""

# By default Airflow searches for DAGs only in files that have both of these words.
from tidegate.orchestration.dags import maintain_dag

maintain = maintain_dag(__doc__)
