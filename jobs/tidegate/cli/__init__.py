"""The command line: `tidegate …`. Each module holds the commands of one concern."""
