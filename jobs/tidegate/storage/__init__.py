"""Objects on S3 and on disk."""
