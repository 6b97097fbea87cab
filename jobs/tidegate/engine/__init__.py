"""The engine: what computes rows, DuckDB in this process or a Spark server. Only its modules make a Spark session."""
