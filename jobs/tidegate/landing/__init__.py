"""Landing: the lines of dumps, and what becomes of each: an event, or a reason why not."""
