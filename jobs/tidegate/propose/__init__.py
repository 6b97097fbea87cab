"""A source file proposed from samples: what their names and lines suggest, for a human to correct."""
