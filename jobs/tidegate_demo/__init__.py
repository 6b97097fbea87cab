"""The demo: made-up traffic of two sources, and the command that runs the whole system on it."""
