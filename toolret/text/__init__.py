"""Text processing: how tools, requests and names are read before anything is compared."""
