"""Settings, and everything that users write: sources, suites and metrics."""
