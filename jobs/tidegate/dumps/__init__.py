"""Which files an hour has, whether it is complete, and what the files are."""
