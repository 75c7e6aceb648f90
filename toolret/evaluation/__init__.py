"""How good is the retrieval: runs over labelled requests, metrics, reports."""
