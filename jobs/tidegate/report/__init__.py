"""What the books say as pages that people read: in the Airflow UI, and as files."""
