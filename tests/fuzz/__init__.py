"""Generated files of every format, and the exact rows that each has to become.

The generator writes down what it means while it writes a file. Nothing here reads files, and nothing of the
kernel decides what is expected. `run.py` checks files one after the other.
"""
