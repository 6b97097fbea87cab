"""Tables that are built from published events."""
