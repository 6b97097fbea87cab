"""What a step works with, resolved once."""
