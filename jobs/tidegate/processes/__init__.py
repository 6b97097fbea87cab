"""Child processes, their ports and their private files."""
