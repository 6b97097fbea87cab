"""The embedded stack: SeaweedFS for S3, one Spark Connect server and Airflow, on loopback."""
