"""Source files that are wrong show here, as one import error with every fault; their DAGs are missing."""

# By default Airflow searches for DAGs only in files that have both of these words.
from tidegate.config.settings import load_settings
from tidegate.config.source import load_sources

load_sources(load_settings().sources)
