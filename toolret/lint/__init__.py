"""Why retrieval will suffer from a catalog, or harm come of it, and what its owner can do."""
