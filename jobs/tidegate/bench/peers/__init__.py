"""Scripts that do the same work without any guarantee: what a user would compare with.

Each is given a JSON object on its standard input (`dumps`, a folder; `out`, a folder; `gap_s`) and prints
one: the numbers of `events`, `sessions`, `hours` and `days` that it wrote.
"""
