"""Find problems of a catalog that impair retrieval or are unsafe, with advice for its owner."""
