"""The steps of the main job. The CLI, the DAGs and the tests call these same functions."""
