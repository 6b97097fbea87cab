"""Scripts that do the same work without any guarantee: what a user would compare with.

Each is given a JSON object on its standard input, which `asked.py` describes, and prints one: the numbers of rows of
`events`, `sessions`, `hourly_activity` and `daily_activity` that it wrote. So does a script of a user's own.
"""
