"""What analysts and operators ask of a lake."""
