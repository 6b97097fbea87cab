"""A slow reference in plain Python: what lines must become, and which sessions events must make.

It is meant to be read, and shares no code with what it checks but the model of a source file. Engines that share
a parser agree in its mistakes. This package does not.
"""
