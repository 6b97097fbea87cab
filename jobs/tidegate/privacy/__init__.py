"""The key that hashes personal data, and persons whose data were erased."""
