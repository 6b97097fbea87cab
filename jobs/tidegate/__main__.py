"""`python -m tidegate` is `tidegate`."""

from tidegate.cli.app import main

main()
